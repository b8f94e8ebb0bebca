"""Any TFDS data set with an image and a label that lies prepared on disk: without its code or TensorFlow."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.core import read_only_builder

from grjax.data.dataset import Dataset, Split
from grjax.data.image_files import fit
from grjax.data.splits import split_off_test
from grjax.errors import ConfigError


def is_prepared(name: str, dir: str | None) -> bool:
    """Whether TFDS's data folder has a folder for the data set `name`."""
    return bool(name) and "/" not in name and (_root(dir) / name).is_dir()


def from_prepared(
    name: str, dir: str | None, image_size: int, test_fraction: float, test_seed: int
) -> Dataset:
    """The latest version of a data set in TFDS's data folder, prepared by whoever, in memory.

    Splits 'train', 'validation' and 'test' are kept; a 'validation' without a 'test' is the test split, and
    with neither it is a stratified part of 'train'. Images of one size keep it, others become image_size x
    image_size. An example's id is its position on disk.

    Raises:
      ConfigError: no feature 'image' or 'label', no class labels, or files that need TensorFlow.
    """
    root = _root(dir)
    try:
        builder = read_only_builder.builder_from_files(name, data_dir=str(root))
    except Exception as error:  # damaged metadata fail deep inside
        raise ConfigError(f"data.name: {root / name} is no data set of TFDS: {error}") from error
    features = builder.info.features
    is_class = "label" in features and isinstance(features["label"], tfds.features.ClassLabel)
    if "image" not in features or not is_class:
        raise ConfigError(
            f"data.name: {name!r} must have an 'image' and a class as 'label', it has {', '.join(features)}"
        )
    if builder.info.file_format is not tfds.core.FileFormat.ARRAY_RECORD:
        raise ConfigError(
            f"data.name: {name!r} is stored as {builder.info.file_format.value}, which needs TensorFlow; "
            f"where that is installed, convert it: tfds convert_format --root_data_dir={root} "
            "--out_file_format=array_record"
        )
    splits = {
        split: _read(builder, split, image_size)
        for split in ("train", "validation", "test")
        if split in builder.info.splits
    }
    if "train" not in splits:
        raise ConfigError(f"data.name: {name!r} must have a split 'train', has {list(builder.info.splits)}")
    names = tuple(features["label"].names)
    if "test" not in splits and "validation" in splits:
        splits["test"] = splits.pop("validation")
    elif "test" not in splits:
        splits = split_off_test(splits["train"], test_fraction, test_seed, names)
    return Dataset(name, names, splits)


def _read(builder: Any, split: str, image_size: int) -> Split:
    feature = builder.info.features["image"]
    height, width, channels = feature.shape
    try:
        source = builder.as_data_source(split)
        shape = (image_size, image_size) if None in (height, width) else (height, width)
        images = np.empty((len(source), *shape, channels), feature.np_dtype)
        labels = np.empty(len(source), np.int32)
        for row in range(len(source)):
            example = source[row]
            image = example["image"]
            images[row] = image if image.shape == images.shape[1:] else _fit(image, image_size)
            labels[row] = example["label"]
    except Exception as error:  # a damaged file fails deep inside, and differently each time
        raise ConfigError(f"data.name: cannot read split {split!r} of {builder.name!r}: {error}") from error
    return Split(images, labels, np.arange(len(source)))


def _fit(image: np.ndarray, size: int) -> np.ndarray:
    if image.shape[-1] == 1:
        return fit(Image.fromarray(image[..., 0]), size)[..., None]
    return fit(Image.fromarray(image), size)


def _root(dir: str | None) -> Path:
    return Path(dir or tfds.core.constants.DATA_DIR).expanduser()
