"""Models of label noise, and their registry.

A noise model is a function (clean labels [N], num_classes, ids [N], *, seed, ...) -> noisy labels [N], a
pure function of its arguments in which each example's draw depends on its id and not on its position. One
that needs the images takes them as `images`, after the ids; one that must know which other training examples
there are takes `all_ids`, and one that reads other labels of the data set `annotations`. Adding one: write it
so, state its convention in the docstring, and name it in `_MODELS`; where its transition matrix is known,
name that in `_TRANSITIONS`.

What is no relabelling has its own place: `grjax.noise.imbalance` and `grjax.noise.open_set`.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from grjax.errors import ConfigError
from grjax.noise import cifar100, class_map, instance, matrix
from grjax.noise.cifar100 import (
    LegacyNoiseWarning,
    asymmetric_cifar100_block_legacy,
    asymmetric_cifar100_next,
    asymmetric_cifar100_swap,
)
from grjax.noise.class_map import (
    asymmetric_cifar10,
    asymmetric_cifar10_in_place,
    asymmetric_fashion_mnist,
    asymmetric_mnist,
    pair_flip,
)
from grjax.noise.column import label_column
from grjax.noise.compose import BoundModel, compose
from grjax.noise.human import cifar10_n, cifar100_n
from grjax.noise.instance import instance_dependent
from grjax.noise.label_file import label_file
from grjax.noise.matrix import transition_matrix
from grjax.noise.noisy_labels import NoisyLabels
from grjax.noise.scores import score_based
from grjax.noise.symmetric import (
    excluding_transition,
    including_transition,
    symmetric,
    symmetric_exact_global,
    symmetric_exact_per_class,
    symmetric_exact_transition,
    symmetric_including_true,
    uniform_mix,
)
from grjax.plain_values import plain
from grjax.ranges import In
from grjax.registry import check_options, lookup

__all__ = [
    "LegacyNoiseWarning",
    "NoisyLabels",
    "asymmetric_cifar10",
    "asymmetric_cifar10_in_place",
    "asymmetric_cifar100_block_legacy",
    "asymmetric_cifar100_next",
    "asymmetric_cifar100_swap",
    "asymmetric_fashion_mnist",
    "asymmetric_mnist",
    "cifar10_n",
    "cifar100_n",
    "compose",
    "create",
    "instance_dependent",
    "label_column",
    "label_file",
    "names",
    "pair_flip",
    "score_based",
    "symmetric",
    "symmetric_exact_global",
    "symmetric_exact_per_class",
    "symmetric_exact_transition",
    "symmetric_including_true",
    "transition",
    "transition_matrix",
    "uniform_mix",
]

_MODELS: dict[str, Callable[..., np.ndarray]] = {
    "asymmetric_cifar10": asymmetric_cifar10,
    "asymmetric_cifar10_in_place": asymmetric_cifar10_in_place,
    "asymmetric_cifar100_block_legacy": asymmetric_cifar100_block_legacy,
    "asymmetric_cifar100_next": asymmetric_cifar100_next,
    "asymmetric_cifar100_swap": asymmetric_cifar100_swap,
    "asymmetric_fashion_mnist": asymmetric_fashion_mnist,
    "asymmetric_mnist": asymmetric_mnist,
    "cifar10_n": cifar10_n,
    "cifar100_n": cifar100_n,
    "column": label_column,
    "compose": compose,
    "file": label_file,
    "instance_dependent": instance_dependent,
    "pair_flip": pair_flip,
    "score_based": score_based,
    "symmetric": symmetric,
    "symmetric_exact_global": symmetric_exact_global,
    "symmetric_exact_per_class": symmetric_exact_per_class,
    "symmetric_exact_transition": symmetric_exact_transition,
    "symmetric_including_true": symmetric_including_true,
    "transition_matrix": transition_matrix,
    "uniform_mix": uniform_mix,
}

# Functions (num_classes, *, ...) -> T [C, C] of those options of the model that T depends on.
_TRANSITIONS: dict[str, Callable[..., np.ndarray]] = {
    "asymmetric_cifar10": class_map.cifar10_transition,
    "asymmetric_cifar10_in_place": class_map.cifar10_in_place_transition,
    "asymmetric_cifar100_block_legacy": cifar100.block_transition,
    "asymmetric_cifar100_next": cifar100.next_transition,
    "asymmetric_cifar100_swap": cifar100.swap_transition,
    "asymmetric_fashion_mnist": class_map.fashion_mnist_transition,
    "asymmetric_mnist": class_map.mnist_transition,
    "pair_flip": class_map.pair_flip_transition,
    "symmetric": excluding_transition,
    "symmetric_exact_global": excluding_transition,
    "symmetric_exact_per_class": excluding_transition,
    "symmetric_exact_transition": excluding_transition,
    "symmetric_including_true": including_transition,
    "transition_matrix": matrix.declared_transition,
    "uniform_mix": including_transition,
}

# Functions of options -> the expected rate of noise that has no such matrix.
_EXPECTED_RATES: dict[str, Callable[..., float]] = {
    "instance_dependent": instance.expected_rate,
}

_SUPPLIED = (
    "labels",
    "num_classes",
    "ids",
    "images",
    "all_ids",
    "annotations",
)  # what the library passes itself


def names() -> list[str]:
    """The registered noise models."""
    return sorted(_MODELS)


def create(name: str, *, seed: int = 0, **options: Any) -> Callable[..., NoisyLabels]:
    """The noise model registered as `name`.

    Args:
      name: one of `names()`.
      seed: seed of the noise draw, >= 0, independent of every other seed of a run.
      **options: keywords of the model, checked against its signature; among them of most
        rate: nominal noise rate, in [0, 1]; what it means is said in the model's docstring.

    Returns:
      A function (labels, num_classes, ids=None, images=None, all_ids=None, *, annotations=None) ->
      `NoisyLabels`.
      `labels`: integer [N] in [0, num_classes). `ids`: integer [N], by default 0..N-1. `images`: [N, ...],
      where a model needs them. `all_ids`: those of the whole training set, integer [M], where `ids` are a
      part of it: a label file may hold labels for all of them. `annotations`: other labels of the examples,
      integer [N] each, by name.

    Raises:
      ConfigError: unknown name or option, or a rate or seed out of range; the returned function raises
        it for unusable labels, ids or images, and for options that do not fit them.

    Example:
      >>> import numpy as np
      >>> from grjax import noise
      >>> corrupt = noise.create('symmetric', rate=0.4, seed=0)
      >>> noisy = corrupt(np.zeros(10_000, np.int32), 10)
      >>> round(noisy.realised_rate, 2)
      0.4
    """
    seed, options = plain(seed), plain(options)
    model = _bind("noise", name, {**options, "seed": seed})
    In("[0, 2**64)").check("noise.seed", seed)

    def corrupt(
        labels: np.ndarray,
        num_classes: int,
        ids: np.ndarray | None = None,
        images: np.ndarray | None = None,
        all_ids: np.ndarray | None = None,
        *,
        annotations: Mapping[str, np.ndarray] | None = None,
    ) -> NoisyLabels:
        ids = np.arange(len(labels)) if ids is None else np.asarray(ids)
        given = np.asarray(labels)
        if num_classes < 2:
            raise ConfigError(f"noise: there must be at least 2 classes, got {num_classes}")
        if not np.issubdtype(given.dtype, np.integer) or (given < 0).any() or (given >= num_classes).any():
            raise ConfigError(f"noise: labels must be integers in [0, {num_classes}), got {given}")
        clean = given.astype(np.int32)
        if ids.shape != clean.shape or (ids < 0).any() or (ids >= 2**31).any():
            raise ConfigError("noise: ids must be one for each label, in [0, 2**31)")
        if len(np.unique(ids)) != len(ids):
            raise ConfigError("noise: ids must be distinct, some occur more than once")
        if images is not None and len(images) != len(clean):
            raise ConfigError(f"noise: images must be one for each label, got {len(images)} for {len(clean)}")
        noisy = model(clean, num_classes, ids, images, ids if all_ids is None else all_ids, annotations)
        matrix = transition(name, num_classes, seed=seed, **options)
        expected = None
        if matrix is not None and len(clean):
            expected = round(float(np.mean(1 - matrix[clean, clean])), 12)  # 0.4, not 0.39999999999999997
        elif name in _EXPECTED_RATES:
            expected = round(_taking(_EXPECTED_RATES[name], options), 12)
        return NoisyLabels(
            ids=ids.astype(np.int64),
            clean=clean,
            labels=noisy,
            num_classes=num_classes,
            nominal_rate=float(options["rate"]) if "rate" in options else expected,
            expected_rate=expected,
            convention={"name": name, "seed": seed, **options},
        )

    return corrupt


def transition(name: str, num_classes: int, *, seed: int = 0, **options: Any) -> np.ndarray | None:
    """The transition matrix T[i, j] = P(noisy label j | clean label i) that a noise model declares.

    For exact draws T is the expectation, up to rounding of counts.

    Args:
      name: one of `names()`.
      num_classes: C.
      seed: of the noise; T depends on it where the seed chooses classes.
      **options: as for `create`.

    Returns:
      T, float64 [C, C], rows sum to 1; None for noise that is not class-conditional: of humans, files,
      images and scores.

    Raises:
      ConfigError: see `create`; or the model is for another number of classes.

    Example:
      >>> from grjax import noise
      >>> noise.transition('pair_flip', 3, rate=0.25)
      array([[0.75, 0.25, 0.  ],
             [0.  , 0.75, 0.25],
             [0.25, 0.  , 0.75]])
    """
    options = {**plain(options), "seed": plain(seed)}
    _bind("noise", name, options)
    if name == "compose":
        matrices = [transition(num_classes=num_classes, **part) for part in _seeded_parts(options)]
        known = [matrix for matrix in matrices if matrix is not None]
        return functools.reduce(np.matmul, known) if len(known) == len(matrices) else None
    if name not in _TRANSITIONS:
        return None
    return _taking(_TRANSITIONS[name], options, num_classes)


def _taking(function: Callable[..., Any], options: Mapping[str, Any], *arguments: Any) -> Any:
    """What a function returns for those of the options that it takes."""
    wanted = inspect.signature(function).parameters
    return function(*arguments, **{key: value for key, value in options.items() if key in wanted})


def _bind(where: str, name: str, options: Mapping[str, Any]) -> BoundModel:
    """The model with its checked options; `where` is the config section that they come from."""
    function = lookup(f"{where}.name", _MODELS, name)
    options = check_options(where, name, function, options, supplied=_SUPPLIED)
    if name == "compose":
        parts = [
            _bind(f"{where}.parts[{number}]", part["name"], _without_name(part))
            for number, part in enumerate(_seeded_parts(options))
        ]
        options = {**options, "parts": parts}
    parameters = inspect.signature(function).parameters
    needs_images = "images" in parameters and parameters["images"].default is inspect.Parameter.empty

    def model(
        labels: np.ndarray,
        num_classes: int,
        ids: np.ndarray,
        images: np.ndarray | None,
        all_ids: np.ndarray,
        annotations: Mapping[str, np.ndarray] | None,
    ) -> np.ndarray:
        if images is None and needs_images:
            raise ConfigError(f"{where}.name: {name!r} needs the images, none are given")
        supplied = {"images": images, "all_ids": all_ids, "annotations": annotations}
        taken = {key: value for key, value in supplied.items() if key in parameters}
        return function(labels, num_classes, ids, **taken, **options)

    return model


def _seeded_parts(options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The sections of a composition, each with a seed of its own."""
    parts = []
    for number, part in enumerate(options["parts"]):
        where = f"noise.parts[{number}]"
        if not isinstance(part, Mapping) or "name" not in part:
            raise ConfigError(
                f"{where}: must be a section with a name, as {{'name': 'symmetric'}}, got {part!r}"
            )
        if part["name"] == "compose":
            raise ConfigError(f"{where}.name: a composition has no compositions in it; name their parts")
        if "seed" in part:
            raise ConfigError(f"{where}.seed: follows from noise.seed, remove it")
        # The generator's key has 128 bits, and a seed takes the lower 64.
        parts.append({**part, "seed": options["seed"] + (number << 64)})
    if not parts:
        raise ConfigError("noise.parts: must hold at least one section")
    return parts


def _without_name(section: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in section.items() if key != "name"}
