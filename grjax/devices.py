"""The one place that knows how devices are used: a step written for one device runs on all of them.

A step sees its device's part of the batch, and means over the axis named `AXIS` make the parts one. State and
data have no device axis; every device holds the same ones.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = "batch"

PyTree = Any  # nested containers of arrays
Step = Callable[..., Any]


def parallelize(step: Step, *, donate_state: bool = False) -> Step:
    """Runs a per-device step (state, data, batch) -> outputs on all devices of all hosts, compiled.

    `batch` leaves have a leading axis over this host's devices; `state`, `data` and the outputs have none.
    `jax.pmap` is in maintenance mode; under its successor the same step runs as

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
    """The part of a global batch for this host's devices: [..., B] -> [local devices, ..., part].

    Args:
      batch: the same on every host; the axis of examples is divisible by the number of devices.
      axis: the axis of examples.
    """
    parts = np.stack(np.split(batch, jax.device_count(), axis=axis))
    first = jax.process_index() * jax.local_device_count()
    return parts[first : first + jax.local_device_count()]
