"""The mutual information of labels and predictions by a determinant, a loss of a batch as a whole."""

from typing import Annotated

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grjax.losses.inputs import log_softmax
from grjax.ranges import In, in_range


@in_range
def dmi(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    offset: Annotated[ArrayLike, In("(0, inf)")] = 1e-3,
    axis_name: str | None = None,
) -> jax.Array:
    """Determinant-based mutual information: L = -log(|det U| + offset), U = sum of onehot(y) softmax(z)^T.

    The sum is over all examples of the call, also those that the caller masks out afterwards. Each example
    has the share L + f (C - n e_y^T U^-T p) of it, with n examples, f = |det U| / (|det U| + offset) and U
    held constant: the mean over the batch is L, in value and gradient. Where det U is 0, as of a batch in
    which a class is missing, the gradient is 0: a batch must hold each class several times. The authors
    begin with a network that was trained with cross-entropy.

    Args:
      logits: `[..., C]`, floating and finite.
      labels: class indices in [0, C), `[...]`, integer.
      offset: of the determinant of U, whose entries are counts, > 0; may be traced.
      axis_name: inside `jax.pmap` or `jax.shard_map`: the axis over which the batch is spread.

    Returns:
      The share of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or an
        offset out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.dmi(jnp.array([[2., 0.], [0., 2.]]), jnp.array([0, 1])).tolist()
      [0.271, 0.271]

    Reference: Xu et al., NeurIPS 2019 (arXiv:1909.03388), in the authors' code.
    """
    log_p, _, labels = log_softmax(logits, labels)
    p, num_classes = jnp.exp(log_p), log_p.shape[-1]
    rows = jax.lax.stop_gradient(p).reshape(-1, num_classes)
    joint = jnp.zeros((num_classes, num_classes), p.dtype).at[labels.reshape(-1)].add(rows)
    number = jnp.asarray(len(rows), p.dtype)
    if axis_name is not None:
        joint, number = jax.lax.psum((joint, number), axis_name)
    log_offset = jnp.log(jnp.asarray(offset, p.dtype))
    log_det = jnp.linalg.slogdet(joint)[1]
    regular = jnp.isfinite(log_det)
    inverse = jnp.linalg.inv(jnp.where(regular, joint, jnp.eye(num_classes, dtype=p.dtype)))
    fraction = jnp.where(regular, jax.nn.sigmoid(log_det - log_offset), 0)
    of_label = jnp.moveaxis(inverse, 0, 1)[labels]  # d log|det U| / dp, [..., C]
    share = num_classes - number * (of_label * p).sum(-1)
    return fraction * share - jnp.logaddexp(jnp.where(regular, log_det, -jnp.inf), log_offset)
