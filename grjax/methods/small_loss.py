"""Two networks that are trained on the examples of a batch with small loss: what such methods share.

A method of this kind says which examples are chosen and what is minimised over them (`Choose`); the share
that is left out, its estimate, and what is remembered of the choice are here.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, cast

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from grjax.data.feed import Batch, DeviceData
from grjax.devices import AXIS, PyTree
from grjax.errors import ConfigError
from grjax.losses.agreement import cross_entropy
from grjax.losses.memory import gather, scatter
from grjax.methods import sharpness
from grjax.methods.method import Method, Parts, Seen
from grjax.methods.network import Network, beginning, evaluated, forward, inputs
from grjax.methods.noise_rate import Estimate, Rate, estimated, no_estimate


class Pair(NamedTuple):
    """Two networks. A tuple, since stacked and vmapped convolutions are slower on a CPU."""

    first: Network
    second: Network


class Keeping(flax.struct.PyTreeNode):
    """The learner of these methods."""

    networks: Pair
    kept: jax.Array  # float32 [N]: the part of the terms that each example had when it last came by
    estimate: Estimate | tuple[()]  # of the noise rate; empty: it was given


class Term(NamedTuple):
    """Something that is minimised: the mean of some values over the examples that are chosen."""

    losses: jax.Array  # [B]
    chosen: jax.Array  # bool [B]


class Ranked(NamedTuple):
    """What a choice is made from, on one device: a pair each, of the first and the second network."""

    logits: Sequence[jax.Array]  # [B, C] each
    losses: Sequence[jax.Array]  # [B] each: the loss of the config
    cross_entropies: Sequence[jax.Array]  # [B] each
    forget: jax.Array  # []: the share to leave out
    epoch: jax.Array  # int32 []


Choose = Callable[[Ranked], list[Term]]


def begin_pair(parts: Parts) -> Callable[[ArrayLike, ArrayLike], Pair]:
    """The function (seed, noisy labels int32 [N]) -> two networks of different initial weights."""
    begin = beginning(parts)

    def init(seed: ArrayLike, labels: ArrayLike) -> Pair:
        key = jax.random.key(seed)
        return Pair(begin(key, labels), begin(jax.random.fold_in(key, 1), labels))

    return init


def refuse_mixing_and_views(parts: Parts, name: str) -> None:
    """Raises ConfigError where a config asks for what a method of this name does itself, or not at all."""
    if parts.mix is not None or parts.views > 1:
        raise ConfigError(f"method.name: {name!r} takes neither data.mixing nor data.views; leave them out")


def small_loss(parts: Parts, choose: Choose, *, rate: Rate, ramp_epochs: float, exponent: float) -> Method:
    """A method that leaves out a share F(t) = rate min(t / ramp_epochs, 1)^exponent of each batch.

    Args:
      parts: model, loss, optimiser and augmentation.
      choose: what is minimised over which examples.
      rate: see `co_teaching`, which also explains the others.
      ramp_epochs: T.
      exponent: c.
    """
    begin = begin_pair(parts)

    def init(seed: ArrayLike, labels: ArrayLike) -> Keeping:
        return Keeping(
            networks=begin(seed, labels),
            kept=jnp.ones(jnp.shape(labels)[0], jnp.float32),
            estimate=no_estimate(labels) if rate == "estimated" else (),
        )

    def step(learner: Keeping, step: jax.Array, data: DeviceData, batch: Batch) -> tuple[Keeping, Seen]:
        images, labels, _, dropout = inputs(parts, step, data, batch)
        networks, epoch = learner.networks, step // parts.steps_per_epoch
        known = learner.estimate.rate if isinstance(learner.estimate, Estimate) else cast(float, rate)
        forget = forgotten(epoch, rate=known, ramp_epochs=ramp_epochs, exponent=exponent)
        keys = dropout, jax.random.fold_in(dropout, 1)

        def objective(
            params: Sequence[PyTree], chosen: Sequence[jax.Array] | None = None
        ) -> tuple[jax.Array, tuple]:
            logits, batch_stats, losses, memories = [], [], [], []
            for network, its_params, key in zip(networks, params, keys, strict=True):
                z, stats = forward(parts, its_params, network.batch_stats, images, dropout=key)
                remembered = gather(network.loss_memory, batch.positions)
                of_each, rows = parts.loss.apply(z, labels, remembered, step)
                logits.append(z)
                batch_stats.append(stats)
                losses.append(of_each)
                memories.append(scatter(network.loss_memory, batch.positions, rows, AXIS))
            ranks = jax.lax.stop_gradient([cross_entropy(z, labels) for z in logits])
            terms = choose(Ranked(logits, losses, ranks, forget, epoch))
            if chosen is not None:  # at other parameters, of the same examples
                terms = [term._replace(chosen=same) for term, same in zip(terms, chosen, strict=True)]
            parts_of_batch = [_weights(term.chosen) for term in terms]
            # One for each example; the mean over all examples is the sum of the terms.
            values = [
                len(labels) * weights * term.losses
                for weights, term in zip(parts_of_batch, terms, strict=True)
            ]
            total = jnp.stack([value.mean() for value in values]).sum()
            return total, (logits, batch_stats, memories, terms, values)

        params = [network.params for network in networks]
        gradients, (logits, batch_stats, memories, terms, values) = gradient_of(objective, params)
        if parts.sam:  # each network climbs by itself
            above = [sharpness.ascended(*at, parts.sam) for at in zip(params, gradients, strict=True)]
            chosen = [term.chosen for term in terms]
            gradients, _ = gradient_of(lambda params: objective(params, chosen), above)
        after = [
            network.updated(parts, *changes)
            for network, *changes in zip(networks, gradients, batch_stats, memories, strict=True)
        ]
        kept = jnp.stack([term.chosen for term in terms]).mean(0, dtype=jnp.float32)
        learner = learner.replace(
            networks=Pair(*after), kept=scatter(learner.kept, batch.positions, kept, AXIS)
        )
        seen = Seen(
            batch.positions, labels, sum(logits) / 2, sum(values) / len(terms), metrics={"kept": kept.mean()}
        )
        return learner, seen

    def begin_epoch(learner: Keeping, records: Mapping[str, np.ndarray], epoch: int) -> Keeping:
        assert isinstance(learner.estimate, Estimate)
        return learner.replace(estimate=estimated(learner.estimate, records, epoch, until=ramp_epochs))

    def beliefs(learner: Keeping) -> dict[str, jax.Array]:
        guessed = learner.estimate
        return {"kept": learner.kept} | (
            {"noise_rate": guessed.rate} if isinstance(guessed, Estimate) else {}
        )

    return Method(
        init,
        step,
        lambda learner, images: pair_logits(parts, learner.networks, images),
        lambda learner, images, labels, step: pair_losses(
            parts, learner.networks, images, labels=labels, step=step
        ),
        begin_epoch if rate == "estimated" else None,
        beliefs=beliefs,
    )


def gradient_of(
    objective: Callable[[Sequence[PyTree]], tuple[jax.Array, tuple]], params: Sequence[PyTree]
) -> tuple[Sequence[PyTree], tuple]:
    """The gradients of both networks, the same on every device, and what else the objective returns."""
    gradients, aux = jax.grad(objective, has_aux=True)(params)
    return jax.lax.pmean(gradients, AXIS), aux


def pair_logits(parts: Parts, pair: Sequence[Network], images: jax.Array) -> jax.Array:
    """The mean of both networks' logits [B, C] in evaluation mode."""
    first, second = (evaluated(parts, network, images) for network in pair)
    return (first + second) / 2


def pair_losses(
    parts: Parts, pair: Sequence[Network], images: jax.Array, *, labels: jax.Array, step: jax.Array
) -> dict[str, jax.Array]:
    """Records of an evaluation [B]: the mean loss, and each network's cross-entropy."""
    each = [evaluated(parts, network, images) for network in pair]
    first, second = (cross_entropy(logits, labels) for logits in each)
    own = jnp.stack([parts.loss.evaluate(logits, labels, step) for logits in each]).mean(0)
    return {"losses": own, "first_cross_entropy": first, "second_cross_entropy": second}


def forgotten(epoch: ArrayLike, *, rate: ArrayLike, ramp_epochs: ArrayLike, exponent: ArrayLike) -> jax.Array:
    """The share of a batch that is left out in an epoch: rate min(epoch / ramp_epochs, 1)^exponent, []."""
    return jnp.asarray(rate * jnp.minimum(epoch / jnp.asarray(ramp_epochs, jnp.float32), 1.0) ** exponent)


def num_kept(num_examples: ArrayLike, forget: ArrayLike) -> jax.Array:
    """How many of some examples are kept: int32 [], (1 - forget) of them, rounded down, at least 1.

    Example:
      >>> from grjax.methods.small_loss import forgotten, num_kept
      >>> options = {"rate": 0.4, "ramp_epochs": 10, "exponent": 1.0}
      >>> [int(num_kept(100, forgotten(epoch, **options))) for epoch in (0, 5, 10, 99)]
      [100, 80, 60, 60]
    """
    # Rounded before it is cut: 100 (1 - 0.4) in float32 must not become 59.
    return jnp.maximum(jnp.floor(jnp.round(num_examples * (1 - forget), 3)), 1).astype(jnp.int32)


def smallest(losses: jax.Array, count: ArrayLike) -> jax.Array:
    """Whether each example of this device is among the `count` smallest losses of all devices: bool [B].

    Equal losses rank by their place in the global batch, so that the number of devices does not matter.
    """
    every = jax.lax.all_gather(losses, AXIS, tiled=True)
    rank = jnp.argsort(jnp.argsort(every))  # both are stable
    first = jax.lax.axis_index(AXIS) * len(losses)
    return jax.lax.dynamic_slice_in_dim(rank, first, len(losses)) < count


def size_of_batch(values: jax.Array) -> int:
    """The number of examples of all devices, from values [B] of one."""
    return len(values) * jax.lax.axis_size(AXIS)


def _weights(chosen: jax.Array) -> jax.Array:
    """Weights [B] whose sum over a device is, after a mean over devices, the mean over the chosen ones."""
    chosen = chosen.astype(jnp.float32)
    count = jax.lax.psum(chosen.sum(), AXIS)
    return chosen * (jax.lax.axis_size(AXIS) / jnp.maximum(count, 1))
