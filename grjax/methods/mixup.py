"""Mixing within a method: partners come from the batch of all devices, whose number does not matter then."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grjax.data.mixing import draw_share
from grjax.devices import AXIS, PyTree


def own_share(key: jax.Array, alpha: ArrayLike) -> jax.Array:
    """The larger of s and 1 - s with s ~ Beta(alpha, alpha), float32 []: an example stays mostly itself."""
    share = draw_share(key, alpha)
    return jnp.maximum(share, 1 - share)


def mixed(share: ArrayLike, own: PyTree, partners: PyTree) -> PyTree:
    """Own leaves by `share`, those of the partners by 1 - share."""
    return jax.tree.map(lambda a, b: share * a + (1 - share) * b, own, partners)


def partners(key: jax.Array, tree: PyTree, *, groups: int = 1) -> PyTree:
    """What each row of this device is mixed with: rows of all devices, permuted at random.

    Args:
      key: of the permutation, the same on every device.
      tree: arrays [groups * B, ...], the rows of this device: all of the first group, then of the next, ...
      groups: of rows that each hold the same examples in the same order, as views; a row may have a partner
        of any group.

    Returns:
      A tree of the same shapes.
    """
    devices, this = jax.lax.axis_size(AXIS), jax.lax.axis_index(AXIS)
    rows = len(jax.tree.leaves(tree)[0])
    order = jax.random.permutation(key, devices * rows)

    def partner(leaf: jax.Array) -> jax.Array:
        every = jax.lax.all_gather(leaf, AXIS)
        every = every.reshape(devices, groups, rows // groups, *leaf.shape[1:])
        # By group, then by place in the global batch: an order that does not depend on the devices.
        flat = jnp.moveaxis(every, 0, 1).reshape(devices * rows, *leaf.shape[1:])
        places = order.reshape(groups, devices, rows // groups)
        own = jax.lax.dynamic_index_in_dim(places, this, axis=1, keepdims=False)
        return flat[own.reshape(rows)]

    return jax.tree.map(partner, tree)
