"""Posterior emphasis: cross-entropy's weight times the probability that the label is right.

    w(p) = 2 (1 - p) P(right | p),   P(right | p) = 1 / (1 + exp(-slope d - log((1 - rate) / rate)))

with d = log(p / (1 - p)), the log-odds of the label. With slope 1 that is Bayes' rule in which p itself is
the evidence and `rate` the share of wrong labels; a steeper slope trusts the evidence more. With rate 0 it is
cross-entropy's weight.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jax.typing import ArrayLike

from grjax.emphasis import log_integral, log_not_p
from grjax.losses.agreement import LOG_2, family

_WIDEST, _NARROWEST = 0.0, 400.0  # beta of the family in which an equal one is sought
_GRID = np.linspace(0.0, 1.0, 2001)


@family
class Posterior:
    """w(p) = 2 (1 - p) P(right | p), an emphasis; its parameters are scalars, or broadcast.

    Attributes:
      rate: the share of labels taken for wrong before p is seen, in [0, 1).
      slope: >= 0; by how much the log-odds that the label is right rise with those of p.
    """

    rate: ArrayLike
    slope: ArrayLike

    def log_right(self, log_odds: jax.Array) -> jax.Array:
        """Log P(right | p) for log-odds of the label [...]; exactly 0 where the rate is 0."""
        rate, slope = (jnp.asarray(each, log_odds.dtype) for each in (self.rate, self.slope))
        some = jnp.where(rate > 0, rate, 0.5)
        log_posterior = -jax.nn.softplus(-(slope * log_odds + jnp.log1p(-some) - jnp.log(some)))
        return jnp.where(rate > 0, log_posterior, 0)

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        """See `grjax.emphasis.Emphasis`."""
        return LOG_2 + log_not_p(log_odds) + self.log_right(log_odds)

    def log_norm(self, dtype: jax.typing.DTypeLike = jnp.float32) -> jax.Array:
        """Log of the integral of w over p; exactly 0 where the rate is 0."""
        return jnp.where(jnp.asarray(self.rate) > 0, log_integral(self, dtype), 0)


class Shape(NamedTuple):
    """A weight in the terms of Gradient Rescaling: the w of its family with the same mode and variance."""

    mode: float  # the p with the largest weight
    lam: float  # mode / (1 - mode)
    beta: float


def shape(rate: float, slope: float) -> Shape:
    """The emphasis mode of a `Posterior`, and the lambda and beta that come nearest to it.

    Args:
      rate: see `Posterior`.
      slope: see `Posterior`.

    Returns:
      lam puts the largest weight of exp(beta p^lam (1 - p)) at the same p, and beta gives it the same
      emphasis variance. Cross-entropy has mode 0, lam 0 and beta 3.03.

    Example:
      >>> from grjax import posterior
      >>> tuple(round(value, 2) for value in posterior.shape(0.4, 1.0))
      (0.45, 0.82, 6.86)
    """
    log_odds = scipy.special.logit(_GRID)
    log_w = np.log(np.maximum(1 - _GRID, 1e-300)) + np.log(np.maximum(right(log_odds, rate, slope), 1e-300))
    mode = float(_GRID[log_w.argmax()])
    lam = mode / (1 - mode)
    wanted, low, high = _variance(log_w), _WIDEST, _NARROWEST
    for _ in range(50):  # the variance falls as beta rises
        beta = (low + high) / 2
        low, high = (beta, high) if _variance(beta * _GRID**lam * (1 - _GRID)) > wanted else (low, beta)
    return Shape(mode, lam, beta)


def right(log_odds: np.ndarray, rate: float, slope: float) -> np.ndarray:
    """P(right | p) for log-odds of the label [...], float64, on the host; 1 where the rate is 0."""
    if rate <= 0:
        return np.ones(np.shape(log_odds))
    return scipy.special.expit(slope * np.asarray(log_odds, np.float64) + np.log1p(-rate) - np.log(rate))


def _variance(log_w: np.ndarray) -> float:
    """Of p under the density of weights on the grid, by the trapezoidal rule."""
    w = np.exp(log_w - log_w.max())
    w[[0, -1]] /= 2
    mean = (w * _GRID).sum() / w.sum()
    return float((w * (_GRID - mean) ** 2).sum() / w.sum())
