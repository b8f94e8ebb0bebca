"""Two networks that each choose the examples the other is trained on."""

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grjax.data.feed import Batch, DeviceData
from grjax.devices import AXIS, PyTree
from grjax.errors import ConfigError
from grjax.losses.agreement import cross_entropy
from grjax.losses.memory import Memory, gather, scatter
from grjax.methods import sharpness
from grjax.methods.method import Method, Parts, Seen
from grjax.methods.network import Network, beginning, evaluated, forward, inputs
from grjax.ranges import In


class Pair(NamedTuple):
    """The learner: two networks. A tuple, since stacked and vmapped convolutions are slower on a CPU."""

    first: Network
    second: Network


def co_teaching(
    parts: Parts,
    *,
    rate: Annotated[float, In("[0, 1)")],
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
      ramp_epochs: T > 0, epochs until that share is reached; may be a fraction.
      exponent: c > 0, how the share grows.

    Returns:
      The method; its learner is a `Pair`, and its records of an evaluation have the cross-entropy of each
      network, 'first_cross_entropy' and 'second_cross_entropy'.

    Raises:
      ConfigError: a value out of its range, or a config with mixing or more than one view.

    Reference: Han et al., NeurIPS 2018 (arXiv:1804.06872).
    """
    if parts.mix is not None or parts.views > 1:
        raise ConfigError(
            "method.name: 'co_teaching' takes neither data.mixing nor data.views; leave them out"
        )
    begin = beginning(parts)

    def init(seed: ArrayLike, labels: ArrayLike) -> Pair:
        key = jax.random.key(seed)
        return Pair(begin(key, labels), begin(jax.random.fold_in(key, 1), labels))

    def step(pair: Pair, step: jax.Array, data: DeviceData, batch: Batch) -> tuple[Pair, Seen]:
        images, labels, _, dropout = inputs(parts, step, data, batch)
        num_examples = len(labels) * jax.lax.axis_size(AXIS)
        epoch = step // parts.steps_per_epoch
        kept = num_kept(num_examples, epoch, rate=rate, ramp_epochs=ramp_epochs, exponent=exponent)

        def losses_of(network: Network, key: jax.Array):
            remembered = gather(network.loss_memory, batch.positions)

            def at(params: PyTree) -> tuple[jax.Array, tuple[jax.Array, PyTree, Memory]]:
                logits, batch_stats = forward(parts, params, network.batch_stats, images, dropout=key)
                losses, rows = parts.loss.apply(logits, labels, remembered, step)
                return losses, (logits, batch_stats, rows)

            return at

        keys = dropout, jax.random.fold_in(dropout, 1)
        functions = [losses_of(network, key) for network, key in zip(pair, keys, strict=True)]
        runs = [
            jax.vjp(of, network.params, has_aux=True) for of, network in zip(functions, pair, strict=True)
        ]
        easy = [smallest(cross_entropy(logits, labels), kept) for _, _, (logits, _, _) in runs]
        after, means = [], []
        for network, of, (losses, pull_back, (_, batch_stats, rows)), chosen in zip(
            pair, functions, runs, reversed(easy), strict=True
        ):
            # The mean over the chosen examples of all devices: pmean divides by the devices once more.
            weights = chosen * (jax.lax.axis_size(AXIS) / kept).astype(losses.dtype)

            def pulled(pull_back: Any, weights: jax.Array = weights) -> PyTree:
                return jax.lax.pmean(pull_back(weights)[0], AXIS)

            def further(params: PyTree, of: Any = of, pulled: Any = pulled) -> PyTree:
                return pulled(jax.vjp(of, params, has_aux=True)[1])

            gradients = sharpness.aware(network.params, pulled(pull_back), further, rho=parts.sam)
            memory = scatter(network.loss_memory, batch.positions, rows, AXIS)
            after.append(network.updated(parts, gradients, batch_stats, memory))
            means.append(len(labels) * weights * losses)  # whose mean is that over the chosen examples
        logits = sum(logits for _, _, (logits, _, _) in runs) / 2
        kept_share = {"kept": jnp.asarray(kept / num_examples, jnp.float32)}
        return Pair(*after), Seen(batch.positions, labels, logits, sum(means) / 2, metrics=kept_share)

    def of_each(pair: Pair, images: jax.Array) -> list[jax.Array]:
        return [evaluated(parts, network, images) for network in pair]

    def logits(pair: Pair, images: jax.Array) -> jax.Array:
        first, second = of_each(pair, images)
        return (first + second) / 2

    def losses(pair: Pair, images: jax.Array, labels: jax.Array, step: jax.Array) -> dict[str, jax.Array]:
        each = of_each(pair, images)
        first, second = (cross_entropy(logits, labels) for logits in each)
        own = jnp.stack([parts.loss.evaluate(logits, labels, step) for logits in each]).mean(0)
        return {"losses": own, "first_cross_entropy": first, "second_cross_entropy": second}

    return Method(init, step, logits, losses)


def num_kept(
    num_examples: int, epoch: ArrayLike, *, rate: ArrayLike, ramp_epochs: ArrayLike, exponent: ArrayLike
) -> jax.Array:
    """How many examples of a batch are kept in an epoch: int32 [], (1 - F) of them, rounded down, at least 1.

    Example:
      >>> from grjax.methods.co_teaching import num_kept
      >>> options = {"rate": 0.4, "ramp_epochs": 10, "exponent": 1.0}
      >>> [int(num_kept(100, epoch, **options)) for epoch in (0, 5, 10, 99)]
      [100, 80, 60, 60]
    """
    forget = rate * jnp.minimum(epoch / jnp.asarray(ramp_epochs, jnp.float32), 1.0) ** exponent
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
