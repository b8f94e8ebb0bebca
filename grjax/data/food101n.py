"""Food-101N: photographs of 101 dishes from the web, with the clean test images of Food-101."""

from pathlib import Path

import numpy as np

from grjax.data.dataset import Dataset, Split
from grjax.data.image_lists import read_lines, require, split_of_files
from grjax.errors import ConfigError


def food101n(path: Path, image_size: int) -> Dataset:
    """Food-101N for training, Food-101 for the test, as its authors do: 101 classes, noisy training labels.

    `path` holds Food-101N_release/ (images/, meta/classes.txt, meta/imagelist.tsv, meta/verified_val.tsv) and
    food-101/ (images/, meta/test.txt), as they are distributed. The images of verified_val.tsv that people
    found to be labelled rightly are split 'validation'; none of its images is left in the training split.

    An example's id is its position in the whole list that it is taken from: imagelist.tsv,
    verified_val.tsv or test.txt.

    Source: K.-H. Lee et al., CleanNet, arXiv:1711.07131, 2018; L. Bossard et al., Food-101, ECCV 2014.
    """
    noisy, clean = path / "Food-101N_release", path / "food-101"
    lists = [
        f"Food-101N_release/meta/{name}" for name in ("classes.txt", "imagelist.tsv", "verified_val.tsv")
    ]
    needed = ["Food-101N_release/images", *lists, "food-101/images", "food-101/meta/test.txt"]
    require(path, needed, ", ".join(needed))
    classes = sorted(_without_header(noisy / "meta" / "classes.txt"))
    numbers = {name: number for number, name in enumerate(classes)}

    def label(listed: Path, key: str) -> int:
        name = key.partition("/")[0]
        if name not in numbers:
            raise ConfigError(f"data.dir: {listed}: {key!r} is of none of the classes of classes.txt")
        return numbers[name]

    def split(listed: Path, keys: list[str], ending: str = "") -> Split:
        paths, labels = [f"images/{key}{ending}" for key in keys], [label(listed, key) for key in keys]
        return split_of_files(listed.parent.parent, paths, labels, image_size, listed.name)

    verified = noisy / "meta" / "verified_val.tsv"
    correct: dict[str, bool] = {}
    for line in _without_header(verified):
        key, _, mark = line.partition("\t")
        if mark not in ("0", "1"):
            raise ConfigError(f"data.dir: {verified}: must have 0 or 1 after each image, got {line!r}")
        correct[key] = mark == "1"

    listed, test = noisy / "meta" / "imagelist.tsv", clean / "meta" / "test.txt"
    keys = _without_header(listed)
    unverified = np.flatnonzero([key not in correct for key in keys])
    splits = {
        "train": split(listed, keys).take(unverified),
        "validation": split(verified, list(correct)).take(np.flatnonzero(list(correct.values()))),
        "test": split(test, _without_header(test), ".jpg"),
    }
    return Dataset("food101n", tuple(classes), splits)


def _without_header(path: Path) -> list[str]:
    """The lines of a list of Food-101N; the first names the columns."""
    return [line for line in read_lines(path) if not line.startswith("class_name")]
