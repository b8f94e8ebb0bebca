"""The label-distributionally robust loss with a KL regulariser."""

from typing import Annotated, Literal

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grjax.losses.inputs import at_label, checked
from grjax.ranges import In, in_range


@in_range
def ldr_kl(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    lam: Annotated[ArrayLike, In("(0, inf)")] = 10.0,
    margin: Annotated[ArrayLike, In("[0, inf)")] = 0.1,
    scores: Literal["logits", "softplus"] = "logits",
) -> jax.Array:
    """LDR-KL: L = lam log( (1 / C) sum over k of exp((z_k - z_y + margin [k != y]) / lam) ).

    The largest, over distributions q of labels, of the mean margin violation less lam KL(q | uniform).
    lam = 1 with margin 0 is cross-entropy less log C; lam -> 0 the multi-class hinge loss of Crammer and
    Singer; lam -> infinity the mean violation, which is symmetric and thus robust.

    The code of the authors, and JAL's, takes softplus(z) over its mean over the classes for z, and their
    published hyper-parameters are for that: scores='softplus', as the published defaults have it.

    Args:
      logits: `[..., C]`, floating and finite.
      labels: class indices, `[...]`, integer.
      lam: > 0; may be traced.
      margin: >= 0; may be traced.
      scores: what stands for z in the formula: the 'logits' themselves, or 'softplus', normalised.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: arguments that do not fit.

    Reference: Zhu et al., ICML 2023 (arXiv:2112.14869).
    """
    logits, labels = checked(logits, labels)
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    lam, margin = jnp.asarray(lam, logits.dtype), jnp.asarray(margin, logits.dtype)
    if scores == "softplus":
        # softplus(z) over its mean is C softmax(log softplus(z)), which does not underflow. Far below 0,
        # log softplus(z) is z - exp(z) / 2.
        low = logits < -15
        high = jnp.log(jax.nn.softplus(jnp.where(low, 0, logits)))
        of_low = jnp.where(low, logits, 0) - jnp.exp(jnp.where(low, logits, 0)) / 2
        logits = logits.shape[-1] * jax.nn.softmax(jnp.where(low, of_low, high))
    elif scores != "logits":
        raise ValueError(f"scores must be 'logits' or 'softplus', got {scores!r}")
    is_label = jax.nn.one_hot(labels, logits.shape[-1], dtype=bool)
    violations = logits - at_label(logits, labels)[..., None] + jnp.where(is_label, 0, margin)
    return lam * (jax.nn.logsumexp(violations / lam, axis=-1) - jnp.log(float(logits.shape[-1])))
