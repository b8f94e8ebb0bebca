"""What a run measures, and where it writes it.

An evaluation returns one record per example, each example once; everything else is a mean over them, taken
here in float64, so the numbers do not depend on batch size or device count.
"""

import dataclasses
import importlib.util
import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from grjax.noise import NoisyLabels

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What a model says about the examples of a split.

    Attributes:
      classes: predicted classes, int32 [N].
      p: softmax probability of the annotated label, float32 [N].
      losses: the configured loss on the annotated label, float32 [N].
    """

    classes: np.ndarray
    p: np.ndarray
    losses: np.ndarray


def clean_metrics(split: str, predictions: Predictions, labels: np.ndarray) -> Row:
    """Accuracy and mean loss on a split with clean labels [N]: '{split}_accuracy', '{split}_loss'."""
    return {
        f"{split}_accuracy": _mean(predictions.classes == labels),
        f"{split}_loss": _mean(predictions.losses),
    }


def train_metrics(predictions: Predictions, noise: NoisyLabels) -> Row:
    """How the training set is fitted, against noisy and against intact labels.

    Images of open-set noise have no intact label: they count as mislabelled.

    `memorisation` is the fraction of mislabelled examples whose wrong label is predicted; `mean_p_clean` and
    `mean_p_mislabelled` are the mean probabilities of the annotated label where it is right and where it is
    wrong. A mean over no example, or one that is not finite, is None.
    """
    wrong = noise.mislabelled
    return {
        "train_accuracy_noisy": _mean(predictions.classes == noise.labels),
        "train_accuracy_intact": _mean((predictions.classes == noise.clean)[~noise.open_set]),
        "memorisation": _mean((predictions.classes == noise.labels)[wrong]),
        "mean_p_clean": _mean(predictions.p[~wrong]),
        "mean_p_mislabelled": _mean(predictions.p[wrong]),
        "train_loss": _mean(predictions.losses),
    }


def per_class(
    predictions: Predictions,
    labels: np.ndarray,
    class_names: Iterable[str],
    without: np.ndarray | None = None,
) -> list[Row]:
    """Accuracy (recall) of each class, over the split's labels [N] before noise of ours.

    None for a class without examples. `without`: bool [N], examples that do not count.
    """
    counted = np.ones(len(labels), bool) if without is None else ~without
    rows = []
    for label, name in enumerate(class_names):
        correct = predictions.classes[(labels == label) & counted] == label
        accuracy = float(correct.mean()) if len(correct) else None
        rows.append({"class": name, "examples": len(correct), "accuracy": accuracy})
    return rows


class MetricsFile:
    """metrics.jsonl: one row a line, in the order of steps; with TensorBoard events beside it.

    Opened by a run that goes on at `step`, it forgets the rows after that step, which will come again, and
    a last line that was cut off. `rows` holds what the file holds.
    """

    def __init__(self, workdir: Path, step: int, *, tensorboard: bool, write: bool = True):
        """`write`: whether this process writes; of several, one does."""
        self._path = workdir / "metrics.jsonl"
        self._write = write
        self._events = None
        self.rows = [row for row in read_rows(self._path) if row["step"] <= step]
        if write:
            write_whole(self._path, "".join(_line(row) for row in self.rows))
        if write and tensorboard and importlib.util.find_spec("tensorboardX"):
            from tensorboardX import SummaryWriter  # an extra

            self._events = SummaryWriter(str(workdir / "tensorboard"), purge_step=step + 1)

    def has(self, step: int) -> bool:
        """Whether there is a row for the step."""
        return any(row["step"] == step for row in self.rows)

    def write(self, row: Row) -> None:
        """Appends a row; it outlives the process when this returns."""
        self.rows.append(row)
        if self._write:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(_line(row))
        if self._events is not None:
            for key, value in row.items():
                if key not in ("step", "seconds") and value is not None:
                    self._events.add_scalar(key, value, row["step"])
            self._events.flush()


def read_rows(path: Path) -> list[Row]:
    """The rows of a metrics.jsonl, up to a line that is not whole; none if there is no such file."""
    rows = []
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                break
    return rows


def write_whole(path: Path, text: str) -> None:
    """Writes a file so that whoever looks finds the old text or the new one, never a part."""
    temporary = path.with_name(f"{path.name}.tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())  # or a power cut could leave an empty file under the new name
    os.replace(temporary, path)


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays to an .npz file, whole or not at all; the same arrays give the same bytes."""
    temporary = path.with_name(f"{path.name}.tmp")
    with open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _line(row: Row) -> str:
    return json.dumps(row, allow_nan=False) + "\n"


def _mean(values: np.ndarray) -> float | None:
    """The mean in float64; None if there are no values, or if it is not finite: JSON has no infinity."""
    mean = float(np.mean(values, dtype=np.float64)) if len(values) else math.nan
    return mean if math.isfinite(mean) else None
