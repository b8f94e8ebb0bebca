"""Reverse and symmetric cross-entropy, and the normalised losses that depend on p alone."""

import math
from typing import Annotated

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grjax.emphasis import Normalization, log_not_p, log_p
from grjax.losses.agreement import LOG_2, MAE, family
from grjax.losses.inputs import checked
from grjax.losses.rescaling import from_emphasis
from grjax.ranges import In, in_range

# RCE's log 0, as public code has it, which clips one-hot labels at 1e-4; the papers of SCE and APL say -4.
LOG_ZERO = math.log(1e-4)


@family
class RCE:
    """L = -A (1 - p); w = -2 A p (1 - p)."""

    log_zero: ArrayLike

    def value(self, log_odds: jax.Array) -> jax.Array:
        return MAE(-jnp.asarray(self.log_zero, log_odds.dtype)).value(log_odds)

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        return MAE(-jnp.asarray(self.log_zero, log_odds.dtype)).log_weight(log_odds)


@in_range
def rce(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    log_zero: Annotated[ArrayLike, In("(-inf, 0)")] = LOG_ZERO,
    epsilon: Annotated[ArrayLike, In("[0, inf)")] | None = None,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Reverse cross-entropy: L = -A (1 - p), w = -2 A p (1 - p); MAE times -A.

    `log_zero` is A < 0, the value of log 0: ln 1e-4 as in all public code; the papers say -4.

    Args:
      logits: `[..., C]`, floating. May hold -inf for classes that are masked out.
      labels: class indices in [0, C), `[...]`, integer.
      log_zero: A < 0, what log 0 is taken for: ln 1e-4 as in all public code; the papers say -4. Scalar or
        broadcastable to `[...]`; may be traced.
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
      >>> losses.rce(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [1.962, 8.229]

    Reference: Wang et al., ICCV 2019 (arXiv:1908.06112).
    """
    return from_emphasis(
        logits, labels, RCE(log_zero), epsilon=epsilon, normalization=normalization, axis_name=axis_name
    )


@family
class SCE:
    """L = -alpha log p - beta A (1 - p); w = 2 (1 - p) (alpha - beta A p)."""

    alpha: ArrayLike
    beta: ArrayLike
    log_zero: ArrayLike

    def value(self, log_odds: jax.Array) -> jax.Array:
        alpha, beta = jnp.asarray(self.alpha, log_odds.dtype), jnp.asarray(self.beta, log_odds.dtype)
        return beta * RCE(self.log_zero).value(log_odds) - alpha * log_p(log_odds)

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        alpha, beta, log_zero = (
            jnp.asarray(each, log_odds.dtype) for each in (self.alpha, self.beta, self.log_zero)
        )
        # The log of a sum of products >= 0: exact for p near 0 also where alpha is 0.
        scale = jnp.logaddexp(jnp.log(alpha), jnp.log(-beta * log_zero) + log_p(log_odds))
        return LOG_2 + log_not_p(log_odds) + scale


@in_range
def sce(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: Annotated[ArrayLike, In("[0, inf)")] = 0.1,
    beta: Annotated[ArrayLike, In("[0, inf)")] = 1.0,
    log_zero: Annotated[ArrayLike, In("(-inf, 0)")] = LOG_ZERO,
    epsilon: Annotated[ArrayLike, In("[0, inf)")] | None = None,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Symmetric cross-entropy: L = alpha CE + beta RCE, w = 2 (1 - p) (alpha - beta A p).

    alpha, beta >= 0, not both 0; `log_zero` is A, see `rce`.

    Args:
      logits: `[..., C]`, floating. May hold -inf for classes that are masked out.
      labels: class indices in [0, C), `[...]`, integer.
      alpha: factor of cross-entropy, >= 0. Scalar or broadcastable to `[...]`; may be traced.
      beta: factor of reverse cross-entropy, >= 0. Scalar or broadcastable to `[...]`; may be traced.
      log_zero: A < 0, what log 0 is taken for: ln 1e-4 as in all public code; the papers say -4. Scalar or
        broadcastable to `[...]`; may be traced.
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
      >>> losses.sce(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [1.986, 8.453]

    Reference: Wang et al., ICCV 2019 (arXiv:1908.06112).
    """
    emphasis = SCE(alpha, beta, log_zero)
    return from_emphasis(
        logits, labels, emphasis, epsilon=epsilon, normalization=normalization, axis_name=axis_name
    )


@in_range
def nmae(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    scale: Annotated[ArrayLike, In("(0, inf)")] = 1.0,
    epsilon: Annotated[ArrayLike, In("[0, inf)")] | None = None,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Normalised MAE: MAE over its sum for all labels, L = scale (1 - p) / (C - 1).

    w = 2 scale p (1 - p) / (C - 1). scale = 1 is what the definition gives, and the code of ALFs; the code
    of APL has scale = 1/2.

    Args:
      logits: `[..., C]`, floating. May hold -inf for classes that are masked out.
      labels: class indices in [0, C), `[...]`, integer.
      scale: factor > 0; 1 is by definition and in the code of ALFs, 1/2 in the code of APL. Scalar or
        broadcastable to `[...]`; may be traced.
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
      >>> losses.nmae(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [0.107, 0.447]

    Reference: Ma et al., ICML 2020 (arXiv:2006.13554).
    """
    logits, labels = checked(logits, labels)
    emphasis = MAE(jnp.asarray(scale) / (logits.shape[-1] - 1))
    return from_emphasis(
        logits, labels, emphasis, epsilon=epsilon, normalization=normalization, axis_name=axis_name
    )


@in_range
def nrce(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    epsilon: Annotated[ArrayLike, In("[0, inf)")] | None = None,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Normalised RCE: RCE over its sum for all labels, L = (1 - p) / (C - 1), whatever A is: `nmae`.

    The code of APL multiplies by C - 1 where it should divide.

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
      >>> losses.nrce(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [0.107, 0.447]

    Reference: Ma et al., ICML 2020 (arXiv:2006.13554).
    """
    return nmae(logits, labels, epsilon=epsilon, normalization=normalization, axis_name=axis_name)
