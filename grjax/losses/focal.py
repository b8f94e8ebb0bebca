"""The focal loss, with the gradient of what is written or with its factor held constant."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grjax.emphasis import Combined, Normalization, log_not_p, log_p
from grjax.losses.agreement import LOG_2, family
from grjax.losses.rescaling import from_emphasis


@family
class Focal:
    """L = -(1 - p)^gamma log p; w = 2 (1 - p) ((1 - p)^gamma - gamma p (1 - p)^(gamma - 1) log p)."""

    gamma: ArrayLike = 0.5

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

    gamma: ArrayLike = 0.5

    def value(self, log_odds: jax.Array) -> jax.Array:
        return Focal(self.gamma).value(log_odds)

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        gamma = jnp.asarray(self.gamma, log_odds.dtype)
        return Combined(b=gamma + 1, log_c=LOG_2).log_weight(log_odds)


def focal(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    gamma: ArrayLike = 0.5,
    detached: bool = False,
    epsilon: ArrayLike | None = None,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Focal loss: L = -(1 - p)^gamma log p.

    w = 2 (1 - p) ((1 - p)^gamma - gamma p (1 - p)^(gamma - 1) log p), the gradient of what is written. The
    code of APL, ALFs, ANL and JAL holds the focal factor constant: detached=True, w = 2 (1 - p)^(gamma + 1),
    which is the gradient of another loss than the value. gamma >= 0. See `agreement` for arguments.

    Reference: Lin et al., ICCV 2017 (arXiv:1708.02002).
    """
    emphasis = FocalDetached(gamma) if detached else Focal(gamma)
    return from_emphasis(
        logits, labels, emphasis, epsilon=epsilon, normalization=normalization, axis_name=axis_name
    )
