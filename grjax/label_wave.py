"""Label Wave: when to stop, told by how many predictions of training examples still change."""

import itertools
from collections.abc import Sequence


def first_minimum(changes: Sequence[float | None]) -> int | None:
    """The position of the evaluation at which Label Wave would have stopped.

    While a network learns what the right labels say, fewer and fewer of its predictions for the training set
    change; where it begins to fit wrong labels, more do. The rule takes the mean of each value and the one
    before it, and stops at the first of these that the next one exceeds.

    Args:
      changes: for each evaluation the share of training examples whose prediction changed; None: not known.

    Returns:
      A position in `changes`; None: the mean never rises.

    Example:
      >>> from grjax.label_wave import first_minimum
      >>> first_minimum([None, 0.5, 0.2, 0.1, 0.14, 0.3])
      4
      >>> first_minimum([None, 0.5, 0.2, 0.1]) is None
      True

    Reference: Yuan et al., ICLR 2024, with a moving average over k = 2.
    """
    known = [(at, value) for at, value in enumerate(changes) if value is not None]
    smooth = [(at, (before + value) / 2) for (_, before), (at, value) in itertools.pairwise(known)]
    for (at, value), (_, after) in itertools.pairwise(smooth):
        if after > value:
            return at
    return None
