"""Losses that depend on the logits through p alone, the softmax probability of the annotated label.

They share one gradient direction, softmax(z) - onehot(y), and differ in its L1 norm: the example's weight.
`rescale` is that statement as a primitive: cross-entropy with a gradient whose norm the caller chooses.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike

from grjax.emphasis import PowerExponential, log_integral

Normalization = Literal["none", "integral", "batch"]


def cross_entropy(logits: ArrayLike, labels: ArrayLike) -> jax.Array:
    """Softmax cross-entropy with integer labels: -log p.

    optax's, in float32 for narrower logits. The L1 norm of its logit gradient is w(p) = 2 (1 - p).

    Args:
      logits: unnormalised log-probabilities, `[..., C]`, floating. May hold -inf for masked classes.
      labels: class indices in [0, C), `[...]`, integer.

    Returns:
      Loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, labels that are not integers, or logits that are not floating.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.cross_entropy(jnp.array([[2., 0., 0.]]), jnp.array([0]))
      Array([0.240], dtype=float32)
    """
    logits, labels = _checked(logits, labels)
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def gradient_rescaling(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    lam: ArrayLike,
    beta: ArrayLike,
    normalization: Normalization = "integral",
    axis_name: str | None = None,
) -> jax.Array:
    """Gradient Rescaling (GR): cross-entropy whose logit gradient has L1 norm w(p).

    The *value* is the cross-entropy, for logging. The *gradient* is deliberately not the gradient of that
    value: it keeps its direction and replaces its magnitude,

        grad_z = w(p) / (2 (1 - p)) * (softmax(z) - onehot(y)),   w(p) = exp(beta p^lam (1 - p)) / norm.

    Reverse-mode only: `jax.jvp` and `jax.hessian` do not pass a `custom_vjp`. `lam` and `beta` may be traced
    (jit, vmap, schedules); no gradient flows to them.

    Args:
      logits: unnormalised log-probabilities, `[..., C]`, floating. May hold -inf for masked classes.
      labels: annotated class indices in [0, C), `[...]`, integer.
      lam: lambda >= 0, scalar or broadcastable to `[...]`. The weight peaks at p = lam / (lam + 1).
      beta: scalar or broadcastable to `[...]`; the larger, the narrower the emphasis. 0 weighs all alike.
      normalization: what `norm` is.
        'integral': the integral of w over p in [0, 1] (derivative normalisation): the learning rate keeps
          its meaning when lam and beta change.
        'batch': the mean of w over all examples of the call, so that the L1 norms average to 1. Every
          example counts, also one that the caller masks out afterwards.
        'none': 1. Beware: lam = 1, beta = 16 multiplies the step size by about 24.
      axis_name: for 'batch' inside `jax.pmap` or `jax.shard_map`: the axis over which the batch is spread.

    Returns:
      Cross-entropy of each example, `[...]`, float32 (float64 for float64 logits). The gradient has the
      logits' dtype and is computed in float32 at least.

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, a
        negative lam (where it is a Python number), or an unknown normalisation.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from grjax import losses
      >>> def loss(logits, labels):
      ...     return losses.gradient_rescaling(logits, labels, lam=0.5, beta=8.).sum()
      >>> gradients = jax.grad(loss)(jnp.array([[2., 0., 0.], [9., 0., 0.]]), jnp.array([0, 1]))
      >>> jnp.abs(gradients).sum(axis=-1).round(3)  # the second label is probably wrong: little weight
      Array([0.397, 0.096], dtype=float32)

    Reference: Wang et al., arXiv:1905.11233, section 3; paper v1 calls lam and beta the emphasis focus and
      spread, later versions derive both from an emphasis mode and variance.
    """
    if isinstance(lam, int | float) and not lam >= 0:
        raise ValueError(f"lam must be >= 0, got {lam}")
    logits, labels = _checked(logits, labels)
    comparison = _compare(logits, labels)
    emphasis = PowerExponential(_per_example("lam", lam, labels), _per_example("beta", beta, labels))
    log_weight = emphasis.log_weight(comparison.log_odds)
    if normalization == "integral":
        log_weight -= log_integral(emphasis, log_weight.dtype)
    elif normalization == "batch":
        log_weight -= _log_mean_exp(log_weight, axis_name)
    elif normalization != "none":
        raise ValueError(f"normalization must be 'none', 'integral' or 'batch', got {normalization!r}")
    return _rescale(logits, comparison, jnp.exp(log_weight))


def rescale(logits: ArrayLike, labels: ArrayLike, weight: ArrayLike) -> jax.Array:
    """Cross-entropy whose logit gradient has the L1 norm `weight`, whatever p is.

    The gradient is weight / 2 * (softmax over the classes other than y - onehot(y)): the direction of
    softmax(z) - onehot(y), in a form that is exact also where p rounds to 0 or 1. Where all other classes
    are masked out there is no direction, and the gradient is zero.

    Args:
      logits: `[..., C]`, floating. May hold -inf for masked classes.
      labels: class indices in [0, C), `[...]`, integer.
      weight: L1 norm of each example's gradient, broadcastable to `[...]`. No gradient flows to it.

    Returns:
      Cross-entropy of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, labels that are not integers, or logits that are not floating.

    Reference: Wang et al., arXiv:1905.11233, section 3.
    """
    logits, labels = _checked(logits, labels)
    return _rescale(logits, _compare(logits, labels), _per_example("weight", weight, labels))


class _Comparison(NamedTuple):
    """The label's class against all others, for logits [..., C]; all floating in float32 at least."""

    labels: jax.Array  # [...], integer
    exp_others: jax.Array  # [..., C]: exp(z - max over the others), 0 at the label
    sum_others: jax.Array  # [...]: its sum
    log_odds: jax.Array  # [...]: log(p / (1 - p)) = z_y - logsumexp of the others


def _compare(logits: jax.Array, labels: jax.Array) -> _Comparison:
    logits = jax.lax.stop_gradient(logits)
    at_label = labels[..., None]
    others = jnp.put_along_axis(logits, at_label, -jnp.inf, axis=-1, inplace=False)
    maximum = jnp.max(others, axis=-1, keepdims=True)
    maximum = jnp.where(maximum == -jnp.inf, 0, maximum)  # every other class is masked out
    dtype = jnp.promote_types(logits.dtype, jnp.float32)
    exp_others = jnp.exp(others.astype(dtype) - maximum.astype(dtype))
    sum_others = jnp.sum(exp_others, axis=-1)
    z_label = jnp.take_along_axis(logits, at_label, axis=-1).astype(dtype) - maximum.astype(dtype)
    return _Comparison(labels, exp_others, sum_others, z_label[..., 0] - jnp.log(sum_others))


@jax.custom_vjp
def _rescale(logits: jax.Array, comparison: _Comparison, weight: jax.Array) -> jax.Array:
    del logits, weight  # they matter to the gradient only
    return jax.nn.softplus(-comparison.log_odds)


def _rescale_forward(logits, comparison, weight):
    # An empty array carries the logits' dtype: residuals are arrays.
    return _rescale(logits, comparison, weight), (comparison, weight, jnp.zeros(0, logits.dtype))


def _rescale_backward(residuals, cotangent):
    (labels, exp_others, sum_others, _), weight, like_logits = residuals
    half = 0.5 * weight * cotangent * (sum_others > 0)
    scale = half / jnp.where(sum_others > 0, sum_others, 1)
    classes = jax.lax.broadcasted_iota(labels.dtype, exp_others.shape, exp_others.ndim - 1)
    gradient = jnp.where(classes == labels[..., None], -half[..., None], scale[..., None] * exp_others)
    return gradient.astype(like_logits.dtype), None, None


_rescale.defvjp(_rescale_forward, _rescale_backward)


def _checked(logits: ArrayLike, labels: ArrayLike) -> tuple[jax.Array, jax.Array]:
    logits, labels = jnp.asarray(logits), jnp.asarray(labels)
    if not jnp.issubdtype(logits.dtype, jnp.floating) or logits.ndim == 0:
        raise ValueError(f"logits must be floating [..., C], got {logits.dtype} {list(logits.shape)}")
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(f"labels must be integer class indices, got {labels.dtype}")
    if labels.shape != logits.shape[:-1]:
        raise ValueError(
            f"labels must have the logits' shape without the last axis: "
            f"logits {logits.shape}, labels {labels.shape}"
        )
    # An int8 index cannot count the classes of wider logits.
    return logits, labels.astype(jnp.int32) if labels.dtype.itemsize < 4 else labels


def _per_example(name: str, parameter: ArrayLike, labels: jax.Array) -> jax.Array:
    """A parameter that broadcasts to the labels' shape [...]; a constant to differentiation."""
    parameter = jax.lax.stop_gradient(jnp.asarray(parameter))
    try:
        fits = np.broadcast_shapes(parameter.shape, labels.shape) == labels.shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"{name} must be a scalar or broadcast to the labels' shape {labels.shape}, got {parameter.shape}"
        )
    return parameter


def _log_mean_exp(log_weight: jax.Array, axis_name: str | None) -> jax.Array:
    """Log of the mean of exp(log_weight) over all its axes, and over the devices of `axis_name`."""
    maximum = jnp.max(log_weight)
    if axis_name is not None:
        maximum = jax.lax.pmax(maximum, axis_name)
    mean = jnp.mean(jnp.exp(log_weight - maximum))
    if axis_name is not None:
        mean = jax.lax.pmean(mean, axis_name)
    return jnp.log(mean) + maximum
