"""A network as a method trains it: how it begins, what it sees of a batch, and how gradients change it."""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from grjax.data.feed import Batch, DeviceData
from grjax.devices import AXIS, PyTree
from grjax.losses.memory import Memory
from grjax.methods.method import Parts


class Network(flax.struct.PyTreeNode):
    """Everything that training changes of one network."""

    params: PyTree
    batch_stats: PyTree
    opt_state: PyTree
    loss_memory: Memory  # [N of the training split, ...]; empty for most losses

    def updated(self, parts: Parts, gradients: PyTree, batch_stats: PyTree, loss_memory: Memory) -> "Network":
        """The network after a step with these gradients, which are the same on every device."""
        updates, opt_state = parts.optimizer.update(gradients, self.opt_state, self.params)
        return Network(
            params=optax.apply_updates(self.params, updates),
            batch_stats=batch_stats,
            opt_state=opt_state,
            loss_memory=loss_memory,
        )


def beginning(parts: Parts) -> Callable[[jax.Array, ArrayLike], Network]:
    """The function (key, noisy labels int32 [N]) -> network before the first step.

    It compiles once, whatever key and labels are.
    """

    @jax.jit
    def fresh(key: jax.Array) -> PyTree:
        return parts.model.init(key, jnp.zeros((1, *parts.image_shape)), train=False)

    @jax.jit
    def begin(variables: PyTree, labels: jax.Array) -> Network:
        return Network(
            params=variables["params"],
            batch_stats=variables.get("batch_stats", {}),
            opt_state=parts.optimizer.init(variables["params"]),
            loss_memory=parts.loss.init(labels, parts.num_classes),
        )

    return lambda key, labels: begin(parts.pretrain(fresh(key)), labels)


class Inputs(NamedTuple):
    """What the networks see of the batch of one device."""

    images: jax.Array  # float32 [V * B, ...], standardised: all first views, all second ones, ...
    labels: jax.Array  # int32 [B], given
    share: jax.Array | None  # [B], of the example itself in its image; None: nothing is mixed
    dropout: jax.Array  # a key, another one on each device


def inputs(parts: Parts, step: jax.Array, data: DeviceData, batch: Batch) -> Inputs:
    """Augments, standardises and mixes a batch; a function of (seed, step) alone."""
    step_key = jax.random.fold_in(jax.random.key(parts.seed), step)
    augment_key, dropout_key = jax.random.split(step_key)
    # Augmentation is drawn for each example, whichever device has it; mixing and dropout for each device.
    device = jax.lax.axis_index(AXIS)
    labels, pixels = data.labels[batch.positions], batch.pixels(data)
    view_keys = [augment_key] if parts.views == 1 else list(jax.random.split(augment_key, parts.views))
    images = jnp.concatenate([parts.augment(pixels, batch.positions, key) for key in view_keys])
    images, share = data.standardise(images), None
    if parts.mix is not None:
        mix_key = jax.random.fold_in(jax.random.fold_in(step_key, 2), device)  # split() gave 0 and 1
        images, share = parts.mix(images, mix_key)
    return Inputs(images, labels, share, jax.random.fold_in(dropout_key, device))


def forward(
    parts: Parts, params: PyTree, batch_stats: PyTree, images: jax.Array, *, dropout: jax.Array
) -> tuple[jax.Array, PyTree]:
    """Logits in training mode, and the batch-norm statistics after it."""
    variables = {"params": params, "batch_stats": batch_stats}
    rngs = {"dropout": dropout}
    logits, updated = parts.model.apply(variables, images, train=True, mutable=["batch_stats"], rngs=rngs)
    return cast(jax.Array, logits), updated.get("batch_stats", {})


def evaluated(parts: Parts, network: Network, images: jax.Array) -> jax.Array:
    """Logits [B, C] in evaluation mode."""
    variables: dict[str, Any] = {"params": network.params, "batch_stats": network.batch_stats}
    return cast(jax.Array, parts.model.apply(variables, images, train=False))
