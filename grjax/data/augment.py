"""Augmentation on the device, one image and one key at a time; `create` makes one of several, for batches.

An augmentation is a function (image [height, width, channels], key, options) -> image of the same dtype, and
of the same shape except for crops to a smaller size. Two views of a batch are one augmentation with two keys.
Adding one: write it so, and name it in `_AUGMENTATIONS`.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from grjax.data import eight_bits
from grjax.data.affine import rotation
from grjax.data.randaugment import randaugment
from grjax.errors import ConfigError
from grjax.ranges import In
from grjax.registry import check_options, closest, lookup

BatchAugmentation = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


def pad_crop(
    image: jax.Array,
    key: jax.Array,
    padding: Annotated[int, In("[0, inf)")] = 4,
    mode: Literal["zeros", "edge", "reflect"] = "zeros",
) -> jax.Array:
    """Pads on each side, then crops the original size at a uniformly random place.

    Args:
      image: [height, width, channels].
      key: of the draw.
      padding: on each side, in pixels.
      mode: what the padding is: zeros, the pixel at the edge, or the image mirrored at its outermost pixels,
        which are not repeated.
    """
    height, width, _ = image.shape
    top, left = jax.random.randint(key, (2,), -padding, padding + 1)
    rows, columns = jnp.arange(height) + top, jnp.arange(width) + left
    if mode == "reflect":
        return image[_mirrored(rows, height)[:, None], _mirrored(columns, width)[None]]
    # One gather and a mask: half the time of a padded copy and a slice of it.
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))[None]
    found = image[rows.clip(0, height - 1)[:, None], columns.clip(0, width - 1)[None]]
    return found if mode == "edge" else jnp.where(inside[..., None], found, 0)


def random_crop(image: jax.Array, key: jax.Array, size: Annotated[int, In("[1, inf)")]) -> jax.Array:
    """Crops size x size at a uniformly random place; evaluation takes `center_crop` to the same size."""
    height, width, channels = image.shape
    _check_crop(size, height, width)
    top, left = jax.random.randint(key, (2,), 0, jnp.array([height - size + 1, width - size + 1]))
    return jax.lax.dynamic_slice(image, (top, left, 0), (size, size, channels))


def center_crop(images: jax.Array, size: int) -> jax.Array:
    """The middle size x size of images [..., height, width, channels], half a pixel up or left where odd.

    Raises:
      ConfigError: the images are smaller.
    """
    height, width, _ = images.shape[-3:]
    _check_crop(size, height, width)
    top, left = (height - size) // 2, (width - size) // 2
    return images[..., top : top + size, left : left + size, :]


def flip(image: jax.Array, key: jax.Array) -> jax.Array:
    """Mirrors left and right with probability 1/2."""
    return jnp.where(jax.random.bernoulli(key), image[:, ::-1], image)


def cutout(
    image: jax.Array,
    key: jax.Array,
    size: Annotated[int, In("[1, inf)")],
    fill: Annotated[int | Sequence[int] | Literal["mean"], In("[0, 255]")] = 0,
) -> jax.Array:
    """Fills a square of size x size around a uniformly random pixel, clipped at the borders.

    Args:
      image: [height, width, channels].
      key: of the draw.
      size: of the square; where even, the pixel is the lower right one of the middle four.
      fill: a value, one for each channel, or 'mean', that of each channel of the image. The paper's zeros
        come after standardisation: there they are the mean of the training images.

    Reference: DeVries & Taylor, 2017 (arXiv:1708.04552).
    """
    height, width, channels = image.shape
    row, column = jax.random.randint(key, (2,), 0, jnp.array([height, width])) - size // 2
    rows, columns = jnp.arange(height)[:, None, None], jnp.arange(width)[None, :, None]
    square = (row <= rows) & (rows < row + size) & (column <= columns) & (columns < column + size)
    if fill == "mean":
        value = image.mean((0, 1), keepdims=True)
        value = jnp.round(value).astype(jnp.int32) if jnp.issubdtype(image.dtype, jnp.integer) else value
    elif isinstance(fill, Sequence) and len(fill) != channels:
        raise ConfigError(
            f"data.augmentation.fill: must have a value for each of {channels} channels, got {fill}"
        )
    else:
        value = jnp.broadcast_to(jnp.asarray(fill), (1, 1, channels))
    return jnp.where(square, value.astype(image.dtype), image)


_AUGMENTATIONS: dict[str, Callable[..., jax.Array]] = {
    "cutout": cutout,
    "flip": flip,
    "pad_crop": pad_crop,
    "randaugment": randaugment,
    "random_crop": random_crop,
    "rotation": rotation,
}


def names() -> list[str]:
    """The registered augmentations."""
    return sorted(_AUGMENTATIONS)


def create(chosen: Sequence[str | Mapping[str, Any]]) -> BatchAugmentation:
    """A function (images [B, ...], positions int32 [B], key) -> images that applies `chosen` in turn.

    `positions` are the examples' places in their split: the randomness of an example is a function of
    (key, its position), wherever in a batch, and on whichever device, it stands.

    Args:
      chosen: each one of `names()`, or a section with that as 'name' and options: keywords of the
        augmentation, checked against its signature. None: images stay unchanged.

    Raises:
      ConfigError: an unknown name or option, a required one is missing, or a value is out of range; the
        returned function raises it for a crop that is larger than the images.

    Example:
      >>> from grjax.data import augment
      >>> function = augment.create(('pad_crop', 'flip', {'name': 'cutout', 'size': 16}))
    """
    functions = [_bound(entry) for entry in chosen]

    def augment(images: jax.Array, positions: jax.Array, key: jax.Array) -> jax.Array:
        for number, function in enumerate(functions):
            function_key = jax.random.fold_in(key, number)
            keys = jax.vmap(jax.random.fold_in, (None, 0))(function_key, positions)
            images = jax.vmap(function)(images, keys)
        return images

    return augment


def shape_after(augmentation: BatchAugmentation, image_shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of augmented images: that of the images, or of a crop.

    Args:
      augmentation: from `create`.
      image_shape: of uint8 images, (height, width, channels).

    Raises:
      ConfigError: an augmentation that does not fit the images, or whose pixels would depend on the device.
    """
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.uint8)
    positions, key = jax.ShapeDtypeStruct((1,), jnp.int32), jax.eval_shape(jax.random.key, 0)
    traced, augmented = jax.make_jaxpr(augmentation, return_shape=True)(images, positions, key)
    if eight_bits.converted(traced):
        raise ConfigError(
            "data.augmentation: one of them converts floating-point numbers to 8-bit integers, which some "
            "devices round and others cut off; convert to int32 first: x.astype('int32').astype('uint8')"
        )
    return augmented.shape[1:]


def _bound(entry: str | Mapping[str, Any]) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """One augmentation with its options."""
    options = dict(entry) if isinstance(entry, Mapping) else {"name": entry}
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise ConfigError(f"data.augmentation: must be names, or sections with a 'name'; got {entry!r}")
    function = lookup("data.augmentation", _AUGMENTATIONS, name)
    options = check_options("data.augmentation", name, function, options, supplied=("image", "key"))
    return functools.partial(function, **options)


def _mirrored(places: jax.Array, length: int) -> jax.Array:
    """Places of a line that is mirrored at both of its ends over and over, as places within it."""
    period = max(2 * (length - 1), 1)
    within = places % period
    return jnp.minimum(within, period - within)


def _check_crop(size: int, height: int, width: int) -> None:
    if size > min(height, width):
        raise ConfigError(
            f"data.augmentation.size: must be at most that of the images, {height} x {width}, got {size}"
        )


class Published(NamedTuple):
    """What a protocol of the field applies, and where that stands."""

    augmentation: tuple[str | dict[str, Any], ...]
    source: str


_PUBLISHED = {
    "cifar10": Published(("pad_crop", "flip"), "arXiv:1905.11233; code of GCE, APL, ELR and CIFAR-N, too"),
    "cifar100": Published(
        ("pad_crop", "flip"),
        "arXiv:1905.11233; the code of APL (Ma et al., ICML 2020) also rotates, by 20 degrees",
    ),
    "clothing1m": Published(
        ({"name": "random_crop", "size": 224}, "flip"),
        "arXiv:1905.11233, of images resized to 256 x 256; image_size=256 resizes the shorter side to 293 "
        "and cuts out the centre 256 x 256",
    ),
    "digits": Published((), "configs/digits.py"),
    "mnist": Published((), "code of APL (Ma et al., ICML 2020)"),
}


def defaults(dataset: str) -> tuple[str | dict[str, Any], ...]:
    """What the field applies to a data set, for `create`.

    Args:
      dataset: 'cifar10', 'cifar100', 'clothing1m', 'digits', 'mnist'.

    Raises:
      ConfigError: no protocol is known for it.

    Example:
      >>> from grjax.data import augment
      >>> augment.defaults('cifar10')
      ('pad_crop', 'flip')
    """
    if dataset not in _PUBLISHED:
        raise ConfigError(
            f"data.augmentation: no protocol is known for {dataset!r}; {closest(dataset, _PUBLISHED)}"
        )
    return _PUBLISHED[dataset].augmentation
