"""What is tried where nobody says otherwise: losses that need no noise rate, at three learning rates."""

import json
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from grjax import config as config_lib
from grjax.sweep.axes import Point, over, product

_RATE = "optimizer.learning_rate"
_FACTORS = (1 / 3, 1.0, 3.0)  # of the config's learning rate

# Cross-entropy; two that lie between it and MAE; and Gradient Rescaling with the emphasis mode
# lam / (lam + 1) at 1/5, 1/3 and 1/2, each with a beta that lets examples at p = 1/C still be learned, to ten
# classes or so.
LOSSES: tuple[Mapping[str, Any], ...] = (
    {"name": "cross_entropy"},
    {"name": "gce", "q": 0.4},
    {"name": "gce", "q": 0.7},
    {"name": "gradient_rescaling", "lam": 0.25, "beta": 4.0},
    {"name": "gradient_rescaling", "lam": 0.5, "beta": 8.0},
    {"name": "gradient_rescaling", "lam": 1.0, "beta": 16.0},
)


def grid(base: ConfigDict) -> list[Point]:
    """The candidates of a config: its own loss and those of `LOSSES`, at its learning rate, a third and three
    times of it; all with one compiled step, unless the own loss needs another one.

    Args:
      base: from `grjax.config.resolve`.
    """
    points = product(over("loss", [base.loss.to_dict(), *LOSSES]), over(_RATE, _learning_rates(base)))
    found: dict[str, Point] = {}
    for point in points:
        config = config_lib.resolve(base, config_lib.unflatten(point))
        found.setdefault(
            json.dumps(config.to_dict(), sort_keys=True), point
        )  # the own loss may be another one
    return list(found.values())


def spaces(base: ConfigDict) -> list[Point]:
    """For each family of losses the space that Optuna draws candidates from.

    Args:
      base: from `grjax.config.resolve`.
    """
    from optuna.distributions import FloatDistribution  # Optuna takes a second

    low, _, high = _learning_rates(base)
    rate = over(_RATE, [FloatDistribution(low, high, log=True)])
    families: list[Point] = [
        {"loss.name": "cross_entropy"},
        {"loss.name": "gce", "loss.q": FloatDistribution(0.1, 1.0)},
        {
            "loss.name": "gradient_rescaling",
            "loss.lam": FloatDistribution(0.1, 2.0),
            "loss.beta": FloatDistribution(0.0, 20.0),
        },
    ]
    return product(families, rate)


def own(base: ConfigDict) -> Point:
    """The candidate that is the config's own loss and learning rate."""
    return {**config_lib.flatten(base.loss.to_dict(), "loss."), _RATE: base.optimizer.learning_rate}


def described(overrides: Mapping[str, Any]) -> str:
    """A candidate in words: 'gce, q=0.7, learning_rate=0.03'."""
    short = {key.removeprefix("loss.").removeprefix("optimizer."): value for key, value in overrides.items()}
    name = [str(short.pop("name"))] if "name" in short else []
    return ", ".join(name + [f"{key}={value}" for key, value in short.items()]) or "the config"


def _learning_rates(base: ConfigDict) -> list[float]:
    return [float(f"{base.optimizer.learning_rate * factor:.3g}") for factor in _FACTORS]
