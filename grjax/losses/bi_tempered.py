"""The bi-tempered logistic loss: a bounded logarithm of a heavy-tailed softmax."""

from typing import Annotated

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grjax.losses.inputs import at_label, checked
from grjax.ranges import In, in_range

# Newton's steps to the normalisation; each about doubles the digits. Ten reach float64's for C = 50,000.
_STEPS = 10


def _log_exp_t(u: jax.Array, t: jax.Array) -> jax.Array:
    """Log of the tempered exponential exp_t(u) = (1 + (1 - t) u)^(1 / (1 - t)), for t >= 1 and u <= 0."""
    excess = t - 1
    near_1 = excess < 1e-6
    return jnp.where(near_1, u, -jnp.log1p(-excess * u) / jnp.where(near_1, 1, excess))


def _log_t(log_u: jax.Array, t: jax.Array) -> jax.Array:
    """The tempered logarithm log_t(u) = (u^(1 - t) - 1) / (1 - t) of u given by its log; log u at t = 1."""
    near_1 = jnp.abs(1 - t) < 1e-6
    return jnp.where(near_1, log_u, jnp.expm1((1 - t) * log_u) / jnp.where(near_1, 1, 1 - t))


def _normalization(logits: jax.Array, t: jax.Array) -> jax.Array:
    """Lambda with sum over k of exp_t(z_k - lambda) = 1, [..., 1], for logits whose maximum is 0."""

    def newton(_: int, shift: jax.Array) -> jax.Array:
        # On Z^(1 - t), increasing and concave in lambda (linear where all logits are equal): from lambda =
        # max z, below the root, every step stays below it.
        log_terms = _log_exp_t(logits - shift, t)
        log_sum = jax.nn.logsumexp(log_terms, axis=-1, keepdims=True)
        log_slope = jax.nn.logsumexp(t * log_terms, axis=-1, keepdims=True)
        return shift + _log_t(log_sum, t) * jnp.exp(t * log_sum - log_slope)

    return jax.lax.fori_loop(0, _STEPS, newton, jnp.zeros_like(logits[..., :1]))


@in_range
def bi_tempered(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    t1: Annotated[ArrayLike, In("[0, 1]")] = 0.8,
    t2: Annotated[ArrayLike, In("[1, 5]")] = 1.2,
) -> jax.Array:
    """Bi-tempered logistic loss: L = -log_t1 p_y - (1 - sum over k of p_k^(2 - t1)) / (2 - t1).

    p = exp_t2(z - lambda) is the tempered softmax; L the paper's divergence for a one-hot label. t1 = t2 =
    1 is cross-entropy. The lower t1, the lower the bound of the loss; the higher t2, the heavier the tails
    of p. The normalisation lambda is solved to working precision, by Newton's method, and its gradient is
    the exact one, the escort distribution; public code stops after five steps of a fixed-point iteration
    and differentiates as if they had converged.

    Args:
      logits: `[..., C]`, floating and finite.
      labels: class indices, `[...]`, integer.
      t1: temperature of the logarithm, 0 <= t1 <= 1; may be traced, no gradient flows to it.
      t2: temperature of the softmax, 1 <= t2 <= 5, as t1. Far above, float32 overflows for many classes.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: arguments that do not fit, or a temperature out of its range.

    Reference: Amid et al., NeurIPS 2019 (arXiv:1906.03361).
    """
    logits, labels = checked(logits, labels)
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    t1 = jax.lax.stop_gradient(jnp.asarray(t1, logits.dtype))
    t2 = jax.lax.stop_gradient(jnp.asarray(t2, logits.dtype))
    logits = logits - jax.lax.stop_gradient(logits.max(-1, keepdims=True))
    constant = jax.lax.stop_gradient(logits)
    shift = _normalization(constant, t2)
    # The derivative of lambda by z is the escort distribution p^t2 / sum p^t2: one linear term carries it.
    escort = jax.nn.softmax(t2 * _log_exp_t(constant - shift, t2))
    shift = shift + (escort * (logits - constant)).sum(-1, keepdims=True)
    log_p = _log_exp_t(logits - shift, t2)
    powers = jnp.exp((2 - t1) * log_p).sum(-1)
    return -_log_t(at_label(log_p, labels), t1) - (1 - powers) / (2 - t1)
