"""What accuracies on noisy labels tell of accuracies on right ones: how much smaller differences become, and
from which size on they are more than chance.

With symmetric noise of rate r among C classes a given label is right with probability 1 - r, and each of the
wrong ones with r / (C - 1). Where a prediction becomes right that was wrong before, the probability that it
agrees with the given label rises by

    κ = (1 - r) - r / (C - 1) = 1 - r C / (C - 1),

so a difference of accuracies on right labels shows κ times as large on noisy ones. Under another transition
matrix T it rises by T[i, i] - T[i, j], where i is right and j was predicted: κ is the mean of that over all
i and j, if every class is as frequent and mistaken for each other one equally often, and the least of it is
that of the pair that such labels tell worst.
"""

import math
from typing import NamedTuple

import numpy as np

DEVIATIONS = 2.0  # so many standard deviations of a difference are more than chance


class WorstPair(NamedTuple):
    """The classes i, j of the least T[i, i] - T[i, j], and that."""

    right: int
    predicted: int
    kappa: float


class Paired(NamedTuple):
    """Two sets of predictions for the same held-out examples.

    Attributes:
      difference: of their accuracies on the given labels, first less second.
      disagreement: share of examples for which they predict different classes.
      discordant: share of examples for which one of them, and not the other, predicts the given label; of
        several trainings each, the mean square of the difference of their mean agreements.
    """

    difference: float
    disagreement: float
    discordant: float


def kappa(rate: float, num_classes: int) -> float:
    """How many times as large a difference of accuracies is on noisy labels as on right ones.

    1 - r C / (C - 1); below 0 where wrong labels are more frequent than right ones.

    Args:
      rate: r, the share of labels that are wrong, in [0, 1].
      num_classes: C, at least 2.

    Example:
      >>> from grjax.tune import kappa
      >>> [round(kappa(rate, 10), 2) for rate in (0.2, 0.4, 0.6, 0.8)]
      [0.78, 0.56, 0.33, 0.11]
    """
    return 1 - rate * num_classes / (num_classes - 1)


def kappa_of_pairs(transition: np.ndarray) -> WorstPair:
    """The pair of classes that labels of a transition matrix tell worst.

    Args:
      transition: T[i, j] = P(given label j | right label i), [C, C].

    Returns:
      The right class i, the predicted class j, and T[i, i] - T[i, j], the least of all pairs.

    Example:
      >>> import numpy as np
      >>> from grjax.tune import kappa_of_pairs
      >>> right, predicted, least = kappa_of_pairs(np.array([[0.6, 0.4, 0.0], [0, 1, 0], [0, 0, 1]]))
      >>> right, predicted, round(least, 3)
      (0, 1, 0.2)
    """
    gain = np.diag(transition)[:, None] - transition
    np.fill_diagonal(gain, np.inf)
    right, predicted = np.unravel_index(int(gain.argmin()), gain.shape)
    return WorstPair(int(right), int(predicted), float(gain[right, predicted]))


def resolution(differing: float, num_examples: int, kappa: float, deviations: float = DEVIATIONS) -> float:
    """The least difference of accuracies on right labels that noisy held-out labels tell from none.

    On N labels the difference of two accuracies has a standard deviation of sqrt(D / N), where D is the
    share of examples for which exactly one of the two predicts the given label; divided by κ it is one of
    right labels.

    Args:
      differing: D. The share for which two predictions differ at all is no less, and gives a bound.
      num_examples: N, the held-out examples.
      kappa: κ; at 0 and below, labels tell nothing.
      deviations: how many standard deviations count.

    Returns:
      A difference in (0, 1], or infinity.

    Example:
      >>> from grjax.tune import kappa, resolution
      >>> [round(100 * resolution(0.1, 5000, kappa(rate, 10)), 1) for rate in (0, 0.2, 0.4, 0.6, 0.8)]
      [0.9, 1.2, 1.6, 2.7, 8.1]
    """
    return deviations * math.sqrt(differing / num_examples) / kappa if kappa > 0 else math.inf


def paired(ours: np.ndarray, theirs: np.ndarray, labels: np.ndarray) -> Paired:
    """Compares predictions of two candidates, of R trainings each, with given labels.

    Args:
      ours: predicted classes of the first, integers [R, N].
      theirs: of the second, in the same order.
      labels: of the held-out examples in each training, integers [R, N].
    """
    agreement = (ours == labels).astype(float) - (theirs == labels)
    each = agreement.mean(0)
    return Paired(float(each.mean()), float((ours != theirs).mean()), float((each**2).mean()))


def interval(accuracy: float, num_examples: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of an accuracy on `num_examples` labels."""
    from scipy import stats  # its import takes a second

    right = round(accuracy * num_examples)
    found = stats.binomtest(right, num_examples).proportion_ci(confidence, method="wilson")
    return float(found.low), float(found.high)
