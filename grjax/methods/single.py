"""One network, one loss: the method of every robust loss."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grjax.data.feed import Batch, DeviceData
from grjax.data.mixing import partners
from grjax.devices import AXIS, PyTree
from grjax.losses.memory import Memory, gather, scatter
from grjax.methods.method import Method, Parts, Seen
from grjax.methods.network import Network, beginning, evaluated, forward, gradient, inputs


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
        images, labels, share, dropout = inputs(parts, step, data, batch)
        remembered = gather(network.loss_memory, batch.positions)

        def mean_loss(params: PyTree) -> tuple[jax.Array, tuple[jax.Array, jax.Array, PyTree, Memory]]:
            logits, batch_stats = forward(parts, params, network.batch_stats, images, dropout=dropout)
            first, *others = jnp.split(logits, parts.views)
            seen = {"views": jnp.stack(others)} if others else {}
            losses, rows = parts.loss.apply(first, labels, remembered, step, **seen)
            if share is not None:
                of_other, _ = parts.loss.apply(first, partners(labels), remembered, step, **seen)
                losses = share * losses + (1 - share) * of_other
            return losses.mean(), (losses, first, batch_stats, rows)

        gradients, aux = gradient(parts, mean_loss, network.params)
        losses, logits, batch_stats, rows = aux
        memory = scatter(network.loss_memory, batch.positions, rows, AXIS)
        seen = Seen(batch.positions, labels, logits, losses, share)
        return network.updated(parts, gradients, batch_stats, memory), seen

    def losses(
        network: Network, images: jax.Array, labels: jax.Array, step: jax.Array
    ) -> dict[str, jax.Array]:
        return {"losses": parts.loss.evaluate(evaluated(parts, network, images), labels, step)}

    return Method(init, step, lambda network, images: evaluated(parts, network, images), losses)
