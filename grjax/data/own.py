"""Data of your own: arrays, an .npz file, a folder for each class, or a CSV file beside images."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from grjax.data.dataset import Dataset, Images, Split
from grjax.data.image_files import ImageFiles
from grjax.data.image_lists import check_files
from grjax.data.splits import split_off_test
from grjax.errors import ConfigError
from grjax.workdir.files import read_npz


def from_arrays(
    images: ArrayLike | ImageFiles,
    labels: ArrayLike,
    *,
    test: tuple[ArrayLike | ImageFiles, ArrayLike] | None = None,
    ids: ArrayLike | None = None,
    test_ids: ArrayLike | None = None,
    class_names: Sequence[str] | None = None,
    name: str = "own",
    test_fraction: float = 0.2,
    test_seed: int = 0,
) -> Dataset:
    """A data set from arrays in memory.

    Args:
      images: uint8 [N, height, width, channels] or [N, height, width]; or finite float32 of these shapes, or
        [N, D]: features of any scale, which become images of one pixel with D channels.
      labels: integers [N] in [0, C), or the names of the classes. Without `class_names`, each class must
        have a training example: noise would give labels to a class that is not there.
      test: images and labels of the test split; None: a stratified part of the examples, which keep their
        ids.
      ids: of the examples, distinct integers [N] in [0, 2**31); None: 0..N-1. The examples of a split are
        sorted by them, and noise is drawn for an id: it stays with an example however the data come.
      test_ids: of the examples of `test`.
      class_names: in the order of the labels, of classes without a training example, too; None: '0', '1',
        ..., or the names found, sorted.
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
    labels = np.asarray(labels)
    names = class_names or _class_names(labels, labels if test is None else np.append(labels, test[1]))
    train = _split("train", images, labels, ids, names)
    if test is None:
        splits = split_off_test(train, test_fraction, test_seed)
    else:
        splits = {"train": train, "test": _split("test", test[0], test[1], test_ids, names)}
    return Dataset(name, tuple(map(str, names)), splits)


def from_npz(path: Path, image_size: int, test_fraction: float, test_seed: int) -> Dataset:
    """An .npz file with arrays named as the arguments of `from_arrays`.

    `images` and `labels`; optionally `ids`, `class_names`, and `test_images`, `test_labels`, `test_ids`.
    Images in an .npz have their size, `image_size` is not used.
    """
    known = {"images", "labels", "ids", "class_names", "test_images", "test_labels", "test_ids"}
    arrays = read_npz(path, kind=ConfigError, where="data.dir: ")
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
        class_names=arrays["class_names"].tolist() if "class_names" in arrays else None,
        name=path.stem,
        test_fraction=test_fraction,
        test_seed=test_seed,
    )


def from_folder(path: Path, image_size: int, test_fraction: float, test_seed: int) -> Dataset:
    """A folder of images for each class, below `path` or below its 'train' and 'test'.

    Classes are sorted by name, and so are the files of a split: an example's id is its place there.
    """
    given = (path / "train").is_dir() and (path / "test").is_dir()
    roots = [path / "train", path / "test"] if given else [path]
    trees = [_tree(root) for root in roots]
    files = [ImageFiles(root, list(tree), image_size) for root, tree in zip(roots, trees, strict=True)]
    labels = [list(tree.values()) for tree in trees]
    return from_arrays(
        files[0],
        labels[0],
        test=(files[1], labels[1]) if given else None,
        name=path.resolve().name,
        test_fraction=test_fraction,
        test_seed=test_seed,
    )


def from_csv(path: Path, image_size: int, test_fraction: float, test_seed: int) -> Dataset:
    """A CSV file with columns 'image' and 'label', and optionally 'split' ('train' or 'test') and 'id'.

    Paths of images are relative to the file. Labels that are all whole numbers are the classes' numbers,
    others their names. Without ids, an example's id is the number of its row, from 0.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"data.dir: {path} cannot be read as CSV: {error}") from error
    columns = set(rows[0]) if rows else set()
    if not {"image", "label"} <= columns:
        raise ConfigError(f"data.dir: {path} must have rows with columns 'image' and 'label'")
    incomplete = [number for number, row in enumerate(rows) if None in row.values() or None in row]
    if incomplete:
        raise ConfigError(f"data.dir: {path}, row {incomplete[0]}: must have {len(columns)} values")
    splits = np.array([row.get("split", "train") for row in rows])
    unknown = sorted(set(splits.tolist()) - {"train", "test"})
    if unknown:
        raise ConfigError(f"data.dir: {path}: split must be 'train' or 'test', got {unknown[0]!r}")
    names, labels = [row["image"] for row in rows], np.array([row["label"] for row in rows])
    try:
        ids = np.array([int(row.get("id", number)) for number, row in enumerate(rows)])
    except ValueError as error:
        raise ConfigError(f"data.dir: {path}: id must be a whole number: {error}") from error
    check_files(path.parent, names, path.name)
    if all(label.isdecimal() for label in labels.tolist()):
        labels = labels.astype(np.int64)
    images, train, test = ImageFiles(path.parent, names, image_size), splits == "train", splits == "test"
    return from_arrays(
        images.take(np.flatnonzero(train)),
        labels[train],
        test=(images.take(np.flatnonzero(test)), labels[test]) if test.any() else None,
        ids=ids[train],
        test_ids=ids[test],
        name=path.stem,
        test_fraction=test_fraction,
        test_seed=test_seed,
    )


def _class_names(train: np.ndarray, labels: np.ndarray) -> list[str]:
    """The classes of `labels`, of which those of the training examples are the first."""
    classes: Sequence[Any] = sorted(set(labels.ravel().tolist()))
    if np.issubdtype(labels.dtype, np.integer):
        classes = range(int(labels.max(initial=-1)) + 1)
    found = set(labels.ravel()[: train.size].tolist())
    without = next((each for each in classes if each not in found), None)
    if without is not None:
        raise ConfigError(
            f"train labels: class {without!r} of {classes[0]!r}..{classes[-1]!r} has no training example; "
            "number the classes 0..C-1, or give class_names if it has none on purpose"
        )
    return [str(each) for each in classes]


def _split(
    split: str,
    images: ArrayLike | ImageFiles,
    labels: ArrayLike,
    ids: ArrayLike | None,
    class_names: Sequence[str],
) -> Split:
    """Arrays as `Dataset` wants them; it checks the rest."""
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise ConfigError(f"{split} labels: must be [N], got {list(labels.shape)}")
    if labels.dtype.kind in "US":
        positions = {name: position for position, name in enumerate(class_names)}
        unknown = sorted(set(labels.tolist()) - positions.keys())
        if unknown:
            raise ConfigError(f"{split} labels: {unknown[0]!r} is none of the classes {list(class_names)}")
        labels = np.array([positions[name] for name in labels.tolist()])
    elif labels.dtype.kind not in "iu":
        raise ConfigError(f"{split} labels: must be integers or names of classes, got {labels.dtype}")
    chosen: Images = images if isinstance(images, ImageFiles) else np.asarray(images)
    if isinstance(chosen, np.ndarray) and chosen.ndim == 3:
        chosen = chosen[..., None]
    elif isinstance(chosen, np.ndarray) and chosen.ndim == 2 and chosen.dtype == np.float32:
        chosen = chosen[:, None, None]
    ids = np.arange(len(labels)) if ids is None else np.asarray(ids)
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise ConfigError(f"{split} ids: must be integers [N], got {ids.dtype} {list(ids.shape)}")
    unusable = ids[(ids < 0) | (ids >= 2**31)]  # of others no noise can be drawn
    if unusable.size:
        raise ConfigError(f"{split} ids: must be in [0, 2**31), got {unusable[0]}")
    if not len(chosen) == len(labels) == len(ids):
        raise ConfigError(
            f"{split}: {len(chosen)} images, {len(labels)} labels, {len(ids)} ids; the numbers must be equal"
        )
    if chosen.dtype not in (np.uint8, np.float32):
        raise ConfigError(
            f"{split} images: must be uint8, of values 0..255, or float32 features, got {chosen.dtype}"
        )
    given = Split(chosen, labels.astype(np.int32), ids.astype(np.int64))
    return given if (np.diff(ids) > 0).all() else given.take(np.argsort(ids, kind="stable"))


def _tree(root: Path) -> dict[str, str]:
    """The classes of the images below the folders of `root`, by their paths relative to it, sorted."""
    if not root.is_dir():
        raise ConfigError(f"data.dir: {root} must be a folder that holds a folder of images for each class")
    endings = tuple(Image.registered_extensions())
    found: dict[str, str] = {}
    for folder in (entry for entry in root.iterdir() if entry.is_dir()):
        for below, _, files in os.walk(folder):
            at = os.path.relpath(below, root)
            found |= {os.path.join(at, file): folder.name for file in files if file.lower().endswith(endings)}
    if not found:
        raise ConfigError(f"data.dir: {root} must hold a folder of images for each class, it holds none")
    return dict(sorted(found.items()))
