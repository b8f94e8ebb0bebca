"""Mixtures of two components, for numbers that come from two kinds of examples: right and wrong labels."""

from typing import NamedTuple

import numpy as np
from scipy import special  # not scipy.stats, whose import takes a third of a second of every start

_EDGE = 1e-3  # a beta density may be infinite at 0 and 1: values are kept this far inside
_ITERATIONS = 100
_APART = 2.5  # standard deviations between the means of two kinds


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
        low = self.low_weight * _beta_density(values, *self.low)
        high = (1 - self.low_weight) * _beta_density(values, *self.high)
        return low / np.maximum(low + high, np.finfo(np.float64).tiny)


def fit_beta(values: np.ndarray) -> BetaMixture | None:
    """Fits two betas by expectation maximisation, each by the weighted moments of its values.

    Args:
      values: [N] in [0, 1].

    Returns:
      The mixture; None where all values are on one side of one half: there is one kind, or nothing to tell
      two apart.

    Example:
      >>> import numpy as np
      >>> from grjax import mixture
      >>> rng = np.random.default_rng(0)
      >>> values = np.concatenate([rng.beta(2, 10, 300), rng.beta(12, 2, 700)])
      >>> round(mixture.fit_beta(values).low_weight, 2)
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


def _beta_density(values: np.ndarray, a: float, b: float) -> np.ndarray:
    return np.exp((a - 1) * np.log(values) + (b - 1) * np.log1p(-values) - special.betaln(a, b))


def _moments(values: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """The a and b of the beta distribution with the weighted mean and variance of values inside (0, 1)."""
    mean = float(np.average(values, weights=weights))
    # Above 0, for a component on one point; below mean (1 - mean), which no beta reaches.
    variance = np.clip(np.average((values - mean) ** 2, weights=weights), 1e-5, 0.999 * mean * (1 - mean))
    total = float(mean * (1 - mean) / variance - 1)
    return mean * total, (1 - mean) * total


class GaussianMixture(NamedTuple):
    """The fitted mixture of two normal distributions; 'low' is the component of the smaller mean."""

    low_weight: float  # share of the low component, in [0, 1]
    low: tuple[float, float]  # mean and variance
    high: tuple[float, float]

    def low_posterior(self, values: np.ndarray) -> np.ndarray:
        """P(low component | value) [N], float64."""
        low, high = self._log_parts(np.asarray(values, np.float64))
        return np.exp(low - np.logaddexp(low, high))

    def log_likelihood(self, values: np.ndarray) -> float:
        """Mean log density of the values [N]."""
        return float(np.logaddexp(*self._log_parts(np.asarray(values, np.float64))).mean())

    @property
    def separation(self) -> float:
        """Distance of the means in standard deviations, those of the mean variance."""
        return (self.high[0] - self.low[0]) / float(np.sqrt((self.low[1] + self.high[1]) / 2))

    def _log_parts(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        tiny = np.finfo(np.float64).tiny
        low = np.log(max(self.low_weight, tiny)) + _log_normal(values, *self.low)
        return low, np.log(max(1 - self.low_weight, tiny)) + _log_normal(values, *self.high)


def fit_gaussian(
    values: np.ndarray,
    *,
    least_variance: float = 1e-6,
    iterations: int = 100,
    tolerance: float = 1e-6,
) -> GaussianMixture:
    """Fits two normal distributions by expectation maximisation, from the two heaps that 2-means finds.

    Args:
      values: [N], finite.
      least_variance: added to both variances, > 0.
      iterations: at most so many.
      tolerance: stops where the mean log-likelihood gains less.

    Returns:
      The mixture. Two components are found in anything: `two_kinds` asks whether one would do.

    Example:
      >>> import numpy as np
      >>> from grjax import mixture
      >>> rng = np.random.default_rng(0)
      >>> values = np.concatenate([rng.normal(-3, 1, 300), rng.normal(3, 1, 700)])
      >>> round(mixture.fit_gaussian(values).low_weight, 2)
      0.3
    """
    values = np.asarray(values, np.float64)
    posterior = _lower_heap(values).astype(np.float64)
    last = -np.inf
    for _ in range(iterations):
        fitted = _maximised(values, posterior, least_variance)
        likelihood = fitted.log_likelihood(values)
        posterior = fitted.low_posterior(values)
        if likelihood - last < tolerance:
            break
        last = likelihood
    fitted = _maximised(values, posterior, least_variance)
    if fitted.low[0] > fitted.high[0]:
        return GaussianMixture(1 - fitted.low_weight, fitted.high, fitted.low)
    return fitted


def two_kinds(values: np.ndarray) -> GaussianMixture | None:
    """The mixture of two normal distributions where the values [N] speak for two; None where one will do.

    They do if Bayes' information criterion is better for two, and the means lie `_APART` standard deviations
    apart: a criterion for density alone takes two components for anything that is not normal.

    Example:
      >>> import numpy as np
      >>> from grjax import mixture
      >>> mixture.two_kinds(np.random.default_rng(0).normal(size=500)) is None
      True
    """
    values = np.asarray(values, np.float64)
    variance = values.var() + 1e-6
    one = float(_log_normal(values, values.mean(), variance).mean())
    two = fit_gaussian(values)
    # 2 parameters against 5; the criterion is over the number of values.
    better = 2 * (two.log_likelihood(values) - one) > 3 * np.log(len(values)) / len(values)
    return two if better and two.separation >= _APART else None


def _log_normal(values: np.ndarray, mean: float, variance: float) -> np.ndarray:
    return -0.5 * (np.log(2 * np.pi * variance) + (values - mean) ** 2 / variance)


def _lower_heap(values: np.ndarray) -> np.ndarray:
    """Whether a value is nearer to the lower of two centres, by Lloyd's iterations: bool [N]."""
    low, high = values.min(), values.max()
    lower = values < (low + high) / 2
    for _ in range(_ITERATIONS):
        if lower.all() or not lower.any():
            break
        border = (values[lower].mean() + values[~lower].mean()) / 2
        before, lower = lower, values < border
        if (before == lower).all():
            break
    return lower


def _maximised(values: np.ndarray, posterior: np.ndarray, least_variance: float) -> GaussianMixture:
    """The mixture that is most likely, given P(low | value) [N]."""

    def moments(weights: np.ndarray) -> tuple[float, float]:
        total = max(float(weights.sum()), 1e-12)
        mean = float((weights * values).sum() / total)
        return mean, float((weights * (values - mean) ** 2).sum() / total) + least_variance

    return GaussianMixture(float(posterior.mean()), moments(posterior), moments(1 - posterior))
