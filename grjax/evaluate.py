"""Measuring a state on every split, and `--mode=evaluate`."""

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np
from ml_collections import ConfigDict
from rich.table import Table

from grjax import config as config_lib
from grjax import experiment as experiment_lib
from grjax import metrics
from grjax.data.feed import DeviceData
from grjax.devices import PyTree, Step, replicate
from grjax.errors import ConfigError, WorkdirError
from grjax.experiment import Experiment
from grjax.metrics import Predictions, Row
from grjax.paths import as_path
from grjax.plain_values import plain
from grjax.progress import plain_console
from grjax.steps import TrainState
from grjax.together import Alone, Together
from grjax.workdir import folder as workdir_lib
from grjax.workdir import layout
from grjax.workdir.checkpoints import Checkpoints
from grjax.workdir.files import write_json

# What evaluation may be given: where things lie now, and how they are fed.
_OVERRIDES = (*workdir_lib.NOT_PART_OF_THE_RUN, "eval_batch_size")


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How runs are evaluated together: a compiled step, and what it takes beside the joined state.

    Attributes:
      p_eval_step: an evaluation step, compiled by `together`.
      together: how the runs share a call.
      inputs: the joined data of the runs.
      experiments: of the runs, `together.size` of them. They differ at most in their labels.
    """

    p_eval_step: Step
    together: Together
    inputs: PyTree
    experiments: Sequence[Experiment]

    def predict(self, state: PyTree, split: str) -> list[Predictions]:
        """What each run predicts for a split, each example once whatever the batch and device count.

        Args:
          state: the joined state.
          split: name of the split.
        """
        batch_size, feed = self.experiments[0].eval_batch_size, self.experiments[0].feed
        labels = np.stack([experiment.labels(split) for experiment in self.experiments])
        number = labels.shape[1]

        def positions(batch: int) -> np.ndarray:
            # The last batch is filled up with repetitions of the last example, which are cut off again.
            return np.minimum(np.arange(batch_size) + batch * batch_size, number - 1).astype(np.int32)

        records = []
        for batch, images in enumerate(feed.batches(split, positions, 0, -(-number // batch_size))):
            examples = self.together.examples(images, labels[:, positions(batch)])
            # Waits for each batch: virtual devices of a CPU may deadlock over a long queue of collectives.
            records.append(self.together.outputs(self.p_eval_step(state, self.inputs, examples)))
        whole = {
            key: np.concatenate([record[key] for record in records], axis=1)[:, :number] for key in records[0]
        }
        return [
            Predictions.of({key: each[run] for key, each in whole.items()})
            for run in range(self.together.size)
        ]

    def measure(self, state: PyTree) -> list[tuple[Row, dict[str, Predictions]]]:
        """All metrics of each run's state, and the predictions they come from, by split.

        Args:
          state: the joined state.
        """
        splits = {name: self.predict(state, name) for name in self.experiments[0].dataset.splits}
        beliefs = {} if self._beliefs is None else jax.tree.map(np.asarray, self._beliefs(state))
        last_labels = None if self._last_labels is None else np.asarray(self._last_labels(state))
        measured = []
        for run, experiment in enumerate(self.experiments):
            predictions = {name: found[run] for name, found in splits.items()}
            own = {key: each[run] for key, each in beliefs.items()}
            predictions["train"] = dataclasses.replace(predictions["train"], kept=own.get("kept"))
            row = measured_row(experiment, predictions) | metrics.change_metrics(
                predictions["train"], None if last_labels is None else last_labels[run]
            )
            row |= metrics.belief_metrics(own, experiment.noise)
            measured.append((row, predictions))
        return measured

    @functools.cached_property
    def _beliefs(self) -> Callable[[PyTree], PyTree] | None:
        """The joined state -> what the method holds of the training labels, see `Method`; None: nothing."""
        beliefs = self.experiments[0].method().beliefs
        return None if beliefs is None else self.together.each(lambda state: beliefs(state.learner))

    @functools.cached_property
    def _last_labels(self) -> Callable[[PyTree], jax.Array] | None:
        """The joined state -> the classes predicted when the examples last came by; None: nothing is kept."""
        if not self.experiments[0].dynamics:
            return None
        return self.together.each(_last_labels_of)  # one function for all, which compiles once


def measured_row(experiment: Experiment, predictions: Mapping[str, Predictions]) -> Row:
    """All metrics of the predictions for every split."""
    row: Row = {}
    for name, split in experiment.dataset.splits.items():
        if name != "train":
            row |= metrics.clean_metrics(name, predictions[name], split.labels)
    return row | metrics.train_metrics(predictions["train"], experiment.noise)


def device_data(experiment: Experiment) -> DeviceData:
    """The data that stay on the devices, replicated."""
    mean, std = experiment.statistics()
    arrays = (experiment.feed.device_images(), experiment.noise.labels, mean, std)
    return DeviceData(*replicate(arrays))


def config_of(workdir: str | os.PathLike[str], overrides: Mapping[str, Any] | None = None) -> ConfigDict:
    """The config of a run that is looked at again.

    Args:
      workdir: of the run.
      overrides: values for `_OVERRIDES`, where they must differ from the run's.

    Raises:
      ConfigError: another override.
      WorkdirError: no such run.
    """
    overrides = overrides or {}
    for key in overrides:
        if key not in _OVERRIDES:
            raise ConfigError(
                f"{key}: evaluation takes the run's own config; {', '.join(_OVERRIDES)} can be set"
            )
    return config_lib.resolve(workdir_lib.read_config(as_path(workdir)), config_lib.unflatten(overrides))


def _last_labels_of(state: PyTree) -> jax.Array:
    return cast(jax.Array, state.dynamics.last_label)


def restored(
    workdir: Path, step: int | None = None, overrides: Mapping[str, Any] | None = None
) -> tuple[Experiment, int, TrainState]:
    """A run as it was at a checkpoint: its parts, the step, and the state as NumPy arrays.

    Args:
      workdir: of the run.
      step: of the checkpoint; None: the latest.
      overrides: values for `_OVERRIDES`, where they must differ from the run's.

    Raises:
      ConfigError: another override.
      WorkdirError: no such run or checkpoint, or its noise is not the config's any more.
    """
    step = plain(step)
    config = config_of(workdir, overrides)
    experiment = experiment_lib.create(config, training=False)
    experiment.noise.check_equals(workdir / layout.NOISE)
    checkpoints = Checkpoints(workdir / layout.CHECKPOINTS, config.keep_checkpoints)
    steps = checkpoints.steps()
    if not steps or (step is not None and step not in steps):
        raise WorkdirError(
            f"--step={step}: no such checkpoint in {workdir}; there are: {steps or 'none'}"
            if steps
            else f"--workdir={workdir}: the run has no checkpoint yet"
        )
    step = steps[-1] if step is None else step
    state = experiment.restore(checkpoints, step)
    checkpoints.close()
    return experiment, step, state


def evaluate_checkpoint(
    workdir: str | os.PathLike[str],
    step: int | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Measures a checkpoint of a run; prints all metrics and stores them in evaluation_{step}.json.

    Args:
      workdir: of a run, finished or not; its own config says what is measured.
      step: of the checkpoint; None: the latest.
      overrides: values for `_OVERRIDES`, where they must differ from the run's.

    Raises:
      ConfigError: another override.
      WorkdirError: no such run or checkpoint, or its noise is not the config's any more.
    """
    workdir = as_path(workdir)
    experiment, step, state = restored(workdir, step, overrides)
    alone = Alone()
    p_eval_step = alone.evaluate(experiment.eval_step())
    evaluation = Evaluation(p_eval_step, alone, device_data(experiment), [experiment])
    [(row, predictions)] = evaluation.measure(alone.join([state]))
    result = {"step": step, **row, "noise_sha256": experiment.noise.sha256, "per_class": {}}
    without = {"train": experiment.noise.open_set}  # these images are of no class
    for name, split in experiment.dataset.splits.items():
        result["per_class"][name] = metrics.per_class(
            predictions[name], split.labels, experiment.dataset.class_names, without=without.get(name)
        )
    if jax.process_index() == 0:
        write_json(workdir / layout.evaluation(step), result)
        _print(result)
    return result


def _print(result: dict[str, Any]) -> None:
    def cell(value: Any) -> str:
        return "–" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)

    console = plain_console()
    table = Table("metric", "value", title=f"step {result['step']}")
    for key, value in result.items():
        if key not in ("step", "per_class", "noise_sha256"):
            table.add_row(key, cell(value))
    console.print(table)
    splits = list(result["per_class"])
    table = Table("class", *splits, title="accuracy on each class (examples)")
    for rows in zip(*result["per_class"].values(), strict=True):
        table.add_row(rows[0]["class"], *(f"{cell(row['accuracy'])} ({row['examples']})" for row in rows))
    console.print(table)
