"""Asymmetric losses of p alone: AGCE, AUL and AEL."""

from typing import Annotated

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grjax.emphasis import Normalization, log_not_p, log_p
from grjax.losses.agreement import LOG_2, family
from grjax.losses.rescaling import from_emphasis
from grjax.ranges import In, in_range


@family
class AGCE:
    """L = ((a + 1)^q - (a + p)^q) / q; w = 2 p (1 - p) (a + p)^(q - 1)."""

    a: ArrayLike
    q: ArrayLike

    def value(self, log_odds: jax.Array) -> jax.Array:
        a, q = jnp.asarray(self.a, log_odds.dtype), jnp.asarray(self.q, log_odds.dtype)
        base = a + jax.nn.sigmoid(log_odds)
        # (a + 1) / (a + p), without the cancellation of the difference near p = 1
        return base**q * jnp.expm1(q * jnp.log1p(jax.nn.sigmoid(-log_odds) / base)) / q

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        a, q = jnp.asarray(self.a, log_odds.dtype), jnp.asarray(self.q, log_odds.dtype)
        base = jnp.log(a + jax.nn.sigmoid(log_odds))
        return LOG_2 + log_p(log_odds) + log_not_p(log_odds) + (q - 1) * base


@in_range
def agce(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    a: Annotated[ArrayLike, In("(0, inf)")] = 0.6,
    q: Annotated[ArrayLike, In("(0, inf)")] = 0.6,
    epsilon: Annotated[ArrayLike, In("[0, inf)")] | None = None,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Asymmetric generalised cross-entropy: L = ((a + 1)^q - (a + p)^q) / q.

    w = 2 p (1 - p) (a + p)^(q - 1). a, q > 0.

    Args:
      logits: `[..., C]`, floating. May hold -inf for classes that are masked out.
      labels: class indices in [0, C), `[...]`, integer.
      a: added to p, > 0. Scalar or broadcastable to `[...]`; may be traced.
      q: exponent, > 0; 1 is MAE. Scalar or broadcastable to `[...]`; may be traced.
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
      >>> losses.agce(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [0.182, 0.857]

    Reference: Zhou et al., ICML 2021 (arXiv:2106.03110).
    """
    return from_emphasis(
        logits, labels, AGCE(a, q), epsilon=epsilon, normalization=normalization, axis_name=axis_name
    )


@family
class AUL:
    """L = ((a - p)^q - (a - 1)^q) / q; w = 2 p (1 - p) (a - p)^(q - 1)."""

    a: ArrayLike
    q: ArrayLike

    def value(self, log_odds: jax.Array) -> jax.Array:
        a, q = jnp.asarray(self.a, log_odds.dtype), jnp.asarray(self.q, log_odds.dtype)
        least = a - 1
        return least**q * jnp.expm1(q * jnp.log1p(jax.nn.sigmoid(-log_odds) / least)) / q

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        a, q = jnp.asarray(self.a, log_odds.dtype), jnp.asarray(self.q, log_odds.dtype)
        base = jnp.log(a - jax.nn.sigmoid(log_odds))
        return LOG_2 + log_p(log_odds) + log_not_p(log_odds) + (q - 1) * base


@in_range
def aul(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    a: Annotated[ArrayLike, In("(1, inf)")] = 5.5,
    q: Annotated[ArrayLike, In("(0, inf)")] = 3.0,
    epsilon: Annotated[ArrayLike, In("[0, inf)")] | None = None,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Asymmetric unhinged loss: L = ((a - p)^q - (a - 1)^q) / q.

    w = 2 p (1 - p) (a - p)^(q - 1). a > 1, q > 0.

    Args:
      logits: `[..., C]`, floating. May hold -inf for classes that are masked out.
      labels: class indices in [0, C), `[...]`, integer.
      a: p is subtracted from it, > 1. Scalar or broadcastable to `[...]`; may be traced.
      q: exponent, > 0; 1 is MAE. Scalar or broadcastable to `[...]`; may be traced.
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
      >>> losses.aul(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [4.521, 21.923]

    Reference: Zhou et al., ICML 2021 (arXiv:2106.03110).
    """
    return from_emphasis(
        logits, labels, AUL(a, q), epsilon=epsilon, normalization=normalization, axis_name=axis_name
    )


@family
class AEL:
    """L = exp(-p / a); w = 2 p (1 - p) exp(-p / a) / a."""

    a: ArrayLike

    def value(self, log_odds: jax.Array) -> jax.Array:
        return jnp.exp(-jax.nn.sigmoid(log_odds) / jnp.asarray(self.a, log_odds.dtype))

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        a = jnp.asarray(self.a, log_odds.dtype)
        exponent = -jax.nn.sigmoid(log_odds) / a - jnp.log(a)
        return LOG_2 + log_p(log_odds) + log_not_p(log_odds) + exponent


@in_range
def ael(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    a: Annotated[ArrayLike, In("(0, inf)")] = 2.5,
    epsilon: Annotated[ArrayLike, In("[0, inf)")] | None = None,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Asymmetric exponential loss: L = exp(-p / a), w = 2 p (1 - p) exp(-p / a) / a.

    Its least value is exp(-1 / a), not 0. a > 0.

    Args:
      logits: `[..., C]`, floating. May hold -inf for classes that are masked out.
      labels: class indices in [0, C), `[...]`, integer.
      a: scale of p in the exponential, > 0. Scalar or broadcastable to `[...]`; may be traced.
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
      >>> losses.ael(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [0.730, 0.958]

    Reference: Zhou et al., ICML 2021 (arXiv:2106.03110).
    """
    return from_emphasis(
        logits, labels, AEL(a), epsilon=epsilon, normalization=normalization, axis_name=axis_name
    )
