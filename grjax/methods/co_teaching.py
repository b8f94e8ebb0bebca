"""Two networks that each choose the examples the other is trained on."""

from typing import Annotated

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


def co_teaching(
    parts: Parts,
    *,
    rate: Rate = "estimated",
    ramp_epochs: Annotated[float, In("(0, inf)")] = 10.0,
    exponent: Annotated[float, In("(0, inf)")] = 1.0,
) -> Method:
    """Co-teaching: each network is trained on the examples of a batch that the other finds easiest.

    Both networks see the same batch. Each ranks its examples by its own cross-entropy, and names those with
    the smallest, a share 1 - F(t) of the batch; the other network minimises the mean of its loss over these.
    F(t) = rate min(t / T, 1)^c for epoch t from 0 and T = `ramp_epochs`: training begins with all examples,
    and drops those of large loss before the networks fit them. Evaluation takes the mean of both logits.

    Args:
      parts: model, loss, optimiser and augmentation; without mixing and further views. The loss may be any,
        the published method's is cross-entropy.
      rate: the share of each batch that is left out in the end, in [0, 1); published: the noise rate.
        'estimated': from a mixture on p, anew each epoch until T; see `grjax.methods.noise_rate`.
      ramp_epochs: T > 0, epochs until that share is reached; may be a fraction.
      exponent: c > 0, how the share grows.

    Returns:
      The method; its learner is a `grjax.methods.small_loss.Keeping`, and its records of an evaluation have
      the cross-entropy of each network, 'first_cross_entropy' and 'second_cross_entropy'.

    Raises:
      ConfigError: a value out of its range, or a config with mixing or more than one view.

    Reference: Han et al., NeurIPS 2018 (arXiv:1804.06872).
    """
    refuse_mixing_and_views(parts, "co_teaching")

    def choose(batch: Ranked) -> list[Term]:
        kept = num_kept(size_of_batch(batch.losses[0]), batch.forget)
        easy_to_first, easy_to_second = (smallest(losses, kept) for losses in batch.cross_entropies)
        first, second = batch.losses
        return [Term(first, easy_to_second), Term(second, easy_to_first)]

    return small_loss(parts, choose, rate=rate, ramp_epochs=ramp_epochs, exponent=exponent)
