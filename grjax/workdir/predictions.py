"""What a run says about each example at each evaluation: predictions/STEP.npz in its workdir.

A file holds for each split, in the order of its examples (of train: that of the ids in noise.npz),

  {split}_p        float16 [N], softmax probability of the annotated label
  {split}_classes  predicted classes, the smallest unsigned integers that hold C - 1: [N]
  train_kept       float16 [N], how much of each example the method last chose; of a method that chooses
  {split}_labels   annotated labels, of the same type; not for train, whose labels are in noise.npz

before compression 3 bytes for each example of train and evaluation, 4 of the other splits (to 256 classes).
"""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from grjax.data import Dataset
from grjax.errors import WorkdirError
from grjax.metrics import Predictions
from grjax.paths import as_path
from grjax.workdir import layout
from grjax.workdir.files import read_npz, write_npz


@dataclasses.dataclass(frozen=True)
class SplitHistory:
    """The predictions for the examples of a split over a run.

    Attributes:
      p: softmax probability of the annotated label, float16 [T, N].
      classes: predicted classes, unsigned integers [T, N].
      labels: annotated labels, of train the noisy ones: integers [N].
      kept: how much of each example the method last chose, in [0, 1], float16 [T, N]; None: it does not
        choose.
    """

    p: np.ndarray
    classes: np.ndarray
    labels: np.ndarray
    kept: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class History:
    """The predictions of a run at its evaluations.

    Attributes:
      steps: of the evaluations, int64 [T], ascending.
      ids: of the training examples, int64 [N of train], in the order of `splits['train']`.
      splits: by name, 'train' and the others.
    """

    steps: np.ndarray
    ids: np.ndarray
    splits: dict[str, SplitHistory]


def keep(workdir: Path, step: int, predictions: Mapping[str, Predictions], dataset: Dataset) -> None:
    """Writes the predictions of an evaluation, whole or not at all.

    Args:
      workdir: of the run.
      step: of the evaluation.
      predictions: by split.
      dataset: whose examples they are.
    """
    small = np.min_scalar_type(dataset.num_classes - 1)
    arrays: dict[str, np.ndarray] = {}
    for name, found in predictions.items():
        arrays[f"{name}_p"] = found.p.astype(np.float16)
        arrays[f"{name}_classes"] = found.classes.astype(small)
        if found.kept is not None:
            arrays[f"{name}_kept"] = found.kept.astype(np.float16)
        if name != "train":
            arrays[f"{name}_labels"] = dataset.splits[name].labels.astype(small)
    _folder(workdir).mkdir(exist_ok=True)
    write_npz(_folder(workdir) / f"{step}.npz", arrays)


def forget_after(workdir: Path, step: int) -> None:
    """Removes the predictions after `step`, which a run that goes on there makes again."""
    for later in kept_steps(workdir):
        if later > step:
            (_folder(workdir) / f"{later}.npz").unlink()


def kept_steps(workdir: Path) -> list[int]:
    """The steps there are predictions of, ascending."""
    return sorted(int(path.stem) for path in _folder(workdir).glob("*.npz") if path.stem.isdecimal())


def read(workdir: str | os.PathLike[str]) -> History:
    """All predictions that a run has kept.

    Args:
      workdir: of a run, finished or not.

    Raises:
      WorkdirError: it has kept none, or a file is damaged or of other examples.
    """
    workdir = as_path(workdir)
    steps = kept_steps(workdir)
    if not steps:
        raise WorkdirError(
            f"--workdir={workdir}: the run has kept no predictions; it needs keep_predictions=True"
        )
    files = [read_npz(_folder(workdir) / f"{step}.npz") for step in steps]
    noise = read_npz(workdir / layout.NOISE)
    names = [key.removesuffix("_p") for key in files[0] if key.endswith("_p")]
    try:
        splits = {
            name: SplitHistory(
                p=np.stack([file[f"{name}_p"] for file in files]),
                classes=np.stack([file[f"{name}_classes"] for file in files]),
                labels=noise["noisy_labels"] if name == "train" else files[-1][f"{name}_labels"],
                kept=np.stack([file[f"{name}_kept"] for file in files])
                if f"{name}_kept" in files[0]
                else None,
            )
            for name in names
        }
        ids = noise["ids"]
    except (KeyError, ValueError) as error:
        raise WorkdirError(f"{_folder(workdir)}: its files do not fit together: {error}") from error
    if splits["train"].p.shape[1] != len(ids):
        there = splits["train"].p.shape[1]
        raise WorkdirError(f"{_folder(workdir)}: is of {there} training examples, noise.npz of {len(ids)}")
    return History(np.array(steps, np.int64), ids, splits)


def _folder(workdir: Path) -> Path:
    return workdir / layout.PREDICTIONS
