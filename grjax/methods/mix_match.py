"""Targets and loss of MixMatch, for methods that learn from some examples without their labels.

Reference: Berthelot et al., NeurIPS 2019 (arXiv:1905.02249).
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grjax.devices import AXIS


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
