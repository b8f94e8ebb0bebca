"""The labels of a training set after noise, with where they came from."""

import dataclasses
import hashlib
import os

import numpy as np

from grjax.errors import WorkdirError


@dataclasses.dataclass(frozen=True)
class NoisyLabels:
    """Noisy labels beside the clean ones.

    Attributes:
      ids: example ids, int64 [N], distinct.
      clean: the labels before noise, int32 [N].
      labels: the labels after noise, int32 [N].
      num_classes: C.
      nominal_rate: the rate that was asked for, a fraction.
    """

    ids: np.ndarray
    clean: np.ndarray
    labels: np.ndarray
    num_classes: int
    nominal_rate: float

    @property
    def mislabelled(self) -> np.ndarray:
        """Whether the label differs from the clean one, bool [N]."""
        return self.labels != self.clean

    @property
    def realised_rate(self) -> float:
        """Fraction of mislabelled examples."""
        return float(self.mislabelled.mean())

    @property
    def transition_counts(self) -> np.ndarray:
        """How many examples of clean class i carry label j: int64 [C, C]."""
        counts = np.zeros((self.num_classes, self.num_classes), np.int64)
        np.add.at(counts, (self.clean, self.labels), 1)
        return counts

    @property
    def sha256(self) -> str:
        """Hash of the ids, ascending, and their noisy labels: the same noise has the same hash."""
        order = np.argsort(self.ids)
        pairs = np.stack([self.ids[order], self.labels[order]]).astype("<i8")
        return hashlib.sha256(pairs.tobytes()).hexdigest()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes ids, clean and noisy labels to an .npz file, whole or not at all."""
        temporary = f"{path}.tmp"
        with open(temporary, "wb") as file:
            np.savez_compressed(file, ids=self.ids, clean_labels=self.clean, noisy_labels=self.labels)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)

    def check_equals(self, path: str | os.PathLike[str]) -> None:
        """Compares with a file that `save` wrote.

        Raises:
          WorkdirError: the file is unreadable, or holds other ids or labels.
        """
        try:
            # A file of our own to close: np.load leaves one open that it finds broken.
            with open(path, "rb") as file, np.load(file) as stored:
                found = [stored[key] for key in ("ids", "clean_labels", "noisy_labels")]
        except Exception as error:  # damage shows as whatever the part that was hit raises
            raise WorkdirError(f"{path}: cannot be read as the run's noise: {error}") from error
        for what, mine, theirs in zip(
            ("ids", "clean labels", "noisy labels"), (self.ids, self.clean, self.labels), found, strict=True
        ):
            if not np.array_equal(mine, theirs):
                raise WorkdirError(
                    f"{path}: the run was started with other {what} than this data set and config give; "
                    "restore the data it was started with, or take a new workdir"
                )
