"""Cross-entropy with another target than the one-hot label: smoothed, or corrected by the model itself.

All take logits `[..., C]`, floating and finite, and labels `[...]`, integer; return the loss of each
example, `[...]`, in float32 at least; and raise `ValueError` for arguments that do not fit. Scalar
hyper-parameters may be traced.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grjax.losses.inputs import log_softmax


def _entropy(log_p: jax.Array) -> jax.Array:
    """Of softmax probabilities, from their logs: [..., C] -> [...]."""
    return -(jnp.exp(log_p) * log_p).sum(-1)


def label_smoothing(logits: ArrayLike, labels: ArrayLike, *, epsilon: ArrayLike = 0.1) -> jax.Array:
    """Cross-entropy with the target (1 - epsilon) onehot(y) + epsilon / C.

    See the module for arguments.

    Reference: Szegedy et al., CVPR 2016 (arXiv:1512.00567).
    """
    log_p, log_p_label, _ = log_softmax(logits, labels)
    epsilon = jnp.asarray(epsilon, log_p.dtype)
    return -(1 - epsilon) * log_p_label - epsilon * log_p.mean(-1)


def confidence_penalty(logits: ArrayLike, labels: ArrayLike, *, beta: ArrayLike = 0.1) -> jax.Array:
    """Cross-entropy less beta times the entropy of the prediction: L = -log p_y - beta H(softmax(z)).

    See the module for arguments.

    Reference: Pereyra et al., 2017 (arXiv:1701.06548).
    """
    log_p, log_p_label, _ = log_softmax(logits, labels)
    return -log_p_label - jnp.asarray(beta, log_p.dtype) * _entropy(log_p)


def bootstrap_soft(logits: ArrayLike, labels: ArrayLike, *, beta: ArrayLike = 0.95) -> jax.Array:
    """Soft bootstrapping: cross-entropy with the target beta onehot(y) + (1 - beta) softmax(z).

    L = -beta log p_y + (1 - beta) H(softmax(z)). The gradient flows through the target too; a target held
    constant would give beta times cross-entropy's gradient. See the module for arguments.

    Reference: Reed et al., 2015 (arXiv:1412.6596).
    """
    log_p, log_p_label, _ = log_softmax(logits, labels)
    beta = jnp.asarray(beta, log_p.dtype)
    return -beta * log_p_label + (1 - beta) * _entropy(log_p)


def bootstrap_hard(logits: ArrayLike, labels: ArrayLike, *, beta: ArrayLike = 0.8) -> jax.Array:
    """Hard bootstrapping: cross-entropy with the target beta onehot(y) + (1 - beta) onehot(argmax z).

    See the module for arguments.

    Reference: Reed et al., 2015 (arXiv:1412.6596).
    """
    log_p, log_p_label, _ = log_softmax(logits, labels)
    beta = jnp.asarray(beta, log_p.dtype)
    return -beta * log_p_label - (1 - beta) * log_p.max(-1)


def epsilon_softmax(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    m: ArrayLike = 1e5,
    alpha: ArrayLike = 0.01,
    beta: ArrayLike = 5.0,
    mae_scale: ArrayLike = 2.0,
    p_min: ArrayLike = 1e-8,
) -> jax.Array:
    """Cross-entropy on the epsilon-softmax, with MAE: L = alpha * -log p~_y + beta * mae_scale (1 - p_y).

    p~ = (softmax(z) + m onehot(argmax z)) / (1 + m); its p~_y is clipped from below at p_min, where no
    gradient flows. alpha = 1, beta = 0 is the loss ECE alone. MAE is on the plain softmax. See the module
    for arguments.

    Reference: Wang et al., NeurIPS 2024, epsilon-softmax.
    """
    log_p, log_p_label, labels = log_softmax(logits, labels)
    predicted = log_p.argmax(-1) == labels
    m, alpha, beta, mae_scale, p_min = (
        jnp.asarray(each, log_p.dtype) for each in (m, alpha, beta, mae_scale, p_min)
    )
    log_mixed = jnp.where(predicted, jnp.logaddexp(log_p_label, jnp.log(m)), log_p_label) - jnp.log1p(m)
    ece = -jnp.maximum(log_mixed, jnp.log(p_min))
    return alpha * ece - beta * mae_scale * jnp.expm1(log_p_label)


def proselflc(logits: ArrayLike, labels: ArrayLike, *, trust: ArrayLike) -> jax.Array:
    """Progressive self label correction: the target moves from the label to the prediction.

    Cross-entropy with the target (1 - e) onehot(y) + e softmax(z), e = trust * (1 - H(softmax(z)) / log C):
    the more certain the prediction, the more it is trusted. The gradient flows through the target, not
    through e. `trust`, the global trust in the model, is in [0, 1] and usually a
    schedule over training: 'proselflc' of `grjax.losses.schedules`. See the module for arguments.

    Reference: Wang et al., CVPR 2021 (arXiv:2005.03788).
    """
    log_p, log_p_label, _ = log_softmax(logits, labels)
    entropy = _entropy(log_p)
    certainty = 1 - entropy / jnp.log(jnp.asarray(log_p.shape[-1], log_p.dtype))
    e = jax.lax.stop_gradient(jnp.asarray(trust, log_p.dtype) * certainty)
    return -(1 - e) * log_p_label + e * entropy
