"""Losses of p alone between cross-entropy and MAE: cut, bent or interpolated from one to the other."""

from typing import Annotated

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grjax.emphasis import Combined, Normalization, log_not_p, log_p
from grjax.losses.agreement import LOG_2, family
from grjax.losses.rescaling import from_emphasis
from grjax.ranges import In, in_range


def _gce_value(log_p: jax.Array, q: jax.Array) -> jax.Array:
    """(1 - p^q) / q, and its limit -log p at q = 0."""
    at_0 = q == 0
    return jnp.where(at_0, -log_p, -jnp.expm1(q * log_p) / jnp.where(at_0, 1, q))


@family
class GCE:
    """L = (1 - p^q) / q; w = 2 p^q (1 - p)."""

    q: ArrayLike

    def value(self, log_odds: jax.Array) -> jax.Array:
        return _gce_value(log_p(log_odds), jnp.asarray(self.q, log_odds.dtype))

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        return Combined(a=self.q, b=1.0, log_c=LOG_2).log_weight(log_odds)


@in_range
def gce(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    q: Annotated[ArrayLike, In("[0, inf)")] = 0.7,
    epsilon: Annotated[ArrayLike, In("[0, inf)")] | None = None,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Generalised cross-entropy: L = (1 - p^q) / q, w = 2 p^q (1 - p).

    q >= 0; 0 is cross-entropy, 1 MAE.

    Args:
      logits: `[..., C]`, floating. May hold -inf for classes that are masked out.
      labels: class indices in [0, C), `[...]`, integer.
      q: exponent, >= 0: 0 is cross-entropy, 1 MAE. Scalar or broadcastable to `[...]`; may be traced.
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
      >>> losses.gce(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [0.221, 1.131]

    Reference: Zhang & Sabuncu, NeurIPS 2018.
    """
    return from_emphasis(
        logits, labels, GCE(q), epsilon=epsilon, normalization=normalization, axis_name=axis_name
    )


@family
class TruncatedGCE:
    """GCE for p > k and constant below: w = 2 p^q (1 - p) [p > k]."""

    q: ArrayLike
    k: ArrayLike

    def breaks(self) -> tuple[ArrayLike, ...]:
        return (self.k,)

    def value(self, log_odds: jax.Array) -> jax.Array:
        log_k = jnp.log(jnp.asarray(self.k, log_odds.dtype))
        return _gce_value(jnp.maximum(log_p(log_odds), log_k), jnp.asarray(self.q, log_odds.dtype))

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        kept = jax.nn.sigmoid(log_odds) > jnp.asarray(self.k, log_odds.dtype)
        return jnp.where(kept, GCE(self.q).log_weight(log_odds), -jnp.inf)


@in_range
def truncated_gce(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    q: Annotated[ArrayLike, In("[0, inf)")] = 0.7,
    k: Annotated[ArrayLike, In("(0, 1)")] = 0.5,
    epsilon: Annotated[ArrayLike, In("[0, inf)")] | None = None,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Truncated generalised cross-entropy: GCE where p > k, else the constant (1 - k^q) / q.

    w = 2 p^q (1 - p) [p > k]: examples of which the model thinks little are left out at once. The paper's
    training refreshes that choice every few epochs instead: `truncated_gce_pruned`. With k above the p that
    training begins with, nothing is learned. q >= 0, 0 < k < 1.

    Args:
      logits: `[..., C]`, floating. May hold -inf for classes that are masked out.
      labels: class indices in [0, C), `[...]`, integer.
      q: exponent, >= 0, see `gce`. Scalar or broadcastable to `[...]`; may be traced.
      k: least p of an example that counts, 0 < k < 1. Scalar or broadcastable to `[...]`; may be traced.
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
      >>> losses.truncated_gce(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [0.221, 0.549]

    Reference: Zhang & Sabuncu, NeurIPS 2018.
    """
    return from_emphasis(
        logits, labels, TruncatedGCE(q, k), epsilon=epsilon, normalization=normalization, axis_name=axis_name
    )


@family
class TaylorCE:
    """L = sum over i = 1 ... order of (1 - p)^i / i; w = 2 (1 - p) (1 - (1 - p)^order)."""

    order: ArrayLike

    def value(self, log_odds: jax.Array) -> jax.Array:
        not_p = jax.nn.sigmoid(-log_odds)
        order = jnp.asarray(self.order, jnp.int32)

        def horner(i: jax.Array, total: jax.Array) -> jax.Array:
            term = order - i
            return jnp.where(term > 0, not_p * (total + 1 / jnp.maximum(term, 1).astype(not_p.dtype)), total)

        most = self.order if isinstance(self.order, int) else jnp.max(order)
        return jax.lax.fori_loop(0, most, horner, jnp.zeros_like(not_p))

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        order = jnp.asarray(self.order, jnp.int32).astype(log_odds.dtype)  # as many terms as the value has
        return LOG_2 + log_not_p(log_odds) + jnp.log(-jnp.expm1(order * log_not_p(log_odds)))


@in_range
def taylor_ce(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    order: Annotated[ArrayLike, In("[1, inf)")] = 2,
    epsilon: Annotated[ArrayLike, In("[0, inf)")] | None = None,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Taylor cross-entropy: the series of -log p in 1 - p, cut after `order` >= 1 terms.

    L = sum over i = 1 ... order of (1 - p)^i / i, w = 2 (1 - p) (1 - (1 - p)^order). order = 1 is MAE, the
    limit of large orders cross-entropy.

    Args:
      logits: `[..., C]`, floating. May hold -inf for classes that are masked out.
      labels: class indices in [0, C), `[...]`, integer.
      order: number of terms, a whole number >= 1. Scalar or broadcastable to `[...]`; may be traced.
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
      >>> losses.taylor_ce(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [0.236, 1.293]

    Reference: Feng et al., IJCAI 2020.
    """
    return from_emphasis(
        logits, labels, TaylorCE(order), epsilon=epsilon, normalization=normalization, axis_name=axis_name
    )


@family
class PHuberCE:
    """L = -log p for p > 1 / tau, below it its tangent there; w = 2 (1 - p) min(1, tau p)."""

    tau: ArrayLike

    def breaks(self) -> tuple[ArrayLike, ...]:
        return (1 / jnp.asarray(self.tau),)

    def value(self, log_odds: jax.Array) -> jax.Array:
        tau = jnp.asarray(self.tau, log_odds.dtype)
        p = jax.nn.sigmoid(log_odds)
        return jnp.where(p * tau > 1, -log_p(log_odds), jnp.log(tau) + 1 - tau * p)

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        log_tau = jnp.log(jnp.asarray(self.tau, log_odds.dtype))
        return LOG_2 + log_not_p(log_odds) + jnp.minimum(0, log_tau + log_p(log_odds))


@in_range
def phuber_ce(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    tau: Annotated[ArrayLike, In("[1, inf)")] = 2.0,
    epsilon: Annotated[ArrayLike, In("[0, inf)")] | None = None,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Partially Huberised cross-entropy: -log p, and below p = 1 / tau its tangent there, linear in p.

    L = log tau + 1 - tau p for p <= 1 / tau; w = 2 (1 - p) min(1, tau p): cross-entropy's composite gradient
    clipped at tau >= 1.

    Args:
      logits: `[..., C]`, floating. May hold -inf for classes that are masked out.
      labels: class indices in [0, C), `[...]`, integer.
      tau: >= 1: below p = 1 / tau the loss is linear in p. Scalar or broadcastable to `[...]`; may be
        traced.
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
      >>> losses.phuber_ce(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [0.240, 1.480]

    Reference: Menon et al., ICLR 2020.
    """
    return from_emphasis(
        logits, labels, PHuberCE(tau), epsilon=epsilon, normalization=normalization, axis_name=axis_name
    )


@family
class PHuberGCE:
    """GCE for p > p0 = tau^(1 / (q - 1)), below it its tangent there; w = 2 (1 - p) min(p^q, tau p)."""

    tau: ArrayLike
    q: ArrayLike

    def _log_p0(self, dtype: jax.typing.DTypeLike) -> jax.Array:
        return jnp.log(jnp.asarray(self.tau, dtype)) / (jnp.asarray(self.q, dtype) - 1)

    def breaks(self) -> tuple[ArrayLike, ...]:
        return (jnp.exp(self._log_p0(jnp.result_type(float))),)

    def value(self, log_odds: jax.Array) -> jax.Array:
        tau, q = jnp.asarray(self.tau, log_odds.dtype), jnp.asarray(self.q, log_odds.dtype)
        log_p0 = self._log_p0(log_odds.dtype)
        tangent = tau * (jnp.exp(log_p0) - jax.nn.sigmoid(log_odds)) + _gce_value(log_p0, q)
        return jnp.where(log_p(log_odds) > log_p0, _gce_value(log_p(log_odds), q), tangent)

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        tau, q = jnp.asarray(self.tau, log_odds.dtype), jnp.asarray(self.q, log_odds.dtype)
        smaller = jnp.minimum(q * log_p(log_odds), jnp.log(tau) + log_p(log_odds))
        return LOG_2 + log_not_p(log_odds) + smaller


@in_range
def phuber_gce(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    tau: Annotated[ArrayLike, In("[1, inf)")] = 10.0,
    q: Annotated[ArrayLike, In("[0, 1)")] = 0.7,
    epsilon: Annotated[ArrayLike, In("[0, inf)")] | None = None,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Partially Huberised generalised cross-entropy: GCE, and below p0 = tau^(1 / (q - 1)) its tangent.

    L = tau (p0 - p) + (1 - p0^q) / q for p <= p0; w = 2 (1 - p) min(p^q, tau p). tau >= 1, 0 <= q < 1.

    Args:
      logits: `[..., C]`, floating. May hold -inf for classes that are masked out.
      labels: class indices in [0, C), `[...]`, integer.
      tau: slope of the tangent, >= 1. Scalar or broadcastable to `[...]`; may be traced.
      q: exponent, 0 <= q < 1, see `gce`. Scalar or broadcastable to `[...]`; may be traced.
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
      >>> losses.phuber_gce(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [0.221, 1.131]

    Reference: Menon et al., ICLR 2020.
    """
    return from_emphasis(
        logits, labels, PHuberGCE(tau, q), epsilon=epsilon, normalization=normalization, axis_name=axis_name
    )


@family
class Poly1:
    """L = -log p + coefficient (1 - p); w = 2 (1 - p) (1 + coefficient p)."""

    coefficient: ArrayLike

    def value(self, log_odds: jax.Array) -> jax.Array:
        coefficient = jnp.asarray(self.coefficient, log_odds.dtype)
        return -log_p(log_odds) + coefficient * jax.nn.sigmoid(-log_odds)

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        coefficient = jnp.asarray(self.coefficient, log_odds.dtype)
        return LOG_2 + log_not_p(log_odds) + jnp.log1p(coefficient * jax.nn.sigmoid(log_odds))


@in_range
def poly_1(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    coefficient: Annotated[ArrayLike, In("(-1, inf)")] = 1.0,
    epsilon: Annotated[ArrayLike, In("[0, inf)")] | None = None,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Poly-1: cross-entropy with another first coefficient of its series in 1 - p.

    L = -log p + coefficient (1 - p), w = 2 (1 - p) (1 + coefficient p): cross-entropy and MAE. The paper
    calls the coefficient epsilon.

    Args:
      logits: `[..., C]`, floating. May hold -inf for classes that are masked out.
      labels: class indices in [0, C), `[...]`, integer.
      coefficient: > -1; 0 is cross-entropy. Scalar or broadcastable to `[...]`; may be traced.
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
      >>> losses.poly_1(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [0.453, 3.133]

    Reference: Leng et al., ICLR 2022 (arXiv:2204.12511).
    """
    return from_emphasis(
        logits, labels, Poly1(coefficient), epsilon=epsilon, normalization=normalization, axis_name=axis_name
    )
