"""RandAugment's basic set of operations on uint8 images, RGB or grey, and their random choice.

The operations of colour and tone are those of Pillow's ImageOps and ImageEnhance, to within one grey level.
"""

from collections.abc import Callable
from typing import Annotated

import jax
import jax.numpy as jnp
from jax.custom_batching import sequential_vmap

from grjax.data.affine import resample, turn
from grjax.errors import ConfigError
from grjax.ranges import In


def autocontrast(image: jax.Array) -> jax.Array:
    """Stretches each channel to the range from 0 to 255; a channel of one value stays."""
    low = image.min((0, 1), keepdims=True).astype(jnp.int32)
    high = image.max((0, 1), keepdims=True).astype(jnp.int32)
    stretched = (image - low) * 255 // jnp.maximum(high - low, 1)
    return jnp.where(high > low, stretched, image).astype(image.dtype)


def equalize(image: jax.Array) -> jax.Array:
    """Makes the histogram of each channel flat, as far as pixels of one value may not be told apart."""

    def of_channel(channel: jax.Array) -> jax.Array:
        values = channel.astype(jnp.int32)
        histogram = jnp.zeros(256, jnp.int32).at[values].add(1, mode="promise_in_bounds")
        brightest = (channel == channel.max()).sum()
        step = (channel.size - brightest) // 255  # pixels for each grey level
        darker = jnp.cumsum(histogram) - histogram
        level = jnp.clip((darker + step // 2) // jnp.maximum(step, 1), 0, 255)
        return jnp.where(step > 0, level.at[values].get(mode="promise_in_bounds"), values)

    return jax.vmap(of_channel, 2, 2)(image).astype(image.dtype)


def solarize(image: jax.Array, threshold: jax.Array) -> jax.Array:
    """Inverts the values from `threshold` on."""
    return jnp.where(image < threshold, image, 255 - image)


def posterize(image: jax.Array, bits: jax.Array) -> jax.Array:
    """Keeps the highest `bits` bits of each value, 1 to 8."""
    dropped = (8 - bits).astype(image.dtype)
    return image >> dropped << dropped


def color(image: jax.Array, factor: jax.Array) -> jax.Array:
    """Saturation: 0 makes the image grey, 1 leaves it; a grey one stays unchanged."""
    return _blend(jnp.broadcast_to(_grey(image), image.shape), image, factor)


def contrast(image: jax.Array, factor: jax.Array) -> jax.Array:
    """0 makes the image its mean grey, 1 leaves it."""
    mean = (2 * _grey(image).sum() + image[..., 0].size) // (2 * image[..., 0].size)
    return _blend(jnp.broadcast_to(mean, image.shape), image, factor)


def brightness(image: jax.Array, factor: jax.Array) -> jax.Array:
    """0 makes the image black, 1 leaves it."""
    return _blend(jnp.zeros_like(image), image, factor)


def sharpness(image: jax.Array, factor: jax.Array) -> jax.Array:
    """0 smooths the image by a kernel of 3 x 3, 1 leaves it, more sharpens; the outermost pixels stay."""
    height, width, _ = image.shape
    pixels = image.astype(jnp.int32)
    around = sum(
        pixels[1 + down : height - 1 + down, 1 + right : width - 1 + right]
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
    )
    inner = (2 * (around + 4 * pixels[1:-1, 1:-1]) + 13) // 26  # a thirteenth, rounded
    return _blend(pixels.at[1:-1, 1:-1].set(inner), image, factor)


def _grey(image: jax.Array) -> jax.Array:
    """The luma of ITU-R 601, int32 [H, W, 1]; of images that are not RGB the mean of the channels."""
    pixels = image.astype(jnp.int32)
    if image.shape[-1] != 3:
        return pixels.sum(-1, keepdims=True) // image.shape[-1]
    weighted = pixels * jnp.array([19595, 38470, 7471])[None, None]
    return (weighted.sum(-1, keepdims=True) + 2**15) >> 16


def _blend(degenerate: jax.Array, image: jax.Array, factor: jax.Array) -> jax.Array:
    degenerate = degenerate.astype(jnp.float32)
    blended = jnp.clip(degenerate + factor * (image - degenerate), 0, 255)
    return blended.astype(jnp.int32).astype(image.dtype)  # see grjax/data/eight_bits.py


# What a strength in [-1, 1] makes of an image; those that know no direction use its absolute value.
_TONES: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "autocontrast": lambda image, strength: autocontrast(image),
    "equalize": lambda image, strength: equalize(image),
    "solarize": lambda image, strength: solarize(image, 256 * (1 - abs(strength))),
    "color": lambda image, strength: color(image, 1 + 0.9 * strength),
    "posterize": lambda image, strength: posterize(image, 8 - jnp.round(4 * abs(strength)).astype(jnp.int32)),
    "contrast": lambda image, strength: contrast(image, 1 + 0.9 * strength),
    "brightness": lambda image, strength: brightness(image, 1 + 0.9 * strength),
    "sharpness": lambda image, strength: sharpness(image, 1 + 0.9 * strength),
}


def _warps(strength: jax.Array, height: int, width: int) -> dict[str, tuple[jax.Array, jax.Array]]:
    """Matrix and shift for `resample` of each operation that moves pixels."""
    eye, zero = jnp.eye(2), jnp.zeros(())
    shear, move = 0.3 * strength, 150 / 331 * strength
    return {
        "rotate": (turn(jnp.deg2rad(30 * strength)), jnp.zeros(2)),
        # Sheared from the upper left corner on: the centre moves along.
        "shear_x": (eye.at[1, 0].set(shear), jnp.stack([zero, shear * height / 2])),
        "shear_y": (eye.at[0, 1].set(shear), jnp.stack([shear * width / 2, zero])),
        "translate_x": (eye, jnp.stack([zero, move * width])),
        "translate_y": (eye, jnp.stack([move * height, zero])),
    }


OPERATIONS = ("identity", *_TONES, "rotate", "shear_x", "shear_y", "translate_x", "translate_y")


def apply(image: jax.Array, operation: jax.Array, strength: jax.Array) -> jax.Array:
    """One operation on one image.

    Args:
      image: uint8 [H, W, C].
      operation: an index into `OPERATIONS`, int32 [].
      strength: magnitude / 30 with the sign of its direction, float32 [].

    Returns:
      uint8 [H, W, C].
    """
    matrices, shifts = map(jnp.stack, zip(*_warps(strength, *image.shape[:2]).values(), strict=True))
    first = len(OPERATIONS) - len(matrices)

    def move(image: jax.Array, strength: jax.Array) -> jax.Array:
        del strength
        which = jnp.maximum(operation - first, 0)
        return resample(image, matrices[which], shifts[which])

    # Under vmap every branch is computed for every image, so the moves are one branch.
    branches = [lambda image, strength: image, *_TONES.values(), move]
    return jax.lax.switch(jnp.minimum(operation, first), branches, image, strength)


_one_by_one = sequential_vmap(apply)  # a loop over the images of a batch, so only one branch for each


def randaugment(
    image: jax.Array,
    key: jax.Array,
    layers: Annotated[int, In("[1, inf)")] = 2,
    magnitude: Annotated[float, In("[0, 30]")] = 9.0,
    least_magnitude: Annotated[float, In("[0, 30]")] | None = None,
    probability: Annotated[float, In("[0, 1]")] = 1.0,
) -> jax.Array:
    """RandAugment: `layers` operations in turn, each uniformly one of `OPERATIONS`, at one magnitude of 30.

    At magnitude 30 an image is rotated by 30 degrees, sheared by 0.3, translated by 150 / 331 of its size,
    solarized from 0 on, posterized to 4 bits; colour, contrast, brightness and sharpness are scaled by 0.1 or
    1.9. In between all go linearly from no effect; rotate to sharpness have a random direction. These are the
    ranges of torchvision's RandAugment; those of the paper's code differ, and in some operations its effect
    falls with the magnitude. Autocontrast and equalize know no magnitude, colour leaves grey images alone.

    Under vmap a switch computes every branch for every image, on a CPU 15 times the work of those drawn.
    There the images of a batch are gone through one by one instead: two layers took 4 to 9 times as long as
    pad_crop and flip (32 x 32 x 3, batch 256, two busy cores).

    Args:
      image: uint8 [H, W, C].
      key: of the draws.
      layers: number of operations.
      magnitude: of each operation, or the largest.
      least_magnitude: where the magnitude of each operation is drawn uniformly from here to `magnitude`, as
        methods of semi-supervised learning do; None: it is `magnitude`.
      probability: with which each operation is applied.

    Raises:
      ConfigError: a least magnitude above the largest.
      ValueError: an image that is not uint8.

    Reference: Cubuk et al., NeurIPS 2020 (arXiv:1909.13719).
    """
    if image.dtype != jnp.uint8:
        raise ValueError(f"randaugment: images must be uint8, got {image.dtype}")
    if least_magnitude is not None and least_magnitude > magnitude:
        raise ConfigError(
            f"data.augmentation.least_magnitude: must be at most magnitude={magnitude}, got {least_magnitude}"
        )
    drawn: float | jax.Array = magnitude
    for layer_key in jax.random.split(key, layers):
        operation_key, direction_key = jax.random.split(layer_key)
        operation = jax.random.randint(operation_key, (), 0, len(OPERATIONS))
        if probability < 1:
            applied = jax.random.bernoulli(
                jax.random.fold_in(layer_key, 2), probability
            )  # split() is 0 and 1
            operation = jnp.where(applied, operation, OPERATIONS.index("identity"))
        if least_magnitude is not None:
            magnitude_key = jax.random.fold_in(layer_key, 3)
            drawn = jax.random.uniform(magnitude_key, minval=least_magnitude, maxval=magnitude)
        strength = jnp.where(jax.random.bernoulli(direction_key), drawn, -drawn) / 30
        image = jax.lax.platform_dependent(image, operation, strength, cpu=_one_by_one, default=apply)
    return image
