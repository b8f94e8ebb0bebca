"""Data sets, and their registry.

Adding one: write it in a file of its own, and name it in one of the tables below: a TFDS builder with
features 'id', 'image' and 'label', or a function that reads a folder in the layout of the data set's authors.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import tensorflow_datasets as tfds

from grjax.data import own
from grjax.data.animal10n import animal10n
from grjax.data.cifar import Cifar10, Cifar100, Cifar100Coarse, Vehicles10
from grjax.data.clothing1m import clothing1m, clothing1m_clean
from grjax.data.dataset import Dataset, Split
from grjax.data.digits import Digits
from grjax.data.food101n import food101n
from grjax.data.huggingface import Choice, from_huggingface
from grjax.data.image_files import ImageFiles
from grjax.data.image_folders import from_folder
from grjax.data.imdb import Imdb, ImdbSkipGram
from grjax.data.mnist_family import FashionMnist, Kmnist, Mnist
from grjax.data.own import from_arrays
from grjax.data.prepared import from_prepared, is_prepared
from grjax.data.splits import hold_out
from grjax.data.svhn import Svhn
from grjax.data.tfds_source import read
from grjax.data.webvision import mini_webvision
from grjax.errors import ConfigError
from grjax.plain_values import plain
from grjax.registry import lookup

__all__ = ["Dataset", "ImageFiles", "Split", "from_arrays", "hold_out", "load", "names"]

_BUILDERS: dict[str, type[tfds.core.GeneratorBasedBuilder]] = {
    "cifar10": Cifar10,
    "cifar100": Cifar100,
    "cifar100_coarse": Cifar100Coarse,
    "digits": Digits,
    "fashion_mnist": FashionMnist,
    "imdb": Imdb,
    "imdb_skip_gram": ImdbSkipGram,
    "kmnist": Kmnist,
    "mnist": Mnist,
    "svhn": Svhn,
    "vehicles10": Vehicles10,
}
# Folders of image files: (path, image_size) -> Dataset.
_FOLDERS: dict[str, Callable[[Path, int], Dataset]] = {
    "animal10n": animal10n,
    "clothing1m": clothing1m,
    "clothing1m_clean": clothing1m_clean,
    "food101n": food101n,
    "mini_webvision": mini_webvision,
}
# Data of the user: (path, image_size, test_fraction, test_seed) -> Dataset.
_OWN: dict[str, Callable[[Path, int, float, int], Dataset]] = {"folder": from_folder}
# Such that have other labels of their examples: the names of their columns come last.
_ANNOTATED: dict[str, Callable[[Path, int, float, int, Sequence[str]], Dataset]] = {
    "csv": own.from_csv,
    "npz": own.from_npz,
}
_HUGGINGFACE = "huggingface"


def names() -> list[str]:
    """The registered data sets."""
    return sorted([*_BUILDERS, *_FOLDERS, *_OWN, *_ANNOTATED, _HUGGINGFACE])


def load(
    name: str,
    *,
    dir: str | os.PathLike[str] | None = None,
    image_size: int = 224,
    test_fraction: float = 0.2,
    test_seed: int = 0,
    validation_fraction: float = 0.0,
    validation_seed: int = 0,
    columns: Sequence[str] = (),
    label_column: str | None = None,
    train_split: str | None = None,
    test_split: str | None = None,
    subset: str | None = None,
    annotations: Sequence[str] = (),
) -> Dataset:
    """Loads a data set, with its labels before any noise of ours.

    What `dir` is depends on the data set:
      - prepared by TFDS (cifar10, ..., see docs/reference/data.md): the files as they are distributed, an
        archive or a folder in or just below which they lie; they are verified, and prepared in TFDS's default
        data folder, $TFDS_DATA_DIR or ~/tensorflow_datasets. If it holds no such files, it is TFDS's data
        folder itself.
        Data that are not prepared there are looked for in its downloads/manual, then downloaded.
      - folders of images (clothing1m, ...): the folder, in the layout of the data set's authors.
      - 'npz', 'csv', 'folder': the file or folder of your own data, see `grjax.data.own`.
      - 'huggingface': what the `datasets` library reads, see `grjax.data.huggingface.from_huggingface`.
      - any other name: TFDS's data folder, in which a data set of that name lies prepared.

    Args:
      name: one of `names()`, or that of a data set that TFDS has prepared.
      dir: see above; None: TFDS's default.
      image_size: to which images in files of their own are brought; others keep their size.
      test_fraction: of each class, for own data that come without a test split.
      test_seed: of that choice.
      validation_fraction: of the training examples of each class to hold out as split 'validation'; 0: none.
      validation_seed: of that choice.
      columns: of 'huggingface', what is learned from: one of images or arrays, or several of numbers; (): the
        one of images or arrays.
      label_column: of 'huggingface'; None: the one class label, or 'label'.
      train_split: of 'huggingface', where its name does not say so.
      test_split: of 'huggingface', where its name does not say so.
      subset: of 'huggingface', of a data set of the hub that has several.
      annotations: columns with other labels of the training examples, of 'huggingface', 'csv' and 'npz'; they
        come as `Split.annotations`.

    Raises:
      ConfigError: unknown name, an unusable `dir`, a column or split that is not there or that the data set
        does not take, or a fraction or seed out of range.
    """
    choice = Choice(tuple(columns), label_column, tuple(annotations), train_split, test_split, subset)
    dataset = _load(name, choice, *map(plain, (dir, image_size, test_fraction, test_seed)))
    fraction, seed = plain(validation_fraction), plain(validation_seed)
    return dataset if fraction == 0 else hold_out(dataset, fraction, seed)


def _load(
    name: str, choice: Choice, dir: str | None, image_size: int, test_fraction: float, test_seed: int
) -> Dataset:
    _check_choice(name, choice)
    if name in _BUILDERS:
        return read(_BUILDERS[name], dir)
    if name not in names() and is_prepared(name, dir):
        return from_prepared(name, dir, image_size, test_fraction, test_seed)
    lookup("data.name", dict.fromkeys(names()), name)
    if dir is None:
        raise ConfigError(f"data.dir: must say where the files of {name!r} are, got None")
    if name == _HUGGINGFACE:
        return from_huggingface(
            dir, choice, image_size=image_size, test_fraction=test_fraction, test_seed=test_seed
        )
    path = Path(dir).expanduser()
    if not path.exists():
        raise ConfigError(f"data.dir: {path} does not exist; it must be where the files of {name!r} are")
    if name in _OWN:
        return _OWN[name](path, image_size, test_fraction, test_seed)
    if name in _ANNOTATED:
        return _ANNOTATED[name](path, image_size, test_fraction, test_seed, choice.annotations)
    return _FOLDERS[name](path, image_size)


def _check_choice(name: str, choice: Choice) -> None:
    """Raises `ConfigError` where a data set is told about columns or splits that it does not choose."""
    if name == _HUGGINGFACE:
        return
    for key, value in choice._asdict().items():
        if key != "annotations" and value:
            raise ConfigError(
                f"data.{key}: must be left out for {name!r}, 'huggingface' takes it; got {value!r}"
            )
    if choice.annotations and name not in _ANNOTATED:
        raise ConfigError(
            f"noise.column: {name!r} has no columns of other labels; {', '.join(sorted(_ANNOTATED))} and "
            f"{_HUGGINGFACE} have, and noise.name=file reads them from a file"
        )
