"""Symmetric label noise."""

import numpy as np


def symmetric(labels: np.ndarray, num_classes: int, ids: np.ndarray, *, rate: float, seed: int) -> np.ndarray:
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
      Noisy labels, int32 [N]; `labels` stays as it is.
    """
    # Raw output of a counter-based generator, two words an id: NumPy promises this stream for ever, which
    # it does not promise for what its distributions make of it.
    words = np.random.Philox(key=seed).random_raw(2 * (int(ids.max(initial=-1)) + 1)).reshape(-1, 2)[ids]
    flip, which = (words >> np.uint64(11)).T * 2.0**-53  # uniform in [0, 1)
    offset = 1 + np.floor(which * (num_classes - 1)).astype(np.int32)
    return np.where(flip < rate, (labels + offset) % num_classes, labels).astype(np.int32)
