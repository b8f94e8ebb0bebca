"""Losses of p alone, the softmax probability of the annotated label: each a weight and a written value.

A class here is one such loss seen from both sides, as a pytree of its hyper-parameters: `value(log_odds)` is
the loss as its paper writes it, `log_weight(log_odds)` the log of w(p) = -2 p (1 - p) dL/dp, the L1 norm of
its logit gradient (Wang et al., arXiv:1905.11233, section 3). Both are functions of the log-odds
d = log(p / (1 - p)), exact where p rounds to 0 or 1. The function beside it is the loss on logits; its
gradient is the weight's, and `normalization` says by what the loss is divided (see `gradient_rescaling`):
with 'integral' a loss X becomes what the paper calls X-DN.

All share their arguments: logits `[..., C]`, floating, -inf for masked classes; labels `[...]`, integer;
`axis_name`, for normalization='batch' inside `jax.pmap`. They return the loss of each example, `[...]`, in
float32 at least, and raise `ValueError` for arguments that do not fit. Hyper-parameters are scalars or
broadcast to `[...]`, may be traced, and no gradient flows to them. Reverse-mode only.
"""

import dataclasses
import math
import typing

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from grjax.emphasis import Combined, Normalization, PowerExponential, log_not_p, log_p
from grjax.losses.inputs import checked
from grjax.losses.rescaling import from_emphasis

T = typing.TypeVar("T")

_LOG_2 = math.log(2.0)

# RCE's log 0, as public code has it, which clips one-hot labels at 1e-4; the papers of SCE and APL say -4.
LOG_ZERO = math.log(1e-4)


@typing.dataclass_transform(frozen_default=True)
def _family(cls: type[T]) -> type[T]:
    """A frozen dataclass whose fields are the leaves of a pytree."""
    return jax.tree_util.register_dataclass(dataclasses.dataclass(frozen=True)(cls))


@_family
class CrossEntropy:
    """L = -log p; w = 2 (1 - p)."""

    def value(self, log_odds: jax.Array) -> jax.Array:
        return -log_p(log_odds)

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        return _LOG_2 + log_not_p(log_odds)


def cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Softmax cross-entropy with integer labels: L = -log p, w = 2 (1 - p).

    Without normalisation optax's, in float32 for narrower logits, and differentiable in every way; the
    integral of its weight is 1.

    Args:
      logits: unnormalised log-probabilities, `[..., C]`, floating. May hold -inf for masked classes.
      labels: class indices in [0, C), `[...]`, integer.
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
    if normalization != "none":
        return from_emphasis(logits, labels, CrossEntropy(), normalization=normalization, axis_name=axis_name)
    logits, labels = checked(logits, labels)
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


@_family
class MAE:
    """L = scale (1 - p); w = 2 scale p (1 - p)."""

    scale: ArrayLike = 1.0

    def value(self, log_odds: jax.Array) -> jax.Array:
        return jnp.asarray(self.scale, log_odds.dtype) * jax.nn.sigmoid(-log_odds)

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        return Combined(a=1.0, b=1.0, log_c=_LOG_2 + jnp.log(self.scale)).log_weight(log_odds)


def mae(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    scale: ArrayLike = 1.0,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Mean absolute error: L = scale (1 - p), w = 2 scale p (1 - p).

    scale = 1 is GR's, APL's and ANL's convention; scale = 2, the L1 distance of softmax and one-hot label,
    that of the code of ALFs and JAL. See the module for arguments.

    Reference: Ghosh et al., AAAI 2017.
    """
    return from_emphasis(logits, labels, MAE(scale), normalization=normalization, axis_name=axis_name)


@_family
class MSE:
    """L = (1 - p)^2; w = 4 p (1 - p)^2."""

    def value(self, log_odds: jax.Array) -> jax.Array:
        return jax.nn.sigmoid(-log_odds) ** 2

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        return Combined(a=1.0, b=2.0, log_c=2 * _LOG_2).log_weight(log_odds)


def mse(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Squared error of p: L = (1 - p)^2, w = 4 p (1 - p)^2.

    The GR paper's MSE, of the label's class only; `brier` is the sum over all classes. See the module for
    arguments.

    Reference: Wang et al., arXiv:1905.11233, section 3.
    """
    return from_emphasis(logits, labels, MSE(), normalization=normalization, axis_name=axis_name)


def _gce_value(log_p: jax.Array, q: jax.Array) -> jax.Array:
    """(1 - p^q) / q, and its limit -log p at q = 0."""
    at_0 = q == 0
    return jnp.where(at_0, -log_p, -jnp.expm1(q * log_p) / jnp.where(at_0, 1, q))


@_family
class GCE:
    """L = (1 - p^q) / q; w = 2 p^q (1 - p)."""

    q: ArrayLike = 0.7

    def value(self, log_odds: jax.Array) -> jax.Array:
        return _gce_value(log_p(log_odds), jnp.asarray(self.q, log_odds.dtype))

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        return Combined(a=self.q, b=1.0, log_c=_LOG_2).log_weight(log_odds)


def gce(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    q: ArrayLike = 0.7,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Generalised cross-entropy: L = (1 - p^q) / q, w = 2 p^q (1 - p).

    q = 0 is cross-entropy, q = 1 MAE. See the module for arguments.

    Reference: Zhang & Sabuncu, NeurIPS 2018.
    """
    return from_emphasis(logits, labels, GCE(q), normalization=normalization, axis_name=axis_name)


@_family
class TruncatedGCE:
    """GCE for p > k and constant below: w = 2 p^q (1 - p) [p > k]."""

    q: ArrayLike = 0.7
    k: ArrayLike = 0.5

    def breaks(self) -> tuple[ArrayLike, ...]:
        return (self.k,)

    def value(self, log_odds: jax.Array) -> jax.Array:
        log_k = jnp.log(jnp.asarray(self.k, log_odds.dtype))
        return _gce_value(jnp.maximum(log_p(log_odds), log_k), jnp.asarray(self.q, log_odds.dtype))

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        kept = jax.nn.sigmoid(log_odds) > jnp.asarray(self.k, log_odds.dtype)
        return jnp.where(kept, GCE(self.q).log_weight(log_odds), -jnp.inf)


def truncated_gce(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    q: ArrayLike = 0.7,
    k: ArrayLike = 0.5,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Truncated generalised cross-entropy: GCE where p > k, else the constant (1 - k^q) / q.

    w = 2 p^q (1 - p) [p > k]: examples of which the model thinks little are left out at once. The paper's
    training refreshes that choice every few epochs instead: `truncated_gce_pruned`. With k above the p that
    training begins with, nothing is learned. See the module for arguments.

    Reference: Zhang & Sabuncu, NeurIPS 2018.
    """
    return from_emphasis(logits, labels, TruncatedGCE(q, k), normalization=normalization, axis_name=axis_name)


@_family
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
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Reverse cross-entropy: L = -A (1 - p), w = -2 A p (1 - p); MAE times -A.

    `log_zero` is A < 0, the value of log 0: ln 1e-4 as in all public code; the papers say -4. See the module
    for arguments.

    Reference: Wang et al., ICCV 2019 (arXiv:1908.06112).
    """
    return from_emphasis(logits, labels, RCE(log_zero), normalization=normalization, axis_name=axis_name)


@_family
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
        return _LOG_2 + log_not_p(log_odds) + scale


def sce(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: ArrayLike = 0.1,
    beta: ArrayLike = 1.0,
    log_zero: ArrayLike = LOG_ZERO,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Symmetric cross-entropy: L = alpha CE + beta RCE, w = 2 (1 - p) (alpha - beta A p).

    alpha, beta >= 0, not both 0; `log_zero` is A, see `rce`. See the module for arguments.

    Reference: Wang et al., ICCV 2019 (arXiv:1908.06112).
    """
    emphasis = SCE(alpha, beta, log_zero)
    return from_emphasis(logits, labels, emphasis, normalization=normalization, axis_name=axis_name)


@_family
class Focal:
    """L = -(1 - p)^gamma log p; w = 2 (1 - p) ((1 - p)^gamma - gamma p (1 - p)^(gamma - 1) log p)."""

    gamma: ArrayLike = 0.5

    def value(self, log_odds: jax.Array) -> jax.Array:
        gamma = jnp.asarray(self.gamma, log_odds.dtype)
        return -jnp.exp(gamma * log_not_p(log_odds)) * log_p(log_odds)

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        gamma = jnp.asarray(self.gamma, log_odds.dtype)
        # -p log p / (1 - p), which goes to 1 for p to 1, where log p underflows: there it is 1 - (1 - p) / 2.
        certain = log_odds > 12
        safe = jnp.where(certain, 0, jnp.maximum(log_odds, -jnp.finfo(log_odds.dtype).max))
        ratio = jnp.where(certain, 1 - 0.5 * jnp.exp(-log_odds), jnp.exp(safe) * jax.nn.softplus(-safe))
        return FocalDetached(gamma).log_weight(log_odds) + jnp.log1p(gamma * ratio)


@_family
class FocalDetached:
    """Focal's value, with the weight of code that holds (1 - p)^gamma constant: w = 2 (1 - p)^(gamma + 1)."""

    gamma: ArrayLike = 0.5

    def value(self, log_odds: jax.Array) -> jax.Array:
        return Focal(self.gamma).value(log_odds)

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        gamma = jnp.asarray(self.gamma, log_odds.dtype)
        return Combined(b=gamma + 1, log_c=_LOG_2).log_weight(log_odds)


def focal(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    gamma: ArrayLike = 0.5,
    detached: bool = False,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Focal loss: L = -(1 - p)^gamma log p.

    w = 2 (1 - p) ((1 - p)^gamma - gamma p (1 - p)^(gamma - 1) log p), the gradient of what is written. The
    code of APL, ALFs, ANL and JAL holds the focal factor constant: detached=True, w = 2 (1 - p)^(gamma + 1),
    which is the gradient of another loss than the value. gamma >= 0. See the module for arguments.

    Reference: Lin et al., ICCV 2017 (arXiv:1708.02002).
    """
    emphasis = FocalDetached(gamma) if detached else Focal(gamma)
    return from_emphasis(logits, labels, emphasis, normalization=normalization, axis_name=axis_name)


@_family
class TaylorCE:
    """L = sum over i = 1 ... order of (1 - p)^i / i; w = 2 (1 - p) (1 - (1 - p)^order)."""

    order: ArrayLike = 2

    def value(self, log_odds: jax.Array) -> jax.Array:
        not_p = jax.nn.sigmoid(-log_odds)
        order = jnp.asarray(self.order, jnp.int32)

        def horner(i: jax.Array, total: jax.Array) -> jax.Array:
            term = order - i
            return jnp.where(term > 0, not_p * (total + 1 / jnp.maximum(term, 1).astype(not_p.dtype)), total)

        most = self.order if isinstance(self.order, int) else jnp.max(order)
        return jax.lax.fori_loop(0, most, horner, jnp.zeros_like(not_p))

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        order = jnp.asarray(self.order, log_odds.dtype)
        return _LOG_2 + log_not_p(log_odds) + jnp.log(-jnp.expm1(order * log_not_p(log_odds)))


def taylor_ce(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    order: ArrayLike = 2,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Taylor cross-entropy: the series of -log p in 1 - p, cut after `order` >= 1 terms.

    L = sum over i = 1 ... order of (1 - p)^i / i, w = 2 (1 - p) (1 - (1 - p)^order). order = 1 is MAE, the
    limit of large orders cross-entropy. See the module for arguments.

    Reference: Feng et al., IJCAI 2020.
    """
    return from_emphasis(logits, labels, TaylorCE(order), normalization=normalization, axis_name=axis_name)


@_family
class PHuberCE:
    """L = -log p for p > 1 / tau, below it its tangent there; w = 2 (1 - p) min(1, tau p)."""

    tau: ArrayLike = 2.0

    def breaks(self) -> tuple[ArrayLike, ...]:
        return (1 / jnp.asarray(self.tau),)

    def value(self, log_odds: jax.Array) -> jax.Array:
        tau = jnp.asarray(self.tau, log_odds.dtype)
        p = jax.nn.sigmoid(log_odds)
        return jnp.where(p * tau > 1, -log_p(log_odds), jnp.log(tau) + 1 - tau * p)

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        log_tau = jnp.log(jnp.asarray(self.tau, log_odds.dtype))
        return _LOG_2 + log_not_p(log_odds) + jnp.minimum(0, log_tau + log_p(log_odds))


def phuber_ce(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    tau: ArrayLike = 2.0,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Partially Huberised cross-entropy: -log p, and below p = 1 / tau its tangent there, linear in p.

    L = log tau + 1 - tau p for p <= 1 / tau; w = 2 (1 - p) min(1, tau p): cross-entropy's composite gradient
    clipped at tau >= 1. See the module for arguments.

    Reference: Menon et al., ICLR 2020.
    """
    return from_emphasis(logits, labels, PHuberCE(tau), normalization=normalization, axis_name=axis_name)


@_family
class PHuberGCE:
    """GCE for p > p0 = tau^(1 / (q - 1)), below it its tangent there; w = 2 (1 - p) min(p^q, tau p)."""

    tau: ArrayLike = 10.0
    q: ArrayLike = 0.7

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
        return _LOG_2 + log_not_p(log_odds) + smaller


def phuber_gce(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    tau: ArrayLike = 10.0,
    q: ArrayLike = 0.7,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Partially Huberised generalised cross-entropy: GCE, and below p0 = tau^(1 / (q - 1)) its tangent.

    L = tau (p0 - p) + (1 - p0^q) / q for p <= p0; w = 2 (1 - p) min(p^q, tau p). tau >= 1, q < 1. See the
    module for arguments.

    Reference: Menon et al., ICLR 2020.
    """
    return from_emphasis(logits, labels, PHuberGCE(tau, q), normalization=normalization, axis_name=axis_name)


@_family
class AGCE:
    """L = ((a + 1)^q - (a + p)^q) / q; w = 2 p (1 - p) (a + p)^(q - 1)."""

    a: ArrayLike = 0.6
    q: ArrayLike = 0.6

    def value(self, log_odds: jax.Array) -> jax.Array:
        a, q = jnp.asarray(self.a, log_odds.dtype), jnp.asarray(self.q, log_odds.dtype)
        base = a + jax.nn.sigmoid(log_odds)
        # (a + 1) / (a + p), without the cancellation of the difference near p = 1
        return base**q * jnp.expm1(q * jnp.log1p(jax.nn.sigmoid(-log_odds) / base)) / q

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        a, q = jnp.asarray(self.a, log_odds.dtype), jnp.asarray(self.q, log_odds.dtype)
        base = jnp.log(a + jax.nn.sigmoid(log_odds))
        return _LOG_2 + log_p(log_odds) + log_not_p(log_odds) + (q - 1) * base


def agce(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    a: ArrayLike = 0.6,
    q: ArrayLike = 0.6,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Asymmetric generalised cross-entropy: L = ((a + 1)^q - (a + p)^q) / q.

    w = 2 p (1 - p) (a + p)^(q - 1). a, q > 0. See the module for arguments.

    Reference: Zhou et al., ICML 2021 (arXiv:2106.03110).
    """
    return from_emphasis(logits, labels, AGCE(a, q), normalization=normalization, axis_name=axis_name)


@_family
class AUL:
    """L = ((a - p)^q - (a - 1)^q) / q; w = 2 p (1 - p) (a - p)^(q - 1)."""

    a: ArrayLike = 5.5
    q: ArrayLike = 3.0

    def value(self, log_odds: jax.Array) -> jax.Array:
        a, q = jnp.asarray(self.a, log_odds.dtype), jnp.asarray(self.q, log_odds.dtype)
        least = a - 1
        return least**q * jnp.expm1(q * jnp.log1p(jax.nn.sigmoid(-log_odds) / least)) / q

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        a, q = jnp.asarray(self.a, log_odds.dtype), jnp.asarray(self.q, log_odds.dtype)
        base = jnp.log(a - jax.nn.sigmoid(log_odds))
        return _LOG_2 + log_p(log_odds) + log_not_p(log_odds) + (q - 1) * base


def aul(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    a: ArrayLike = 5.5,
    q: ArrayLike = 3.0,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Asymmetric unhinged loss: L = ((a - p)^q - (a - 1)^q) / q.

    w = 2 p (1 - p) (a - p)^(q - 1). a > 1, q > 0. See the module for arguments.

    Reference: Zhou et al., ICML 2021 (arXiv:2106.03110).
    """
    return from_emphasis(logits, labels, AUL(a, q), normalization=normalization, axis_name=axis_name)


@_family
class AEL:
    """L = exp(-p / a); w = 2 p (1 - p) exp(-p / a) / a."""

    a: ArrayLike = 2.5

    def value(self, log_odds: jax.Array) -> jax.Array:
        return jnp.exp(-jax.nn.sigmoid(log_odds) / self.a)

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        a = jnp.asarray(self.a, log_odds.dtype)
        exponent = -jax.nn.sigmoid(log_odds) / a - jnp.log(a)
        return _LOG_2 + log_p(log_odds) + log_not_p(log_odds) + exponent


def ael(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    a: ArrayLike = 2.5,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Asymmetric exponential loss: L = exp(-p / a), w = 2 p (1 - p) exp(-p / a) / a.

    Its least value is exp(-1 / a), not 0. a > 0. See the module for arguments.

    Reference: Zhou et al., ICML 2021 (arXiv:2106.03110).
    """
    return from_emphasis(logits, labels, AEL(a), normalization=normalization, axis_name=axis_name)


@_family
class JS:
    """Jensen-Shannon divergence; w = 2 p (1 - p) log(1 + pi / ((1 - pi) p)) / -log(1 - pi)."""

    pi: ArrayLike = 0.5

    def value(self, log_odds: jax.Array) -> jax.Array:
        pi = jnp.asarray(self.pi, log_odds.dtype)
        log_rest = jnp.log1p(-pi)
        p, not_p, log_prob = jax.nn.sigmoid(log_odds), jax.nn.sigmoid(-log_odds), log_p(log_odds)
        log_m = jnp.log1p(-(1 - pi) * not_p)  # m = 1 - (1 - pi) (1 - p), exact near p = 1
        of_label = -pi * log_m
        of_softmax = (1 - pi) * (p * (log_prob - log_m) - not_p * log_rest)
        return (of_label + of_softmax) / (-(1 - pi) * log_rest)

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        pi = jnp.asarray(self.pi, log_odds.dtype)
        log_rest = jnp.log1p(-pi)
        # log(m / ((1 - pi) p)) = log(1 + pi / ((1 - pi) p))
        log_ratio = jax.nn.softplus(jnp.log(pi) - log_rest - log_p(log_odds))
        powers = log_p(log_odds) + log_not_p(log_odds)
        return _LOG_2 + powers + jnp.log(log_ratio) - jnp.log(-log_rest)


def js(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    pi: ArrayLike = 0.5,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Jensen-Shannon loss: L = (pi KL(e_y | m) + (1 - pi) KL(softmax | m)) / Z.

    m = pi e_y + (1 - pi) softmax, and Z = -(1 - pi) log(1 - pi) makes it cross-entropy in the limit pi -> 0
    and half the MAE of scale 2 in the limit pi -> 1. Although it is written with all classes, it depends on
    p alone: w = 2 p (1 - p) log(1 + pi / ((1 - pi) p)) / -log(1 - pi). 0 < pi < 1, the weight of the label.
    See the module for arguments.

    Reference: Englesson & Azizpour, NeurIPS 2021 (arXiv:2105.04522).
    """
    return from_emphasis(logits, labels, JS(pi), normalization=normalization, axis_name=axis_name)


def nmae(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    scale: ArrayLike = 1.0,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Normalised MAE: MAE over its sum for all labels, L = scale (1 - p) / (C - 1).

    w = 2 scale p (1 - p) / (C - 1). scale = 1 is what the definition gives, and the code of ALFs; the code
    of APL has scale = 1/2. See the module for arguments.

    Reference: Ma et al., ICML 2020 (arXiv:2006.13554).
    """
    logits, labels = checked(logits, labels)
    emphasis = MAE(jnp.asarray(scale) / (logits.shape[-1] - 1))
    return from_emphasis(logits, labels, emphasis, normalization=normalization, axis_name=axis_name)


def nrce(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Normalised RCE: RCE over its sum for all labels, L = (1 - p) / (C - 1), whatever A is: `nmae`.

    The code of APL multiplies by C - 1 where it should divide. See the module for arguments.

    Reference: Ma et al., ICML 2020 (arXiv:2006.13554).
    """
    return nmae(logits, labels, normalization=normalization, axis_name=axis_name)


def imae(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    beta: ArrayLike,
    normalization: Normalization = "integral",
    axis_name: str | None = None,
) -> jax.Array:
    """Improved MAE: Gradient Rescaling with lam = 1, w = exp(beta p (1 - p)) / norm.

    The value is cross-entropy, as of `gradient_rescaling`. See the module for arguments.

    Reference: Wang et al., arXiv:1903.12141.
    """
    emphasis = PowerExponential(1.0, beta)
    return from_emphasis(logits, labels, emphasis, normalization=normalization, axis_name=axis_name)


def combined(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    a: ArrayLike = 0.0,
    b: ArrayLike = 0.0,
    lam: ArrayLike = 0.0,
    beta: ArrayLike = 0.0,
    log_c: ArrayLike = 0.0,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """The combined emphasis family as a loss: w = exp(log_c) p^a (1 - p)^b exp(beta p^lam (1 - p)) / norm.

    One compiled step for all its members: cross-entropy (a, b = 0, 1), MAE (1, 1), MSE (1, 2), GCE (q, 1),
    each with log_c = log 2 (MSE log 4), Gradient Rescaling (0, 0). The value is cross-entropy, as of
    `gradient_rescaling`. See the module for arguments.

    Reference: Wang et al., arXiv:1905.11233.
    """
    emphasis = Combined(a, b, lam, beta, log_c)
    return from_emphasis(logits, labels, emphasis, normalization=normalization, axis_name=axis_name)
