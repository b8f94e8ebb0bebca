"""Per-example losses, (logits `[..., C]`, integer labels `[...]`) -> `[...]`, and their registry.

Adding one: write it as such a function with its hyper-parameters as keywords, and name it in `_LOSSES`.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax

from grjax.losses.rescaling import cross_entropy, gradient_rescaling, rescale
from grjax.registry import check_options, lookup

__all__ = ["create", "cross_entropy", "gradient_rescaling", "names", "rescale"]

Loss = Callable[[jax.Array, jax.Array], jax.Array]

_LOSSES: dict[str, Callable[..., jax.Array]] = {
    "cross_entropy": cross_entropy,
    "gradient_rescaling": gradient_rescaling,
}


def names() -> list[str]:
    """The registered losses."""
    return sorted(_LOSSES)


def create(name: str, *, axis_name: str | None = None, **hyperparameters: Any) -> Loss:
    """The loss registered as `name`, with its hyper-parameters bound.

    Args:
      name: one of `names()`.
      axis_name: the pmapped axis over which a batch is spread, for losses that couple its examples;
        others do without.
      **hyperparameters: keywords of the loss, checked against its signature; may be traced.

    Returns:
      A function (logits `[..., C]`, labels `[...]`) -> `[...]`.

    Raises:
      ConfigError: unknown name or hyper-parameter, or a required one is missing.

    Example:
      >>> from grjax import losses
      >>> loss = losses.create('gradient_rescaling', lam=1., beta=8.)
    """
    loss = lookup("loss.name", _LOSSES, name)
    check_options("loss", name, loss, hyperparameters, supplied=("logits", "labels", "axis_name"))
    if "axis_name" in inspect.signature(loss).parameters:
        hyperparameters["axis_name"] = axis_name
    return functools.partial(loss, **hyperparameters)
