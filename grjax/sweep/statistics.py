"""What may be said of runs that differ in their seeds: their spread, and how far they are from a baseline."""

import dataclasses
import math
import statistics
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from scipy import special

from grjax.errors import ConfigError

Seed = TypeVar("Seed", bound=Hashable)

# What makes a repetition: runs that agree in these see the same examples and wrong labels, and begin and are
# fed alike.
SEEDS = ("noise.seed", "init_seed", "order_seed", "imbalance.seed", "open_set.seed")


@dataclasses.dataclass(frozen=True)
class Spread:
    """A sample's mean, and how well it is known.

    Attributes:
      mean: of the sample.
      std: its standard deviation, with n - 1; None for one value.
      n: its size.
      low, high: an interval of Student's t that holds the true mean with the confidence asked for; None for
        one value.
    """

    mean: float
    std: float | None
    n: int
    low: float | None
    high: float | None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A paired comparison.

    Attributes:
      difference: ours minus the baseline's, its spread over the pairs.
      p_value: of the paired t-test, two-sided: how often seeds alone would give as large a mean difference
        if there were none. None for one pair.
    """

    difference: Spread
    p_value: float | None


def spread(values: Sequence[float], confidence: float = 0.95) -> Spread:
    """Mean, standard deviation and interval of a sample: mean ± t(n - 1) · std / sqrt(n).

    Args:
      values: one or more finite numbers, one a seed.
      confidence: of the interval, in (0, 1).

    Raises:
      ConfigError: no value, one that is not finite, or a confidence out of range.

    Example:
      >>> from grjax.sweep.statistics import spread
      >>> result = spread([0.96, 0.97, 0.95])
      >>> print(f"{result.mean:.3f} ± {result.std:.3f}, {result.low:.3f} to {result.high:.3f}")
      0.960 ± 0.010, 0.935 to 0.985
    """
    if not len(values):
        raise ConfigError("values: must be one or more, got none")
    if not np.isfinite(values).all():
        raise ConfigError(f"values: must be finite, got {list(values)}")
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence: must be in (0, 1), got {confidence}")
    n, mean = len(values), statistics.fmean(values)
    if n == 1:
        return Spread(mean, None, n, None, None)
    std = statistics.stdev(values)
    half = float(special.stdtrit(n - 1, (1 + confidence) / 2)) * std / math.sqrt(n)
    return Spread(mean, std, n, mean - half, mean + half)


def compare(
    ours: Mapping[Seed, float], baseline: Mapping[Seed, float], confidence: float = 0.95
) -> Comparison:
    """The paired difference of two methods that were run with the same seeds.

    Pairing takes out what both share: which labels are wrong, and how the network began.

    Args:
      ours: the value for each seed, or tuple of seeds.
      baseline: the same seeds' values of what is compared with.
      confidence: of the interval of the difference, in (0, 1).

    Raises:
      ConfigError: the seeds are not the same; or see `spread`.

    Example:
      >>> from grjax.sweep.statistics import compare
      >>> result = compare({0: 0.96, 1: 0.97, 2: 0.95}, {0: 0.78, 1: 0.80, 2: 0.75})
      >>> print(f"{result.difference.mean:.3f} ± {result.difference.std:.3f}, p = {result.p_value:.4f}")
      0.183 ± 0.015, p = 0.0023
    """
    if ours.keys() != baseline.keys():
        alone = sorted(map(str, ours.keys() ^ baseline.keys()))
        raise ConfigError(
            f"seeds: must be the same for a paired comparison, got {', '.join(alone)} on one side only"
        )
    difference = spread([ours[seed] - baseline[seed] for seed in ours], confidence)
    if difference.std is None:
        return Comparison(difference, None)
    if difference.std == 0:  # t is infinite, or 0 / 0
        return Comparison(difference, 1.0 if difference.mean == 0 else 0.0)
    t = difference.mean / (difference.std / math.sqrt(difference.n))
    return Comparison(difference, float(2 * special.stdtr(difference.n - 1, -abs(t))))


def seeds_of(flat_config: Mapping[str, Any]) -> tuple[Any, ...]:
    """The seeds of a run, from its flattened config, as keys for `compare`: those of `SEEDS`."""
    return tuple(flat_config.get(key) for key in SEEDS)
