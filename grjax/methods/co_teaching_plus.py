"""Co-teaching on the examples about which two networks disagree."""

from typing import Annotated

import jax
import jax.numpy as jnp

from grjax.devices import AXIS
from grjax.methods.method import Method, Parts
from grjax.methods.noise_rate import Rate
from grjax.methods.small_loss import (
    Ranked,
    Term,
    num_kept,
    refuse_mixing_and_views,
    small_loss,
    smallest,
)
from grjax.ranges import In


def co_teaching_plus(
    parts: Parts,
    *,
    rate: Rate = "estimated",
    ramp_epochs: Annotated[float, In("(0, inf)")] = 10.0,
    exponent: Annotated[float, In("(0, inf)")] = 1.0,
    agreeing_epochs: Annotated[float, In("[0, inf)")] = 20.0,
) -> Method:
    """Co-teaching+: after some epochs only examples whose two predictions differ can be chosen.

    It is Co-teaching for `agreeing_epochs`. From then on the D examples of a batch for which the networks
    predict different classes are ranked, and each network is trained on the (1 - F) D of them that the other
    finds easiest, at least one; where none differs, there is no gradient.

    Args:
      parts: see `co_teaching`.
      rate: see `co_teaching`, which also explains `ramp_epochs` and `exponent`.
      ramp_epochs: T > 0.
      exponent: c > 0.
      agreeing_epochs: epochs of Co-teaching at the beginning, >= 0; published: 20 for CIFAR-10, 5 for
        CIFAR-100, 0 for MNIST.

    Returns:
      The method; see `co_teaching`.

    Raises:
      ConfigError: a value out of its range, or a config with mixing or more than one view.

    Reference: Yu et al., ICML 2019 (arXiv:1901.04215).
    """
    refuse_mixing_and_views(parts, "co_teaching_plus")

    def choose(batch: Ranked) -> list[Term]:
        predicted = [logits.argmax(-1) for logits in batch.logits]
        eligible = (predicted[0] != predicted[1]) | (batch.epoch < agreeing_epochs)
        kept = num_kept(jax.lax.psum(eligible.sum(), AXIS), batch.forget)
        easy_to_first, easy_to_second = (
            smallest(jnp.where(eligible, losses, jnp.inf), kept) & eligible
            for losses in batch.cross_entropies
        )
        first, second = batch.losses
        return [Term(first, easy_to_second), Term(second, easy_to_first)]

    return small_loss(parts, choose, rate=rate, ramp_epochs=ramp_epochs, exponent=exponent)
