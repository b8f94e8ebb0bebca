"""How many runs go through one call of a step: one, several vmapped, or one on each device.

The train loop keeps a list of runs and one state of all of them. `Together` says how that state lies on the
devices, and how the batches of the runs become one. A single run is the case of size one.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from grjax.data.feed import DeviceData
from grjax.devices import AXIS, PyTree, Step, parallelize, replicate, split_over_devices, spread

# Of (values, data): every run has its own values and labels, and the images are shared.
_INPUTS = (0, DeviceData(images=None, labels=0, mean=None, std=None))  # type: ignore[arg-type]


class Together(Protocol):
    """A way to take `size` runs through one call of a step. Trees of all runs are called joined."""

    size: int

    def train(self, step: Step) -> Step:
        """The train step of one device and run, for all runs: compiled, donating the joined state."""
        ...

    def evaluate(self, step: Step) -> Step:
        """The evaluation step of one device and run, for all runs: compiled."""
        ...

    def join(self, trees: Sequence[PyTree]) -> PyTree:
        """One tree for each run -> the joined tree on the devices, where the steps take and give it."""
        ...

    def separate(self, joined: PyTree) -> list[PyTree]:
        """The joined tree -> one tree for each run; several runs come to host memory for it."""
        ...

    def outputs(self, joined: PyTree) -> PyTree:
        """What a step returned, in host memory, with a leading axis of runs."""
        ...

    def each(self, function: Callable[[PyTree], PyTree]) -> Callable[[PyTree], PyTree]:
        """A function of one run's tree, for the joined tree: its values have a leading axis of runs."""
        ...

    def batches(self, batches: Sequence[PyTree]) -> PyTree:
        """The training batches of the runs, as a feed gives each, [devices, K, B, ...], on the devices."""
        ...

    def examples(self, batch: PyTree, labels: np.ndarray) -> PyTree:
        """A batch to evaluate, [devices, B, ...], with each run's labels [size, all B], on the devices."""
        ...


class Alone:
    """One run, the examples of a batch spread over the devices."""

    size = 1

    def train(self, step: Step) -> Step:
        """See `Together`."""
        return parallelize(step, donate_state=True)

    def evaluate(self, step: Step) -> Step:
        """See `Together`."""
        return parallelize(step)

    def join(self, trees: Sequence[PyTree]) -> PyTree:
        """See `Together`."""
        return replicate(trees[0])

    def separate(self, joined: PyTree) -> list[PyTree]:
        """See `Together`."""
        return [joined]

    def outputs(self, joined: PyTree) -> PyTree:
        """See `Together`."""
        return jax.tree.map(lambda leaf: np.asarray(leaf)[None], joined)

    def each(self, function: Callable[[PyTree], PyTree]) -> Callable[[PyTree], PyTree]:
        """See `Together`."""
        compiled = jax.jit(function)
        return lambda joined: jax.tree.map(lambda leaf: leaf[None], compiled(joined))

    def batches(self, batches: Sequence[PyTree]) -> PyTree:
        """See `Together`."""
        return spread(batches[0])

    def examples(self, batch: PyTree, labels: np.ndarray) -> PyTree:
        """See `Together`."""
        return spread((batch, split_over_devices(labels[0])))


class _Stacked:
    """Joined trees are stacked: leaves [size, ...]."""

    size: int

    def separate(self, joined: PyTree) -> list[PyTree]:
        """See `Together`."""
        on_host = jax.tree.map(np.asarray, joined)
        return [jax.tree.map(lambda leaf, run=run: leaf[run], on_host) for run in range(self.size)]

    def outputs(self, joined: PyTree) -> PyTree:
        """See `Together`."""
        return jax.tree.map(np.asarray, joined)

    def each(self, function: Callable[[PyTree], PyTree]) -> Callable[[PyTree], PyTree]:
        """See `Together`."""
        return jax.jit(jax.vmap(function))


class Vmapped(_Stacked):
    """All runs in each operation, the examples of a batch spread over the devices."""

    def __init__(self, size: int):
        self.size = size

    def train(self, step: Step) -> Step:
        """See `Together`."""
        return parallelize(jax.vmap(step, in_axes=(0, _INPUTS, 0)), donate_state=True)

    def evaluate(self, step: Step) -> Step:
        """See `Together`: the same examples for all runs, with labels of their own."""
        return parallelize(jax.vmap(step, in_axes=(0, _INPUTS, (None, 0))))

    def join(self, trees: Sequence[PyTree]) -> PyTree:
        """See `Together`."""
        return replicate(_stacked(trees))

    def batches(self, batches: Sequence[PyTree]) -> PyTree:
        """See `Together`."""
        return spread(jax.tree.map(lambda *leaves: np.stack(leaves, axis=1), *batches))

    def examples(self, batch: PyTree, labels: np.ndarray) -> PyTree:
        """See `Together`."""
        return spread((batch, split_over_devices(labels)))


class Spread(_Stacked):
    """A run on each device, with whole batches."""

    def __init__(self) -> None:
        self.size = jax.local_device_count()

    def train(self, step: Step) -> Step:
        """See `Together`."""
        return jax.pmap(_on_one_device(step), in_axes=(0, _INPUTS, 0), donate_argnums=(0,))

    def evaluate(self, step: Step) -> Step:
        """See `Together`."""
        return jax.pmap(_on_one_device(step), in_axes=(0, _INPUTS, (None, 0)))

    def join(self, trees: Sequence[PyTree]) -> PyTree:
        """See `Together`."""
        return self._one_each(_stacked(trees))

    def batches(self, batches: Sequence[PyTree]) -> PyTree:
        """See `Together`."""
        whole = [jax.tree.map(lambda leaf: np.concatenate(leaf, axis=1), batch) for batch in batches]
        return self._one_each(_stacked(whole))

    def examples(self, batch: PyTree, labels: np.ndarray) -> PyTree:
        """See `Together`."""
        return replicate(jax.tree.map(np.concatenate, batch)), self._one_each(labels)

    def _one_each(self, tree: PyTree) -> PyTree:
        mesh = Mesh(np.array(jax.local_devices()), ("runs",))
        return jax.device_put(tree, NamedSharding(mesh, PartitionSpec("runs")))


def _stacked(trees: Sequence[PyTree]) -> PyTree:
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *trees)


def _on_one_device(step: Step) -> Step:
    """A step that finds an axis `AXIS` of one device."""
    alone = jax.vmap(step, axis_name=AXIS, in_axes=(None, None, 0), out_axes=None)
    return lambda state, inputs, batch: alone(state, inputs, jax.tree.map(lambda leaf: leaf[None], batch))
