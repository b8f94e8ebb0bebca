"""Class-conditional label noise by any transition matrix."""

import os
from collections.abc import Sequence

import numpy as np

from grjax.errors import ConfigError
from grjax.noise.draws import floor, rank_within, uniforms

TransitionMatrix = np.ndarray | Sequence[Sequence[float]] | str


def transition_matrix(
    labels: np.ndarray,
    num_classes: int,
    ids: np.ndarray,
    *,
    matrix: TransitionMatrix,
    exact: bool = False,
    seed: int,
) -> np.ndarray:
    """Noise by a matrix T of one's own: a label i becomes j with probability T[i, j].

    The expected rate is the mean of 1 - T[i, i] over the examples. An example's fate depends on (T, seed, id)
    alone. Where the rows of two matrices differ by more or less on the diagonal only, draws are nested; with
    the matrix of symmetric noise the draw is that of `symmetric`.

    With `exact`, exactly floor(n T[i, j]) of the n examples of class i become j, for every j but i; this
    depends on which examples there are, in no order, and is not nested.

    Args:
      labels: clean labels in [0, num_classes), integer [N].
      num_classes: C >= 2.
      ids: example ids >= 0, integer [N].
      matrix: T [C, C], rows sum to 1, or the path of a .npy file that holds it.
      exact: counts instead of probabilities.
      seed: seed of the draw, >= 0.

    Returns:
      Noisy labels, int32 [N]; `labels` stays unchanged.

    Raises:
      ConfigError: a matrix that is no transition matrix of C classes.

    Example:
      >>> import numpy as np
      >>> from grjax import noise
      >>> matrix = [[0.75, 0.25], [0.0, 1.0]]
      >>> corrupt = noise.create('transition_matrix', matrix=matrix, exact=True)
      >>> corrupt(np.repeat([0, 1], 100), 2).transition_counts
      array([[ 75,  25],
             [  0, 100]])
    """
    rows = read_matrix(matrix, num_classes)
    flip, which = uniforms(seed, ids)
    ranks, _ = rank_within(labels, flip, ids)
    noisy = labels.astype(np.int32)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        others = (label + np.arange(1, num_classes)) % num_classes
        probabilities = rows[label, others]
        if exact:
            new = np.repeat(others, floor(probabilities * len(members)))
            by_rank = members[np.argsort(ranks[members])]
            noisy[by_rank[: len(new)]] = new
        elif probabilities.sum() > 0:
            flipped = members[flip[members] < probabilities.sum()]
            upper = np.cumsum(probabilities) / probabilities.sum()
            drawn = np.searchsorted(upper, which[flipped], side="right")
            noisy[flipped] = others[np.minimum(drawn, np.flatnonzero(probabilities)[-1])]
    return noisy


def read_matrix(matrix: TransitionMatrix, num_classes: int) -> np.ndarray:
    """A transition matrix, checked: float64 [C, C], every row a distribution.

    Raises:
      ConfigError: it cannot be read, or the first row that is no distribution, by its number.
    """
    where = f"noise.matrix: {matrix}" if isinstance(matrix, str) else "noise.matrix"
    if isinstance(matrix, str):
        try:
            matrix = np.load(os.path.expanduser(matrix), allow_pickle=False)
        except Exception as error:  # damage shows as whatever the part that was hit raises
            raise ConfigError(f"{where}: cannot be read as .npy: {error}") from error
    try:
        rows = np.asarray(matrix, np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: must be numbers [C, C]: {error}") from error
    if rows.shape != (num_classes, num_classes):
        wanted = f"[{num_classes}, {num_classes}] for {num_classes} classes"
        raise ConfigError(f"{where}: must be {wanted}, got {list(rows.shape)}")
    for number, row in enumerate(rows):
        if not np.isfinite(row).all():
            raise ConfigError(f"{where}: row {number} holds {row[~np.isfinite(row)][0]}")
        if (row < 0).any():
            raise ConfigError(f"{where}: row {number} holds {row.min()}, probabilities are not negative")
        if abs(row.sum() - 1) > 1e-6:
            raise ConfigError(f"{where}: row {number} sums to {row.sum():.6g}, it must sum to 1")
    return rows


def declared_transition(num_classes: int, *, matrix: TransitionMatrix) -> np.ndarray:
    """T of `transition_matrix`: the matrix itself."""
    return read_matrix(matrix, num_classes)
