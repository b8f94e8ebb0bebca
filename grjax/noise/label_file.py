"""Labels that come from outside, keyed by example id."""

import numpy as np

from grjax.errors import ConfigError
from grjax.noise import label_columns
from grjax.noise.cifar100 import superclass_of


def label_file(
    labels: np.ndarray,
    num_classes: int,
    ids: np.ndarray,
    *,
    all_ids: np.ndarray | None = None,
    path: str,
    seed: int = 0,
) -> np.ndarray:
    """Noisy labels from a file, whoever made them: another framework, or a run of grjax.

    The file holds a label for each of these examples, in any order where it has ids. It may hold labels for
    the rest of the training set, which was held out for validation or left out, and for nothing else:

      .npz: `ids` [N], and `noisy_labels` or `labels` [N]. A run's noise.npz is such a file. Its
        `clean_labels`, where it has them, must be the data set's. One of open-set noise is refused: its
        labels without its images would be other noise.
      .csv: a header with `id`, and `noisy_label` or `label`; `clean_label` as above.
      .npy, .pt, .pth, .pkl, .pickle, .json: [N, 2] of ids and labels; or [N] labels of the whole training set
        in the order of ascending ids; or a dictionary of columns as above, or {id: label}; in .json also a
        list of such rows. Arrays, tensors and lists will do, and nothing in a pickle is run.

    An id is a number, or as TFDS writes those of CIFAR, 'train_00042'. Labels without ids that agree with the
    clean ones as by chance are refused: they are in another order. So are the superclasses of CIFAR-100 for
    its 100 classes.

    There is no nominal rate, and nothing is drawn.

    Args:
      labels: clean labels in [0, num_classes), integer [N].
      num_classes: C.
      ids: example ids, integer [N], distinct.
      all_ids: those of the whole training set, integer [M]; by default `ids`.
      path: of the file; its ending says the format.
      seed: not used.

    Returns:
      The labels of the file in the order of `ids`, int32 [N].

    Raises:
      ConfigError: a file that cannot be read, an example without a label, ids that are no training
        examples', labels out of range, or clean labels that differ.
    """
    where = f"noise.path: {path}"
    found = label_columns.read(path, where)
    if len({len(values) for values in found.values()}) > 1:
        lengths = ", ".join(f"{len(values)} {name}" for name, values in found.items())
        raise ConfigError(f"{where}: holds {lengths}; the numbers must be equal")
    if "ids of other images" in found and (replaced := found["ids of other images"] >= 0).any():
        raise ConfigError(
            f"{where}: is of open-set noise, {replaced.sum()} labels are on images of another data set, "
            "which a label file does not bring; take a file of ids and labels alone, and set open_set"
        )
    all_ids = ids if all_ids is None else all_ids
    if without_ids := "ids" not in found:
        if len(found["labels"]) != len(all_ids):
            raise ConfigError(
                f"{where}: holds {len(found['labels'])} labels, there are {len(all_ids)} training examples"
            )
        found["ids"] = np.sort(all_ids)
    _check_ids(found["ids"], ids, all_ids, where)
    order = np.argsort(found["ids"])
    rows = order[np.searchsorted(found["ids"], ids, sorter=order)]
    noisy = found["labels"][rows]
    bad = (noisy < 0) | (noisy >= num_classes)
    if bad.any():
        raise ConfigError(
            f"{where}: labels must be in [0, {num_classes}), id {ids[bad][0]} has {noisy[bad][0]} "
            f"({bad.sum()} are out of range{_hint(noisy, num_classes)})"
        )
    if "clean labels" in found and (differing := found["clean labels"][rows] != labels).any():
        raise ConfigError(
            f"{where}: its clean labels differ from the data set's at {differing.sum()} of {len(ids)} ids, "
            f"as {ids[differing][0]}: it is of another data set, or its ids follow another order"
        )
    if without_ids:
        _check_order(noisy, labels, where)
    _check_fine(noisy, labels, num_classes, where)
    return noisy.astype(np.int32)


def _hint(noisy: np.ndarray, num_classes: int) -> str:
    if noisy.min() == 1 and noisy.max() == num_classes:
        return "; these are 1 to C, subtract 1"
    if num_classes == 20 and 20 <= noisy.max() < 100:
        return "; these look like the 100 fine classes of CIFAR-100"
    return ""


def _check_ids(theirs: np.ndarray, ids: np.ndarray, all_ids: np.ndarray, where: str) -> None:
    distinct, counts = np.unique(theirs, return_counts=True)
    if (counts > 1).any():
        raise ConfigError(
            f"{where}: id {distinct[counts > 1][0]} occurs more than once ({(counts > 1).sum()} do)"
        )
    missing = np.setdiff1d(ids, distinct)
    if missing.size:
        raise ConfigError(
            f"{where}: has no label for {missing.size} of {len(ids)} examples, as id {missing[0]}"
        )
    extra = np.setdiff1d(distinct, all_ids)
    if extra.size:
        raise ConfigError(
            f"{where}: has labels for {extra.size} ids that are no training examples, as {extra[0]}"
        )


def _check_order(noisy: np.ndarray, labels: np.ndarray, where: str) -> None:
    """Refuses labels without ids that have nothing to do with the clean ones: they are in another order.

    Pearson's test of independence, where there are as many examples as pairs of classes; a false alarm has a
    probability of about 1e-4, as of noise that leaves nothing of the labels.
    """
    counts = np.zeros((labels.max() + 1, noisy.max() + 1)) if len(labels) else np.zeros((1, 1))
    np.add.at(counts, (labels, noisy), 1)
    counts = counts[counts.any(axis=1)][:, counts.any(axis=0)]
    freedom = (counts.shape[0] - 1) * (counts.shape[1] - 1)
    if not freedom or len(labels) < counts.size:
        return
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / len(labels)
    if ((counts - expected) ** 2 / expected).sum() < freedom + 4 * np.sqrt(2 * freedom):
        raise ConfigError(
            f"{where}: has no ids, and its labels agree with the data set's as by chance, at "
            f"{100 * np.mean(noisy == labels):.1f}%: they are in another order, as that of TFDS or a "
            "shuffled one, or of another data set; labels without ids are taken in the order of ascending "
            "ids, which is that of torchvision; give the ids too"
        )


def _check_fine(noisy: np.ndarray, labels: np.ndarray, num_classes: int, where: str) -> None:
    """Refuses the 20 superclasses of CIFAR-100 where its 100 classes are meant."""
    if num_classes != 100 or not len(noisy) or noisy.max() >= 20:
        return
    if np.mean(noisy == superclass_of(labels)) > max(0.2, np.mean(noisy == labels)):
        raise ConfigError(
            f"{where}: holds coarse labels of CIFAR-100, the 20 superclasses, and the data set is labelled "
            "by the 100 classes; take a file of fine labels, or data.name=cifar100_coarse"
        )
