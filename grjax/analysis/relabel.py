"""Which suggestions of an audit are put in place of given labels, and why the others are not.

Nothing here sees a right label. A suggestion is refused where the audit itself says that it may be no better
than the given label:

  - All are, unless more labels are suspected than the network expects to be mistaken about, and by more than
    chance, two standard deviations of a count. What it expects is the sum of 1 - p over the labels that it
    accepts and of p over those that it suspects: a network that is unsure of so many contradicts as many by
    its own mistakes. So it is with right labels of hard examples, and with pairs of classes that are confused
    nearly as often as not.
  - Those for the labels of a class that loses more than a third of its examples by them: a network that has
    given up a class contradicts its right labels, too.
  - All are, if those were more than a quarter: with pairs of classes, which of the two was given up is
    chance.

The numbers were chosen on digits; docs/results/audit.md has what came of it.
"""

import math
from typing import NamedTuple

import numpy as np

_DEVIATIONS = 2  # of a count
_LEAST_LEFT = 2 / 3  # of a class' examples, or it was given up
_MOST_REFUSED = 1 / 4  # of the suggestions, or all are


class Relabelling(NamedTuple):
    """Which suspected labels give way to the suggestions.

    Attributes:
      relabelled: whether the suggestion takes the place of the given label, bool [N].
      reasons: why suspected labels are kept as they are, a sentence each; empty where all are replaced.
    """

    relabelled: np.ndarray
    reasons: tuple[str, ...]


def decide(
    given: np.ndarray,
    suggested: np.ndarray,
    suspected: np.ndarray,
    score: np.ndarray,
    class_names: tuple[str, ...],
) -> Relabelling:
    """Which suspected labels give way to the suggestions; see the module.

    Args:
      given: labels, integers [N].
      suggested: what the network predicts in their place, integers [N].
      suspected: bool [N].
      score: 1 - p of the given label, [N].
      class_names: C.
    """
    number = int(suspected.sum())
    nothing = np.zeros(len(given), bool)
    if not number:
        return Relabelling(nothing, ())
    expected = float(np.where(suspected, 1 - score, score).sum())
    if number <= expected + _DEVIATIONS * math.sqrt(expected):
        return Relabelling(
            nothing,
            (
                f"all {number} suspected labels are kept: the network itself expects to be mistaken about "
                f"{expected:.0f}, so these may be its own mistakes",
            ),
        )
    corrected = np.where(suspected, suggested, given)
    before, after = (np.bincount(labels, minlength=len(class_names)) for labels in (given, corrected))
    given_up = after < _LEAST_LEFT * before
    refused = suspected & given_up[given]
    if not refused.any():
        return Relabelling(suspected.copy(), ())
    names = ", ".join(repr(class_names[label]) for label in np.flatnonzero(given_up))
    lost = f"by the suggestions {names} would lose more than a third of the examples"
    if refused.sum() > _MOST_REFUSED * number:
        return Relabelling(
            nothing,
            (
                f"all {number} suspected labels are kept: {lost}, {refused.sum()} of them, so the network "
                "cannot tell right labels from wrong ones of these classes",
            ),
        )
    kept = f"{refused.sum()} of {number} suspected labels are kept: {lost}"
    return Relabelling(suspected & ~refused, (kept,))
