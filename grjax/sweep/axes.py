"""Axes of a sweep in plain Python: lists of overrides, joined by product, zip and chain.

An axis is a list of points, a point a dict of dotted config keys, as {'loss.beta': 8.0}.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from grjax.config import flatten
from grjax.errors import ConfigError
from grjax.registry import closest
from grjax.sweep.statistics import SEEDS

Point = dict[str, Any]
Axis = Sequence[Mapping[str, Any]]


def over(key: str, values: Iterable[Any]) -> list[Point]:
    """The axis of one key; a value may be a whole section.

    Args:
      key: dotted, as 'noise.rate', or a section, as 'loss'.
      values: for each point one, NumPy's numbers too; of a section a mapping.

    Example:
      >>> from grjax.sweep import over
      >>> over('loss', [{'name': 'cross_entropy'}, {'name': 'gce', 'q': 0.7}])
      [{'loss.name': 'cross_entropy'}, {'loss.name': 'gce', 'loss.q': 0.7}]
    """
    plain = (value.item() if isinstance(value, np.generic) else value for value in values)
    return [flatten(value, f"{key}.") if isinstance(value, Mapping) else {key: value} for value in plain]


def seeds(values: Iterable[int], also: Sequence[str] = ()) -> list[Point]:
    """The axis of repetitions: noise, initialisation and order all drawn anew, from the same number.

    Args:
      values: the numbers.
      also: further keys that get the number: 'imbalance.seed', so that other examples stay each time, or
        'open_set.seed'.

    Raises:
      ConfigError: a key of `also` that is no seed of a repetition.

    Example:
      >>> from grjax.sweep import seeds
      >>> seeds([3])
      [{'noise.seed': 3, 'init_seed': 3, 'order_seed': 3}]
    """
    for key in also:
        if key not in SEEDS:
            raise ConfigError(f"seeds: {key!r} is no seed of a repetition; {closest(key, SEEDS)}")
    return [dict.fromkeys(("noise.seed", "init_seed", "order_seed", *also), seed) for seed in values]


def product(*axes: Axis) -> list[Point]:
    """Every combination of points, the last axis running fastest.

    Raises:
      ConfigError: two axes set the same key.

    Example:
      >>> from grjax.sweep import over, product
      >>> product(over('loss.lam', [0.0, 1.0]), over('loss.beta', [8.0]))
      [{'loss.lam': 0.0, 'loss.beta': 8.0}, {'loss.lam': 1.0, 'loss.beta': 8.0}]
    """
    return [_joined(points) for points in itertools.product(*axes)]


def zipped(*axes: Axis) -> list[Point]:
    """Point by point of axes that are equally long.

    Raises:
      ConfigError: they are not, or two set the same key.
    """
    if len({len(axis) for axis in axes}) > 1:
        raise ConfigError(f"zipped: axes must be equally long, got {[len(axis) for axis in axes]} points")
    return [_joined(points) for points in zip(*axes, strict=True)]


def chained(*axes: Axis) -> list[Point]:
    """The points of one axis after those of another."""
    return [dict(point) for point in itertools.chain(*axes)]


def _joined(points: Iterable[Mapping[str, Any]]) -> Point:
    joined: Point = {}
    for point in points:
        for key in point:
            if key in joined:
                raise ConfigError(f"{key}: two axes of the sweep set it")
        joined |= point
    return joined
