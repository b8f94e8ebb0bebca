"""Two networks that are trained to agree, on the examples on which they do."""

from collections.abc import Sequence
from typing import Annotated

import jax
import jax.numpy as jnp

from grjax.methods.method import Method, Parts
from grjax.methods.noise_rate import Rate
from grjax.methods.small_loss import (
    Ranked,
    Term,
    num_kept,
    refuse_mixing_and_views,
    size_of_batch,
    small_loss,
    smallest,
)
from grjax.ranges import In


def jocor(
    parts: Parts,
    *,
    rate: Rate = "estimated",
    ramp_epochs: Annotated[float, In("(0, inf)")] = 10.0,
    exponent: Annotated[float, In("(0, inf)")] = 1.0,
    lam: Annotated[float, In("[0, 1]")] = 0.9,
) -> Method:
    """JoCoR: two networks minimise one loss, which has a term for how much they differ.

    L = (1 - lam) (loss of the first + loss of the second) + lam (KL(p1 || p2) + KL(p2 || p1)) for each
    example. The (1 - F(t)) B examples of a batch with the smallest L, with cross-entropy for the loss, are
    kept, and both networks are trained on the mean of L over them; F(t) is that of `co_teaching`.

    Args:
      parts: see `co_teaching`.
      rate: see `co_teaching`, which also explains `ramp_epochs` and `exponent`. Published: the noise
        rate, half of it for asymmetric noise.
      ramp_epochs: T > 0.
      exponent: c > 0.
      lam: weight of the agreement, in [0, 1]; published: 0.9, at a rate of 0.8 0.65, for CIFAR-100 0.85.

    Returns:
      The method; see `co_teaching`. Each network has an optimiser of its own, which is the same as one for
      both where the update of a parameter follows from its own gradients.

    Raises:
      ConfigError: a value out of its range, or a config with mixing or more than one view.

    Reference: Wei et al., CVPR 2020 (arXiv:2003.02752).
    """
    refuse_mixing_and_views(parts, "jocor")

    def choose(batch: Ranked) -> list[Term]:
        apart = symmetric_divergence(*batch.logits)

        def joint(losses: Sequence[jax.Array]) -> jax.Array:
            return (1 - lam) * (losses[0] + losses[1]) + lam * apart

        kept = num_kept(size_of_batch(apart), batch.forget)
        easy = smallest(jax.lax.stop_gradient(joint(batch.cross_entropies)), kept)
        return [Term(joint(batch.losses), easy)]

    return small_loss(parts, choose, rate=rate, ramp_epochs=ramp_epochs, exponent=exponent)


def symmetric_divergence(first: jax.Array, second: jax.Array) -> jax.Array:
    """KL(p1 || p2) + KL(p2 || p1) of two softmax distributions, from logits [B, C] each: [B].

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax.methods.jocor import symmetric_divergence
      >>> symmetric_divergence(jnp.array([[0.0, 0.0]]), jnp.array([[1.0, 0.0]]))
      Array([0.231], dtype=float32)
    """
    log_p, log_q = jax.nn.log_softmax(first), jax.nn.log_softmax(second)
    # Both divergences have the difference of the logarithms in common.
    return ((jnp.exp(log_p) - jnp.exp(log_q)) * (log_p - log_q)).sum(-1)
