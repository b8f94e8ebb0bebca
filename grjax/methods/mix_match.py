"""Targets and loss of MixMatch, for methods that learn from some examples without their labels.

Reference: Berthelot et al., NeurIPS 2019 (arXiv:1905.02249).
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from grjax.data.augment import BatchAugmentation
from grjax.data.feed import Batch, DeviceData
from grjax.devices import AXIS
from grjax.methods.method import Parts
from grjax.methods.network import Network, evaluated


def with_a_batch_each(
    labelled: np.ndarray, place: np.ndarray, *, batches: int
) -> tuple[np.ndarray, np.ndarray]:
    """Both groups, each with the examples of one batch at least: those next to it by their place are in both.

    Args:
      labelled: who belongs to the labelled ones, bool [..., N]; all others do not.
      place: of each example among all, 0 for the one whose label is most trusted, int [..., N]; labelled
        ones come before the others.
      batches: of an epoch.

    Returns:
      Who is labelled, and who unlabelled: bool [..., N] each.
    """
    number = labelled.shape[-1]
    least = number // batches
    return labelled | (place < least), ~labelled | (place >= number - least)


def two_views(
    parts: Parts,
    data: DeviceData,
    examples: Batch,
    key: jax.Array,
    stronger: BatchAugmentation | None = None,
) -> jax.Array:
    """Two augmentations of each example, standardised: [2 B, ...], all first ones, then all second ones.

    `stronger` is what the second ones go through after that; None: nothing.
    """
    pixels = examples.pixels(data)
    first, second = (parts.augment(pixels, examples.positions, key) for key in jax.random.split(key))
    if stronger is not None:
        second = stronger(second, examples.positions, jax.random.fold_in(key, 2))  # split() gave 0 and 1
    return data.standardise(jnp.concatenate([first, second]))


def predicted(parts: Parts, network: Network, images: jax.Array) -> jax.Array:
    """Logits [B, C] of a network itself, not of its average, in evaluation mode; a constant."""
    return jax.lax.stop_gradient(evaluated(parts, network.replace(average=()), images))


def mean_of_views(logits: jax.Array) -> jax.Array:
    """The mean probabilities over two views: logits [2 B, C] -> [B, C]."""
    first, second = jnp.split(jax.nn.softmax(logits), 2)
    return (first + second) / 2


def refined(labels: jax.Array, clean: jax.Array, predicted: jax.Array) -> jax.Array:
    """The label as far as it is right: w onehot(y) + (1 - w) p; one-hot labels and p [B, C], w [B]."""
    return clean[:, None] * labels + (1 - clean[:, None]) * predicted


def sharpened(probabilities: jax.Array, temperature: ArrayLike) -> jax.Array:
    """p_k^(1/T) over its sum [B, C].

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax.methods.mix_match import sharpened
      >>> [round(float(each), 3) for each in sharpened(jnp.array([[0.75, 0.25]]), 0.5)[0]]
      [0.9, 0.1]
    """
    powers = probabilities ** (1 / temperature)
    return powers / powers.sum(-1, keepdims=True)


def semi_supervised(logits: jax.Array, targets: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The three terms of the loss, from logits and targets [4 B, C] of which the first half is labelled.

    Returns:
      Cross-entropy of the labelled, mean squared error of the unlabelled over rows and classes, both of this
      device, and KL(uniform || mean prediction over all devices): [] each.
    """
    log_p, p = jax.nn.log_softmax(logits), jax.nn.softmax(logits)
    (log_p_x, _), (_, p_u), (of_x, of_u) = (jnp.split(each, 2) for each in (log_p, p, targets))
    mean_p = jax.lax.pmean(p.mean(0), AXIS)
    apart = -jnp.log(logits.shape[-1]) - jnp.log(mean_p).mean()
    return -(of_x * log_p_x).sum(-1).mean(), jnp.square(p_u - of_u).mean(), apart
