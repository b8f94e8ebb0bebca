"""Distances between the prediction as a whole and the label: Brier and Jensen-Shannon.

`brier` and `gjs` take logits `[..., C]`, floating and finite, and labels `[...]`, integer; return the loss
of each example, `[...]`, in float32 at least; and raise `ValueError` for arguments that do not fit. The
Jensen-Shannon loss of one view depends on p alone: `js` is a weight on cross-entropy's direction.
"""

from typing import Annotated

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grjax.emphasis import Normalization, log_not_p, log_p
from grjax.losses.agreement import LOG_2, family
from grjax.losses.inputs import log_softmax
from grjax.losses.rescaling import from_emphasis
from grjax.ranges import In, in_range


def brier(logits: ArrayLike, labels: ArrayLike) -> jax.Array:
    """Brier score: L = |softmax(z) - onehot(y)|^2, in [0, 2].

    The sum over all classes, not their mean; `mse` is the label's class alone.

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
      >>> losses.brier(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [0.068, 1.429]

    Reference: Brier, 1950.
    """
    log_p, log_p_label, labels = log_softmax(logits, labels)
    is_label = jax.nn.one_hot(labels, log_p.shape[-1], dtype=bool)
    others = jnp.where(is_label, 0, jnp.exp(2 * log_p)).sum(-1)
    return jnp.expm1(log_p_label) ** 2 + others


@family
class JS:
    """Jensen-Shannon divergence; w = 2 p (1 - p) log(1 + pi / ((1 - pi) p)) / -log(1 - pi)."""

    pi: ArrayLike

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
        return LOG_2 + powers + jnp.log(log_ratio) - jnp.log(-log_rest)


@in_range
def js(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    pi: Annotated[ArrayLike, In("(0, 1)")] = 0.5,
    epsilon: Annotated[ArrayLike, In("[0, inf)")] | None = None,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Jensen-Shannon loss: L = (pi KL(e_y | m) + (1 - pi) KL(softmax | m)) / Z.

    m = pi e_y + (1 - pi) softmax, and Z = -(1 - pi) log(1 - pi) makes it cross-entropy in the limit pi -> 0
    and half the MAE of scale 2 in the limit pi -> 1. Although it is written with all classes, it depends on
    p alone: w = 2 p (1 - p) log(1 + pi / ((1 - pi) p)) / -log(1 - pi). 0 < pi < 1, the weight of the label.

    Args:
      logits: `[..., C]`, floating. May hold -inf for classes that are masked out.
      labels: class indices in [0, C), `[...]`, integer.
      pi: weight of the label, 0 < pi < 1. Scalar or broadcastable to `[...]`; may be traced.
      epsilon: lets fitted examples fade out: the gradient is divided by 2 (1 - p) + epsilon, >= 0,
        instead of 2 (1 - p); see `gradient_rescaling`. None: 0, the gradient of the value; 1e-6 under
        normalization='batch'.
      normalization: by what value and gradient are divided: 'none'; 'integral', that of w over p in [0, 1]
        (derivative normalisation, X-DN in the GR paper); 'batch', the mean of w over all examples of the
        call.
      axis_name: for 'batch' inside `jax.pmap` or `jax.shard_map`: the axis over which the batch is spread.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or a
        hyper-parameter out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.js(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [0.231, 1.494]

    Reference: Englesson & Azizpour, NeurIPS 2021 (arXiv:2105.04522).
    """
    return from_emphasis(
        logits, labels, JS(pi), epsilon=epsilon, normalization=normalization, axis_name=axis_name
    )


@in_range
def gjs(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    views: ArrayLike | None = None,
    pi: Annotated[ArrayLike, In("(0, 1)")] = 0.5,
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


@in_range
def rll(
    logits: ArrayLike, labels: ArrayLike, *, alpha: Annotated[ArrayLike, In("(0, inf)")] = 0.01
) -> jax.Array:
    """Robust log loss: L = log((alpha + 1) / (alpha + p_y)) - mean over k != y of log(alpha / (alpha + p_k)).

    It is 0 where the label has all of the probability, and bounded from both sides.

    Args:
      logits: `[..., C]`, floating and finite.
      labels: class indices in [0, C), `[...]`, integer.
      alpha: > 0; the smaller, the closer to a logarithm. May be traced.

    Returns:
      The loss of each example, `[...]`, float32 (float64 for float64 logits).

    Raises:
      ValueError: shapes that do not fit, logits that are not floating, labels that are not integers, or a
        hyper-parameter out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import losses
      >>> losses.rll(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [2.692, 5.577]

    Reference: Patel & Sastry, PAKDD 2021 (arXiv:2107.09957).
    """
    log_p, log_p_label, labels = log_softmax(logits, labels)
    alpha = jnp.asarray(alpha, log_p.dtype)
    is_label = jax.nn.one_hot(labels, log_p.shape[-1], dtype=bool)
    # log(1 + p / alpha) of each class: exact where p is small.
    above = jnp.log1p(jnp.exp(log_p) / alpha)
    of_others = jnp.where(is_label, 0, above).sum(-1) / (log_p.shape[-1] - 1)
    # log((alpha + 1) / (alpha + p_y)), exact where p_y is near 1, and where it is near 0.
    near_1 = -jnp.log1p(jnp.expm1(log_p_label) / (alpha + 1))
    near_0 = jnp.log1p(1 / alpha) - jnp.log1p(jnp.exp(log_p_label) / alpha)
    of_label = jnp.where(log_p_label > -0.7, near_1, near_0)
    return of_label + of_others
