"""Reverse and symmetric cross-entropy, and the normalised losses that depend on p alone."""

import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grjax.emphasis import Normalization, log_not_p, log_p
from grjax.losses.agreement import LOG_2, MAE, family
from grjax.losses.inputs import checked
from grjax.losses.rescaling import from_emphasis

# RCE's log 0, as public code has it, which clips one-hot labels at 1e-4; the papers of SCE and APL say -4.
LOG_ZERO = math.log(1e-4)


@family
class RCE:
    """L = -A (1 - p); w = -2 A p (1 - p)."""

    log_zero: ArrayLike = LOG_ZERO

    def value(self, log_odds: jax.Array) -> jax.Array:
        return MAE(-jnp.asarray(self.log_zero, log_odds.dtype)).value(log_odds)

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        return MAE(-jnp.asarray(self.log_zero, log_odds.dtype)).log_weight(log_odds)


def rce(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    log_zero: ArrayLike = LOG_ZERO,
    epsilon: ArrayLike | None = None,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Reverse cross-entropy: L = -A (1 - p), w = -2 A p (1 - p); MAE times -A.

    `log_zero` is A < 0, the value of log 0: ln 1e-4 as in all public code; the papers say -4. See `agreement`
    for arguments.

    Reference: Wang et al., ICCV 2019 (arXiv:1908.06112).
    """
    return from_emphasis(
        logits, labels, RCE(log_zero), epsilon=epsilon, normalization=normalization, axis_name=axis_name
    )


@family
class SCE:
    """L = -alpha log p - beta A (1 - p); w = 2 (1 - p) (alpha - beta A p)."""

    alpha: ArrayLike = 0.1
    beta: ArrayLike = 1.0
    log_zero: ArrayLike = LOG_ZERO

    def value(self, log_odds: jax.Array) -> jax.Array:
        alpha, beta = jnp.asarray(self.alpha, log_odds.dtype), jnp.asarray(self.beta, log_odds.dtype)
        return beta * RCE(self.log_zero).value(log_odds) - alpha * log_p(log_odds)

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        alpha, beta, log_zero = (
            jnp.asarray(each, log_odds.dtype) for each in (self.alpha, self.beta, self.log_zero)
        )
        # Of a sum of products >= 0: exact for p near 0 also where alpha is 0.
        scale = jnp.logaddexp(jnp.log(alpha), jnp.log(-beta * log_zero) + log_p(log_odds))
        return LOG_2 + log_not_p(log_odds) + scale


def sce(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: ArrayLike = 0.1,
    beta: ArrayLike = 1.0,
    log_zero: ArrayLike = LOG_ZERO,
    epsilon: ArrayLike | None = None,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Symmetric cross-entropy: L = alpha CE + beta RCE, w = 2 (1 - p) (alpha - beta A p).

    alpha, beta >= 0, not both 0; `log_zero` is A, see `rce`. See `agreement` for arguments.

    Reference: Wang et al., ICCV 2019 (arXiv:1908.06112).
    """
    emphasis = SCE(alpha, beta, log_zero)
    return from_emphasis(
        logits, labels, emphasis, epsilon=epsilon, normalization=normalization, axis_name=axis_name
    )


def nmae(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    scale: ArrayLike = 1.0,
    epsilon: ArrayLike | None = None,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Normalised MAE: MAE over its sum for all labels, L = scale (1 - p) / (C - 1).

    w = 2 scale p (1 - p) / (C - 1). scale = 1 is what the definition gives, and the code of ALFs; the code
    of APL has scale = 1/2. See `agreement` for arguments.

    Reference: Ma et al., ICML 2020 (arXiv:2006.13554).
    """
    logits, labels = checked(logits, labels)
    emphasis = MAE(jnp.asarray(scale) / (logits.shape[-1] - 1))
    return from_emphasis(
        logits, labels, emphasis, epsilon=epsilon, normalization=normalization, axis_name=axis_name
    )


def nrce(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    epsilon: ArrayLike | None = None,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Normalised RCE: RCE over its sum for all labels, L = (1 - p) / (C - 1), whatever A is: `nmae`.

    The code of APL multiplies by C - 1 where it should divide. See `agreement` for arguments.

    Reference: Ma et al., ICML 2020 (arXiv:2006.13554).
    """
    return nmae(logits, labels, epsilon=epsilon, normalization=normalization, axis_name=axis_name)
