"""Mixtures of the examples of a batch, on the device: mixup and cutmix, and their registry.

A mixing is a function (images [B, H, W, C], key, *, options) -> (images, share [B]) that mixes each example
with its partner, the one before it in the batch; `share` is the weight of its own label. The loss of a
mixture of labels y and y' is, for every loss in `grjax.losses`,

    share * loss(z, y) + (1 - share) * loss(z, y'),    y' = partners(y).

In a loss of p alone, as Gradient Rescaling is, each term has its own p, that of its label: a mixture may be
emphasised for one of its labels and passed over for the other. Cross-entropy comes out as the one with the
mixed one-hot target.

Adding a mixing: write it so, and name it in `_MIXINGS`.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grjax.errors import ConfigError
from grjax.ranges import In
from grjax.registry import check_options, lookup

Mixing = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]


def partners(batch: jax.Array) -> jax.Array:
    """What each example is mixed with: of images or labels [B, ...], those of the example before it."""
    return jnp.roll(batch, 1, axis=0)


def draw_share(key: jax.Array, alpha: ArrayLike) -> jax.Array:
    """From Beta(alpha, alpha), as g / (g + g') of two gamma variates: half the compilation of two draws."""
    log_gamma = jax.random.loggamma(key, alpha, (2,))
    return jax.nn.sigmoid(log_gamma[0] - log_gamma[1])


def none(images: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """No mixture: each image is all its own."""
    del key
    return images, jnp.ones(len(images))


def mixup(
    images: jax.Array, key: jax.Array, *, alpha: Annotated[float, In("(0, inf)")]
) -> tuple[jax.Array, jax.Array]:
    """Mixes all pixels: share x + (1 - share) x', with one share ~ Beta(alpha, alpha) for the batch.

    Args:
      images: floating [B, H, W, C].
      key: of the draw.
      alpha: > 0; 1 is the uniform distribution, less stays closer to the images.

    Returns:
      Images of the same shape and dtype; share, float32 [B].

    Raises:
      ValueError: images that are not floating.

    Reference: Zhang et al., ICLR 2018 (arXiv:1710.09412).
    """
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise ValueError(f"mixup: images must be floating, got {images.dtype}")
    share = draw_share(key, alpha).astype(images.dtype)
    mixed = share * images + (1 - share) * partners(images)
    return mixed, jnp.full(len(images), share, jnp.float32)


def cutmix(
    images: jax.Array, key: jax.Array, *, alpha: Annotated[float, In("(0, inf)")]
) -> tuple[jax.Array, jax.Array]:
    """Pastes a box of the partner, at one uniformly random place for the batch, where it was.

    The box has sides sqrt(1 - s) of the image's, s ~ Beta(alpha, alpha), and is clipped at the borders; share
    is what then remains of the image's own area, exactly.

    Args:
      images: [B, H, W, C].
      key: of the draw.
      alpha: > 0; the paper has 1.

    Returns:
      Images of the same shape and dtype; share, float32 [B].

    Reference: Yun et al., ICCV 2019 (arXiv:1905.04899).
    """
    number, height, width, _ = images.shape
    share_key, row_key, column_key = jax.random.split(key, 3)
    side = jnp.sqrt(1 - draw_share(share_key, alpha))

    def covered(key: jax.Array, length: int) -> jax.Array:
        centre, half = jax.random.randint(key, (), 0, length), (length * side).astype(jnp.int32) // 2
        places = jnp.arange(length)
        return (centre - half <= places) & (places < centre + half)

    box = covered(row_key, height)[:, None] & covered(column_key, width)[None, :]
    mixed = jnp.where(box[None, :, :, None], partners(images), images)
    return mixed, jnp.full(number, 1 - box.mean(), jnp.float32)


_MIXINGS: dict[str, Callable[..., tuple[jax.Array, jax.Array]]] = {
    "cutmix": cutmix,
    "mixup": mixup,
    "none": none,
}


def names() -> list[str]:
    """The registered mixings, among them 'none'."""
    return sorted(_MIXINGS)


def create(section: Mapping[str, Any]) -> Mixing | None:
    """The mixing that a section of a config names; None for 'none', so that a step can do without.

    Args:
      section: 'name', one of `names()`, and options: keywords of the mixing, checked against its signature.

    Returns:
      A function (images [B, H, W, C], key) -> (images, share [B]), or None.

    Raises:
      ConfigError: unknown name or option, a required one is missing, or alpha is out of range.

    Example:
      >>> from grjax.data import mixing
      >>> mix = mixing.create({'name': 'mixup', 'alpha': 0.2})
      >>> mixing.create({'name': 'none'}) is None
      True
    """
    options = {**section}
    if "name" not in options:
        raise ConfigError(f"data.mixing.name: needs a value for it, one of {', '.join(names())}")
    name = options.pop("name")
    mixing = lookup("data.mixing.name", _MIXINGS, name)
    options = check_options("data.mixing", name, mixing, options, supplied=("images", "key"))
    return None if name == "none" else functools.partial(mixing, **options)
