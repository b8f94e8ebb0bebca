"""Correction by the transition matrix T of the noise, T[i, j] = P(noisy label j | clean label i).

References: Patrini et al., CVPR 2017 (arXiv:1609.03683).
"""

from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from grjax.losses.inputs import log_softmax
from grjax.ranges import In, in_range


@in_range
def forward_correction(
    logits: ArrayLike, labels: ArrayLike, *, transition: Annotated[ArrayLike, In("[0, 1]")]
) -> jax.Array:
    """Forward correction: L = -log (T^T softmax(z))_y, cross-entropy of the noisy prediction.

    A label that T never gives, whose column is all 0, has the probability 0 whatever the prediction is: it
    says nothing about the clean class, so its loss is large, -log of the least normal number instead of
    infinity, and its gradient 0.

    Args:
      logits: `[..., C]`, floating and finite: of the clean label.
      labels: noisy class indices, `[...]`, integer.
      transition: T `[C, C]`, rows sum to 1; or a scalar r for symmetric noise of that rate, 1 - r on the
        diagonal and r / (C - 1) elsewhere. No gradient flows to it.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: arguments that do not fit, or a T whose rows are no distributions (where it is not
        traced).

    Reference: Patrini et al., CVPR 2017 (arXiv:1609.03683).
    """
    log_p, _, labels = log_softmax(logits, labels)
    matrix = _matrix(transition, log_p.shape[-1], log_p.dtype)
    columns = jnp.asarray(matrix).T
    never = (columns == 0).all(-1)
    to_label = jnp.log(jnp.where(never[:, None], 1, columns))[labels]  # [..., C]: log P(label | class)
    loss = -jax.nn.logsumexp(log_p + to_label, axis=-1)
    return jnp.where(never[labels], -jnp.log(jnp.finfo(log_p.dtype).tiny), loss)


@in_range
def backward_correction(
    logits: ArrayLike, labels: ArrayLike, *, transition: Annotated[ArrayLike, In("[0, 1]")]
) -> jax.Array:
    """Backward correction: L = sum over k of (T^-1)[y, k] (-log p_k), unbiased for the clean cross-entropy.

    Not bounded from below: T^-1 has negative entries.

    Args:
      logits: `[..., C]`, floating and finite: of the clean label.
      labels: noisy class indices, `[...]`, integer.
      transition: see `forward_correction`; not singular.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: see `forward_correction`; or T is singular.

    Reference: Patrini et al., CVPR 2017 (arXiv:1609.03683).
    """
    log_p, _, labels = log_softmax(logits, labels)
    matrix = _matrix(transition, log_p.shape[-1], log_p.dtype)
    if isinstance(matrix, np.ndarray) and np.linalg.cond(matrix) > 1e6:
        raise ValueError(
            "transition: is singular or nearly so, and backward correction needs its inverse; "
            "take a lower noise rate or forward correction"
        )
    return -(jnp.linalg.inv(jnp.asarray(matrix))[labels] * log_p).sum(-1)


def _matrix(transition: ArrayLike, num_classes: int, dtype: jnp.dtype) -> np.ndarray | jax.Array:
    """T [C, C] of a matrix or of a rate of symmetric noise: NumPy's, and checked, unless it is traced."""
    xp: Any = jnp if isinstance(transition, jax.core.Tracer) else np
    matrix = xp.asarray(transition, dtype)
    if matrix.ndim == 0:
        matrix = xp.where(xp.eye(num_classes, dtype=bool), 1 - matrix, matrix / (num_classes - 1))
    if matrix.shape != (num_classes, num_classes):
        raise ValueError(
            f"transition must be a rate or [{num_classes}, {num_classes}] for {num_classes} classes, "
            f"got {matrix.shape}"
        )
    if xp is np and not ((matrix >= 0).all() and np.allclose(matrix.sum(axis=1), 1, rtol=0, atol=1e-4)):
        raise ValueError(
            f"transition must be a rate in [0, 1], or each of its rows a distribution that sums to 1, "
            f"got {transition}"
        )
    return jax.lax.stop_gradient(matrix) if xp is jnp else matrix


def estimate_transition(probabilities: ArrayLike, *, percentile: float = 100.0) -> np.ndarray:
    """T estimated from anchor points: row i is the prediction for an example that is surely of class i.

    Anchors are found among the examples by the model that was trained on noisy labels: the one with the
    largest p_i, or, against outliers, the one at a percentile of p_i.

    Args:
      probabilities: noisy class posteriors of examples, `[N, C]`, rows sum to 1: softmax of a model trained
        with cross-entropy on the noisy labels.
      percentile: of p_i at which the anchor of class i stands, in [0, 100]. Patrini et al. take 97 for
        CIFAR-10 and 100, the largest, for CIFAR-100.

    Returns:
      T, float64 `[C, C]`, rows sum to 1.

    Raises:
      ValueError: arguments that do not fit.

    Example:
      >>> import numpy as np
      >>> from grjax import losses
      >>> losses.estimate_transition(np.array([[.9, .1], [.2, .8], [.6, .4]]))
      array([[0.9, 0.1],
             [0.2, 0.8]])

    Reference: Patrini et al., CVPR 2017 (arXiv:1609.03683), section 4.
    """
    predicted = np.asarray(probabilities, np.float64)
    if predicted.ndim != 2 or not len(predicted):
        raise ValueError(f"probabilities must be [N, C] with N > 0, got {predicted.shape}")
    if (predicted < 0).any() or not np.allclose(predicted.sum(axis=1), 1, atol=1e-3):
        raise ValueError("probabilities: every row must be a distribution that sums to 1")
    if not 0 <= percentile <= 100:
        raise ValueError(f"percentile must be in [0, 100], got {percentile}")
    cuts = np.percentile(predicted, percentile, axis=0, method="nearest")
    anchors = np.argmin(np.abs(predicted - cuts), axis=0)
    rows = predicted[anchors]
    return rows / rows.sum(axis=1, keepdims=True)
