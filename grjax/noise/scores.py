"""Label noise that follows a model's scores: what looks like another class is taken for it."""

import os
from typing import Annotated

import numpy as np

from grjax.errors import ConfigError
from grjax.noise.draws import uniforms
from grjax.ranges import In


def score_based(
    labels: np.ndarray,
    num_classes: int,
    ids: np.ndarray,
    *,
    path: str,
    rate: Annotated[float, In("[0, 1]")],
    seed: int,
) -> np.ndarray:
    """Score-based instance noise: examples become the class that they are most likely mistaken for.

    With scores s_i of a model, m_i = the highest score of a class other than the label: example i becomes
    that class with probability min(1, k m_i), where k makes the mean probability `rate`. The realised rate
    scatters around the nominal one. This is the project's convention; those of other code differ.

    The numbers that decide are functions of (seed, id), and nothing depends on order; k depends on which
    examples there are. Nested in the rate, as k grows with it.

    Args:
      labels: clean labels in [0, num_classes), integer [N].
      num_classes: C >= 2.
      ids: example ids >= 0, integer [N].
      path: scores >= 0, as softmax probabilities: a .npz file with `ids` [M] and `scores` [M, C], or a .npy
        file [M, C] whose row is the id. Rows of other ids are left aside.
      rate: of wrong labels, in [0, 1].
      seed: seed of the draw, >= 0.

    Returns:
      Noisy labels, int32 [N]; `labels` stays unchanged.

    Raises:
      ConfigError: scores that cannot be read or do not fit, or a rate that they cannot give.
    """
    scores = _read_scores(path, ids, num_classes)
    scores[np.arange(len(labels)), labels] = -1
    mistaken = scores.argmax(axis=1)
    highest = scores.max(axis=1) if len(labels) else np.zeros(0)
    flip, _ = uniforms(seed, ids)
    return np.where(flip < _probabilities(highest, rate), mistaken, labels).astype(np.int32)


def _probabilities(highest: np.ndarray, rate: Annotated[float, In("[0, 1]")]) -> np.ndarray:
    """min(1, k m) with the k that makes its mean `rate`."""
    if not rate or not len(highest):
        return np.zeros(len(highest))
    if (possible := np.mean(highest > 0)) < rate:
        raise ConfigError(
            f"noise.rate: must be at most {possible:.6g}, the fraction of examples that have a score above 0 "
            f"for another class; got {rate}"
        )
    m = np.sort(highest)[::-1]
    # With the c largest cut off at 1, the mean is (c + k * sum of the rest) / N.
    rest = np.cumsum(m[::-1])[::-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        k = (rate * len(m) - np.arange(len(m))) / rest
        right = np.flatnonzero(k * m <= 1)  # the first cut after which no other probability exceeds 1
    return np.minimum(1, k[right[0]] * highest) if len(right) else (highest > 0).astype(np.float64)


def _read_scores(path: str, ids: np.ndarray, num_classes: int) -> np.ndarray:
    """The rows of `ids`: float64 [N, C]."""
    where = f"noise.path: {path}"
    try:
        with open(os.path.expanduser(path), "rb") as file:
            stored = np.load(file, allow_pickle=False)
            if isinstance(stored, np.lib.npyio.NpzFile):
                known, scores = stored["ids"], stored["scores"]
            else:
                known, scores = np.arange(len(stored)), stored
    except Exception as error:  # damage shows as whatever the part that was hit raises
        raise ConfigError(f"{where}: cannot be read as scores: {error}") from error
    if scores.ndim != 2 or scores.shape[1] != num_classes or known.shape != scores.shape[:1]:
        raise ConfigError(
            f"{where}: scores must be [M, {num_classes}] for {num_classes} classes, with a row for each id; "
            f"got {list(scores.shape)} and {list(known.shape)} ids"
        )
    order = np.argsort(known)
    places = np.searchsorted(known, ids, sorter=order)
    rows = order[np.minimum(places, len(order) - 1)] if len(order) else np.zeros(len(ids), int)
    missing = known[rows] != ids if len(order) else np.ones(len(ids), bool)
    if missing.any():
        raise ConfigError(f"{where}: has no scores for {missing.sum()} examples, as of id {ids[missing][0]}")
    chosen = scores[rows].astype(np.float64)
    bad = ~np.isfinite(chosen).all(axis=1) | (chosen < 0).any(axis=1)
    if bad.any():
        raise ConfigError(
            f"{where}: scores must be finite and not negative, those of id {ids[bad][0]} are not"
        )
    return chosen
