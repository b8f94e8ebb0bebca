"""The random numbers of noise: pure functions of (seed, id), or of (seed, class).

They are raw output of a counter-based generator: NumPy promises this stream for ever, which it does not
promise for what its distributions make of it. The upper words of the counter keep apart what is drawn for
different purposes with the same seed; `grjax.data` uses those below 16.
"""

from typing import Annotated, Literal

import numpy as np

from grjax.ranges import In

NOISE = 0  # which examples are flipped, and to what
CLASSES = 16  # what is drawn once for a class
FLIP_RATES = 17  # of examples
IMBALANCE = 18
OPEN_SET = 19
OPEN_SET_ORDER = 20

Draw = Literal["bernoulli", "exact_per_class", "exact_global"]

_BLOCK = 2**20  # ids whose words are held in memory at a time
_GAP = 2**12  # ids whose words take as long as a new start of the generator


def uniforms(seed: int, ids: np.ndarray, stream: int = NOISE) -> np.ndarray:
    """Two numbers in [0, 1) for each id, whichever other ids there are: float64 [2, N].

    Args:
      seed: in [0, 2**128).
      ids: integer [N], >= 0.
      stream: what they are for, one of the constants above.
    """
    words = np.empty((len(ids), 2), np.uint64)
    order = np.argsort(ids, kind="stable")
    ascending = ids[order]
    starts = np.flatnonzero((np.diff(ascending) > _GAP) | (np.diff(ascending // _BLOCK) > 0)) + 1
    for run in np.split(order, starts) if len(ids) else []:
        first = int(ids[run[0]]) // 2  # a count of the counter gives four words, those of two ids
        within = ids[run] - 2 * first
        generator = np.random.Philox(key=seed, counter=[0, 0, 0, stream])
        generator.advance(first)
        words[run] = generator.random_raw(2 * (int(within[-1]) + 1)).reshape(-1, 2)[within]
    return _to_unit_interval(words).T


def class_uniforms(seed: int, label: int, how_many: int) -> np.ndarray:
    """Numbers in [0, 1) that belong to a class: float64 [how_many]."""
    generator = np.random.Philox(key=seed, counter=[0, 0, label, CLASSES])
    return _to_unit_interval(generator.random_raw(how_many))


def choose(
    u: np.ndarray,
    labels: np.ndarray,
    ids: np.ndarray,
    rate: Annotated[float, In("[0, 1]")],
    draw: Draw = "bernoulli",
) -> np.ndarray:
    """Which examples noise of a rate takes, by their numbers `u`; what it takes at .2 it takes at .4 too.

    'bernoulli' takes each with probability `rate`, on its own. The exact draws take those with the smallest
    u: floor(rate n) of the n examples of each class, or floor(rate N) of all. They depend on no order, but
    on which examples there are, as a fixed number must.

    Args:
      u: in [0, 1), float64 [N].
      labels: integer [N].
      ids: integer [N], distinct.
      rate: in [0, 1].
      draw: see above.

    Returns:
      bool [N].
    """
    if draw == "bernoulli":
        return u < rate
    groups = labels if draw == "exact_per_class" else np.zeros_like(labels)
    ranks, sizes = rank_within(groups, u, ids)
    return ranks < floor(rate * sizes)


def rank_within(groups: np.ndarray, u: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rank of each example in its group by (u, id), from 0, and the size of its group: int64 [N] each."""
    order = np.lexsort((ids, u, groups))
    sizes = np.bincount(groups)
    starts = np.cumsum(sizes) - sizes
    ranks = np.empty(len(groups), np.int64)
    ranks[order] = np.arange(len(groups)) - starts[groups[order]]
    return ranks, sizes[groups]


def floor(count: float | np.ndarray) -> np.ndarray:
    """The whole part of a count, where 0.29 * 100 is 29 and not 28."""
    return np.floor(np.asarray(count) + 1e-9).astype(np.int64)


def _to_unit_interval(words: np.ndarray) -> np.ndarray:
    return (words >> np.uint64(11)) * 2.0**-53
