"""Runs on their way, the programs that take them through their steps, and where they go on."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from ml_collections import ConfigDict

from grjax import loggers
from grjax.devices import PyTree, Step
from grjax.errors import WorkdirError
from grjax.experiment import Experiment
from grjax.loggers import Logger
from grjax.metrics import Row
from grjax.paths import as_path
from grjax.steps import TrainState
from grjax.stopwatch import Stopwatch
from grjax.together import Together
from grjax.workdir import folder, layout, predictions
from grjax.workdir.checkpoints import Checkpoints
from grjax.workdir.metrics_file import MetricsFile

Outcome = dict[str, Any] | Exception  # a run's summary, or what ended it


class Run:
    """A run on its way: its config and folder, and what the loop knows of it.

    Attributes:
      config: from `grjax.config.resolve`.
      workdir: the run's folder; `grjax.workdir.layout` says what is written there.
      experiment: of the config.
      on_row: called with each new row of metrics.jsonl; what it raises ends the run.
      outcome: the summary of a finished run, or what ended it; None: it goes on.
      loggers: those of the config, in the process that writes.
    """

    checkpoints: Checkpoints
    metrics_file: MetricsFile
    stopwatch: Stopwatch

    def __init__(
        self,
        config: ConfigDict,
        workdir: str | os.PathLike[str],
        experiment: Experiment,
        on_row: Callable[[Row], None] | None = None,
    ):
        self.config, self.workdir = config, as_path(workdir)
        self.experiment, self.on_row = experiment, on_row
        self.outcome: Outcome | None = None
        self.loggers: list[Logger] = []

    def log(self, row: Row) -> None:
        """Writes a row to metrics.jsonl, then sends it to the loggers."""
        self.metrics_file.write(row)
        for logger in self.loggers:
            logger.log(row)

    def end_logging(self, summary: Mapping[str, Any]) -> None:
        """Tells the loggers that the run is finished."""
        for logger in self.loggers:
            logger.end(summary)

    def close_loggers(self) -> None:
        """Whatever became of the run; no other thread of a logger goes on."""
        for logger in self.loggers:
            logger.close()


@dataclasses.dataclass(frozen=True)
class Programs:
    """What takes runs through their steps; trials of a sweep share theirs, see `grjax.sweep.programs`.

    Attributes:
      together: how many runs go through one call, and how.
      init_state: (run) -> its state before the first step.
      inputs: (runs, `together.size` of them) -> what both steps take beside the state and a batch.
      p_train_step: the train step, compiled by `together`.
      p_eval_step: the evaluation step, compiled by `together`.
    """

    together: Together
    init_state: Callable[[Run], TrainState]
    inputs: Callable[[Sequence[Run]], PyTree]
    p_train_step: Step
    p_eval_step: Step


def restore(runs: Sequence[Run], programs: Programs) -> tuple[int, list[TrainState]]:
    """The newest step of which every run has a whole checkpoint, and the states there."""
    fresh = [programs.init_state(run) for run in runs]
    newest: int | None = None
    while True:
        found = [
            run.checkpoints.restore_latest(like=state, until=newest) or (0, state)
            for run, state in zip(runs, fresh, strict=True)
        ]
        steps = [step for step, _ in found]
        if len(set(steps)) == 1:
            return steps[0], [state for _, state in found]
        newest = min(steps)


def open_folder(run: Run, step: int, start_time: float) -> None:
    """Gets the folder of a run ready to be written to from `step` on."""
    leader, dataset = jax.process_index() == 0, run.experiment.dataset
    new = step == 0
    folder.keep_noise(run.experiment.noise, dataset.class_names, run.workdir, new=new, write=leader)
    if step > 0 and not (run.workdir / layout.METRICS).exists():
        raise WorkdirError(f"{run.workdir}: the run is at step {step}, but its metrics.jsonl is gone")
    run.metrics_file = MetricsFile(run.workdir, step, write=leader)
    rows = run.metrics_file.rows
    run.stopwatch = Stopwatch(start_time, earlier=rows[-1]["seconds"] if rows else 0)
    if leader:
        predictions.forget_after(run.workdir, step)
        environment = folder.record_start(run.workdir, step)
        run.loggers = loggers.open_all(
            run.config.to_dict(), run.workdir, step=step, rows=rows, environment=environment
        )
