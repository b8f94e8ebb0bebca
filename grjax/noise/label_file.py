"""Labels that come from outside, keyed by example id."""

import os
from pathlib import Path

import numpy as np

from grjax import text_table
from grjax.errors import ConfigError


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
      .npy: [N, 2] of ids and labels, or [N] labels of the whole training set in the order of ascending ids.

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
    columns = _read(path, where)
    found = {name: _whole_numbers(values, name, where) for name, values in columns.items()}
    if len({len(values) for values in found.values()}) > 1:
        lengths = ", ".join(f"{len(values)} {name}" for name, values in found.items())
        raise ConfigError(f"{where}: holds {lengths}; the numbers must be equal")
    if "ids of other images" in found and (replaced := found["ids of other images"] >= 0).any():
        raise ConfigError(
            f"{where}: is of open-set noise, {replaced.sum()} labels are on images of another data set, "
            "which a label file does not bring; take a file of ids and labels alone, and set open_set"
        )
    all_ids = ids if all_ids is None else all_ids
    if "ids" not in found:
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
            f"({bad.sum()} are out of range)"
        )
    if "clean labels" in found and (differing := found["clean labels"][rows] != labels).any():
        raise ConfigError(
            f"{where}: its clean labels differ from the data set's at {differing.sum()} of {len(ids)} ids, "
            f"as {ids[differing][0]}: it is of another data set, or its ids follow another order"
        )
    return noisy.astype(np.int32)


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


def _read(path: str, where: str) -> dict[str, np.ndarray]:
    """The columns 'ids', 'labels' and 'clean labels' of a file, as it has them."""
    ending = os.path.splitext(path)[1].lower()
    path = os.path.expanduser(path)
    try:
        if ending == ".csv":
            return _read_csv(path, where)
        if ending not in (".npy", ".npz"):
            raise ConfigError(f"{where}: must end in .npz, .npy or .csv")
        with open(path, "rb") as file:
            stored = np.load(file, allow_pickle=False)
            if isinstance(stored, np.ndarray):
                if stored.ndim == 2 and stored.shape[1] == 2:
                    return {"ids": stored[:, 0], "labels": stored[:, 1]}
                return {"labels": stored}
            return _named({key: stored[key] for key in stored.files}, ("ids", "labels"), where)
    except ConfigError:
        raise
    except Exception as error:  # damage shows as whatever the part that was hit raises
        raise ConfigError(f"{where}: cannot be read as labels: {error}") from error


def _read_csv(path: str, where: str) -> dict[str, np.ndarray]:
    table = text_table.read(Path(path), f"{where}: cannot be read as labels")
    return _named(
        {name: np.array(values, str) for name, values in table.columns.items()}, ("id", "label"), where
    )


def _named(columns: dict[str, np.ndarray], names: tuple[str, str], where: str) -> dict[str, np.ndarray]:
    """The columns that count, by what they are: an id or ids, a label or labels."""
    identity, label = names
    noisy = f"noisy_{label}" if f"noisy_{label}" in columns else label
    for name in (identity, noisy):
        if name not in columns:
            known = ", ".join(sorted(columns)) or "nothing"
            raise ConfigError(
                f"{where}: must hold {identity!r} and 'noisy_{label}' or {label!r}, holds {known}"
            )
    named = {"ids": columns[identity], "labels": columns[noisy]}
    if f"clean_{label}" in columns:
        named["clean labels"] = columns[f"clean_{label}"]
    if "replaced_by" in columns:
        named["ids of other images"] = columns["replaced_by"]
    return named


def _whole_numbers(values: np.ndarray, name: str, where: str) -> np.ndarray:
    if values.ndim != 1:
        raise ConfigError(f"{where}: {name} must be [N], got {list(values.shape)}")
    if values.dtype.kind == "U":
        try:
            return values.astype(np.int64)
        except ValueError as error:
            raise ConfigError(f"{where}: {name} must be whole numbers: {error}") from error
    if values.dtype.kind not in "iu":
        raise ConfigError(f"{where}: {name} must be whole numbers, got {values.dtype}")
    return values.astype(np.int64)
