"""Distances between the prediction as a whole and the label: Brier and generalised Jensen-Shannon.

Both take logits `[..., C]`, floating and finite, and labels `[...]`, integer; return the loss of each
example, `[...]`, in float32 at least; and raise `ValueError` for arguments that do not fit. The
Jensen-Shannon loss of one view depends on p alone: `js`.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grjax.losses.inputs import log_softmax


def brier(logits: ArrayLike, labels: ArrayLike) -> jax.Array:
    """Brier score: L = |softmax(z) - onehot(y)|^2, in [0, 2].

    The sum over all classes, not their mean; `mse` is the label's class alone. See the module for arguments.

    Reference: Brier, 1950.
    """
    log_p, log_p_label, labels = log_softmax(logits, labels)
    is_label = jax.nn.one_hot(labels, log_p.shape[-1], dtype=bool)
    others = jnp.where(is_label, 0, jnp.exp(2 * log_p)).sum(-1)
    return jnp.expm1(log_p_label) ** 2 + others


def gjs(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    views: ArrayLike | None = None,
    pi: ArrayLike = 0.5,
) -> jax.Array:
    """Generalised Jensen-Shannon loss of the label and the predictions for several views of an example.

    L = (pi KL(e_y | m) + (1 - pi) / V * sum over views v of KL(p_v | m)) / Z, with m = pi e_y +
    (1 - pi) / V * sum of p_v and Z = -(1 - pi) log(1 - pi). It asks for consistency of the views beside
    agreement with the label. With one view it is `js`.

    Args:
      logits: of one view, `[..., C]`, floating and finite.
      labels: class indices, `[...]`, integer.
      views: logits of the other V - 1 views, `[V - 1, ..., C]`; None: there is one view.
      pi: weight of the label, 0 < pi < 1; may be traced.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: arguments that do not fit.

    Reference: Englesson & Azizpour, NeurIPS 2021 (arXiv:2105.04522).
    """
    log_p, _, labels = log_softmax(logits, labels)
    stacked = log_p[None]
    if views is not None:
        others = jnp.asarray(views)
        if others.shape[1:] != log_p.shape:
            raise ValueError(
                f"views must be [V - 1, *logits.shape], logits {log_p.shape}, views {others.shape}"
            )
        stacked = jnp.concatenate([stacked, jax.nn.log_softmax(others.astype(log_p.dtype))])
    pi = jnp.asarray(pi, log_p.dtype)
    log_rest = jnp.log1p(-pi)
    log_mean = jax.nn.logsumexp(stacked, axis=0) - jnp.log(float(len(stacked)))
    is_label = jax.nn.one_hot(labels, log_p.shape[-1], dtype=bool)
    log_m = log_rest + log_mean
    log_m = jnp.where(is_label, jnp.logaddexp(log_m, jnp.log(pi)), log_m)
    of_label = -jnp.where(is_label, log_m, 0).sum(-1)
    of_views = (jnp.exp(stacked) * (stacked - log_m[None])).sum(-1).mean(0)
    return (pi * of_label + (1 - pi) * of_views) / (-(1 - pi) * log_rest)
