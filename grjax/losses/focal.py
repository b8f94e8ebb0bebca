"""The focal loss, with the gradient of what is written or with its factor held constant."""

from typing import Annotated

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grjax.emphasis import Combined, Normalization, log_not_p, log_p
from grjax.losses.agreement import LOG_2, family
from grjax.losses.rescaling import from_emphasis
from grjax.ranges import In, in_range


@family
class Focal:
    """L = -(1 - p)^gamma log p; w = 2 (1 - p) ((1 - p)^gamma - gamma p (1 - p)^(gamma - 1) log p)."""

    gamma: ArrayLike

    def value(self, log_odds: jax.Array) -> jax.Array:
        gamma = jnp.asarray(self.gamma, log_odds.dtype)
        return -jnp.exp(gamma * log_not_p(log_odds)) * log_p(log_odds)

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        gamma = jnp.asarray(self.gamma, log_odds.dtype)
        # -p log p / (1 - p), which goes to 1 for p to 1, where log p underflows: there it is 1 - (1 - p) / 2.
        certain = log_odds > 12
        safe = jnp.where(certain, 0, jnp.maximum(log_odds, -jnp.finfo(log_odds.dtype).max))
        ratio = jnp.where(certain, 1 - 0.5 * jnp.exp(-log_odds), jnp.exp(safe) * jax.nn.softplus(-safe))
        return FocalDetached(gamma).log_weight(log_odds) + jnp.log1p(gamma * ratio)


@family
class FocalDetached:
    """Focal's value, with the weight of code that holds (1 - p)^gamma constant: w = 2 (1 - p)^(gamma + 1)."""

    gamma: ArrayLike

    def value(self, log_odds: jax.Array) -> jax.Array:
        return Focal(self.gamma).value(log_odds)

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        gamma = jnp.asarray(self.gamma, log_odds.dtype)
        return Combined(b=gamma + 1, log_c=LOG_2).log_weight(log_odds)


def focal_weight(gamma: ArrayLike, detached: bool) -> Focal | FocalDetached:
    """The weight of `focal`, one of two."""
    return FocalDetached(gamma) if detached else Focal(gamma)


@in_range
def focal(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    gamma: Annotated[ArrayLike, In("[0, inf)")] = 0.5,
    detached: bool = False,
    epsilon: Annotated[ArrayLike, In("[0, inf)")] | None = None,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Focal loss: L = -(1 - p)^gamma log p.

    w = 2 (1 - p) ((1 - p)^gamma - gamma p (1 - p)^(gamma - 1) log p), the gradient of what is written. The
    code of APL, ALFs, ANL and JAL holds the focal factor constant: detached=True, w = 2 (1 - p)^(gamma + 1),
    which is the gradient of another loss than the value. gamma >= 0.

    Args:
      logits: `[..., C]`, floating. May hold -inf for classes that are masked out.
      labels: class indices in [0, C), `[...]`, integer.
      gamma: exponent of the focal factor, >= 0; 0 is without it. Scalar or broadcastable to `[...]`; may be
        traced.
      detached: hold the focal factor constant in the gradient, as the code of APL, ALFs, ANL and JAL does.
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
      >>> losses.focal(jnp.array([[2., 0., 0.], [0., 2., 0.]]), jnp.array([0, 0])).tolist()
      [0.111, 2.117]

    Reference: Lin et al., ICCV 2017 (arXiv:1708.02002).
    """
    emphasis = focal_weight(gamma, detached)
    return from_emphasis(
        logits, labels, emphasis, epsilon=epsilon, normalization=normalization, axis_name=axis_name
    )
