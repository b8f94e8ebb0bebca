"""Splits of image files that a list names, as the large data sets are distributed."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from grjax.data.dataset import Split
from grjax.data.image_files import ImageFiles
from grjax.errors import ConfigError


def split_of_files(
    root: Path, paths: Sequence[str], labels: Sequence[int], image_size: int, listed_in: str
) -> Split:
    """A split of image files, in the order of their list; an example's id is its position there.

    Args:
      root: the folder that the paths are below.
      paths: of the files, relative to `root`.
      labels: of the files, in the same order.
      image_size: height and width of the decoded images.
      listed_in: what said that they are there, for the error.

    Raises:
      ConfigError: an empty list, or files that are not there.
    """
    if not paths:
        raise ConfigError(f"data.dir: {listed_in} lists no images")
    check_files(root, paths, listed_in)
    ids = np.arange(len(paths), dtype=np.int64)
    return Split(ImageFiles(root, paths, image_size), np.array(labels, np.int32), ids)


def check_files(root: Path, paths: Sequence[str], listed_in: str) -> None:
    """Raises `ConfigError` if files are missing. It lists each folder once, and looks at no single file."""
    present: dict[str, set[str]] = {}
    for folder in {os.path.dirname(path) for path in paths}:
        try:
            present[folder] = set(os.listdir(root / folder))
        except OSError:
            present[folder] = set()  # its files are missing, and are reported so
    missing = [path for path in paths if os.path.basename(path) not in present[os.path.dirname(path)]]
    if missing:
        raise ConfigError(
            f"data.dir: {len(missing)} of the {len(paths)} images that {listed_in} lists are not in {root}, "
            f"the first is {missing[0]}"
        )


def require(root: Path, parts: Sequence[str], layout: str) -> None:
    """Raises `ConfigError`, which says the layout, if one of the files and folders is not below `root`."""
    for part in parts:
        if not (root / part).exists():
            raise ConfigError(f"data.dir: {root} has no {part}; it must hold {layout}")


def read_lines(path: Path) -> list[str]:
    """The lines of a list, without those that are empty.

    Raises:
      ConfigError: it cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"data.dir: cannot read the list {path}: {error}") from error
    return [line for line in map(str.strip, lines) if line]


def read_pairs(path: Path, num_classes: int) -> dict[str, int]:
    """A list with a path and a label in [0, num_classes) in each line.

    Raises:
      ConfigError: it cannot be read, or a line is something else.
    """
    pairs: dict[str, int] = {}
    for number, line in enumerate(read_lines(path), start=1):
        name, *label = line.rsplit(None, 1)
        if not label or not label[0].isdecimal() or int(label[0]) >= num_classes:
            raise ConfigError(
                f"data.dir: {path}, line {number}: must be a path and a label in [0, {num_classes}), "
                f"got {line!r}"
            )
        pairs[name] = int(label[0])
    return pairs
