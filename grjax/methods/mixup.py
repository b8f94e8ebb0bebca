"""Mixing within a method: partners come from the batch of all devices, whose number does not matter then."""

from typing import NamedTuple

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


class Mixture(NamedTuple):
    """Mixed images, on one device."""

    images: jax.Array  # [B, ...]
    labels: tuple[jax.Array, jax.Array]  # int32 [B] each: an image's own, and its partner's
    share: jax.Array  # float32 []: of its own
    weights: jax.Array  # float32 [B], whose mean over all devices is 1, or 0 where no row was selected


def among(
    key: jax.Array, selected: jax.Array, images: jax.Array, labels: jax.Array, *, alpha: ArrayLike
) -> Mixture:
    """The selected rows of all devices, each mixed with another of them, by one random permutation.

    With n rows selected in a batch of G, the first n places hold them in their order. They weigh G / n each,
    so that a mean over all devices is a mean over them. The places that are left hold the same mixtures over
    and over and weigh nothing: what is measured of all rows, as batch norm does, is then of selected ones
    alone. Where none is selected every row is there, and weighs nothing.

    Args:
      key: of the draws, the same on every device.
      selected: bool [B], of this device's rows.
      images: floating [B, ...].
      labels: int32 [B].
      alpha: of the share, see `own_share`.
    """
    share_key, order_key = jax.random.split(key)
    share = own_share(share_key, alpha)
    every = jax.lax.all_gather(selected, AXIS, tiled=True)
    number, count = len(every), every.sum()
    rank = jax.random.permutation(order_key, number)
    in_order = jnp.argsort(~every)  # stable
    at_random = jnp.argsort(jnp.where(every, rank, number + rank))
    places = jax.lax.axis_index(AXIS) * len(selected) + jnp.arange(len(selected))
    within = places % jnp.where(count > 0, count, number)
    rows = jax.lax.all_gather((images, labels), AXIS, tiled=True)
    own, others = (
        jax.tree.map(lambda leaf, at=at: leaf[at], rows) for at in (in_order[within], at_random[within])
    )
    weights = jnp.where(places < count, number / jnp.maximum(count, 1), 0.0)
    return Mixture(mixed(share, own[0], others[0]), (own[1], others[1]), share, weights)
