"""Data sets, and their registry.

Adding one: write its TFDS builder in a file of its own, with features 'id', 'image' and 'label', and name it
in `_BUILDERS`.
"""

import tensorflow_datasets as tfds

from grjax.data.cifar import Cifar10, Cifar100, Vehicles10
from grjax.data.dataset import Dataset, Split, hold_out
from grjax.data.digits import Digits
from grjax.data.mnist_family import FashionMnist, Kmnist, Mnist
from grjax.data.svhn import Svhn
from grjax.data.tfds_source import read
from grjax.registry import lookup

__all__ = ["Dataset", "Split", "hold_out", "load", "names"]

_BUILDERS: dict[str, type[tfds.core.GeneratorBasedBuilder]] = {
    "cifar10": Cifar10,
    "cifar100": Cifar100,
    "digits": Digits,
    "fashion_mnist": FashionMnist,
    "kmnist": Kmnist,
    "mnist": Mnist,
    "svhn": Svhn,
    "vehicles10": Vehicles10,
}


def names() -> list[str]:
    """The registered data sets."""
    return sorted(_BUILDERS)


def load(
    name: str,
    *,
    dir: str | None = None,
    validation_fraction: float = 0.0,
    validation_seed: int = 0,
) -> Dataset:
    """Loads a data set into memory, with clean labels.

    Args:
      name: one of `names()`.
      dir: TFDS's data folder; None: ~/tensorflow_datasets or $TFDS_DATA_DIR. Prepared there if absent.
      validation_fraction: of the training examples of each class to hold out as split 'validation'; 0: none.
      validation_seed: of that choice.

    Raises:
      ConfigError: unknown name, an unusable `dir`, or a fraction or seed out of range.
    """
    dataset = read(lookup("data.name", _BUILDERS, name), dir)
    if validation_fraction == 0:
        return dataset
    return hold_out(dataset, validation_fraction, validation_seed)
