"""Normalised losses, and the active and passive losses made of them.

A loss over the sum of it for all C labels is robust to symmetric noise whatever it was before (Ma et al.,
ICML 2020), but underfits; together with a passive loss, one that lowers what is given to the other classes,
it does not. `nmae` and `nrce` depend on p alone: see `symmetric`.

All take logits `[..., C]`, floating and finite, and labels `[...]`, integer; return the loss of each
example, `[...]`, in float32 at least; and raise `ValueError` for arguments that do not fit. Scalar
hyper-parameters may be traced.
"""

import functools
from typing import Annotated

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grjax.losses.agreement import mae
from grjax.losses.asymmetric import ael, agce, aul
from grjax.losses.inputs import Loss, at_label, checked, log_softmax
from grjax.losses.symmetric import LOG_ZERO, rce
from grjax.ranges import In, in_range


def nce(logits: ArrayLike, labels: ArrayLike) -> jax.Array:
    """Normalised cross-entropy: L = log p_y / sum over k of log p_k, in [0, 1].

    Args:
      logits: `[..., C]`, floating and finite.
      labels: class indices in [0, C), `[...]`, integer.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or a
        hyper-parameter out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.nce(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [0.051, 0.475]

    Reference: Ma et al., ICML 2020 (arXiv:2006.13554).
    """
    log_p, log_p_label, _ = log_softmax(logits, labels)
    return log_p_label / log_p.sum(-1)


@in_range
def nfl(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    gamma: Annotated[ArrayLike, In("[0, inf)")] = 0.5,
    detached: bool = True,
) -> jax.Array:
    """Normalised focal loss: L = l_y / sum over k of l_k, l_k = -(1 - p_k)^gamma log p_k.

    `detached` holds the focal factors (1 - p_k)^gamma constant in the gradient, as the code of APL, ALFs, ANL
    and JAL does; the published results are with it. False is the gradient of what is written. gamma >= 0.

    Args:
      logits: `[..., C]`, floating and finite.
      labels: class indices in [0, C), `[...]`, integer.
      gamma: exponent of the focal factor, >= 0; 0 is without it. May be traced.
      detached: hold the focal factor constant in the gradient, as the code of APL, ALFs, ANL and JAL does.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or a
        hyper-parameter out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.nfl(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [0.025, 0.487]

    Reference: Ma et al., ICML 2020 (arXiv:2006.13554).
    """
    log_p, _, labels = log_softmax(logits, labels)
    focal = _focal_terms(log_p, gamma, detached)
    return at_label(focal, labels) / focal.sum(-1)


def _focal_terms(log_p: jax.Array, gamma: ArrayLike, detached: bool) -> jax.Array:
    """-(1 - p_k)^gamma log p_k of each class, [..., C]."""
    gamma = jnp.asarray(gamma, log_p.dtype)
    # 1 - p_k from the other classes' share; at p_k = 1 its power has no finite gradient and log p_k is 0.
    not_p = -jnp.expm1(log_p)
    positive = not_p > 0
    factor = jnp.where(positive, jnp.where(positive, not_p, 1) ** gamma, 0.0)
    factor = jnp.where(gamma == 0, 1.0, factor)
    return -(jax.lax.stop_gradient(factor) if detached else factor) * log_p


@in_range
def ngce(logits: ArrayLike, labels: ArrayLike, *, q: Annotated[ArrayLike, In("(0, 1]")] = 0.7) -> jax.Array:
    """Normalised generalised cross-entropy: L = (1 - p_y^q) / sum over k of (1 - p_k^q).

    0 < q <= 1.

    Args:
      logits: `[..., C]`, floating and finite.
      labels: class indices in [0, C), `[...]`, integer.
      q: exponent, 0 < q <= 1; 1 is the normalised MAE. May be traced.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or a
        hyper-parameter out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.ngce(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [0.089, 0.456]

    Reference: Ma et al., ICML 2020 (arXiv:2006.13554).
    """
    log_p, log_p_label, _ = log_softmax(logits, labels)
    q = jnp.asarray(q, log_p.dtype)
    return jnp.expm1(q * log_p_label) / jnp.expm1(q * log_p).sum(-1)


@in_range
def nnce(
    logits: ArrayLike, labels: ArrayLike, *, p_min: Annotated[ArrayLike, In("(0, 1)")] = 1e-7
) -> jax.Array:
    """Normalised negative cross-entropy, the passive loss of ANL: L = 1 - (A + log p_y) / sum (A + log p_k).

    A = -log p_min; each p_k is clipped from below at p_min, so that no gradient flows to classes below it.

    Args:
      logits: `[..., C]`, floating and finite.
      labels: class indices in [0, C), `[...]`, integer.
      p_min: least probability of a class, 0 < p_min < 1; below it no gradient flows. May be traced.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or a
        hyper-parameter out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.nnce(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [0.636, 0.682]

    Reference: Ye et al., NeurIPS 2023.
    """
    log_p, _, labels = log_softmax(logits, labels)
    log_p_min = jnp.log(jnp.asarray(p_min, log_p.dtype))
    headroom = jnp.maximum(log_p, log_p_min) - log_p_min
    return 1 - at_label(headroom, labels) / headroom.sum(-1)


@in_range
def nnfl(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    gamma: Annotated[ArrayLike, In("[0, inf)")] = 0.5,
    p_min: Annotated[ArrayLike, In("(0, 1)")] = 1e-7,
) -> jax.Array:
    """Normalised negative focal loss, the passive loss of ANL-FL: L = 1 - (A - l_y) / sum (A - l_k).

    l_k = -(1 - p_k)^gamma log p_k with the focal factor held constant in the gradient, as published;
    A = -(1 - p_min)^gamma log p_min; each p_k is clipped from below at p_min.

    Args:
      logits: `[..., C]`, floating and finite.
      labels: class indices in [0, C), `[...]`, integer.
      gamma: exponent of the focal factor, >= 0; 0 is without it. May be traced.
      p_min: least probability of a class, 0 < p_min < 1; below it no gradient flows. May be traced.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or a
        hyper-parameter out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.nnfl(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [0.636, 0.682]

    Reference: Ye et al., NeurIPS 2023.
    """
    log_p, _, labels = log_softmax(logits, labels)
    log_p_min = jnp.log(jnp.asarray(p_min, log_p.dtype))
    most = _focal_terms(log_p_min, gamma, detached=True)
    headroom = most - _focal_terms(jnp.maximum(log_p, log_p_min), gamma, detached=True)
    return 1 - at_label(headroom, labels) / headroom.sum(-1)


@in_range
def amse(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    a: Annotated[ArrayLike, In("(0, inf)")] = 30.0,
    q: Annotated[ArrayLike, In("[1, inf)")] = 2.0,
) -> jax.Array:
    """Asymmetric mean square error, the passive loss of JAL: L = |softmax(z) - a onehot(y)|^q / C.

    Args:
      logits: `[..., C]`, floating and finite.
      labels: class indices in [0, C), `[...]`, integer.
      a: what is expected of the label's class instead of 1, > 0. May be traced.
      q: power of the distance, summed over the classes, >= 1. May be traced.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or a
        hyper-parameter out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.amse(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [284.474, 298.084]

    Reference: Joint Asymmetric Loss, ICCV 2025.
    """
    log_p, log_p_label, labels = log_softmax(logits, labels)
    a, q = jnp.asarray(a, log_p.dtype), jnp.asarray(q, log_p.dtype)
    is_label = jax.nn.one_hot(labels, log_p.shape[-1], dtype=bool)
    of_others = jnp.where(is_label, 0, jnp.exp(q * log_p)).sum(-1)
    missing = jnp.abs(a - 1 - jnp.expm1(log_p_label))  # a - p_y
    return (of_others + missing**q) / log_p.shape[-1]


def active_passive(active: Loss, passive: Loss, *, alpha: ArrayLike, beta: ArrayLike) -> Loss:
    """The loss alpha * active + beta * passive.

    Args:
      active: a loss (logits `[..., C]`, labels `[...]`) -> `[...]`.
      passive: another.
      alpha: scalar, may be traced.
      beta: scalar, may be traced.

    Example:
      >>> from grjax import losses
      >>> loss = losses.active_passive(losses.nce, losses.mae, alpha=1., beta=10.)
    """

    def loss(logits: ArrayLike, labels: ArrayLike) -> jax.Array:
        # Widened here, so that the two gradients are rounded to narrow logits once, after their sum.
        logits, labels = checked(logits, labels)
        logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
        parts = active(logits, labels), passive(logits, labels)
        return jnp.asarray(alpha, parts[0].dtype) * parts[0] + jnp.asarray(beta, parts[1].dtype) * parts[1]

    return loss


@in_range
def nce_mae(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: Annotated[ArrayLike, In("[0, inf)")] = 1.0,
    beta: Annotated[ArrayLike, In("[0, inf)")] = 1.0,
    scale: Annotated[ArrayLike, In("(0, inf)")] = 1.0,
) -> jax.Array:
    """Normalised cross-entropy and MAE: alpha NCE + beta MAE.

    Args:
      logits: `[..., C]`, floating and finite.
      labels: class indices in [0, C), `[...]`, integer.
      alpha: factor of the active loss, >= 0. May be traced.
      beta: factor of the passive loss, >= 0. May be traced.
      scale: factor > 0 of the MAE; 1 is the convention of the GR paper and of the code of APL and ANL, 2
        that of the code of ALFs and JAL. May be traced.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or a
        hyper-parameter out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.nce_mae(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [0.264, 1.368]

    Reference: Ma et al., ICML 2020 (arXiv:2006.13554).
    """
    passive = functools.partial(mae, scale=scale)
    return active_passive(nce, passive, alpha=alpha, beta=beta)(logits, labels)


@in_range
def nce_rce(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: Annotated[ArrayLike, In("[0, inf)")] = 1.0,
    beta: Annotated[ArrayLike, In("[0, inf)")] = 1.0,
    log_zero: Annotated[ArrayLike, In("(-inf, 0)")] = LOG_ZERO,
) -> jax.Array:
    """Normalised cross-entropy and RCE: alpha NCE + beta RCE.

    Args:
      logits: `[..., C]`, floating and finite.
      labels: class indices in [0, C), `[...]`, integer.
      alpha: factor of the active loss, >= 0. May be traced.
      beta: factor of the passive loss, >= 0. May be traced.
      log_zero: A < 0, what log 0 is taken for: ln 1e-4 as in all public code; the papers say -4. May be
        traced.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or a
        hyper-parameter out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.nce_rce(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [2.013, 8.704]

    Reference: Ma et al., ICML 2020 (arXiv:2006.13554).
    """
    passive = functools.partial(rce, log_zero=log_zero)
    return active_passive(nce, passive, alpha=alpha, beta=beta)(logits, labels)


@in_range
def nfl_mae(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: Annotated[ArrayLike, In("[0, inf)")] = 1.0,
    beta: Annotated[ArrayLike, In("[0, inf)")] = 1.0,
    gamma: Annotated[ArrayLike, In("[0, inf)")] = 0.5,
    scale: Annotated[ArrayLike, In("(0, inf)")] = 1.0,
) -> jax.Array:
    """Normalised focal loss and MAE: alpha NFL + beta MAE.

    Args:
      logits: `[..., C]`, floating and finite.
      labels: class indices in [0, C), `[...]`, integer.
      alpha: factor of the active loss, >= 0. May be traced.
      beta: factor of the passive loss, >= 0. May be traced.
      gamma: exponent of the focal factor, >= 0; 0 is without it. May be traced.
      scale: factor > 0 of the MAE; 1 is the convention of the GR paper and of the code of APL and ANL, 2
        that of the code of ALFs and JAL. May be traced.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or a
        hyper-parameter out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.nfl_mae(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [0.238, 1.381]

    Reference: Ma et al., ICML 2020 (arXiv:2006.13554).
    """
    active = functools.partial(nfl, gamma=gamma)
    passive = functools.partial(mae, scale=scale)
    return active_passive(active, passive, alpha=alpha, beta=beta)(logits, labels)


@in_range
def nfl_rce(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: Annotated[ArrayLike, In("[0, inf)")] = 1.0,
    beta: Annotated[ArrayLike, In("[0, inf)")] = 1.0,
    gamma: Annotated[ArrayLike, In("[0, inf)")] = 0.5,
    log_zero: Annotated[ArrayLike, In("(-inf, 0)")] = LOG_ZERO,
) -> jax.Array:
    """Normalised focal loss and RCE: alpha NFL + beta RCE.

    Args:
      logits: `[..., C]`, floating and finite.
      labels: class indices in [0, C), `[...]`, integer.
      alpha: factor of the active loss, >= 0. May be traced.
      beta: factor of the passive loss, >= 0. May be traced.
      gamma: exponent of the focal factor, >= 0; 0 is without it. May be traced.
      log_zero: A < 0, what log 0 is taken for: ln 1e-4 as in all public code; the papers say -4. May be
        traced.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or a
        hyper-parameter out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.nfl_rce(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [1.987, 8.717]

    Reference: Ma et al., ICML 2020 (arXiv:2006.13554).
    """
    active = functools.partial(nfl, gamma=gamma)
    passive = functools.partial(rce, log_zero=log_zero)
    return active_passive(active, passive, alpha=alpha, beta=beta)(logits, labels)


@in_range
def nce_agce(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: Annotated[ArrayLike, In("[0, inf)")] = 1.0,
    beta: Annotated[ArrayLike, In("[0, inf)")] = 4.0,
    a: Annotated[ArrayLike, In("(0, inf)")] = 6.0,
    q: Annotated[ArrayLike, In("(0, inf)")] = 1.5,
) -> jax.Array:
    """Normalised cross-entropy and AGCE: alpha NCE + beta AGCE(a, q).

    Args:
      logits: `[..., C]`, floating and finite.
      labels: class indices in [0, C), `[...]`, integer.
      alpha: factor of the active loss, >= 0. May be traced.
      beta: factor of the passive loss, >= 0. May be traced.
      a: of AGCE, > 0. May be traced.
      q: of AGCE, > 0. May be traced.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or a
        hyper-parameter out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.nce_agce(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [2.288, 9.622]

    Reference: Zhou et al., ICML 2021 (arXiv:2106.03110).
    """
    passive = functools.partial(agce, a=a, q=q)
    return active_passive(nce, passive, alpha=alpha, beta=beta)(logits, labels)


@in_range
def nce_aul(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: Annotated[ArrayLike, In("[0, inf)")] = 1.0,
    beta: Annotated[ArrayLike, In("[0, inf)")] = 4.0,
    a: Annotated[ArrayLike, In("(1, inf)")] = 6.3,
    q: Annotated[ArrayLike, In("(0, inf)")] = 1.5,
) -> jax.Array:
    """Normalised cross-entropy and AUL: alpha NCE + beta AUL(a, q).

    Args:
      logits: `[..., C]`, floating and finite.
      labels: class indices in [0, C), `[...]`, integer.
      alpha: factor of the active loss, >= 0. May be traced.
      beta: factor of the passive loss, >= 0. May be traced.
      a: of AUL, > 1. May be traced.
      q: of AUL, > 0. May be traced.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or a
        hyper-parameter out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.nce_aul(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [2.032, 9.040]

    Reference: Zhou et al., ICML 2021 (arXiv:2106.03110).
    """
    passive = functools.partial(aul, a=a, q=q)
    return active_passive(nce, passive, alpha=alpha, beta=beta)(logits, labels)


@in_range
def nce_ael(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: Annotated[ArrayLike, In("[0, inf)")] = 1.0,
    beta: Annotated[ArrayLike, In("[0, inf)")] = 4.0,
    a: Annotated[ArrayLike, In("(0, inf)")] = 5.0,
) -> jax.Array:
    """Normalised cross-entropy and AEL: alpha NCE + beta AEL(a).

    Args:
      logits: `[..., C]`, floating and finite.
      labels: class indices in [0, C), `[...]`, integer.
      alpha: factor of the active loss, >= 0. May be traced.
      beta: factor of the passive loss, >= 0. May be traced.
      a: of AEL, > 0. May be traced.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or a
        hyper-parameter out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.nce_ael(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [3.468, 4.390]

    Reference: Zhou et al., ICML 2021 (arXiv:2106.03110).
    """
    passive = functools.partial(ael, a=a)
    return active_passive(nce, passive, alpha=alpha, beta=beta)(logits, labels)


@in_range
def anl_ce(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: Annotated[ArrayLike, In("[0, inf)")] = 5.0,
    beta: Annotated[ArrayLike, In("[0, inf)")] = 5.0,
    p_min: Annotated[ArrayLike, In("(0, 1)")] = 1e-7,
) -> jax.Array:
    """Active negative loss: alpha NCE + beta NNCE.

    The paper adds an L1 penalty on the parameters, which is no part of a loss on logits.

    Args:
      logits: `[..., C]`, floating and finite.
      labels: class indices in [0, C), `[...]`, integer.
      alpha: factor of the active loss, >= 0. May be traced.
      beta: factor of the passive loss, >= 0. May be traced.
      p_min: least probability of a class, 0 < p_min < 1; below it no gradient flows. May be traced.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or a
        hyper-parameter out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.anl_ce(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [3.434, 5.783]

    Reference: Ye et al., NeurIPS 2023.
    """
    passive = functools.partial(nnce, p_min=p_min)
    return active_passive(nce, passive, alpha=alpha, beta=beta)(logits, labels)


@in_range
def anl_fl(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: Annotated[ArrayLike, In("[0, inf)")] = 5.0,
    beta: Annotated[ArrayLike, In("[0, inf)")] = 5.0,
    gamma: Annotated[ArrayLike, In("[0, inf)")] = 0.5,
    p_min: Annotated[ArrayLike, In("(0, 1)")] = 1e-7,
) -> jax.Array:
    """Active negative loss with focal losses: alpha NFL + beta NNFL; see `anl_ce`.

    Args:
      logits: `[..., C]`, floating and finite.
      labels: class indices in [0, C), `[...]`, integer.
      alpha: factor of the active loss, >= 0. May be traced.
      beta: factor of the passive loss, >= 0. May be traced.
      gamma: exponent of the focal factor, >= 0; 0 is without it. May be traced.
      p_min: least probability of a class, 0 < p_min < 1; below it no gradient flows. May be traced.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or a
        hyper-parameter out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.anl_fl(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [3.309, 5.846]

    Reference: Ye et al., NeurIPS 2023.
    """
    active = functools.partial(nfl, gamma=gamma)
    passive = functools.partial(nnfl, gamma=gamma, p_min=p_min)
    return active_passive(active, passive, alpha=alpha, beta=beta)(logits, labels)


@in_range
def jal_ce(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: Annotated[ArrayLike, In("[0, inf)")] = 1.0,
    beta: Annotated[ArrayLike, In("[0, inf)")] = 1.0,
    a: Annotated[ArrayLike, In("(0, inf)")] = 30.0,
) -> jax.Array:
    """Joint asymmetric loss: alpha NCE + beta AMSE(a).

    The paper adds an L1 penalty on the parameters, which is no part of a loss on logits.

    Args:
      logits: `[..., C]`, floating and finite.
      labels: class indices in [0, C), `[...]`, integer.
      alpha: factor of the active loss, >= 0. May be traced.
      beta: factor of the passive loss, >= 0. May be traced.
      a: of AMSE, > 0. May be traced.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or a
        hyper-parameter out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.jal_ce(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [284.525, 298.558]

    Reference: Joint Asymmetric Loss, ICCV 2025.
    """
    passive = functools.partial(amse, a=a)
    return active_passive(nce, passive, alpha=alpha, beta=beta)(logits, labels)


@in_range
def jal_fl(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: Annotated[ArrayLike, In("[0, inf)")] = 1.0,
    beta: Annotated[ArrayLike, In("[0, inf)")] = 1.0,
    gamma: Annotated[ArrayLike, In("[0, inf)")] = 0.5,
    a: Annotated[ArrayLike, In("(0, inf)")] = 30.0,
) -> jax.Array:
    """Joint asymmetric loss with the focal loss: alpha NFL + beta AMSE(a); see `jal_ce`.

    Args:
      logits: `[..., C]`, floating and finite.
      labels: class indices in [0, C), `[...]`, integer.
      alpha: factor of the active loss, >= 0. May be traced.
      beta: factor of the passive loss, >= 0. May be traced.
      gamma: exponent of the focal factor, >= 0; 0 is without it. May be traced.
      a: of AMSE, > 0. May be traced.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or a
        hyper-parameter out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.jal_fl(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [284.500, 298.571]

    Reference: Joint Asymmetric Loss, ICCV 2025.
    """
    active = functools.partial(nfl, gamma=gamma)
    passive = functools.partial(amse, a=a)
    return active_passive(active, passive, alpha=alpha, beta=beta)(logits, labels)


@in_range
def anl_ce_er(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: Annotated[ArrayLike, In("[0, inf)")] = 5.0,
    beta: Annotated[ArrayLike, In("[0, inf)")] = 5.0,
    lam: Annotated[ArrayLike, In("[0, inf)")] = 2.0,
    p_min: Annotated[ArrayLike, In("(0, 1)")] = 1e-7,
    axis_name: str | None = None,
) -> jax.Array:
    """Active negative loss with an entropy regulariser: ANL-CE + lam (log C - H(mean p of the batch)).

    The regulariser keeps the predictions of a batch from all being one class. Each example has the share
    lam (log C + sum over k of p_k log m_k) of it, m the mean of softmax(z) over all examples of the call,
    also those that the caller masks out afterwards: the mean over the batch is the regulariser, in value and
    gradient.

    Args:
      logits: `[..., C]`, floating and finite.
      labels: class indices in [0, C), `[...]`, integer.
      alpha: factor of the active loss NCE, >= 0. May be traced.
      beta: factor of the passive loss NNCE, >= 0. May be traced.
      lam: factor of the regulariser, >= 0. May be traced.
      p_min: least probability of a class in NNCE, 0 < p_min < 1. May be traced.
      axis_name: inside `jax.pmap` or `jax.shard_map`: the axis over which the batch is spread.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or a
        hyper-parameter out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.anl_ce_er(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [3.715, 6.063]

    Reference: Ye et al., NeurIPS 2023, whose authors' later code has the regulariser.
    """
    logits = jnp.asarray(logits)
    # Widened here, so that the gradients of both parts are added before they are rounded.
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    log_p, _, labels = log_softmax(logits, labels)
    p = jnp.exp(log_p)
    mean = jax.lax.stop_gradient(p).mean(tuple(range(p.ndim - 1)))
    if axis_name is not None:
        mean = jax.lax.pmean(mean, axis_name)
    log_mean = jnp.log(jnp.maximum(mean, jnp.finfo(p.dtype).tiny))
    share = jnp.log(float(p.shape[-1])) + (p * jnp.expand_dims(log_mean, tuple(range(p.ndim - 1)))).sum(-1)
    return anl_ce(logits, labels, alpha=alpha, beta=beta, p_min=p_min) + jnp.asarray(lam, p.dtype) * share
