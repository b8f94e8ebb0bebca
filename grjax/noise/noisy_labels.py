"""The labels of a training set after noise, with where they came from."""

import dataclasses
import hashlib
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from grjax.errors import WorkdirError
from grjax.workdir.files import read_npz, write_npz, written_whole


@dataclasses.dataclass(frozen=True)
class NoisyLabels:
    """Noisy labels beside the clean ones.

    Attributes:
      ids: example ids, int64 [N], distinct.
      clean: the labels before noise, int32 [N].
      labels: the labels after noise, int32 [N].
      num_classes: C.
      nominal_rate: the rate that was asked for, a fraction; where none was, the expected one.
      expected_rate: what the noise's transition matrix expects of these examples, or for noise without one
        the mean of its flip rates; None if neither is known.
      convention: the name of the noise model, its seed and its options.
      replaced_by: of open-set noise, the id in the other data set of the image that an example has now, or
        -1 for its own: int64 [N]. None where there is no open-set noise.
      replaced_sha256: of open-set noise, the digest of those images, see `grjax.noise.open_set.digest`.
      validation_sha256: the hash of the noisy labels of validation, where it has noisy ones.
    """

    ids: np.ndarray
    clean: np.ndarray
    labels: np.ndarray
    num_classes: int
    nominal_rate: float | None
    expected_rate: float | None = None
    convention: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    replaced_by: np.ndarray | None = None
    replaced_sha256: str | None = None
    validation_sha256: str | None = None

    @property
    def mislabelled(self) -> np.ndarray:
        """Whether the label is wrong, bool [N]: differs from the clean one, or is on an open-set image."""
        return (self.labels != self.clean) | self.open_set

    @property
    def open_set(self) -> np.ndarray:
        """Whether the image is one of another data set, bool [N]."""
        return np.zeros(len(self.labels), bool) if self.replaced_by is None else self.replaced_by >= 0

    @property
    def realised_rate(self) -> float:
        """Fraction of mislabelled examples."""
        return float(self.mislabelled.mean())

    @property
    def transition_counts(self) -> np.ndarray:
        """How many examples of clean class i carry label j, whatever their image: int64 [C, C]."""
        counts = np.zeros((self.num_classes, self.num_classes), np.int64)
        np.add.at(counts, (self.clean, self.labels), 1)
        return counts

    @property
    def sha256(self) -> str:
        """Hash of the ids, ascending, and their noisy labels: the same noise has the same hash.

        With open-set noise the ids of the other images are hashed after them, and then their digest.
        """
        order = np.argsort(self.ids)
        columns = [self.ids, self.labels] + ([] if self.replaced_by is None else [self.replaced_by])
        table = np.stack([column[order] for column in columns]).astype("<i8")
        return hashlib.sha256(table.tobytes() + (self.replaced_sha256 or "").encode()).hexdigest()

    def summary(self) -> dict[str, Any]:
        """Where the labels come from and what they are like, as plain values for a JSON file."""
        counts = self.transition_counts
        rates = 1 - np.diag(counts) / np.maximum(counts.sum(axis=1), 1)
        return {
            "convention": _plain(self.convention),
            "num_examples": len(self.labels),
            "num_classes": self.num_classes,
            "nominal_rate": self.nominal_rate,
            "expected_rate": self.expected_rate,
            "realised_rate": self.realised_rate,
            "open_set_rate": float(self.open_set.mean()),
            "class_rates": rates.tolist(),
            "transition_counts": counts.tolist(),
            "sha256": self.sha256,
            "validation_noise_sha256": self.validation_sha256,
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes ids, clean and noisy labels to an .npz file, whole or not at all."""
        write_npz(path, {**self._arrays(), **self._digests()})

    def save_csv(self, path: str | os.PathLike[str]) -> None:
        """Writes them as text, a line for each example: id, clean_label, noisy_label; whole or not at all."""
        columns = {key.removesuffix("s"): values.tolist() for key, values in self._arrays().items()}
        lines: Iterable[Any] = [columns, *zip(*columns.values(), strict=True)]
        with written_whole(path) as file:
            file.writelines(f"{','.join(map(str, line))}\n".encode() for line in lines)

    def check_equals(self, path: str | os.PathLike[str]) -> None:
        """Compares with a file that `save` wrote.

        Raises:
          WorkdirError: the file is unreadable, or holds other ids, labels or open-set images.
        """
        arrays = {**self._arrays(), **self._digests()}
        found = read_npz(path, what="the run's noise")
        if missing := _REQUIRED.keys() - found.keys():
            raise WorkdirError(f"{path}: cannot be read as the run's noise: no {', '.join(sorted(missing))}")
        for key in (*_REQUIRED, "replaced_by", "replaced_sha256"):
            if not np.array_equal(arrays.get(key, -1), found.get(key, -1)):
                what = _REQUIRED.get(key, "open-set images")
                raise WorkdirError(
                    f"{path}: holds other {what} than this data set and config give; restore what the run "
                    "was started with, or take a new workdir"
                )

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = {"ids": self.ids, "clean_labels": self.clean, "noisy_labels": self.labels}
        return arrays if self.replaced_by is None else {**arrays, "replaced_by": self.replaced_by}

    def _digests(self) -> dict[str, np.ndarray]:
        digest = self.replaced_sha256
        return {} if digest is None else {"replaced_sha256": np.array(digest)}


_REQUIRED = {"ids": "ids", "clean_labels": "clean labels", "noisy_labels": "noisy labels"}


def _plain(value: Any) -> Any:
    """A value of a config with arrays and NumPy's numbers as Python's."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
