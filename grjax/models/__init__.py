"""Networks in Flax Linen, and their registry.

A model is a module called as model.apply(variables, images float [B, height, width, channels], train=...)
-> logits [B, C], with fields `num_classes` and `axis_name` (for synchronised batch norm). Adding one: write
it in a file of its family, and name it in `_MODELS`.
"""

from typing import Any

import flax.linen as nn

from grjax.models.cnn import CNN
from grjax.registry import check_options, lookup

__all__ = ["CNN", "create", "names"]

_MODELS: dict[str, type[nn.Module]] = {"cnn": CNN}


def names() -> list[str]:
    """The registered models."""
    return sorted(_MODELS)


def create(name: str, *, num_classes: int, axis_name: str | None = None, **options: Any) -> nn.Module:
    """The model registered as `name`.

    Args:
      name: one of `names()`.
      num_classes: C.
      axis_name: the pmapped axis over which batch norm is synchronised; None outside `jax.pmap`.
      **options: fields of the module, checked against its constructor.

    Raises:
      ConfigError: unknown name or option.
    """
    model = lookup("model.name", _MODELS, name)
    supplied = ("num_classes", "axis_name", "parent", "name")
    check_options("model", name, model, options, supplied)
    return model(num_classes=num_classes, axis_name=axis_name, **options)
