"""A network as a method trains it: how it begins, what it sees of a batch, and how gradients change it."""

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, cast

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from grjax.data.feed import Batch, DeviceData
from grjax.devices import AXIS, PyTree
from grjax.losses.memory import Memory
from grjax.methods import averaging, sharpness
from grjax.methods.averaging import Average
from grjax.methods.method import Parts
from grjax.ranges import In


def with_options(
    parts: Parts,
    *,
    average: Annotated[float, In("[0, 1)")] = 0.0,
    sam: Annotated[float, In("[0, inf)")] = 0.0,
) -> Parts:
    """The parts with what every method has as an option.

    Args:
      parts: of a method.
      average: decay of the average of each network that is evaluated in its place; 0: the network itself.
      sam: rho of sharpness-aware minimisation; 0: none.
    """
    return dataclasses.replace(parts, average=average, sam=sam)


# What runs once is not worth optimising: on XLA's first level the draw of all parameters compiles in less
# than half of the time, and gives the same bits.
_ONCE = {"xla_backend_optimization_level": 1}


class Network(flax.struct.PyTreeNode):
    """Everything that training changes of one network."""

    params: PyTree
    batch_stats: PyTree
    opt_state: PyTree
    loss_memory: Memory  # [N of the training split, ...]; empty for most losses
    average: Average | tuple[()] = ()  # empty: none is kept

    def updated(self, parts: Parts, gradients: PyTree, batch_stats: PyTree, loss_memory: Memory) -> "Network":
        """The network after a step with these gradients, which are the same on every device."""
        updates, opt_state = parts.optimizer.update(gradients, self.opt_state, self.params)
        params = optax.apply_updates(self.params, updates)
        average = self.average
        if isinstance(average, Average):
            average = averaging.updated(average, params, batch_stats, parts.average)
        return Network(params, batch_stats, opt_state, loss_memory, average)


def beginning(parts: Parts) -> Callable[[jax.Array, ArrayLike], Network]:
    """The function (key, noisy labels int32 [N]) -> network before the first step.

    It compiles once, whatever key and labels are.
    """

    def draw(key: jax.Array) -> PyTree:
        return parts.model.init(key, jnp.zeros((1, *parts.image_shape)), train=False)

    @jax.jit
    def begin(variables: PyTree, labels: jax.Array) -> Network:
        params, batch_stats = variables["params"], variables.get("batch_stats", {})
        return Network(
            params,
            batch_stats,
            opt_state=parts.optimizer.init(params),
            loss_memory=parts.loss.init(labels, parts.num_classes),
            average=averaging.begin(params, batch_stats) if parts.average else (),
        )

    drawn, drawn_within = jax.jit(draw, compiler_options=_ONCE), jax.jit(draw)

    def network(key: jax.Array, labels: ArrayLike) -> Network:
        # Options belong to a program of its own, not to a part of one that is traced.
        fresh = drawn_within if isinstance(key, jax.core.Tracer) else drawn
        return begin(parts.pretrain(fresh(key)), labels)

    return network


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


def gradient(
    parts: Parts, loss: Callable[[PyTree], tuple[jax.Array, Any]], params: PyTree
) -> tuple[PyTree, Any]:
    """The gradient that a step goes by, the same on every device, and what else the loss returns at `params`.

    Args:
      parts: say whether minimisation is aware of sharpness.
      loss: parameters -> (loss of this device's part of the batch [], anything else).
      params: of the network.
    """

    def at(params: PyTree) -> tuple[PyTree, Any]:
        gradients, aux = jax.grad(loss, has_aux=True)(params)
        return jax.lax.pmean(gradients, AXIS), aux

    gradients, aux = at(params)
    return sharpness.aware(params, gradients, lambda params: at(params)[0], rho=parts.sam), aux


def evaluated(parts: Parts, network: Network, images: jax.Array) -> jax.Array:
    """Logits [B, C] in evaluation mode, of the average where one is kept."""
    shown = network.average if isinstance(network.average, Average) else network
    variables: dict[str, Any] = {"params": shown.params, "batch_stats": shown.batch_stats}
    return cast(jax.Array, parts.model.apply(variables, images, train=False))
