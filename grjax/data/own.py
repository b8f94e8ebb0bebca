"""Data of your own: arrays, an .npz file, or a CSV file beside images; folders are in `image_folders`."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from grjax import text_table
from grjax.data import class_labels, features
from grjax.data.dataset import Dataset, Images, Split
from grjax.data.image_files import ImageFiles
from grjax.data.image_lists import check_files
from grjax.data.splits import split_off_test
from grjax.errors import ConfigError
from grjax.plain_values import plain
from grjax.workdir.files import read_npz


def from_arrays(
    images: ArrayLike | ImageFiles,
    labels: ArrayLike,
    *,
    test: tuple[ArrayLike | ImageFiles, ArrayLike] | None = None,
    validation: tuple[ArrayLike | ImageFiles, ArrayLike] | None = None,
    ids: ArrayLike | None = None,
    test_ids: ArrayLike | None = None,
    validation_ids: ArrayLike | None = None,
    annotations: Mapping[str, ArrayLike] | None = None,
    class_names: Sequence[str] | np.ndarray | Mapping[Any, Any] | None = None,
    name: str = "own",
    test_fraction: float = 0.2,
    test_seed: int = 0,
) -> Dataset:
    """A data set from arrays in memory.

    Args:
      images: uint8 [N, height, width, channels] or [N, height, width]; or finite numbers of these shapes, or
        [N, D]: features of any scale, which become images of one pixel with D channels. Those become
        float32; a channel that this type cannot resolve is centred and scaled before, see
        `grjax.data.features`.
      labels: integers [N] in [0, C), or the names of the classes, see `grjax.data.class_labels.read`.
        Without `class_names`, each class must have a training example: noise would give labels to a class
        that is not there.
      test: images and labels of the test split; None: a stratified part of the examples, which keep their
        ids.
      validation: images and labels of a validation split, where there is one.
      ids: of the examples, distinct integers [N] in [0, 2**31); None: 0..N-1. The examples of a split are
        sorted by them, and noise is drawn for an id: it stays with an example however the data come.
      test_ids: of the examples of `test`.
      validation_ids: of those of `validation`.
      annotations: other labels of the training examples, [N] each, by name, as `labels` are: numbers or names
        of the same classes. `noise.name=column` trains on one of them.
      class_names: in the order of the labels, of classes without a training example, too, or a mapping
        of numbers to names or names to numbers; None: '0', '1', ..., or the names found, sorted.
      name: of the data set.
      test_fraction: of each class, where `test` is None.
      test_seed: of that choice.

    Raises:
      ConfigError: what the arguments must be, or one of another length.

    Example:
      >>> import numpy as np
      >>> from grjax import data
      >>> dataset = data.from_arrays(np.zeros((10, 8, 8), np.uint8), ['cat', 'dog'] * 5)
      >>> dataset.class_names, len(dataset.splits['train']), len(dataset.splits['test'])
      (('cat', 'dog'), 8, 2)
    """
    given = {"train": (images, labels, ids)}
    for split, pair, own in (("validation", validation, validation_ids), ("test", test, test_ids)):
        if pair is not None:
            given[split] = (*pair, own)
    read = {split: class_labels.read(each[1], f"{split} labels") for split, each in given.items()}
    names = _class_names(read) if class_names is None else class_labels.class_names(class_names)
    pictures = {split: _images(each[0], split) for split, each in given.items()}
    scaling = features.scaling(pictures["train"]) if isinstance(pictures["train"], np.ndarray) else None
    splits = {
        split: _split(split, pictures[split], read[split], each[2], names, scaling)
        for split, each in given.items()
    }
    if annotations:
        splits["train"] = _annotated(splits["train"], ids, annotations, names)
    if test is None:
        splits |= split_off_test(splits["train"], plain(test_fraction), plain(test_seed), names)
    return Dataset(name, tuple(names), splits)


def from_npz(
    path: Path, image_size: int, test_fraction: float, test_seed: int, annotations: Sequence[str] = ()
) -> Dataset:
    """An .npz file with arrays named as the arguments of `from_arrays`.

    `images` and `labels`; optionally `ids`, `class_names`, and `test_images`, `test_labels`, `test_ids`; and
    those that `annotations` names. Images in an .npz have their size, `image_size` is not used.
    """
    known = {"images", "labels", "ids", "class_names", "test_images", "test_labels", "test_ids"}
    arrays = read_npz(path, kind=ConfigError, where="data.dir: ")
    others = {name: arrays.pop(name) for name in annotations if name in arrays}
    for name in annotations:
        if name not in others:
            raise ConfigError(f"noise.column: no array {name!r} in {path}, which holds {', '.join(arrays)}")
    needed = {"images", "labels"} | ({"test_images", "test_labels"} if "test_images" in arrays else set())
    if not needed <= arrays.keys() <= known:
        raise ConfigError(
            f"data.dir: {path} must hold {', '.join(sorted(needed))} and may hold "
            f"{', '.join(sorted(known - needed))}; it holds {', '.join(sorted(arrays))}"
        )
    return from_arrays(
        arrays["images"],
        arrays["labels"],
        test=(arrays["test_images"], arrays["test_labels"]) if "test_images" in arrays else None,
        ids=arrays.get("ids"),
        test_ids=arrays.get("test_ids"),
        annotations=others,
        class_names=arrays.get("class_names"),
        name=class_labels.readable(path.stem),
        test_fraction=test_fraction,
        test_seed=test_seed,
    )


def from_csv(
    path: Path, image_size: int, test_fraction: float, test_seed: int, annotations: Sequence[str] = ()
) -> Dataset:
    """A CSV file with columns 'image' and 'label', and optionally 'split' and 'id'; see `text_table.read`.

    Columns that `annotations` names are other labels of the training examples.

    Paths of images are relative to the file. Labels that are all whole numbers are the classes' numbers,
    others their names. A split is 'train', 'validation' or 'test', see `split_named`. Without ids, an
    example's id is the number of its row, from 0.
    """
    where = f"data.dir: {path}"
    table = text_table.read(path, where)
    if "label" in table.columns and "image" not in table.columns:
        raise ConfigError(
            f"{where}: must have a column 'image' of paths, found {table.found}; "
            "a table of numbers is read by data.name=huggingface with its columns in data.columns, "
            "or as an .npz by data.name=npz"
        )
    text_table.require(table, ("image", "label"), where)
    for name in annotations:
        text_table.require(table, (name.lower(),), f"noise.column: {path}")
    if not len(table):
        raise ConfigError(f"{where}: must have rows below its header, has none")
    rows, columns = range(len(table)), table.columns
    splits = [split_named(name) for name in columns.get("split", ["train"] * len(table))]
    unknown = next((row for row in rows if splits[row] is None), None)
    if unknown is not None:
        raise ConfigError(
            f"{where}, line {table.lines[unknown]}: split must be 'train', 'validation' or 'test', "
            f"got {columns['split'][unknown]!r}"
        )
    try:
        ids = np.array([int(each) for each in columns.get("id", rows)])
    except ValueError as error:
        raise ConfigError(f"{where}: id must be a whole number: {error}") from error
    labels = _of_text(columns["label"], table.lines, where)
    check_files(path.parent, columns["image"], path.name)
    images = ImageFiles(path.parent, columns["image"], image_size)
    positions = {str(name): np.flatnonzero(np.array(splits) == name) for name in set(splits)}
    others = {
        name: _of_text(
            [columns[name.lower()][row] for row in positions.get("train", ())],
            [table.lines[row] for row in positions.get("train", ())],
            f"noise.column {name!r}: {path}",
        )
        for name in annotations
    }
    return of_splits(
        {name: (images.take(at), labels[at], ids[at]) for name, at in positions.items()},
        f"{where}: split",
        annotations=others,
        name=class_labels.readable(path.stem),
        test_fraction=test_fraction,
        test_seed=test_seed,
    )


def of_splits(
    splits: Mapping[str, tuple[ArrayLike | ImageFiles, ArrayLike, ArrayLike | None]],
    where: str,
    **options: Any,
) -> Dataset:
    """A data set from images, labels and ids of its splits; a validation split without a test is the test.

    Args:
      splits: by name, of 'train', 'validation', 'test'.
      where: to begin an error.
      **options: of `from_arrays`.

    Raises:
      ConfigError: no training split; or see `from_arrays`.
    """
    if "train" not in splits:
        raise ConfigError(f"{where}: there must be training examples, there are only {', '.join(splits)}")
    splits = dict(splits)
    if "test" not in splits and "validation" in splits:
        splits["test"] = splits.pop("validation")
    images, labels, ids = splits["train"]
    for name in ("validation", "test"):
        if name in splits:
            options |= {name: splits[name][:2], f"{name}_ids": splits[name][2]}
    return from_arrays(images, labels, ids=ids, **options)


_SPLIT_NAMES = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip


def split_named(name: str) -> str | None:
    """The split, train, validation or test, that people call so, in any case; None: it is none."""
    return _SPLIT_NAMES.get(name.strip().lower())


def _of_text(labels: Sequence[str], lines: Sequence[int], where: str) -> np.ndarray:
    """Labels of a CSV file: whole numbers if all are, else names."""
    missing = [line for line, label in zip(lines, labels, strict=True) if not label]
    if missing:
        shown = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
        raise ConfigError(
            f"{where}: label must not be blank, it is in line{'s' * (len(missing) > 1)} {shown} "
            f"({len(missing)} of {len(labels)})"
        )
    numbers = all(label.removeprefix("-").isdecimal() for label in labels)
    return np.array([int(label) for label in labels]) if numbers else np.array(labels)


def _class_names(labels: Mapping[str, np.ndarray]) -> list[str]:
    """The classes of the labels of all splits; each must be one of the training examples'."""
    kinds = {split: "names" if each.dtype.kind == "U" else "numbers" for split, each in labels.items()}
    if len(set(kinds.values())) > 1:
        kinds_by_split = ", ".join(f"{split} has {kind}" for split, kind in kinds.items())
        raise ConfigError(f"labels: must be numbers in all splits or names in all, {kinds_by_split}")
    for split, each in labels.items():
        class_labels.check_numbers(each, f"{split} labels")
    every = np.concatenate(list(labels.values()))
    classes: Sequence[Any] = sorted(set(every.tolist()))
    if every.dtype.kind == "i":
        classes = range(int(every.max(initial=-1)) + 1)
    found = set(labels["train"].tolist())
    without = next((each for each in classes if each not in found), None)
    if without is not None:
        raise ConfigError(
            f"train labels: class {without!r} of {classes[0]!r}..{classes[-1]!r} has no training example; "
            "number the classes 0..C-1, or give class_names if it has none on purpose"
        )
    return [str(each) for each in classes]


def _images(images: ArrayLike | ImageFiles, split: str) -> Images:
    """Images [N, height, width, channels], uint8 or of any other numbers, or files."""
    if isinstance(images, ImageFiles):
        return images
    array = np.asarray(images)
    if array.dtype.kind not in "biuf":
        raise ConfigError(
            f"{split} images: must be uint8, of values 0..255, or features of any scale, got {array.dtype}"
        )
    if array.ndim == 2:  # a table, of uint8 too
        array = array[:, None, None].astype(np.float32 if array.dtype.itemsize == 1 else array.dtype)
    elif array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4:
        raise ConfigError(
            f"{split} images: must be [N, D], [N, height, width] or [N, height, width, channels], "
            f"got {array.dtype} {list(array.shape)}"
        )
    _, height, width, channels = array.shape
    channels_first = height in (3, 4) or (height == 1 and width == channels)
    if channels_first and min(width, channels) > 4:
        raise ConfigError(
            f"{split} images: channels come last, [N, height, width, channels]; {list(array.shape)} looks "
            "like channels first, give images.transpose(0, 2, 3, 1)"
        )
    return array


def _split(
    split: str,
    images: Images,
    labels: np.ndarray,
    ids: ArrayLike | None,
    class_names: Sequence[str],
    scaling: features.Scaling | None,
) -> Split:
    """Arrays as `Dataset` wants them; it checks the rest."""
    labels = _numbered(labels, class_names, f"{split} labels")
    ids = np.arange(len(labels)) if ids is None else np.asarray(ids)
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise ConfigError(f"{split} ids: must be integers [N], got {ids.dtype} {list(ids.shape)}")
    unusable = ids[(ids < 0) | (ids >= 2**31)]  # of others no noise can be drawn
    if unusable.size:
        raise ConfigError(f"{split} ids: must be in [0, 2**31), got {unusable[0]}")
    if not len(images) == len(labels) == len(ids):
        raise ConfigError(
            f"{split}: {len(images)} images, {len(labels)} labels, {len(ids)} ids; the numbers must be equal"
        )
    ids = ids.astype(np.int64)
    if isinstance(images, np.ndarray) and images.dtype != np.uint8:
        if scaling is None or len(scaling.scale) != images.shape[-1]:
            scaling = features.scaling(images)  # of other images than those of training, which is refused
        images = scaling(images)
    given = Split(images, labels, ids)
    return given if (np.diff(ids) > 0).all() else given.take(np.argsort(ids, kind="stable"))


def _numbered(labels: np.ndarray, class_names: Sequence[str], where: str) -> np.ndarray:
    """Numbers or names of classes as int32 [N]."""
    if labels.dtype.kind == "U":
        positions = {name: position for position, name in enumerate(class_names)}
        unknown = sorted(set(labels.tolist()) - positions.keys())
        if unknown:
            raise ConfigError(f"{where}: {unknown[0]!r} is none of the classes {list(class_names)}")
        labels = np.array([positions[name] for name in labels.tolist()], np.int64)
    class_labels.check_numbers(labels, where)
    if (beyond := labels >= len(class_names)).any():
        raise ConfigError(
            f"{where}: must be in [0, {len(class_names)}) for {len(class_names)} classes, "
            f"got {labels[beyond][0]} in row {np.flatnonzero(beyond)[0]}"
        )
    return labels.astype(np.int32)


def _annotated(
    train: Split, ids: ArrayLike | None, annotations: Mapping[str, ArrayLike], class_names: Sequence[str]
) -> Split:
    """A split with other labels of its examples, which come in the order of `ids`."""
    order = np.arange(len(train)) if ids is None else np.argsort(np.asarray(ids), kind="stable")
    found = {}
    for name, each in annotations.items():
        where = f"annotations {name!r}"
        labels = _numbered(class_labels.read(each, where), class_names, where)
        if len(labels) != len(train):
            raise ConfigError(f"{where}: {len(labels)} labels of {len(train)} training examples")
        found[name] = labels[order]
    return dataclasses.replace(train, annotations=found)
