"""Losses of p alone, the softmax probability of the annotated label: each a weight and a written value.

A class here is one such loss seen from both sides, as a pytree of its hyper-parameters: `value(log_odds)` is
the loss as its paper writes it, `log_weight(log_odds)` the log of w(p) = -2 p (1 - p) dL/dp, the L1 norm of
its logit gradient (Wang et al., arXiv:1905.11233, section 3). Both are functions of the log-odds
d = log(p / (1 - p)), exact where p rounds to 0 or 1. The function beside it is the loss on logits; its
gradient is the weight's, and `normalization` says by what the loss is divided (see `gradient_rescaling`):
with 'integral' a loss X becomes what the paper calls X-DN.

They return the loss of each example, `[...]`, in
float32 at least, and raise `ValueError` for arguments that do not fit. Hyper-parameters are scalars or
broadcast to `[...]`, may be traced, and no gradient flows to them. Reverse-mode only.
"""

import dataclasses
import math
import typing
from typing import Annotated

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grjax.emphasis import EPSILON, Combined, Normalization, PowerExponential, log_not_p, log_p
from grjax.losses.inputs import at_label, checked
from grjax.losses.rescaling import from_emphasis
from grjax.ranges import In, in_range

T = typing.TypeVar("T")

LOG_2 = math.log(2.0)


@typing.dataclass_transform(frozen_default=True)
def family(cls: type[T]) -> type[T]:
    """A frozen dataclass whose fields are the leaves of a pytree."""
    return jax.tree_util.register_dataclass(dataclasses.dataclass(frozen=True)(cls))


@family
class CrossEntropy:
    """L = -log p; w = 2 (1 - p)."""

    def value(self, log_odds: jax.Array) -> jax.Array:
        return -log_p(log_odds)

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        return LOG_2 + log_not_p(log_odds)


@in_range
def cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    epsilon: Annotated[ArrayLike, In("[0, inf)")] | None = None,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Softmax cross-entropy with integer labels: L = -log p, w = 2 (1 - p).

    Without normalisation that of optax to the last bit, in float32 for narrower logits, and differentiable
    in every way; the integral of its weight is 1.

    Args:
      logits: unnormalised log-probabilities, `[..., C]`, floating. May hold -inf for masked classes.
      labels: class indices in [0, C), `[...]`, integer.
      epsilon: see `from_emphasis`.
      normalization: see `gradient_rescaling`.
      axis_name: see `gradient_rescaling`.

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
    if normalization != "none" or epsilon is not None:
        return from_emphasis(
            logits, labels, CrossEntropy(), epsilon=epsilon, normalization=normalization, axis_name=axis_name
        )
    logits, labels = checked(logits, labels)
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    # As optax has it: to the last bit, and differentiable in every way.
    return jax.nn.logsumexp(logits, axis=-1) - at_label(logits, labels)


@family
class MAE:
    """L = scale (1 - p); w = 2 scale p (1 - p)."""

    scale: ArrayLike

    def value(self, log_odds: jax.Array) -> jax.Array:
        return jnp.asarray(self.scale, log_odds.dtype) * jax.nn.sigmoid(-log_odds)

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        return Combined(a=1.0, b=1.0, log_c=LOG_2 + jnp.log(self.scale)).log_weight(log_odds)


@in_range
def mae(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    scale: Annotated[ArrayLike, In("(0, inf)")] = 1.0,
    epsilon: Annotated[ArrayLike, In("[0, inf)")] | None = None,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Mean absolute error: L = scale (1 - p), w = 2 scale p (1 - p).

    scale = 1 is GR's, APL's and ANL's convention; scale = 2, the L1 distance of softmax and one-hot label,
    that of the code of ALFs and JAL.

    Args:
      logits: `[..., C]`, floating. May hold -inf for classes that are masked out.
      labels: class indices in [0, C), `[...]`, integer.
      scale: factor > 0 of the MAE; 1 is the convention of the GR paper and of the code of APL and ANL, 2
        that of the code of ALFs and JAL. Scalar or broadcastable to `[...]`; may be traced.
      epsilon: lets fitted examples fade out: the gradient is divided by 2 (1 - p) + epsilon, >= 0,
        instead of 2 (1 - p); see `gradient_rescaling`. None: 0, the gradient of the value; 1e-6 under
        normalization='batch'.
      normalization: by what value and gradient are divided: 'none'; 'integral', that of w over p in [0, 1]
        (derivative normalisation, X-DN in the GR paper); 'batch', the mean of w over all examples of the
        call.
      axis_name: for 'batch' inside `jax.pmap` or `jax.shard_map`: the axis over which the batch is spread.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or a
        hyper-parameter out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.mae(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [0.213, 0.893]

    Reference: Ghosh et al., AAAI 2017.
    """
    return from_emphasis(
        logits, labels, MAE(scale), epsilon=epsilon, normalization=normalization, axis_name=axis_name
    )


@family
class MSE:
    """L = (1 - p)^2; w = 4 p (1 - p)^2."""

    def value(self, log_odds: jax.Array) -> jax.Array:
        return jax.nn.sigmoid(-log_odds) ** 2

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        return Combined(a=1.0, b=2.0, log_c=2 * LOG_2).log_weight(log_odds)


@in_range
def mse(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    epsilon: Annotated[ArrayLike, In("[0, inf)")] | None = None,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Squared error of p: L = (1 - p)^2, w = 4 p (1 - p)^2.

    The GR paper's MSE, of the label's class only; `brier` is the sum over all classes.

    Args:
      logits: `[..., C]`, floating. May hold -inf for classes that are masked out.
      labels: class indices in [0, C), `[...]`, integer.
      epsilon: lets fitted examples fade out: the gradient is divided by 2 (1 - p) + epsilon, >= 0,
        instead of 2 (1 - p); see `gradient_rescaling`. None: 0, the gradient of the value; 1e-6 under
        normalization='batch'.
      normalization: by what value and gradient are divided: 'none'; 'integral', that of w over p in [0, 1]
        (derivative normalisation, X-DN in the GR paper); 'batch', the mean of w over all examples of the
        call.
      axis_name: for 'batch' inside `jax.pmap` or `jax.shard_map`: the axis over which the batch is spread.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or a
        hyper-parameter out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.mse(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [0.045, 0.798]

    Reference: Wang et al., arXiv:1905.11233, section 3.
    """
    return from_emphasis(
        logits, labels, MSE(), epsilon=epsilon, normalization=normalization, axis_name=axis_name
    )


@in_range
def imae(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    beta: Annotated[ArrayLike, In("(-inf, inf)")],
    epsilon: Annotated[ArrayLike, In("[0, inf)")] = EPSILON,
    normalization: Normalization = "integral",
    axis_name: str | None = None,
) -> jax.Array:
    """Improved MAE: Gradient Rescaling with lam = 1, w = exp(beta p (1 - p)) / norm.

    The value is cross-entropy, as of `gradient_rescaling`.

    Args:
      logits: `[..., C]`, floating. May hold -inf for classes that are masked out.
      labels: class indices in [0, C), `[...]`, integer.
      beta: the larger, the narrower the emphasis around p = 1/2; 0 weighs all examples alike. Scalar or
        broadcastable to `[...]`; may be traced.
      epsilon: lets fitted examples fade out: the gradient is divided by 2 (1 - p) + epsilon, >= 0,
        instead of 2 (1 - p); see `gradient_rescaling`.
      normalization: by what value and gradient are divided: 'none'; 'integral', that of w over p in [0, 1]
        (derivative normalisation, X-DN in the GR paper); 'batch', the mean of w over all examples of the
        call.
      axis_name: for 'batch' inside `jax.pmap` or `jax.shard_map`: the axis over which the batch is spread.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or a
        hyper-parameter out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.imae(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0]), beta=8.).tolist()
      [0.240, 2.240]

    Reference: Wang et al., arXiv:1903.12141.
    """
    emphasis = PowerExponential(1.0, beta)
    return from_emphasis(
        logits, labels, emphasis, epsilon=epsilon, normalization=normalization, axis_name=axis_name
    )


@in_range
def combined(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    a: Annotated[ArrayLike, In("(-inf, inf)")] = 0.0,
    b: Annotated[ArrayLike, In("(-inf, inf)")] = 0.0,
    lam: Annotated[ArrayLike, In("[0, inf)")] = 0.0,
    beta: Annotated[ArrayLike, In("(-inf, inf)")] = 0.0,
    log_c: Annotated[ArrayLike, In("(-inf, inf)")] = 0.0,
    epsilon: Annotated[ArrayLike, In("[0, inf)")] = EPSILON,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """The combined emphasis family as a loss: w = exp(log_c) p^a (1 - p)^b exp(beta p^lam (1 - p)) / norm.

    One compiled step for all its members: cross-entropy (a, b = 0, 1), MAE (1, 1), MSE (1, 2), GCE (q, 1),
    each with log_c = log 2 (MSE log 4), Gradient Rescaling (0, 0). The value is cross-entropy, as of
    `gradient_rescaling`.

    Args:
      logits: `[..., C]`, floating. May hold -inf for classes that are masked out.
      labels: class indices in [0, C), `[...]`, integer.
      a: exponent of p. Scalar or broadcastable to `[...]`; may be traced.
      b: exponent of 1 - p. Scalar or broadcastable to `[...]`; may be traced.
      lam: exponent of p in the exponential, >= 0. Scalar or broadcastable to `[...]`; may be traced.
      beta: the larger, the narrower the emphasis; 0: none. Scalar or broadcastable to `[...]`; may be
        traced.
      log_c: log of a constant factor. Scalar or broadcastable to `[...]`; may be traced.
      epsilon: lets fitted examples fade out: the gradient is divided by 2 (1 - p) + epsilon, >= 0,
        instead of 2 (1 - p); see `gradient_rescaling`.
      normalization: by what value and gradient are divided: 'none'; 'integral', that of w over p in [0, 1]
        (derivative normalisation, X-DN in the GR paper); 'batch', the mean of w over all examples of the
        call.
      axis_name: for 'batch' inside `jax.pmap` or `jax.shard_map`: the axis over which the batch is spread.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or a
        hyper-parameter out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.combined(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [0.240, 2.240]

    Reference: Wang et al., arXiv:1905.11233.
    """
    emphasis = Combined(a, b, lam, beta, log_c)
    return from_emphasis(
        logits, labels, emphasis, epsilon=epsilon, normalization=normalization, axis_name=axis_name
    )
