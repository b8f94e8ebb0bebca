"""Cross-entropy on clipped logits."""

from typing import Annotated

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grjax.losses.agreement import cross_entropy
from grjax.losses.inputs import checked
from grjax.ranges import In, in_range


@in_range
def logit_clip(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    delta: Annotated[ArrayLike, In("(0, inf)")] = 1.0,
    threshold: Annotated[ArrayLike, In("(0, inf)")] | None = None,
) -> jax.Array:
    """Cross-entropy on logits whose L2 norm is clipped, so that the loss is bounded.

    z <- delta z / |z| where |z| > threshold. A threshold equal to delta is clipping as the paper has it, and
    the default; the code of the authors and of JAL has a threshold tau and delta = 1 / tau.

    Args:
      logits: `[..., C]`, floating and finite.
      labels: class indices, `[...]`, integer.
      delta: the norm that clipped logits get, > 0; may be traced.
      threshold: the norm from which on they are clipped; None: delta.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: arguments that do not fit.

    Reference: Wei et al., ICML 2023 (arXiv:2212.04055).
    """
    logits, labels = checked(logits, labels)
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    delta = jnp.asarray(delta, logits.dtype)
    threshold = delta if threshold is None else jnp.asarray(threshold, logits.dtype)
    # Logits are divided by their largest, so that no square overflows and no root is taken of 0.
    largest = jax.lax.stop_gradient(jnp.abs(logits).max(-1, keepdims=True))
    largest = jnp.where(largest > 0, largest, 1)
    squares = jnp.square(logits / largest).sum(-1, keepdims=True)
    norms = largest * jnp.sqrt(jnp.where(squares > 0, squares, 1)) * (squares > 0)
    clip = norms > threshold
    return cross_entropy(jnp.where(clip, delta * logits / jnp.where(clip, norms, 1), logits), labels)
