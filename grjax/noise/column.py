"""Noisy labels that come with a data set, in a column beside the clean ones."""

from collections.abc import Mapping

import numpy as np

from grjax.errors import ConfigError


def label_column(
    labels: np.ndarray,
    num_classes: int,
    ids: np.ndarray,
    *,
    annotations: Mapping[str, np.ndarray] | None = None,
    column: str,
    seed: int = 0,
) -> np.ndarray:
    """Noisy labels from a column of the data set: other annotations of the same examples.

    Data sets 'huggingface', 'csv' and 'npz' have such columns. Where the labels of the data set are clean,
    those of the column are noisy: nothing is drawn, there is no nominal rate, and the realised one says how
    far they differ. In a composition this can only be the first part.

    Args:
      labels: clean labels in [0, num_classes), integer [N].
      num_classes: C.
      ids: example ids, integer [N].
      annotations: the columns that the data set was read with, integer [N] each in [0, num_classes).
      column: which of them.
      seed: not used.

    Returns:
      The labels of the column, int32 [N].

    Raises:
      ConfigError: the data set was read without such a column, or it holds something else.

    Example:
      >>> import numpy as np
      >>> from grjax import noise
      >>> corrupt = noise.create('column', column='crowd')
      >>> corrupt(np.array([0, 1, 1]), 2, annotations={'crowd': np.array([0, 1, 0])}).mislabelled
      array([False, False,  True])
    """
    del ids, seed
    if not annotations or column not in annotations:
        known = ", ".join(annotations or ()) or "none"
        raise ConfigError(f"noise.column: the data set has no column {column!r} of labels; it has {known}")
    noisy = np.asarray(annotations[column])
    if noisy.shape != labels.shape or (noisy < 0).any() or (noisy >= num_classes).any():
        raise ConfigError(
            f"noise.column: {column!r} must be a label in [0, {num_classes}) for each of {len(labels)} "
            f"examples, got {list(noisy.shape)} in {noisy.min()}..{noisy.max()}"
        )
    return noisy.astype(np.int32)
