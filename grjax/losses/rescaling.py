"""Gradient Rescaling: cross-entropy's gradient with another magnitude, as a primitive.

Losses that depend on the logits through p alone, the softmax probability of the annotated label, share one
gradient direction, softmax(z) - onehot(y), and differ in its L1 norm: the example's weight w(p). So each is
a weight (`grjax.emphasis`), and one `jax.custom_vjp` computes them all.
"""

from typing import Annotated, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from grjax.emphasis import (
    EPSILON,
    Emphasis,
    Normalization,
    PowerExponential,
    at,
    log_fade,
    log_normalizer,
)
from grjax.losses.inputs import checked
from grjax.ranges import In, in_range


@in_range
def gradient_rescaling(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    lam: Annotated[ArrayLike, In("[0, inf)")],
    beta: Annotated[ArrayLike, In("(-inf, inf)")],
    epsilon: Annotated[ArrayLike, In("[0, inf)")] = EPSILON,
    normalization: Normalization = "integral",
    per_class: bool = False,
    axis_name: str | None = None,
) -> jax.Array:
    """Gradient Rescaling (GR): cross-entropy whose logit gradient has L1 norm w(p).

    The *value* is the cross-entropy, for logging. The *gradient* is deliberately not the gradient of that
    value: it keeps its direction and replaces its magnitude,

        grad_z = w(p) / (2 (1 - p) + epsilon) * (softmax(z) - onehot(y)),
        w(p) = exp(beta p^lam (1 - p)) / norm.

    Its L1 norm is w(p), up to epsilon. Reverse-mode only: `jax.jvp` and `jax.hessian` do not pass a
    `custom_vjp`. `lam`, `beta` and `epsilon` may be traced (jit, vmap, schedules); no gradient flows to them.

    Args:
      logits: unnormalised log-probabilities, `[..., C]`, floating. May hold -inf for masked classes.
      labels: annotated class indices in [0, C), `[...]`, integer.
      lam: lambda >= 0, scalar or broadcastable to `[...]`. The weight peaks at p = lam / (lam + 1).
      beta: scalar or broadcastable to `[...]`; the larger, the narrower the emphasis. 0 weighs all alike.
      epsilon: >= 0, scalar or broadcastable to `[...]`. Fitted examples, with 1 - p far below epsilon,
        stop contributing; one with 1 - p = epsilon / 2 contributes half of its weight. 1e-6 is that of the
        layers which the authors released for Caffe (their later PyTorch code has 1e-8). 0 is the formula of
        the paper: a fitted example contributes w(1) = 1 / norm for ever, and where w hardly depends on p, as
        with lam = 0 and beta near 0, the parameters then grow without bound, and training ends in inf.
        In `norm` w does not fade: an integral changes by less than its rounding, and a batch of fitted
        examples would be scaled up again. A hundredth of epsilon is added to the sum over a batch, as in
        those layers.
      normalization: what `norm` is.
        'integral': the integral of w over p in [0, 1] (derivative normalisation): the learning rate keeps
          its meaning when lam and beta change.
        'batch': the mean of w over all examples of the call, so that the L1 norms average to 1. Every
          example counts, also one that the caller masks out afterwards.
        'none': 1. Beware: lam = 1, beta = 16 multiplies the step size by about 24.
      per_class: lam and beta are `[C]`, an emphasis for each class, or scalars.
      axis_name: for 'batch' inside `jax.pmap` or `jax.shard_map`: the axis over which the batch is spread.

    Returns:
      Cross-entropy of each example, `[...]`, float32 (float64 for float64 logits). The gradient has the
      logits' dtype and is computed in float32 at least.

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, a
        hyper-parameter out of its range, or an unknown normalisation.

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
    return from_emphasis(
        logits,
        labels,
        PowerExponential(lam, beta),
        epsilon=epsilon,
        normalization=normalization,
        per_class=per_class,
        axis_name=axis_name,
    )


@in_range
def from_emphasis(
    logits: ArrayLike,
    labels: ArrayLike,
    emphasis: Emphasis,
    *,
    epsilon: Annotated[ArrayLike, In("[0, inf)")] | None = None,
    normalization: Normalization = "none",
    per_class: bool = False,
    axis_name: str | None = None,
) -> jax.Array:
    """The loss whose logit gradient has the L1 norm w(p) of an emphasis, in cross-entropy's direction.

    Its value is what the emphasis' own `value(log_odds)` says, divided by the norm, so that the gradient is
    its gradient; an emphasis without one, as the families of `grjax.emphasis`, gives cross-entropy.

    Args:
      logits: `[..., C]`, floating. May hold -inf for masked classes.
      labels: class indices in [0, C), `[...]`, integer.
      emphasis: parameters broadcastable to `[...]`; no gradient flows to them.
      epsilon: see `gradient_rescaling`; scalar or broadcastable to `[...]`. With it the gradient is no longer
        exactly that of an emphasis' own value. None: 1e-6 where fitted examples would else pull for ever,
        that is for an emphasis without a value of its own and under normalization='batch'; otherwise 0.
      normalization: see `gradient_rescaling`.
      per_class: the parameters are `[C]`, one for each class, or scalars.
      axis_name: see `gradient_rescaling`.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: see `gradient_rescaling`; parameters of another shape.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from grjax import emphasis, losses
      >>> certain_only = emphasis.WeightFunction(lambda p: p**4)
      >>> losses.from_emphasis(jnp.array([[2., 0., 0.]]), jnp.array([0]), certain_only)
      Array([0.240], dtype=float32)

    Reference: Wang et al., arXiv:1905.11233, section 3.
    """
    logits, labels = checked(logits, labels)
    emphasis = jax.tree.map(_constant, emphasis, is_leaf=lambda leaf: isinstance(leaf, list | tuple))
    _check_parameters(emphasis, (logits.shape[-1],) if per_class else labels.shape, per_class)
    comparison = _compare(logits, labels)
    own = at(emphasis, labels) if per_class else emphasis
    log_weight = own.log_weight(comparison.log_odds)
    if epsilon is None:
        epsilon = 0.0 if hasattr(own, "value") and normalization != "batch" else EPSILON
    epsilon = _constant(epsilon)
    _check_parameters({"epsilon": epsilon}, labels.shape, per_class=False)
    # The released layers add 1e-8 to the sum over the batch where they add 1e-6 to 2 (1 - p).
    least = 0.01 * jnp.max(epsilon)
    log_norm = log_normalizer(emphasis, log_weight, normalization, axis_name, least=least)
    log_weight += log_fade(comparison.log_odds, epsilon)
    if per_class and log_norm.ndim:  # an integral for each class, not for each example
        log_norm = log_norm[labels]
    value = jax.nn.softplus(-comparison.log_odds)
    if hasattr(own, "value"):
        value = own.value(comparison.log_odds) * jnp.exp(-log_norm)
    return _rescale(logits, comparison, value, jnp.exp(log_weight - log_norm))


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
    logits, labels = checked(logits, labels)
    weight = jax.lax.stop_gradient(jnp.asarray(weight))
    _check_parameters({"weight": weight}, labels.shape, per_class=False)
    comparison = _compare(logits, labels)
    return _rescale(logits, comparison, jax.nn.softplus(-comparison.log_odds), weight)


def log_odds(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """log(p / (1 - p)) of the labels, p their softmax probability; no gradient flows through it.

    Args:
      logits: `[..., C]`, floating. May hold -inf for masked classes.
      labels: class indices in [0, C), `[...]`, integer.

    Returns:
      z_y - logsumexp of the other logits, `[...]`, float32 (float64 for float64 logits).
    """
    return _compare(logits, labels).log_odds


class _Comparison(NamedTuple):
    """The label's class against all others, for logits [..., C]; all floating in float32 at least."""

    labels: jax.Array  # [...], integer
    exp_others: jax.Array  # [..., C]: exp(z - max over the others), 0 at the label
    sum_others: jax.Array  # [...]: its sum
    log_odds: jax.Array  # [...]: log(p / (1 - p)) = z_y - logsumexp of the others


def _compare(logits: jax.Array, labels: jax.Array) -> _Comparison:
    # A mask rather than a scatter: compilers fuse it into the maximum and the sum, and copy no logits.
    logits = jax.lax.stop_gradient(logits)
    others = jnp.where(_is_label(logits, labels), -jnp.inf, logits)
    maximum = jnp.max(others, axis=-1, keepdims=True)
    maximum = jnp.where(maximum == -jnp.inf, 0, maximum)  # every other class is masked out
    dtype = jnp.promote_types(logits.dtype, jnp.float32)
    exp_others = jnp.exp(others.astype(dtype) - maximum.astype(dtype))
    sum_others = jnp.sum(exp_others, axis=-1)
    z_label = jnp.take_along_axis(logits, labels[..., None], axis=-1).astype(dtype) - maximum.astype(dtype)
    return _Comparison(labels, exp_others, sum_others, z_label[..., 0] - jnp.log(sum_others))


def _is_label(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Bool [..., C]."""
    return jax.lax.broadcasted_iota(labels.dtype, logits.shape, logits.ndim - 1) == labels[..., None]


@jax.custom_vjp
def _rescale(logits: jax.Array, comparison: _Comparison, value: jax.Array, weight: jax.Array) -> jax.Array:
    del logits, comparison, weight  # they matter to the gradient only
    return value


def _rescale_forward(logits, comparison, value, weight):
    # An empty array carries the logits' dtype: residuals are arrays.
    return value, (comparison, weight, jnp.zeros(0, logits.dtype))


def _rescale_backward(residuals, cotangent):
    (labels, exp_others, sum_others, _), weight, like_logits = residuals
    half = 0.5 * weight * cotangent * (sum_others > 0)
    scale = half / jnp.where(sum_others > 0, sum_others, 1)
    is_label = _is_label(exp_others, labels)
    gradient = jnp.where(is_label, -half[..., None], scale[..., None] * exp_others)
    return gradient.astype(like_logits.dtype), None, None, None


_rescale.defvjp(_rescale_forward, _rescale_backward)


def _constant(parameter: ArrayLike) -> ArrayLike:
    """An array, perhaps written as a list, to which no gradient flows; Python numbers stay what they are."""
    return parameter if isinstance(parameter, int | float) else jax.lax.stop_gradient(jnp.asarray(parameter))


def _check_parameters(parameters: object, shape: tuple[int, ...], per_class: bool) -> None:
    """That every parameter, an array in a pytree, broadcasts to `shape` without widening it."""
    for path, parameter in jax.tree_util.tree_leaves_with_path(parameters):
        try:
            fits = np.broadcast_shapes(jnp.shape(parameter), shape) == shape
        except ValueError:
            fits = False
        if not fits:
            name = cast(str, jax.tree_util.keystr(path, simple=True))
            wanted = (
                f"have the shape {shape}, one for each class"
                if per_class
                else (f"broadcast to the labels' shape {shape}")
            )
            raise ValueError(f"{name} must be a scalar or {wanted}, got {jnp.shape(parameter)}")
