"""scikit-learn's digits as a TFDS data set: real images that need no network."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds


class Digits(tfds.core.GeneratorBasedBuilder):
    """1,797 grey-scale 8 x 8 images of handwritten digits, from scikit-learn's `load_digits`.

    Pixels are integers 0..16, kept as they are in uint8. The split is fixed and stratified: of each class,
    in the order of scikit-learn's file, every fifth image (the 5th, 10th, ...) is a test image. That gives
    1,442 training and 355 test images. An example's id is its row in scikit-learn's file, unique over both
    splits.

    Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
    Repository, 1998 (its test part).
    """

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "id": tfds.features.Scalar(np.int64),
                    # Raw bytes: an encoded image would need TensorFlow to be written.
                    "image": tfds.features.Tensor(shape=(8, 8, 1), dtype=np.uint8, encoding="bytes"),
                    "label": tfds.features.ClassLabel(names=[str(digit) for digit in range(10)]),
                }
            ),
            homepage="https://archive.ics.uci.edu/dataset/80",
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        del dl_manager  # nothing to download
        return {"train": self._generate_examples(False), "test": self._generate_examples(True)}

    def _generate_examples(self, test: bool) -> Iterator[tuple[int, dict[str, Any]]]:
        from sklearn.datasets import load_digits  # only here: preparing happens once

        digits = load_digits()
        rank = np.empty(len(digits.target), np.int64)  # of an image within its class
        for label in range(10):
            rank[digits.target == label] = np.arange(np.sum(digits.target == label))
        for row in np.flatnonzero((rank % 5 == 4) == test).tolist():
            image = digits.images[row].astype(np.uint8)[..., None]
            yield row, {"id": row, "image": image, "label": int(digits.target[row])}
