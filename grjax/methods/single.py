"""One network, one loss: the method of every robust loss."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grjax.data.feed import Batch, DeviceData
from grjax.data.mixing import partners
from grjax.devices import AXIS, PyTree
from grjax.losses.memory import Memory, TrainingLoss, gather, scatter
from grjax.methods.method import Method, Parts, Seen
from grjax.methods.network import Inputs, Network, beginning, evaluated, forward, gradient, inputs

# What a forward pass leaves beside the losses: logits of the first view [B, C], the batch-norm statistics
# after it, and the rows of the loss' memory after it.
Left = tuple[jax.Array, PyTree, Memory]


def single(parts: Parts) -> Method:
    """Trains one network by stochastic gradient descent on the mean of the loss.

    Args:
      parts: model, loss, optimiser and augmentation.

    Returns:
      The method; its learner is a `Network`.
    """
    begin = beginning(parts)

    def init(seed: ArrayLike, labels: ArrayLike) -> Network:
        return begin(jax.random.key(seed), labels)

    def step(network: Network, step: jax.Array, data: DeviceData, batch: Batch) -> tuple[Network, Seen]:
        given = inputs(parts, step, data, batch)
        losses_at = example_losses(parts, network, given, batch, step)

        def mean_loss(params: PyTree) -> tuple[jax.Array, tuple[jax.Array, Left]]:
            losses, left = losses_at(params, parts.loss)
            return losses.mean(), (losses, left)

        gradients, (losses, (logits, batch_stats, rows)) = gradient(parts, mean_loss, network.params)
        memory = scatter(network.loss_memory, batch.positions, rows, AXIS)
        seen = Seen(batch.positions, given.labels, logits, losses, given.share)
        return network.updated(parts, gradients, batch_stats, memory), seen

    def losses(
        network: Network, images: jax.Array, labels: jax.Array, step: jax.Array
    ) -> dict[str, jax.Array]:
        return {"losses": parts.loss.evaluate(evaluated(parts, network, images), labels, step)}

    return Method(init, step, lambda network, images: evaluated(parts, network, images), losses)


def example_losses(
    parts: Parts, network: Network, given: Inputs, batch: Batch, step: jax.Array
) -> Callable[[PyTree, TrainingLoss], tuple[jax.Array, Left]]:
    """The function (parameters, loss) -> the loss of each example [B], and what the forward pass leaves.

    Further views and mixtures are in the losses. What the network remembers of the batch is that before it.
    """
    _, labels, share, dropout = given
    remembered = gather(network.loss_memory, batch.positions)

    def at(params: PyTree, loss: TrainingLoss) -> tuple[jax.Array, Left]:
        logits, batch_stats = forward(parts, params, network.batch_stats, given.images, dropout=dropout)
        first, *others = jnp.split(logits, parts.views)
        seen = {"views": jnp.stack(others)} if others else {}
        losses, rows = loss.apply(first, labels, remembered, step, **seen)
        if share is not None:
            of_other, _ = loss.apply(first, partners(labels), remembered, step, **seen)
            losses = share * losses + (1 - share) * of_other
        return losses, (first, batch_stats, rows)

    return at
