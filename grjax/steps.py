"""What runs on the devices: the train step, the evaluation step, and the one place that spreads them.

A step is written for one device of several: it sees its part of the batch, and means over the axis named
`AXIS` make the parts one. The state has no device axis; every device holds the same one.
"""

from collections.abc import Callable
from typing import Any, cast

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.typing import ArrayLike

from grjax import dynamics
from grjax.data.augment import BatchAugmentation, center_crop
from grjax.data.mixing import Mixing, partners
from grjax.dynamics import Dynamics
from grjax.losses import TrainingLoss
from grjax.losses.memory import Memory, gather, scatter

AXIS = "batch"

PyTree = Any


class TrainState(flax.struct.PyTreeNode):
    """Everything that training changes; nothing random is kept, keys follow from seed and step."""

    step: jax.Array  # int32 []
    params: PyTree
    batch_stats: PyTree
    opt_state: PyTree
    loss_memory: Memory  # [N of the training split, ...]; empty for most losses
    dynamics: Dynamics | tuple[()] = ()  # [N of the training split]; empty: none are collected


class DeviceData(flax.struct.PyTreeNode):
    """What stays in device memory for the whole run. Clean labels are not here: no step can see them."""

    images: jax.Array | None  # [N of all splits, height, width, C], training first; None: streamed
    labels: jax.Array  # int32 [N of the training split], noisy
    mean: jax.Array  # float32 [channels], of the training pixels
    std: jax.Array  # float32 [channels]

    def standardise(self, images: jax.Array) -> jax.Array:
        """Pixels or features to float32 of mean 0 and standard deviation 1 in each channel."""
        mean, std = self.mean[None, None, None], self.std[None, None, None]
        return (images.astype(jnp.float32) - mean) / std


class Batch(flax.struct.PyTreeNode):
    """Examples of one batch, or of the batches of several steps; `grjax.feed` makes them."""

    positions: jax.Array  # int32 [..., B], of the examples in `DeviceData.images`, or else in their split
    images: jax.Array | None = None  # [..., B, height, width, C]; None: `DeviceData` has them

    def pixels(self, data: DeviceData) -> jax.Array:
        """The images, as the data set has them."""
        if self.images is not None:
            return self.images
        assert data.images is not None, "a feed gives images to the devices once, or with each batch"
        return data.images[self.positions]


TrainStep = Callable[[TrainState, DeviceData, Batch], tuple[TrainState, dict[str, jax.Array]]]
EvalStep = Callable[[TrainState, DeviceData, tuple[Batch, jax.Array]], dict[str, jax.Array]]


def make_init(
    model: nn.Module,
    loss: TrainingLoss,
    optimizer: optax.GradientTransformation,
    image_shape: tuple[int, ...],
    num_classes: int,
    pretrain: Callable[[PyTree], PyTree] = lambda variables: variables,
    with_dynamics: bool = False,
) -> Callable[[ArrayLike, np.ndarray], TrainState]:
    """The beginning of a run: (seed of the parameters, noisy training labels int32 [N]) -> state.

    It compiles once, whatever the seed and the labels are.

    Args:
      model: whose parameters are drawn.
      loss: whose memory begins.
      optimizer: whose state begins.
      image_shape: of an example.
      num_classes: C.
      pretrain: replaces the fresh variables of the model, or some of them.
      with_dynamics: collect training dynamics, see `grjax.dynamics`.
    """

    @jax.jit
    def fresh(key: jax.Array) -> PyTree:
        return model.init(key, jnp.zeros((1, *image_shape)), train=False)

    @jax.jit
    def init(variables: PyTree, labels: jax.Array) -> TrainState:
        params = variables["params"]
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            batch_stats=variables.get("batch_stats", {}),
            opt_state=optimizer.init(params),
            loss_memory=loss.init(labels, num_classes),
            dynamics=dynamics.init(len(labels)) if with_dynamics else (),
        )

    return lambda seed, labels: init(pretrain(fresh(jax.random.key(seed))), labels)


def make_train_step(
    model: nn.Module,
    loss: TrainingLoss,
    optimizer: optax.GradientTransformation,
    augment: BatchAugmentation,
    mix: Mixing | None,
    views: int,
    seed: int,
) -> TrainStep:
    """The train step: (state, data, batches [K, B]) -> (state after K steps, metrics [K]).

    Args:
      model: with batch norm synchronised over `AXIS`.
      loss: whose memory has a row for each training example.
      optimizer: an optax chain.
      augment: (images [B, ...], positions [B], key) -> images.
      mix: (images [B, ...], key) -> (images, each mixed with the one before it, share of its own [B]), and
        the loss is that of both labels by their shares; None: no mixing. For a loss without memory.
      views: of each example, augmented independently: V >= 1, and 1 for a loss with memory.
      seed: of augmentation, mixing and dropout.
    """

    def one_step(
        state: TrainState, data: DeviceData, batch: Batch
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        step_key = jax.random.fold_in(jax.random.key(seed), state.step)
        augment_key, dropout_key = jax.random.split(step_key)
        # Augmentation is drawn for each example, whichever device has it; mixing and dropout for each device.
        device = jax.lax.axis_index(AXIS)
        labels, pixels = data.labels[batch.positions], batch.pixels(data)
        view_keys = [augment_key] if views == 1 else list(jax.random.split(augment_key, views))
        images = jnp.concatenate([augment(pixels, batch.positions, key) for key in view_keys])
        images, share = data.standardise(images), None
        if mix is not None:
            mix_key = jax.random.fold_in(jax.random.fold_in(step_key, 2), device)  # split() gave 0 and 1
            images, share = mix(images, mix_key)
        remembered, seen_before = gather((state.loss_memory, state.dynamics), batch.positions)
        rngs = {"dropout": jax.random.fold_in(dropout_key, device)}

        def mean_loss(params: PyTree) -> tuple[jax.Array, tuple[jax.Array, PyTree, Memory]]:
            variables = {"params": params, "batch_stats": state.batch_stats}
            logits, updated = model.apply(variables, images, train=True, mutable=["batch_stats"], rngs=rngs)
            first, *others = jnp.split(logits, views)
            seen = {"views": jnp.stack(others)} if others else {}
            losses, rows = loss.apply(first, labels, remembered, state.step, **seen)
            if share is not None:
                of_other, _ = loss.apply(first, partners(labels), remembered, state.step, **seen)
                losses = share * losses + (1 - share) * of_other
            return losses.mean(), (first, updated.get("batch_stats", {}), rows)

        value_and_grad = jax.value_and_grad(mean_loss, has_aux=True)
        (value, (logits, batch_stats, rows)), gradients = value_and_grad(state.params)
        gradients = jax.lax.pmean(gradients, AXIS)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        seen_now = (
            dynamics.update(seen_before, logits, labels, share) if isinstance(seen_before, Dynamics) else ()
        )
        memory = (state.loss_memory, state.dynamics)
        loss_memory, seen = scatter(memory, batch.positions, (rows, seen_now), AXIS)
        state = TrainState(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            batch_stats=batch_stats,
            opt_state=opt_state,
            loss_memory=loss_memory,
            dynamics=seen,
        )
        metrics = {"loss": value, "accuracy": (logits.argmax(-1) == labels).mean()}
        return state, jax.lax.pmean(metrics, AXIS)

    def train_step(
        state: TrainState, data: DeviceData, batches: Batch
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        if len(batches.positions) == 1:
            # No loop of one: inside a loop XLA's convolutions on the CPU take some 30 times as long.
            state, metrics = one_step(state, data, jax.tree.map(lambda leaf: leaf[0], batches))
            return state, jax.tree.map(lambda metric: metric[None], metrics)
        return jax.lax.scan(lambda state, batch: one_step(state, data, batch), state, batches)

    return train_step


def make_eval_step(model: nn.Module, loss: TrainingLoss, image_size: int | None) -> EvalStep:
    """The evaluation step: (state, data, (batch [B], labels [B])) -> a record for each example.

    Of larger images the model sees the middle `image_size` x `image_size`; None: all.

    The records 'classes', 'p' and 'losses' (see `metrics.Predictions`) are those of the whole global batch,
    in its order, on every device.
    """

    def eval_step(
        state: TrainState, data: DeviceData, batch: tuple[Batch, jax.Array]
    ) -> dict[str, jax.Array]:
        examples, labels = batch
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        pixels = examples.pixels(data)
        images = data.standardise(pixels if image_size is None else center_crop(pixels, image_size))
        logits = cast(jax.Array, model.apply(variables, images, train=False))
        log_p = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=-1)[:, 0]
        records = {
            "classes": logits.argmax(-1).astype(jnp.int32),
            "p": jnp.exp(log_p),
            "losses": loss.evaluate(logits, labels, state.step),
        }
        return jax.lax.all_gather(records, AXIS, tiled=True)

    return eval_step


def parallelize(step: Callable[..., Any], *, donate_state: bool = False) -> Callable[..., Any]:
    """Runs a per-device step (state, data, batch) -> outputs on all devices of all hosts, compiled.

    `batch` leaves have a leading axis over this host's devices; `state`, `data` and the outputs have none.
    This is the only place that knows how devices are used. `jax.pmap` is in maintenance mode; under its
    successor the same step runs as

        jax.jit(jax.shard_map(step, mesh=Mesh(jax.devices(), (AXIS,)), check_vma=False,
                              in_specs=(P(), P(), P(AXIS)), out_specs=P()))

    with batches whose leading axis is the examples of all hosts.

    Args:
      step: uses the axis `AXIS`, and returns the same outputs on every device.
      donate_state: let the outputs take the memory of `state`, which is gone after the call.
    """
    return jax.pmap(
        step,
        axis_name=AXIS,
        in_axes=(None, None, 0),
        out_axes=None,
        donate_argnums=(0,) if donate_state else (),
    )


def replicate(tree: PyTree) -> PyTree:
    """Puts a tree of arrays on every device of this host, as `parallelize` takes and gives it.

    Without this the first call would see another sharding than the second, and compile twice.
    """
    return jax.device_put(tree, _local(PartitionSpec()))


def spread(tree: PyTree) -> PyTree:
    """Puts arrays with a leading axis over this host's devices there, as `parallelize` takes a batch.

    It would do so itself with arrays of the host, but unseen, and a guard in the tests forbids the train loop
    all transfers that are not asked for.
    """
    return jax.device_put(tree, _local(PartitionSpec(AXIS)))


def _local(spec: PartitionSpec) -> NamedSharding:
    return NamedSharding(Mesh(np.array(jax.local_devices()), (AXIS,)), spec)


def split_over_devices(batch: np.ndarray, axis: int = -1) -> np.ndarray:
    """Of a global batch, what `parallelize` takes on this host: [..., B] -> [local devices, ..., part].

    Args:
      batch: the same on every host; the axis of examples is divisible by the number of devices.
      axis: the axis of examples.
    """
    parts = np.stack(np.split(batch, jax.device_count(), axis=axis))
    first = jax.process_index() * jax.local_device_count()
    return parts[first : first + jax.local_device_count()]
