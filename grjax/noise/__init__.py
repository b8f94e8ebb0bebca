"""Models of label noise, and their registry.

A noise model is a function (clean labels [N], num_classes, ids [N], *, rate, seed, ...) -> noisy labels [N],
a pure function of its arguments in which each example's draw depends on its id and not on its position.
Adding one: write it so, state its convention in the docstring, and name it in `_MODELS`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from grjax.errors import ConfigError
from grjax.noise.noisy_labels import NoisyLabels
from grjax.noise.symmetric import symmetric
from grjax.registry import check_options, lookup

__all__ = ["NoisyLabels", "create", "names", "symmetric"]

_MODELS: dict[str, Callable[..., np.ndarray]] = {"symmetric": symmetric}


def names() -> list[str]:
    """The registered noise models."""
    return sorted(_MODELS)


def create(name: str, *, seed: int = 0, **options: Any) -> Callable[..., NoisyLabels]:
    """The noise model registered as `name`.

    Args:
      name: one of `names()`.
      seed: seed of the noise draw, >= 0, independent of every other seed of a run.
      **options: keywords of the model, checked against its signature; among them
        rate: nominal noise rate, in [0, 1]; what it means is said in the model's docstring.

    Returns:
      A function (labels, num_classes, ids=None) -> `NoisyLabels`. `labels`: integer [N] in
      [0, num_classes). `ids`: integer [N], by default 0..N-1.

    Raises:
      ConfigError: unknown name or option, or a rate or seed out of range; the returned function raises
        it for unusable labels or ids.

    Example:
      >>> import numpy as np
      >>> from grjax import noise
      >>> corrupt = noise.create('symmetric', rate=0.4, seed=0)
      >>> noisy = corrupt(np.zeros(10_000, np.int32), 10)
      >>> round(noisy.realised_rate, 2)
      0.4
    """
    model = lookup("noise.name", _MODELS, name)
    options["seed"] = seed
    check_options("noise", name, model, options, supplied=("labels", "num_classes", "ids"))
    rate = options.get("rate", 0.0)
    if not 0 <= rate <= 1:
        raise ConfigError(f"noise.rate: must be in [0, 1], got {rate}")
    if not 0 <= seed < 2**64:
        raise ConfigError(f"noise.seed: must be in [0, 2**64), got {seed}")

    def corrupt(labels: np.ndarray, num_classes: int, ids: np.ndarray | None = None) -> NoisyLabels:
        ids = np.arange(len(labels)) if ids is None else np.asarray(ids)
        given = np.asarray(labels)
        if not np.issubdtype(given.dtype, np.integer) or (given < 0).any() or (given >= num_classes).any():
            raise ConfigError(f"noise: labels must be integers in [0, {num_classes}), got {given}")
        clean = given.astype(np.int32)
        if ids.shape != clean.shape or (ids < 0).any() or (ids >= 2**31).any():
            raise ConfigError("noise: ids must be one for each label, in [0, 2**31)")
        if len(np.unique(ids)) != len(ids):
            raise ConfigError("noise: ids must be distinct, some occur more than once")
        return NoisyLabels(
            ids=ids.astype(np.int64),
            clean=clean,
            labels=model(clean, num_classes, ids, **options),
            num_classes=num_classes,
            nominal_rate=float(rate),
        )

    return corrupt
