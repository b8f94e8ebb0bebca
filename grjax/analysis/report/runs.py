"""A run as its workdir tells it: config, metrics, noise, and predictions where they were kept."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grjax.errors import WorkdirError
from grjax.metrics import Row
from grjax.noise import NoisyLabels
from grjax.workdir import folder as workdir_lib
from grjax.workdir import layout, predictions
from grjax.workdir.files import read_json, read_npz
from grjax.workdir.metrics_file import read_rows
from grjax.workdir.predictions import History


class UnavailableError(Exception):
    """A figure that this run has no data for; the message says why, in a sentence for the page."""


@dataclasses.dataclass(frozen=True)
class Run:
    """What a workdir holds.

    Attributes:
      name: what tells it from the other runs of a report, the end of its path.
      workdir: its folder.
      config: the run's, as a plain nested dict.
      rows: of metrics.jsonl, one at least.
      summary: of summary.json; None if the run is not finished.
      starts: of environment.json.
      noise: the training labels.
      provenance: of noise.json.
      class_names: C.
      history: what was predicted at the evaluations; None if it was not kept.
    """

    name: str
    workdir: Path
    config: dict[str, Any]
    rows: list[Row]
    summary: dict[str, Any] | None
    starts: list[dict[str, Any]]
    noise: NoisyLabels
    provenance: dict[str, Any]
    class_names: tuple[str, ...]
    history: History | None

    @property
    def epochs(self) -> np.ndarray:
        """The epochs of the evaluations, float64 [T]."""
        return np.array([row["epoch"] for row in self.rows], np.float64)

    @property
    def steps_per_epoch(self) -> int:
        """As of `grjax.data.sampler.Sampler`: the last, short batch of an epoch is left out."""
        return len(self.noise.labels) // self.config["batch_size"]

    @property
    def splits(self) -> list[str]:
        """The splits that are measured beside the training split: 'test', perhaps 'validation'."""
        found = [key.removesuffix("_accuracy") for key in self.rows[-1] if key.endswith("_accuracy")]
        return sorted(found)  # test before validation

    def values(self, key: str) -> np.ndarray:
        """A metric over the evaluations, float64 [T]; NaN where it does not apply."""
        return np.array([np.nan if row.get(key) is None else row[key] for row in self.rows], np.float64)

    @property
    def chooses(self) -> bool:
        """Whether its method chooses among the training examples."""
        return not np.isnan(self.values("kept_share")).all()

    @property
    def sets_emphasis(self) -> bool:
        """Whether its method sets the weight of an example itself."""
        return "emphasis_slope" in self.rows[-1]

    def best(self, key: str) -> Row:
        """The first row in which a metric is largest."""
        return self.rows[int(np.nanargmax(self.values(key)))]

    def kept(self) -> History:
        """The predictions at the evaluations.

        Raises:
          UnavailableError: there are none.
        """
        if self.history is None:
            raise UnavailableError("this run has kept no predictions, which it does by keep_predictions=True")
        return self.history

    def stages(self) -> list[int]:
        """Up to three positions in `kept().steps`: the first after step 0, the middle one and the last.

        Raises:
          UnavailableError: no predictions were kept.
        """
        steps = self.kept().steps
        first = min(int(np.searchsorted(steps, 1)), len(steps) - 1)
        return sorted({first, (first + len(steps) - 1) // 2, len(steps) - 1})

    def epoch(self, position: int) -> float:
        """That of a position in `kept().steps`."""
        return float(self.kept().steps[position] / self.steps_per_epoch)


def read(workdirs: Sequence[Path]) -> list[Run]:
    """The runs in some folders, named by what differs in their paths.

    Raises:
      WorkdirError: no run there, one without an evaluation, or a damaged one.
    """
    parent = shared_folder(workdirs)
    names = [os.path.relpath(workdir.resolve(), parent) for workdir in workdirs]
    # matplotlib leaves out of a legend what begins with an underscore.
    names = [f"./{name}" if name.startswith("_") else name for name in names]
    return [_read(workdir, name) for workdir, name in zip(workdirs, names, strict=True)]


def shared_folder(workdirs: Sequence[Path]) -> Path:
    """The folder that holds them all."""
    return Path(os.path.commonpath([workdir.resolve().parent for workdir in workdirs]))


def _read(workdir: Path, name: str) -> Run:
    config = workdir_lib.read_config(workdir).to_dict()
    rows = read_rows(workdir / layout.METRICS)
    if not rows:
        raise WorkdirError(f"--workdir={workdir}: the run has no evaluation yet: no row in metrics.jsonl")
    provenance = read_json(workdir / layout.NOISE_SUMMARY)
    environment = workdir / layout.ENVIRONMENT
    return Run(
        name=name,
        workdir=workdir,
        config=config,
        rows=rows,
        summary=workdir_lib.read_summary(workdir),
        starts=read_json(environment) if environment.exists() else [],
        noise=_noise(workdir, provenance),
        provenance=provenance,
        class_names=tuple(
            provenance.get("class_names", map(str, range(provenance["num_classes"])))  # of an earlier version
        ),
        history=predictions.read(workdir) if predictions.kept_steps(workdir) else None,
    )


def _noise(workdir: Path, provenance: Mapping[str, Any]) -> NoisyLabels:
    arrays = read_npz(workdir / layout.NOISE)
    return NoisyLabels(
        ids=arrays["ids"],
        clean=arrays["clean_labels"],
        labels=arrays["noisy_labels"],
        num_classes=provenance["num_classes"],
        nominal_rate=provenance["nominal_rate"],
        expected_rate=provenance["expected_rate"],
        convention=provenance["convention"],
        replaced_by=arrays.get("replaced_by"),
    )
