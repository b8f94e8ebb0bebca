"""Class imbalance: which training examples stay, and its registry.

It relabels nothing, so it is no noise model but a selection that comes before noise: a function (clean
labels [N], num_classes, ids [N], *, seed, ...) -> kept, bool [N]. Kept are those of a class with the smallest
numbers of (seed, id): no order matters, and what is kept at a stronger imbalance is kept at a weaker one.
`subset` keeps the balance, and makes a data set small.
Adding one: write it so, and name it in `_SELECTIONS`.
"""

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np

from grjax.errors import ConfigError
from grjax.noise.draws import IMBALANCE, floor, rank_within, uniforms
from grjax.ranges import In
from grjax.registry import check_options, lookup

Selection = Callable[[np.ndarray, int, np.ndarray], np.ndarray]


def none(
    labels: np.ndarray, num_classes: int, ids: np.ndarray, *, seed: Annotated[int, In("[0, 2**64)")] = 0
) -> np.ndarray:
    """Every example stays."""
    return np.ones(len(labels), bool)


def long_tail(
    labels: np.ndarray,
    num_classes: int,
    ids: np.ndarray,
    *,
    ratio: Annotated[float, In("[1, inf)")],
    seed: Annotated[int, In("[0, 2**64)")] = 0,
) -> np.ndarray:
    """Exponential decay: of the n examples of class c, floor(n ratio^(-c / (C - 1))) stay, at least one.

    On classes of equal size, the first has `ratio` times as many examples as the last.

    Args:
      labels: clean labels in [0, num_classes), integer [N].
      num_classes: C >= 2.
      ids: example ids >= 0, integer [N].
      ratio: >= 1.
      seed: of the choice, >= 0.

    Returns:
      Which examples stay, bool [N].
    """
    fractions = float(ratio) ** (-np.arange(num_classes) / (num_classes - 1))
    return _keep(fractions * np.bincount(labels, minlength=num_classes), labels, ids, seed)


def step(
    labels: np.ndarray,
    num_classes: int,
    ids: np.ndarray,
    *,
    ratio: Annotated[float, In("[1, inf)")],
    fraction: Annotated[float, In("[0, 1]")] = 0.5,
    seed: Annotated[int, In("[0, 2**64)")] = 0,
) -> np.ndarray:
    """In the last floor(fraction C) classes, only floor(n / ratio) of n examples stay, at least one.

    Args:
      labels: clean labels in [0, num_classes), integer [N].
      num_classes: C.
      ids: example ids >= 0, integer [N].
      ratio: >= 1.
      fraction: of classes that become small, in [0, 1].
      seed: of the choice, >= 0.

    Returns:
      Which examples stay, bool [N].
    """
    small = np.arange(num_classes) >= num_classes - floor(fraction * num_classes)
    counts = np.bincount(labels, minlength=num_classes) / np.where(small, ratio, 1)
    return _keep(counts, labels, ids, seed)


def positive_negative(
    labels: np.ndarray,
    num_classes: int,
    ids: np.ndarray,
    *,
    ratio: Annotated[float, In("(0, inf)")],
    seed: Annotated[int, In("[0, 2**64)")] = 0,
) -> np.ndarray:
    """Two classes in the ratio of positives to negatives, as the GR paper's IMDB at 10:1 and 50:1.

    Positives are class 1. All of the class that is then too small stay, and floor of the ratio's share of the
    other.

    Args:
      labels: clean labels, 0 or 1, integer [N].
      num_classes: 2.
      ids: example ids >= 0, integer [N].
      ratio: positives for each negative, > 0; 0.1 is one positive for ten negatives.
      seed: of the choice, >= 0.

    Returns:
      Which examples stay, bool [N].
    """
    if num_classes != 2:
        raise ConfigError(f"imbalance.name: 'positive_negative' is for two classes, not for {num_classes}")
    negatives, positives = np.bincount(labels, minlength=2)
    counts = np.array([min(negatives, positives / ratio), min(positives, negatives * ratio)])
    return _keep(counts, labels, ids, seed)


def subset(
    labels: np.ndarray,
    num_classes: int,
    ids: np.ndarray,
    *,
    ratio: Annotated[float, In("[1, inf)")],
    seed: Annotated[int, In("[0, 2**64)")] = 0,
) -> np.ndarray:
    """In every class, floor(n / ratio) of n examples stay, at least one: a smaller training set.

    Args:
      labels: clean labels in [0, num_classes), integer [N].
      num_classes: C.
      ids: example ids >= 0, integer [N].
      ratio: >= 1.
      seed: of the choice, >= 0.

    Returns:
      Which examples stay, bool [N].
    """
    return _keep(np.bincount(labels, minlength=num_classes) / ratio, labels, ids, seed)


_SELECTIONS: dict[str, Callable[..., np.ndarray]] = {
    "long_tail": long_tail,
    "none": none,
    "positive_negative": positive_negative,
    "step": step,
    "subset": subset,
}


def names() -> list[str]:
    """The registered selections."""
    return sorted(_SELECTIONS)


def create(name: str, *, seed: int = 0, **options: Any) -> Selection:
    """The selection registered as `name`: a function (labels [N], num_classes, ids [N]) -> kept, bool [N].

    Args:
      name: one of `names()`.
      seed: of the choice, in [0, 2**64), independent of every other seed of a run.
      **options: keywords of the selection, checked against its signature.

    Raises:
      ConfigError: unknown name or option, or a value out of range.

    Example:
      >>> import numpy as np
      >>> from grjax.noise import imbalance
      >>> labels = np.repeat([0, 1, 2], 100)
      >>> kept = imbalance.create('long_tail', ratio=100)(labels, 3, np.arange(300))
      >>> np.bincount(labels[kept])
      array([100,  10,   1])
    """
    function = lookup("imbalance.name", _SELECTIONS, name)
    supplied = ("labels", "num_classes", "ids")
    options = check_options("imbalance", name, function, {**options, "seed": seed}, supplied)
    return lambda labels, num_classes, ids: function(labels, num_classes, ids, **options)


def _keep(counts: np.ndarray, labels: np.ndarray, ids: np.ndarray, seed: int) -> np.ndarray:
    """The first counts[c] of each class by their numbers, at least one."""
    ranks, _ = rank_within(labels, uniforms(seed, ids, IMBALANCE)[0], ids)
    return ranks < np.maximum(floor(counts), 1)[labels]
