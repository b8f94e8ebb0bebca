"""Asymmetric losses of p alone: AGCE, AUL and AEL."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grjax.emphasis import Normalization, log_not_p, log_p
from grjax.losses.agreement import LOG_2, family
from grjax.losses.rescaling import from_emphasis


@family
class AGCE:
    """L = ((a + 1)^q - (a + p)^q) / q; w = 2 p (1 - p) (a + p)^(q - 1)."""

    a: ArrayLike = 0.6
    q: ArrayLike = 0.6

    def value(self, log_odds: jax.Array) -> jax.Array:
        a, q = jnp.asarray(self.a, log_odds.dtype), jnp.asarray(self.q, log_odds.dtype)
        base = a + jax.nn.sigmoid(log_odds)
        # (a + 1) / (a + p), without the cancellation of the difference near p = 1
        return base**q * jnp.expm1(q * jnp.log1p(jax.nn.sigmoid(-log_odds) / base)) / q

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        a, q = jnp.asarray(self.a, log_odds.dtype), jnp.asarray(self.q, log_odds.dtype)
        base = jnp.log(a + jax.nn.sigmoid(log_odds))
        return LOG_2 + log_p(log_odds) + log_not_p(log_odds) + (q - 1) * base


def agce(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    a: ArrayLike = 0.6,
    q: ArrayLike = 0.6,
    epsilon: ArrayLike | None = None,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Asymmetric generalised cross-entropy: L = ((a + 1)^q - (a + p)^q) / q.

    w = 2 p (1 - p) (a + p)^(q - 1). a, q > 0. See `agreement` for arguments.

    Reference: Zhou et al., ICML 2021 (arXiv:2106.03110).
    """
    return from_emphasis(
        logits, labels, AGCE(a, q), epsilon=epsilon, normalization=normalization, axis_name=axis_name
    )


@family
class AUL:
    """L = ((a - p)^q - (a - 1)^q) / q; w = 2 p (1 - p) (a - p)^(q - 1)."""

    a: ArrayLike = 5.5
    q: ArrayLike = 3.0

    def value(self, log_odds: jax.Array) -> jax.Array:
        a, q = jnp.asarray(self.a, log_odds.dtype), jnp.asarray(self.q, log_odds.dtype)
        least = a - 1
        return least**q * jnp.expm1(q * jnp.log1p(jax.nn.sigmoid(-log_odds) / least)) / q

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        a, q = jnp.asarray(self.a, log_odds.dtype), jnp.asarray(self.q, log_odds.dtype)
        base = jnp.log(a - jax.nn.sigmoid(log_odds))
        return LOG_2 + log_p(log_odds) + log_not_p(log_odds) + (q - 1) * base


def aul(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    a: ArrayLike = 5.5,
    q: ArrayLike = 3.0,
    epsilon: ArrayLike | None = None,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Asymmetric unhinged loss: L = ((a - p)^q - (a - 1)^q) / q.

    w = 2 p (1 - p) (a - p)^(q - 1). a > 1, q > 0. See `agreement` for arguments.

    Reference: Zhou et al., ICML 2021 (arXiv:2106.03110).
    """
    return from_emphasis(
        logits, labels, AUL(a, q), epsilon=epsilon, normalization=normalization, axis_name=axis_name
    )


@family
class AEL:
    """L = exp(-p / a); w = 2 p (1 - p) exp(-p / a) / a."""

    a: ArrayLike = 2.5

    def value(self, log_odds: jax.Array) -> jax.Array:
        return jnp.exp(-jax.nn.sigmoid(log_odds) / jnp.asarray(self.a, log_odds.dtype))

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        a = jnp.asarray(self.a, log_odds.dtype)
        exponent = -jax.nn.sigmoid(log_odds) / a - jnp.log(a)
        return LOG_2 + log_p(log_odds) + log_not_p(log_odds) + exponent


def ael(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    a: ArrayLike = 2.5,
    epsilon: ArrayLike | None = None,
    normalization: Normalization = "none",
    axis_name: str | None = None,
) -> jax.Array:
    """Asymmetric exponential loss: L = exp(-p / a), w = 2 p (1 - p) exp(-p / a) / a.

    Its least value is exp(-1 / a), not 0. a > 0. See `agreement` for arguments.

    Reference: Zhou et al., ICML 2021 (arXiv:2106.03110).
    """
    return from_emphasis(
        logits, labels, AEL(a), epsilon=epsilon, normalization=normalization, axis_name=axis_name
    )
