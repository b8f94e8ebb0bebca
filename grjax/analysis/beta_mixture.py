"""A mixture of two beta distributions, for values in [0, 1] that come from two kinds of examples."""

from typing import NamedTuple

import numpy as np
from scipy import stats

_EDGE = 1e-3  # a beta density may be infinite at 0 and 1: values are kept this far inside
_ITERATIONS = 100


class BetaMixture(NamedTuple):
    """The fitted mixture; the low component is the one that started from the values below one half."""

    low_weight: float  # share of the low component, in [0, 1]
    low: tuple[float, float]  # a and b of its beta distribution
    high: tuple[float, float]

    def low_posterior(self, values: np.ndarray) -> np.ndarray:
        """P(low component | value) [N]; it never rises with the value.

        The tails of two betas may cross a second time, where neither component has much to say: below the
        mean of the low one the posterior is that of its mean, and above it the least so far.
        """
        inside = np.clip(values, _EDGE, 1 - _EDGE)
        grid = np.linspace(_EDGE, 1 - _EDGE, 2001)
        mean = self.low[0] / sum(self.low)
        return np.interp(inside, grid, np.minimum.accumulate(self._posterior(np.maximum(grid, mean))))

    def _posterior(self, values: np.ndarray) -> np.ndarray:
        low = self.low_weight * stats.beta.pdf(values, *self.low)
        high = (1 - self.low_weight) * stats.beta.pdf(values, *self.high)
        return low / np.maximum(low + high, np.finfo(np.float64).tiny)


def fit(values: np.ndarray) -> BetaMixture | None:
    """Fits two betas by expectation maximisation, each by the weighted moments of its values.

    Args:
      values: [N] in [0, 1].

    Returns:
      The mixture; None where all values are on one side of one half: there is one kind, or nothing to tell
      two apart.

    Example:
      >>> import numpy as np
      >>> from grjax.analysis import beta_mixture
      >>> rng = np.random.default_rng(0)
      >>> values = np.concatenate([rng.beta(2, 10, 300), rng.beta(12, 2, 700)])
      >>> mixture = beta_mixture.fit(values)
      >>> round(mixture.low_weight, 2)
      0.3

    Reference: Arazo et al., ICML 2019 (arXiv:1904.11238), who fit it to losses scaled to [0, 1].
    """
    inside = np.clip(np.asarray(values, np.float64), _EDGE, 1 - _EDGE)
    below = inside < 0.5
    if below.all() or not below.any():
        return None
    posterior = np.where(below, 0.99, 0.01)
    for _ in range(_ITERATIONS):
        (a_low, b_low), (a_high, b_high) = _moments(inside, posterior), _moments(inside, 1 - posterior)
        # Neither may have its mass at both ends: a beta of that kind would take both heaps for its own.
        mixture = BetaMixture(float(posterior.mean()), (a_low, max(b_low, 1.0)), (max(a_high, 1.0), b_high))
        before, posterior = posterior, mixture._posterior(inside)
        if np.abs(posterior - before).max() < 1e-6:
            break
    return mixture


def _moments(values: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """The a and b of the beta distribution with the weighted mean and variance of values inside (0, 1)."""
    mean = float(np.average(values, weights=weights))
    # Above 0, for a component on one point; below mean (1 - mean), which no beta reaches.
    variance = np.clip(np.average((values - mean) ** 2, weights=weights), 1e-5, 0.999 * mean * (1 - mean))
    total = float(mean * (1 - mean) / variance - 1)
    return mean * total, (1 - mean) * total
