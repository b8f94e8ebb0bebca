"""Augmentation on the device, one image and one key at a time; `create` makes one of several, for batches.

An augmentation is a function (image [height, width, channels], key) -> image of the same shape and dtype.
Adding one: write it so, and name it in `_AUGMENTATIONS`.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from grjax.registry import lookup

Augmentation = Callable[[jax.Array, jax.Array], jax.Array]
BatchAugmentation = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


def pad_crop(image: jax.Array, key: jax.Array, padding: int = 4) -> jax.Array:
    """Pads by zeros on each side, then crops the original size at a uniformly random place."""
    padded = jnp.pad(image, ((padding, padding), (padding, padding), (0, 0)))
    top, left = jax.random.randint(key, (2,), 0, 2 * padding + 1)
    return jax.lax.dynamic_slice(padded, (top, left, 0), image.shape)


def flip(image: jax.Array, key: jax.Array) -> jax.Array:
    """Mirrors left and right with probability 1/2."""
    return jnp.where(jax.random.bernoulli(key), image[:, ::-1], image)


_AUGMENTATIONS: dict[str, Augmentation] = {"flip": flip, "pad_crop": pad_crop}


def names() -> list[str]:
    """The registered augmentations."""
    return sorted(_AUGMENTATIONS)


def create(chosen: Sequence[str]) -> BatchAugmentation:
    """A function (images [B, ...], positions int32 [B], key) -> images that applies `chosen` in turn.

    `positions` are the examples' places in their split: the randomness of an example is a function of
    (key, its position), wherever in a batch, and on whichever device, it stands.

    Args:
      chosen: some of `names()`; none: images stay as they are.

    Raises:
      ConfigError: an unknown name.
    """
    functions = [lookup("data.augmentation", _AUGMENTATIONS, name) for name in chosen]

    def augment(images: jax.Array, positions: jax.Array, key: jax.Array) -> jax.Array:
        for number, function in enumerate(functions):
            function_key = jax.random.fold_in(key, number)
            keys = jax.vmap(jax.random.fold_in, (None, 0))(function_key, positions)
            images = jax.vmap(function)(images, keys)
        return images

    return augment
