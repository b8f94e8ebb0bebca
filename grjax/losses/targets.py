"""Cross-entropy with another target than the one-hot label: smoothed, or corrected by the model itself.

All take logits `[..., C]`, floating and finite, and labels `[...]`, integer; return the loss of each
example, `[...]`, in float32 at least; and raise `ValueError` for arguments that do not fit. Scalar
hyper-parameters may be traced.
"""

from typing import Annotated

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grjax.losses.inputs import log_softmax
from grjax.ranges import In, in_range


def _entropy(log_p: jax.Array) -> jax.Array:
    """The entropy of softmax probabilities, from their logs: [..., C] -> [...]."""
    return -(jnp.exp(log_p) * log_p).sum(-1)


@in_range
def label_smoothing(
    logits: ArrayLike, labels: ArrayLike, *, epsilon: Annotated[ArrayLike, In("[0, 1]")] = 0.1
) -> jax.Array:
    """Cross-entropy with the target (1 - epsilon) onehot(y) + epsilon / C.

    Args:
      logits: `[..., C]`, floating and finite.
      labels: class indices in [0, C), `[...]`, integer.
      epsilon: share of the uniform distribution in the target, in [0, 1]. May be traced.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or a
        hyper-parameter out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.label_smoothing(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [0.373, 2.173]

    Reference: Szegedy et al., CVPR 2016 (arXiv:1512.00567).
    """
    log_p, log_p_label, _ = log_softmax(logits, labels)
    epsilon = jnp.asarray(epsilon, log_p.dtype)
    return -(1 - epsilon) * log_p_label - epsilon * log_p.mean(-1)


@in_range
def confidence_penalty(
    logits: ArrayLike, labels: ArrayLike, *, beta: Annotated[ArrayLike, In("[0, inf)")] = 0.1
) -> jax.Array:
    """Cross-entropy less beta times the entropy of the prediction: L = -log p_y - beta H(softmax(z)).

    Args:
      logits: `[..., C]`, floating and finite.
      labels: class indices in [0, C), `[...]`, integer.
      beta: weight of the entropy, >= 0. May be traced.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or a
        hyper-parameter out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.confidence_penalty(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [0.173, 2.173]

    Reference: Pereyra et al., 2017 (arXiv:1701.06548).
    """
    log_p, log_p_label, _ = log_softmax(logits, labels)
    return -log_p_label - jnp.asarray(beta, log_p.dtype) * _entropy(log_p)


@in_range
def bootstrap_soft(
    logits: ArrayLike, labels: ArrayLike, *, beta: Annotated[ArrayLike, In("[0, 1]")] = 0.95
) -> jax.Array:
    """Soft bootstrapping: cross-entropy with the target beta onehot(y) + (1 - beta) softmax(z).

    L = -beta log p_y + (1 - beta) H(softmax(z)). The gradient flows through the target too; a target held
    constant would give beta times cross-entropy's gradient.

    Args:
      logits: `[..., C]`, floating and finite.
      labels: class indices in [0, C), `[...]`, integer.
      beta: share of the label in the target, in [0, 1]. May be traced.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or a
        hyper-parameter out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.bootstrap_soft(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [0.261, 2.161]

    Reference: Reed et al., 2015 (arXiv:1412.6596).
    """
    log_p, log_p_label, _ = log_softmax(logits, labels)
    beta = jnp.asarray(beta, log_p.dtype)
    return -beta * log_p_label + (1 - beta) * _entropy(log_p)


@in_range
def bootstrap_hard(
    logits: ArrayLike, labels: ArrayLike, *, beta: Annotated[ArrayLike, In("[0, 1]")] = 0.8
) -> jax.Array:
    """Hard bootstrapping: cross-entropy with the target beta onehot(y) + (1 - beta) onehot(argmax z).

    Args:
      logits: `[..., C]`, floating and finite.
      labels: class indices in [0, C), `[...]`, integer.
      beta: share of the label in the target, in [0, 1]. May be traced.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or a
        hyper-parameter out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.bootstrap_hard(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [0.240, 1.840]

    Reference: Reed et al., 2015 (arXiv:1412.6596).
    """
    log_p, log_p_label, _ = log_softmax(logits, labels)
    beta = jnp.asarray(beta, log_p.dtype)
    return -beta * log_p_label - (1 - beta) * log_p.max(-1)


@in_range
def epsilon_softmax(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    m: Annotated[ArrayLike, In("[0, inf)")] = 1e5,
    alpha: Annotated[ArrayLike, In("[0, inf)")] = 0.01,
    beta: Annotated[ArrayLike, In("[0, inf)")] = 5.0,
    mae_scale: Annotated[ArrayLike, In("(0, inf)")] = 2.0,
    gamma: Annotated[ArrayLike, In("[0, inf)")] = 0.0,
    p_min: Annotated[ArrayLike, In("(0, 1)")] = 1e-8,
) -> jax.Array:
    """Cross-entropy on the epsilon-softmax, with MAE: L = alpha * -log p~_y + beta * mae_scale (1 - p_y).

    p~ = (softmax(z) + m onehot(argmax z)) / (1 + m); its p~_y is clipped from below at p_min, where no
    gradient flows. alpha = 1, beta = 0 is the loss ECE alone. MAE is on the plain softmax.

    Args:
      logits: `[..., C]`, floating and finite.
      labels: class indices in [0, C), `[...]`, integer.
      m: how much is added to the largest probability, >= 0; 0 is the softmax itself. May be traced.
      alpha: factor of the cross-entropy on the epsilon-softmax, >= 0. May be traced.
      beta: factor of MAE, >= 0. May be traced.
      mae_scale: scale > 0 of MAE, see `mae`. May be traced.
      gamma: exponent of a focal factor (1 - p~_y)^gamma on the cross-entropy, held constant in the gradient,
        >= 0; 0 is without it. 0.1 with beta = 0 is the loss EFL, with MAE EFL + MAE. May be traced.
      p_min: least probability of a class, 0 < p_min < 1; below it no gradient flows. May be traced.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or a
        hyper-parameter out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.epsilon_softmax(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [2.130, 9.072]

    Reference: Wang et al., NeurIPS 2024, epsilon-softmax.
    """
    log_p, log_p_label, labels = log_softmax(logits, labels)
    predicted = log_p.argmax(-1) == labels
    m, alpha, beta, mae_scale, p_min = (
        jnp.asarray(each, log_p.dtype) for each in (m, alpha, beta, mae_scale, p_min)
    )
    gamma = jnp.asarray(gamma, log_p.dtype)
    log_mixed = jnp.where(predicted, jnp.logaddexp(log_p_label, jnp.log(m)), log_p_label) - jnp.log1p(m)
    ece = -jnp.maximum(log_mixed, jnp.log(p_min))
    not_p = -jnp.expm1(log_p_label)
    not_mixed = jnp.where(predicted, not_p, m + not_p) / (1 + m)
    ece *= jax.lax.stop_gradient(jnp.where(gamma == 0, 1, not_mixed**gamma))
    return alpha * ece - beta * mae_scale * jnp.expm1(log_p_label)


@in_range
def proselflc(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    trust: Annotated[ArrayLike, In("[0, 1]")],
    kl: bool = False,
    detached: bool = False,
) -> jax.Array:
    """Progressive self label correction: the target moves from the label to the prediction.

    Cross-entropy with the target (1 - e) onehot(y) + e softmax(z), e = trust * (1 - H(softmax(z)) / log C):
    the more certain the prediction, the more it is trusted. The gradient flows through the target, not
    through e. The later code of the same authors takes KL(target | softmax(z)) for a value and, where it
    shows CIFAR-100, holds the target constant: kl=True, detached=True.

    Args:
      logits: `[..., C]`, floating and finite.
      labels: class indices in [0, C), `[...]`, integer.
      trust: the global trust in the model, in [0, 1]; usually a schedule over training, 'proselflc' of
        `grjax.losses.schedules`. May be traced.
      kl: subtract the target's own entropy, so that the value is the divergence of the target.
      detached: hold the target constant: the gradient is then (1 - e) (softmax(z) - onehot(y)).

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or a
        hyper-parameter out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.proselflc(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0]), trust=0.5).tolist()
      [0.324, 1.929]

    Reference: Wang et al., CVPR 2021 (arXiv:2005.03788).
    """
    log_p, log_p_label, _ = log_softmax(logits, labels)
    entropy = _entropy(log_p)
    certainty = 1 - entropy / jnp.log(jnp.asarray(log_p.shape[-1], log_p.dtype))
    e = jax.lax.stop_gradient(jnp.asarray(trust, log_p.dtype) * certainty)
    of_label = -(1 - e) * log_p_label
    value = of_label + e * entropy
    if kl:
        not_p = -jnp.expm1(log_p_label)
        log_target = jnp.log1p(-e * not_p)  # of the label's class; of the others it is log e + log p_k
        value = jnp.exp(log_target) * (log_target - log_p_label) + not_p * jax.scipy.special.xlogy(e, e)
    return jax.lax.stop_gradient(value - of_label) + of_label if detached else value
