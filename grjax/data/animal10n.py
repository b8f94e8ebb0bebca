"""ANIMAL-10N: pairs of animals that people confuse."""

import os
from pathlib import Path

from grjax.data.dataset import Dataset
from grjax.data.image_lists import require, split_of_files
from grjax.errors import ConfigError

_CLASS_NAMES = (
    "cat", "lynx", "wolf", "coyote", "cheetah", "jaguar", "chimpanzee", "orangutan", "hamster", "guinea pig",
)  # fmt: skip


def animal10n(path: Path, image_size: int) -> Dataset:
    """ANIMAL-10N as its authors distribute it: 10 classes, noisy training labels, clean test labels.

    `path` holds training/ and testing/, whose files are called {label}_{number}.jpg. An example's id is its
    position among the names of its split, sorted. Class names are in the order that the authors give; public
    loaders disagree on which of 4 and 5 is the cheetah.

    Source: H. Song, M. Kim, J.-G. Lee, SELFIE, ICML 2019.
    """
    splits = {}
    for split, folder in (("train", "training"), ("test", "testing")):
        require(path, [folder], "training/ and testing/, with files LABEL_NUMBER.jpg")
        names = sorted(os.listdir(path / folder))
        labels = []
        for name in names:
            label, _, rest = name.partition("_")
            if not rest or label not in set("0123456789"):
                raise ConfigError(
                    f"data.dir: {path / folder / name} must be called LABEL_NUMBER.jpg, LABEL in 0..9"
                )
            labels.append(int(label))
        splits[split] = split_of_files(path / folder, names, labels, image_size, f"{folder}/")
    return Dataset("animal10n", _CLASS_NAMES, splits)
