"""Symmetric label noise in its six conventions: which examples, and whether the true class is among the new.

Each decides by two numbers that are a function of (seed, id), the same in all of them: one says whether an
example is flipped, the other to what. What is flipped at a rate is flipped, to the same class, at every
higher rate.
"""

from typing import Annotated

import numpy as np

from grjax.noise.draws import choose, floor, rank_within, uniforms
from grjax.ranges import In


def symmetric(
    labels: np.ndarray, num_classes: int, ids: np.ndarray, *, rate: Annotated[float, In("[0, 1]")], seed: int
) -> np.ndarray:
    """Symmetric noise: with probability `rate` a label becomes one of the *other* classes, uniformly.

    Bernoulli, and the true class is excluded: the realised rate scatters around the nominal one with
    standard deviation sqrt(rate (1 - rate) / N). This is the convention of the GR paper (arXiv:1905.11233).
    The two numbers that decide an example's fate are a function of (seed, id) alone, so the draw does not
    depend on order, subset or machine, and it is nested: what is mislabelled at 0.2 is so at 0.4, with the
    same wrong label.

    Args:
      labels: clean labels in [0, num_classes), integer [N].
      num_classes: C >= 2.
      ids: example ids >= 0, integer [N].
      rate: probability of a wrong label, in [0, 1].
      seed: seed of the draw, >= 0.

    Returns:
      Noisy labels, int32 [N]; `labels` stays unchanged.
    """
    flip, which = uniforms(seed, ids)
    return np.where(flip < rate, _other(labels, num_classes, which), labels).astype(np.int32)


def symmetric_exact_per_class(
    labels: np.ndarray, num_classes: int, ids: np.ndarray, *, rate: Annotated[float, In("[0, 1]")], seed: int
) -> np.ndarray:
    """In each class of n examples, exactly floor(rate n) become one of the *other* classes, uniformly.

    The realised rate is the nominal one, up to rounding down. Chosen are those of a class with the smallest
    numbers of (seed, id): the draw depends on no order, but on which examples there are, and it is nested in
    the rate. On classes of equal size this is the convention of APL, ALFs and SCE.

    Args, Returns: see `symmetric`.
    """
    flip, which = uniforms(seed, ids)
    chosen = choose(flip, labels, ids, rate, "exact_per_class")
    return np.where(chosen, _other(labels, num_classes, which), labels).astype(np.int32)


def symmetric_exact_global(
    labels: np.ndarray, num_classes: int, ids: np.ndarray, *, rate: Annotated[float, In("[0, 1]")], seed: int
) -> np.ndarray:
    """Exactly floor(rate N) of all examples become one of the *other* classes, uniformly.

    The realised rate is floor(rate N) / N; those of the classes scatter. Order and nestedness as in
    `symmetric_exact_per_class`. The convention of ProSelfLC.

    Args, Returns: see `symmetric`.
    """
    flip, which = uniforms(seed, ids)
    chosen = choose(flip, labels, ids, rate, "exact_global")
    return np.where(chosen, _other(labels, num_classes, which), labels).astype(np.int32)


def symmetric_exact_transition(
    labels: np.ndarray, num_classes: int, ids: np.ndarray, *, rate: Annotated[float, In("[0, 1]")], seed: int
) -> np.ndarray:
    """Exactly floor(n rate / (C - 1)) of the n examples of class i become class j, for every j except i.

    Rounded down C - 1 times, the realised rate falls short of the nominal one: on CIFAR-100 0.198 for 0.2
    and 0.792 for 0.8. The convention of ANL, and of JAL's second method. Order and nestedness as in
    `symmetric_exact_per_class`: by rank, the new classes take turns.

    Args, Returns: see `symmetric`.
    """
    ranks, sizes = rank_within(labels, uniforms(seed, ids)[0], ids)
    chosen = ranks < (num_classes - 1) * floor(sizes * rate / (num_classes - 1))
    # Each class begins elsewhere, or small counts would all fall on the next few classes.
    offset = 1 + (ranks + labels) % (num_classes - 1)
    return np.where(chosen, (labels + offset) % num_classes, labels).astype(np.int32)


def symmetric_including_true(
    labels: np.ndarray, num_classes: int, ids: np.ndarray, *, rate: Annotated[float, In("[0, 1]")], seed: int
) -> np.ndarray:
    """Exactly floor(rate N) of all examples get a new label, uniform over *all* classes, the true among them.

    The realised rate is about rate (1 - 1/C): 0.72 for 0.8 with ten classes. The convention of DivideMix,
    ELR, GJS and DISC; its results do not compare with those of `symmetric` at the same nominal rate. Order
    and nestedness as in `symmetric_exact_per_class`.

    Args, Returns: see `symmetric`.
    """
    flip, which = uniforms(seed, ids)
    chosen = choose(flip, labels, ids, rate, "exact_global")
    return np.where(chosen, _any(num_classes, which), labels).astype(np.int32)


def uniform_mix(
    labels: np.ndarray, num_classes: int, ids: np.ndarray, *, rate: Annotated[float, In("[0, 1]")], seed: int
) -> np.ndarray:
    """With probability `rate` a label is drawn anew, uniform over *all* classes, the true among them.

    T = (1 - rate) I + rate / C: `symmetric_including_true` as a Bernoulli draw, with the expected rate
    rate (1 - 1/C). The convention of MW-Net and GLC. Independent of order and subset, and nested, as
    `symmetric`.

    Args, Returns: see `symmetric`.
    """
    flip, which = uniforms(seed, ids)
    return np.where(flip < rate, _any(num_classes, which), labels).astype(np.int32)


def excluding_transition(num_classes: int, *, rate: Annotated[float, In("[0, 1]")]) -> np.ndarray:
    """T of symmetric noise without the true class: 1 - rate on the diagonal, rate / (C - 1) elsewhere."""
    matrix = np.full((num_classes, num_classes), rate / (num_classes - 1))
    np.fill_diagonal(matrix, 1 - rate)
    return matrix


def including_transition(num_classes: int, *, rate: Annotated[float, In("[0, 1]")]) -> np.ndarray:
    """T of symmetric noise with the true class: (1 - rate) I + rate / C."""
    return (1 - rate) * np.eye(num_classes) + rate / num_classes


def _other(labels: np.ndarray, num_classes: int, which: np.ndarray) -> np.ndarray:
    """A class that is not the label's, by a number in [0, 1)."""
    offset = 1 + np.floor(which * (num_classes - 1)).astype(np.int32)
    return (labels + offset) % num_classes


def _any(num_classes: int, which: np.ndarray) -> np.ndarray:
    """Any class, by a number in [0, 1)."""
    return np.floor(which * num_classes).astype(np.int32)
