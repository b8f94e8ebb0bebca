"""Human label noise: CIFAR-10N and CIFAR-100N (Wei et al., ICLR 2022, arXiv:2110.12088).

The label files are indexed by the number of an image in the python archives of CIFAR, which is the example
id here, whatever layout the images were read from. That the ids are those is checked against the clean labels
that the files hold, never assumed.
"""

import os
from typing import Any, Literal

import numpy as np

from grjax import array_pickle
from grjax.errors import ConfigError
from grjax.noise.cifar100 import superclass_of

CIFAR10_KEYS = {
    "aggre": "aggre_label",
    "random1": "random_label1",
    "random2": "random_label2",
    "random3": "random_label3",
    "worse": "worse_label",
}
CIFAR100_KEYS = {"fine": "noisy_label", "coarse": "noisy_coarse_label"}
_CLEAN_KEYS = {"coarse": "clean_coarse_label"}
_ALSO = {"noisy_label": "noise_label"}  # in CIFAR-100_human.npy
_FINE_OF = {"clean_coarse_label": "clean_label"}


def cifar10_n(
    labels: np.ndarray,
    num_classes: int,
    ids: np.ndarray,
    *,
    path: str,
    annotation: Literal["aggre", "random1", "random2", "random3", "worse"],
    seed: int = 0,
) -> np.ndarray:
    """Human labels of CIFAR-10's training images.

    'random1' to 'random3' are one person's label each, 'aggre' their majority and 'worse' a wrong one of the
    three where there is one. Realised rates over all 50,000: random1 17.23%, random2 18.12%, random3
    17.64%, aggre 9.01%, worse 40.21%. There is no nominal rate, and nothing is drawn.

    Args:
      labels: clean labels, integer [N].
      num_classes: 10.
      ids: numbers of the images in the order of the python archive, 0..49999, integer [N]; any subset.
      path: of the published CIFAR-10_human.pt, or of a .npz file, or .npy or .pkl file of a dictionary, with
        the same keys and order; its entries are arrays, tensors or lists. Only the keys that `annotation`
        needs are looked at, and no code in the file is run.
      annotation: which labels.
      seed: not used.

    Returns:
      The annotated labels, int32 [N].

    Raises:
      ConfigError: a file that cannot be read or does not fit, or whose clean labels are not `labels`.
    """
    return _annotated(labels, num_classes, ids, path, "clean_label", CIFAR10_KEYS[annotation])


def cifar100_n(
    labels: np.ndarray,
    num_classes: int,
    ids: np.ndarray,
    *,
    path: str,
    annotation: Literal["fine", "coarse"] = "fine",
    seed: int = 0,
) -> np.ndarray:
    """Human labels of CIFAR-100's training images, one person's each.

    Realised rates over all 50,000: fine 40.20%, coarse 26.40%. There is no nominal rate, nothing is drawn.

    Args:
      labels: clean labels, integer [N]: the fine ones, or for 'coarse' the 20 superclasses, which are the
        labels of the data set 'cifar100_coarse'.
      num_classes: 100, or 20 for 'coarse'.
      ids: see `cifar10_n`.
      path: of the published CIFAR-100_human.pt, or see `cifar10_n`. An older revision of it has wrong coarse
        labels: 'coarse' refuses it, as its clean coarse labels are not the superclasses of the fine ones.
      annotation: which labels.
      seed: not used.

    Returns, Raises: see `cifar10_n`.
    """
    clean_key = _CLEAN_KEYS.get(annotation, "clean_label")
    return _annotated(labels, num_classes, ids, path, clean_key, CIFAR100_KEYS[annotation])


def _annotated(
    labels: np.ndarray, num_classes: int, ids: np.ndarray, path: str, clean_key: str, key: str
) -> np.ndarray:
    where = f"noise.path: {path}"
    found = _read(path, (clean_key, key, _ALSO.get(key, key), _FINE_OF.get(clean_key, clean_key)))
    if key not in found and _ALSO.get(key) in found:
        key = _ALSO[key]
    for needed in (clean_key, key):
        if needed not in found:
            known = ", ".join(sorted(map(str, found))) or "nothing"
            raise ConfigError(f"{where}: holds no {needed!r}; it holds {known}")
    clean, noisy = found[clean_key], found[key]
    if clean.shape != noisy.shape or clean.ndim != 1 or {clean.dtype.kind, noisy.dtype.kind} - {"i", "u"}:
        raise ConfigError(f"{where}: {clean_key!r} and {key!r} must be integers of the same number")
    if clean_key in _FINE_OF and _FINE_OF[clean_key] in found:
        _check_superclasses(clean, found[_FINE_OF[clean_key]], where)
    if (beyond := ids >= len(clean)).any():
        raise ConfigError(
            f"{where}: holds labels of ids 0..{len(clean) - 1}, the training examples go up to "
            f"{ids[beyond].max()}: it is of another data set"
        )
    if (differing := int((clean[ids] != labels).sum())) > 0:
        raise ConfigError(f"{where}: {_mismatch(clean, labels, ids, differing, clean_key)}")
    chosen = noisy[ids].astype(np.int32)
    if ((chosen < 0) | (chosen >= num_classes)).any():
        raise ConfigError(
            f"{where}: {key!r} must be in [0, {num_classes}), got {chosen.min()}..{chosen.max()}"
        )
    return chosen


def _mismatch(clean: np.ndarray, labels: np.ndarray, ids: np.ndarray, differing: int, key: str) -> str:
    """Why the file's clean labels may be others than the data set's."""
    same_counts = np.array_equal(np.sort(clean[ids]), np.sort(labels))
    by_chance = differing / len(labels) > 0.5
    if same_counts and len(ids) == len(clean):
        why = (
            "the numbers of each class agree, so it is the order: the ids follow another layout's order (the "
            "files named ..._ordered.npy have that of TFDS; take ..._human.pt)"
        )
    elif by_chance:
        why = "more than half: another data set, or ids in another layout's order"
    else:
        why = "the rest agrees: other versions of the same labels"
    return (
        f"{key!r} differs from the data set's labels at {differing} of {len(labels)} ids; {why}. Ids must be "
        "the numbers of the images in the python archive"
    )


def _check_superclasses(coarse: np.ndarray, fine: np.ndarray, where: str) -> None:
    """Refuses the older revision of the published file, whose coarse labels are wrong."""
    if fine.shape != coarse.shape or ((fine < 0) | (fine >= 100)).any():
        return
    right = superclass_of(fine)
    differing = right != coarse
    if differing.any():
        raise ConfigError(
            f"{where}: 'clean_coarse_label' is not the superclass of 'clean_label' at {differing.sum()} of "
            f"{len(fine)} images, in {len(np.unique(right[differing]))} of 20 superclasses: an older "
            "revision of CIFAR-100_human.pt has such coarse labels, and its noisy ones are no better; take "
            "the revision that is published now (annotation 'fine' is right in both)"
        )


def _read(path: str, keys: tuple[str, ...]) -> dict[str, Any]:
    """The arrays of these keys in a .npz file or a pickled dictionary; of its other keys, None."""
    path = os.path.expanduser(path)
    try:
        if path.endswith(".npz"):
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
                return {key: stored[key] if key in keys else None for key in stored}
        found = array_pickle.read_dictionary(path)
        return {key: array_pickle.as_array(value) if key in keys else None for key, value in found.items()}
    except Exception as error:  # damage shows as whatever the part that was hit raises
        raise ConfigError(f"noise.path: {path}: cannot be read as labels of CIFAR-N: {error}") from error
