"""Sharpness-aware minimisation: the gradient of a step is taken a little further up."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grjax.devices import PyTree


def ascended(params: PyTree, gradients: PyTree, rho: ArrayLike) -> PyTree:
    """The point w + rho g / ||g||, with the norm over all parameters; w where the gradient is 0.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax.methods import sharpness
      >>> sharpness.ascended(jnp.zeros(2), jnp.array([3.0, 4.0]), rho=0.5).tolist()
      [0.300, 0.400]
    """
    norm = jnp.sqrt(sum(jnp.square(g).sum() for g in jax.tree.leaves(gradients)))
    scale = rho / jnp.maximum(norm, 1e-12)
    return jax.tree.map(lambda w, g: w + scale.astype(w.dtype) * g, params, gradients)


def aware(
    params: PyTree, gradients: PyTree, gradient_at: Callable[[PyTree], PyTree], *, rho: float
) -> PyTree:
    """The gradient at w + rho g / ||g|| in place of g, the one at w.

    Both are of the loss over the batch of all devices, without weight decay. What the first pass has changed,
    batch-norm statistics and memories, stays; the second one is looked at for its gradient alone. It sees the
    same images and drops the same units.

    Args:
      params: w.
      gradients: g, the same on every device.
      gradient_at: parameters -> the gradient there, the same on every device.
      rho: the length of the way up, >= 0; with 0 there is no second gradient, and g is returned.

    Reference: Foret et al., ICLR 2021 (arXiv:2010.01412).
    """
    return gradient_at(ascended(params, gradients, rho)) if rho else gradients
