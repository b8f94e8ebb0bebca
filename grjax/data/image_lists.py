"""Splits of image files that a list names, as the large data sets are distributed."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from grjax.data.dataset import Split
from grjax.data.image_files import ImageFiles
from grjax.errors import ConfigError


def split_of_files(
    root: Path, paths: Sequence[str], labels: Sequence[int] | np.ndarray, size: int, listed_in: str
) -> Split:
    """A split of image files, in the order of their list; an example's id is its position there.

    That every file exists is checked by listing each folder once, not by looking at each file.

    Args:
      root: the folder that the paths are below.
      paths: of the files, relative to `root`.
      labels: of the files, in the same order.
      size: of the decoded images.
      listed_in: what said that they are there, for the error.

    Raises:
      ConfigError: an empty list, or files that are not there.
    """
    if not len(paths):
        raise ConfigError(f"data.dir: {listed_in} lists no images")
    folders = {os.path.dirname(path) for path in paths}
    present: set[str] = set()
    for folder in folders:
        try:
            present.update(os.path.join(folder, name) for name in os.listdir(root / folder))
        except OSError:
            continue  # its files are missing, and are reported so
    missing = [path for path in paths if path not in present]
    if missing:
        raise ConfigError(
            f"data.dir: {len(missing)} of the {len(paths)} images that {listed_in} lists are not in {root}, "
            f"the first is {missing[0]}"
        )
    ids = np.arange(len(paths), dtype=np.int64)
    return Split(ImageFiles(root, paths, size), np.asarray(labels, np.int32), ids)
