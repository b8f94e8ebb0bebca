"""Several trials in one step: over an axis of the arrays, or one on each device.

Stacked states, traced values, labels and outputs have a leading axis of trials; images are shared.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from grjax.steps import AXIS, DeviceData, PyTree, parallelize, replicate

_INPUTS = (0, DeviceData(images=None, labels=0, mean=None, std=None))  # type: ignore[arg-type]
_TRAIN_AXES = (0, _INPUTS, 0)
_EVAL_AXES = (0, _INPUTS, (None, 0))  # the same examples for all, with labels of their own

Step = Callable[..., Any]


class Mapping(Protocol):
    """A way to run `size` trials in one call."""

    size: int

    def train(self, step: Step) -> Step:
        """The train step of one device and trial, for all trials."""
        ...

    def evaluate(self, step: Step) -> Step:
        """The evaluation step of one device and trial, for all trials."""
        ...

    def place(self, tree: PyTree) -> PyTree:
        """Arrays [size, ...] to where the steps take and give them."""
        ...

    def batches(self, batches: Sequence[PyTree]) -> PyTree:
        """The batches of the trials, each as a feed gives it, [devices, K, B, ...], as one."""
        ...

    def examples(self, batch: PyTree, labels: np.ndarray) -> PyTree:
        """A batch to evaluate, [devices, B, ...], with each trial's labels [size, all B]."""
        ...


class Vmapped:
    """All trials in each operation, the examples of a batch spread over the devices."""

    def __init__(self, size: int):
        self.size = size

    def train(self, step: Step) -> Step:
        """See `Mapping`."""
        return parallelize(jax.vmap(step, in_axes=_TRAIN_AXES), donate_state=True)

    def evaluate(self, step: Step) -> Step:
        """See `Mapping`."""
        return parallelize(jax.vmap(step, in_axes=_EVAL_AXES))

    def place(self, tree: PyTree) -> PyTree:
        """See `Mapping`."""
        return replicate(tree)

    def batches(self, batches: Sequence[PyTree]) -> PyTree:
        """See `Mapping`."""
        return jax.tree.map(lambda *leaves: np.stack(leaves, axis=1), *batches)

    def examples(self, batch: PyTree, labels: np.ndarray) -> PyTree:
        """See `Mapping`."""
        return batch, np.stack(np.split(labels, jax.local_device_count(), axis=1))


class Spread:
    """A trial on each device, with whole batches."""

    def __init__(self) -> None:
        self.size = jax.local_device_count()

    def train(self, step: Step) -> Step:
        """See `Mapping`."""
        return jax.pmap(_on_one_device(step), in_axes=_TRAIN_AXES, donate_argnums=(0,))

    def evaluate(self, step: Step) -> Step:
        """See `Mapping`."""
        return jax.pmap(_on_one_device(step), in_axes=_EVAL_AXES)

    def place(self, tree: PyTree) -> PyTree:
        """See `Mapping`."""
        mesh = Mesh(np.array(jax.local_devices()), ("trials",))
        return jax.device_put(tree, NamedSharding(mesh, PartitionSpec("trials")))

    def batches(self, batches: Sequence[PyTree]) -> PyTree:
        """See `Mapping`."""
        return jax.tree.map(
            lambda *leaves: np.stack([np.concatenate(leaf, axis=1) for leaf in leaves]), *batches
        )

    def examples(self, batch: PyTree, labels: np.ndarray) -> PyTree:
        """See `Mapping`."""
        return jax.tree.map(np.concatenate, batch), labels


def _on_one_device(step: Step) -> Step:
    """A step that finds an axis `AXIS` of one device."""
    alone = jax.vmap(step, axis_name=AXIS, in_axes=(None, None, 0), out_axes=None)
    return lambda state, inputs, batch: alone(state, inputs, jax.tree.map(lambda leaf: leaf[None], batch))
