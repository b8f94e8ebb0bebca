"""CIFAR-10 and CIFAR-100, and the superclasses and the vehicles of CIFAR-100, as TFDS data sets."""

import dataclasses
import io
import pickle
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from grjax.data.source_builder import Arrays, SourceBuilder
from grjax.data.source_files import Distribution, Download, Layout

# The MD5s of the python files are those that torchvision checks. The binary files hold the same examples in
# the same order: those of CIFAR-100, rebuilt from the python files, have the MD5s given here.
_CIFAR10 = Distribution(
    layouts=(
        Layout(
            "python",
            {
                "data_batch_1": ("md5:c99cafc152244af753f735de768cd75f",),
                "data_batch_2": ("md5:d4bba439e000b95fd0a9bffe97cbabec",),
                "data_batch_3": ("md5:54ebc095f3ab1f0389bbae665268c751",),
                "data_batch_4": ("md5:634d18415352ddfa80567beed471001a",),
                "data_batch_5": ("md5:482c414d41f54cd18b22e5b47cb7c3cb",),
                "test_batch": ("md5:40351d587109b95175f43aff81a1287e",),
            },
            folders=(".", "cifar-10-batches-py", "cifar-10-batches-py-target/cifar-10-batches-py"),
            archives=(
                "cifar-10-python.tar.gz",
                "cifar-10-batches-py.tar.gz",
                "cifar-10-batches-py-target_archive",
            ),
            downloads={
                "cifar-10-python.tar.gz": Download(
                    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
                    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
                )
            },
        ),
        Layout(
            "binary",
            {
                "data_batch_1.bin": ("md5:5dd7e06a14cb22eb9f671a540d1b7c25",),
                "data_batch_2.bin": ("md5:5ea93a67294ea407fff1d09f752e9692",),
                "data_batch_3.bin": ("md5:942cd6a4bcdd0dd3c604fbe906cb4421",),
                "data_batch_4.bin": ("md5:ae636b3ba5c66a11e91e8cb52e771fcb",),
                "data_batch_5.bin": ("md5:53f37980c15c3d472c316c40844f3f0d",),
                "test_batch.bin": ("md5:803d5f7f4d78ea53de84dbe85f74fb6d",),
            },
            folders=(".", "cifar-10-batches-bin"),
            archives=("cifar-10-binary.tar.gz",),
            downloads={
                "cifar-10-binary.tar.gz": Download(
                    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                )
            },
        ),
    ),
    num_examples={"train": 50_000, "test": 10_000},
)
_CIFAR100 = Distribution(
    layouts=(
        Layout(
            "python",
            {
                "train": ("md5:16019d7e3df5f24257cddd939b257f8d",),
                "test": ("md5:f0ef6b0ae62326f3e7ffdfab6717acfc",),
            },
            folders=(".", "cifar-100-python", "cifar-100-python-target/cifar-100-python"),
            archives=("cifar-100-python.tar.gz", "cifar-100-python-target_archive"),
            downloads={
                "cifar-100-python.tar.gz": Download(
                    "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
                    "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
                )
            },
        ),
        Layout(
            "binary",
            {
                "train.bin": ("md5:6172c7755cfe09b2fe270c85cebc1b15",),
                "test.bin": ("md5:4499cfba6c016c1be1438163640a0898",),
            },
            folders=(".", "cifar-100-binary"),
            archives=("cifar-100-binary.tar.gz",),
            downloads={
                "cifar-100-binary.tar.gz": Download(
                    "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
                    "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
                )
            },
        ),
    ),
    num_examples={"train": 50_000, "test": 10_000},
)


class Cifar10(SourceBuilder):
    """CIFAR-10: 60,000 colour images 32 x 32 of 10 classes.

    Ids are positions in the python files, batches 1 to 5 in turn: the order of torchvision and of CIFAR-10N.

    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """

    DISTRIBUTION = _CIFAR10
    IMAGE_SHAPE = (32, 32, 3)
    CLASS_NAMES = (
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    )  # fmt: skip
    HOMEPAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"

    def parse(self, layout: str, contents: Mapping[str, bytes]) -> dict[str, Arrays]:
        """See `SourceBuilder`."""
        parts: dict[str, list[Arrays]] = {"train": [], "test": []}
        for member in sorted(contents):
            part = (
                _of_pickle(contents[member], {"label": "labels"})
                if layout == "python"
                else _of_records(contents[member], ("label",))
            )
            parts["test" if member.startswith("test") else "train"].append(part)
        return {
            split: {key: np.concatenate([part[key] for part in several]) for key in several[0]}
            for split, several in parts.items()
        }


class Cifar100(SourceBuilder):
    """CIFAR-100: 60,000 colour images 32 x 32 of 100 classes, in 20 superclasses.

    'label' is the fine class, 'coarse_label' the superclass. Ids are positions in the python files: the order
    of torchvision and of CIFAR-100N.

    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """

    DISTRIBUTION = _CIFAR100
    IMAGE_SHAPE = (32, 32, 3)
    CLASS_NAMES: ClassVar[tuple[str, ...]] = (
        "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle",
        "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle",
        "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur",
        "dolphin", "elephant", "flatfish", "forest", "fox", "girl", "hamster", "house", "kangaroo",
        "keyboard", "lamp", "lawn_mower", "leopard", "lion", "lizard", "lobster", "man", "maple_tree",
        "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange", "orchid", "otter", "palm_tree",
        "pear", "pickup_truck", "pine_tree", "plain", "plate", "poppy", "porcupine", "possum", "rabbit",
        "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper",
        "snail", "snake", "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank",
        "telephone", "television", "tiger", "tractor", "train", "trout", "tulip", "turtle", "wardrobe",
        "whale", "willow_tree", "wolf", "woman", "worm",
    )  # fmt: skip
    COARSE_NAMES = (
        "aquatic_mammals", "fish", "flowers", "food_containers", "fruit_and_vegetables",
        "household_electrical_devices", "household_furniture", "insects", "large_carnivores",
        "large_man-made_outdoor_things", "large_natural_outdoor_scenes", "large_omnivores_and_herbivores",
        "medium_mammals", "non-insect_invertebrates", "people", "reptiles", "small_mammals", "trees",
        "vehicles_1", "vehicles_2",
    )  # fmt: skip
    HOMEPAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"

    def extra_features(self) -> dict[str, Any]:
        """The superclass."""
        return {"coarse_label": tfds.features.ClassLabel(names=self.COARSE_NAMES)}

    def parse(self, layout: str, contents: Mapping[str, bytes]) -> dict[str, Arrays]:
        """See `SourceBuilder`."""
        if layout == "python":
            keys = {"label": "fine_labels", "coarse_label": "coarse_labels"}
            return {split: _of_pickle(contents[split], keys) for split in ("train", "test")}
        return {
            split: _of_records(contents[f"{split}.bin"], ("coarse_label", "label"))
            for split in ("train", "test")
        }


class Cifar100Coarse(Cifar100):
    """CIFAR-100 with its 20 superclasses as classes.

    'label' is the superclass, 'fine_label' the fine class. Ids are those of CIFAR-100, so that the coarse
    labels of CIFAR-100N are found by them.
    """

    CLASS_NAMES = Cifar100.COARSE_NAMES

    def extra_features(self) -> dict[str, Any]:
        """The fine class."""
        return {"fine_label": tfds.features.ClassLabel(names=Cifar100.CLASS_NAMES)}

    def parse(self, layout: str, contents: Mapping[str, bytes]) -> dict[str, Arrays]:
        """See `SourceBuilder`."""
        return {
            split: {"image": each["image"], "label": each["coarse_label"], "fine_label": each["label"]}
            for split, each in super().parse(layout, contents).items()
        }


class Vehicles10(Cifar100):
    """The 10 vehicles of CIFAR-100: the fine classes of its superclasses vehicles_1 and vehicles_2.

    5,000 training and 1,000 test images. Ids are those of CIFAR-100, so that other labels of CIFAR-100 can be
    looked up by them; the classes keep CIFAR-100's order.
    """

    FINE_LABELS = (8, 13, 41, 48, 58, 69, 81, 85, 89, 90)
    DISTRIBUTION = dataclasses.replace(_CIFAR100, num_examples={"train": 5_000, "test": 1_000})
    CLASS_NAMES = (
        "bicycle", "bus", "lawn_mower", "motorcycle", "pickup_truck", "rocket", "streetcar", "tank",
        "tractor", "train",
    )  # fmt: skip

    def parse(self, layout: str, contents: Mapping[str, bytes]) -> dict[str, Arrays]:
        """See `SourceBuilder`."""
        return {split: self._vehicles(arrays) for split, arrays in super().parse(layout, contents).items()}

    def _vehicles(self, arrays: Arrays) -> Arrays:
        ids = np.flatnonzero(np.isin(arrays["label"], self.FINE_LABELS))
        chosen = {key: values[ids] for key, values in arrays.items()}
        return {**chosen, "id": ids, "label": np.searchsorted(self.FINE_LABELS, chosen["label"])}


class _ArraysOnly(pickle.Unpickler):
    """Unpickles NumPy arrays and plain values, and nothing that could run."""

    def find_class(self, module: str, name: str) -> Any:
        if (module.split(".")[0], name) in {
            ("numpy", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),
        }:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it holds {module}.{name}")


def _of_pickle(content: bytes, keys: Mapping[str, str]) -> Arrays:
    """A python file: features by the keys that it has for them."""
    stored = _ArraysOnly(io.BytesIO(content), encoding="latin1").load()
    return {
        "image": _channels_last(np.asarray(stored["data"], np.uint8)),
        **{feature: np.asarray(stored[key], np.int64) for feature, key in keys.items()},
    }


def _of_records(content: bytes, label_features: tuple[str, ...]) -> Arrays:
    """A binary file: for each example a byte for each label, then the pixels."""
    records = np.frombuffer(content, np.uint8).reshape(-1, len(label_features) + 3072)
    labels = {feature: records[:, i].astype(np.int64) for i, feature in enumerate(label_features)}
    return {"image": _channels_last(records[:, len(label_features) :]), **labels}


def _channels_last(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
