"""Several kinds of label noise, one after the other."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

# (labels [N], num_classes, ids [N], images [N, ...] or None, all ids [M], other labels [N] by name or None)
# -> noisy labels [N]
BoundModel = Callable[
    [np.ndarray, int, np.ndarray, np.ndarray | None, np.ndarray, Mapping[str, np.ndarray] | None], np.ndarray
]


def compose(
    labels: np.ndarray,
    num_classes: int,
    ids: np.ndarray,
    images: np.ndarray | None = None,
    *,
    all_ids: np.ndarray,
    annotations: Mapping[str, np.ndarray] | None = None,
    parts: Sequence[BoundModel],
    seed: int,
) -> np.ndarray:
    """Applies each part to the labels that the parts before it leave.

    In a config, and for `grjax.noise.create`, each part is a section: {'name': 'pair_flip', 'rate': 0.2}. The
    parts draw independently of each other, with seeds that follow from the one of the composition: part k has
    seed + k 2**64, so that the first draws as it would alone. Human labels, label files and columns, which
    stand for the clean ones, can only be the first part.

    T is the product of the parts' matrices. The nominal rate is what T expects of these examples, and less
    than the sum of the parts' where one part undoes what another did; for that reason the draw is not nested.

    Args:
      labels: clean labels in [0, num_classes), integer [N].
      num_classes: C.
      ids: example ids >= 0, integer [N].
      images: uint8 [N, height, width, channels], where a part needs them.
      all_ids: those of the whole training set, integer [M], for a part that is a label file.
      annotations: other labels of the examples, for a part that is a column.
      parts: functions (labels, num_classes, ids, images, all_ids, annotations) -> labels.
      seed: not used here: the parts have their own.

    Returns:
      Noisy labels, int32 [N]; `labels` stays unchanged.

    Example:
      >>> import numpy as np
      >>> from grjax import noise
      >>> parts = [{'name': 'pair_flip', 'rate': 0.2}, {'name': 'symmetric', 'rate': 0.5}]
      >>> noise.create('compose', parts=parts)(np.arange(10_000) % 10, 10).nominal_rate
      0.5889
    """
    noisy = labels.astype(np.int32)
    for part in parts:
        noisy = part(noisy, num_classes, ids, images, all_ids, annotations)
    return noisy
