"""What every loss does first: look at its arguments, and widen narrow logits."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

Loss = Callable[..., jax.Array]  # (logits [..., C], labels [...]) -> [...]


def checked(logits: ArrayLike, labels: ArrayLike) -> tuple[jax.Array, jax.Array]:
    """Logits [..., C] and labels [...] as arrays, in their dtypes; labels at least int32.

    Raises:
      ValueError: shapes that do not fit, labels that are not integers, or logits that are not floating.
    """
    logits, labels = jnp.asarray(logits), jnp.asarray(labels)
    if not jnp.issubdtype(logits.dtype, jnp.floating) or logits.ndim == 0:
        raise ValueError(f"logits must be floating [..., C], got {logits.dtype} {list(logits.shape)}")
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(f"labels must be integer class indices, got {labels.dtype}")
    if labels.shape != logits.shape[:-1]:
        raise ValueError(
            f"labels must have the logits' shape without the last axis: "
            f"logits {logits.shape}, labels {labels.shape}"
        )
    # An int8 index cannot count the classes of wider logits.
    return logits, labels.astype(jnp.int32) if labels.dtype.itemsize < 4 else labels


def log_softmax(logits: ArrayLike, labels: ArrayLike) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Log-probabilities [..., C] in float32 at least, their entries at the labels [...], and the labels.

    Exact, as is the gradient through it, where one class is nearly certain: of the largest logit z_a,
    log p_j = (z_j - z_a) - log1p(sum_{k != a} exp(z_k - z_a)), in which the small sum is added to no 1.

    Raises:
      ValueError: see `checked`.
    """
    logits, labels = checked(logits, labels)
    log_p = log_probabilities(logits)
    return log_p, at_label(log_p, labels), labels


def log_probabilities(logits: jax.Array) -> jax.Array:
    """Log softmax of logits [..., C], in float32 at least; see `log_softmax`."""
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    largest = logits.argmax(-1, keepdims=True)
    is_largest = jax.lax.broadcasted_iota(largest.dtype, logits.shape, logits.ndim - 1) == largest
    # What is masked here has no gradient, so that none of 1 is added to the small ones and taken away again.
    shifted = jnp.where(is_largest, 0.0, logits - jnp.take_along_axis(logits, largest, axis=-1))
    others = jnp.where(is_largest, 0.0, jnp.exp(shifted)).sum(-1, keepdims=True)
    return shifted - jnp.log1p(others)


def at_label(values: jax.Array, labels: jax.Array) -> jax.Array:
    """The entries of values [..., C] at the labels [...]."""
    return jnp.take_along_axis(values, labels[..., None], axis=-1)[..., 0]
