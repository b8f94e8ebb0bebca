"""Measuring a state on every split, and `--mode=evaluate`."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from rich.console import Console
from rich.table import Table

from grjax import config as config_lib
from grjax import experiment as experiment_lib
from grjax import metrics
from grjax import workdir as workdir_lib
from grjax.checkpoints import Checkpoints
from grjax.errors import ConfigError, WorkdirError
from grjax.experiment import Experiment
from grjax.feed import Resident, Streaming
from grjax.metrics import Predictions, Row
from grjax.steps import DeviceData, TrainState, parallelize, replicate, split_over_devices, spread

# What evaluation may be given: where things lie now, and how they are fed.
_OVERRIDES = (*workdir_lib.NOT_PART_OF_THE_RUN, "eval_batch_size")


def predict(
    p_eval_step: Callable[..., Any],
    state: TrainState,
    data: DeviceData,
    feed: Resident | Streaming,
    split: str,
    labels: np.ndarray,
    batch_size: int,
) -> Predictions:
    """Runs the model over a split, each example once whatever the batch and device count.

    Args:
      p_eval_step: a parallelised `make_eval_step`.
      state: a replicated state.
      data: the replicated data.
      feed: of the data set.
      split: name of the split.
      labels: annotated labels of the split, int32 [N].
      batch_size: global; divisible by the number of devices.
    """

    def positions(number: int) -> np.ndarray:
        # The last batch is filled up with repetitions of the last example, which are cut off again.
        return np.minimum(np.arange(batch_size) + number * batch_size, len(labels) - 1).astype(np.int32)

    num_batches = -(-len(labels) // batch_size)
    records = []
    for number, examples in enumerate(feed.batches(split, positions, 0, num_batches)):
        batch = examples, spread(split_over_devices(labels[positions(number)]))
        # Waits for each batch: virtual devices of a CPU may deadlock over a long queue of collectives.
        records.append(jax.tree.map(np.asarray, p_eval_step(state, data, batch)))
    return Predictions(
        **{key: np.concatenate([record[key] for record in records])[: len(labels)] for key in records[0]}
    )


def measure(
    p_eval_step: Callable[..., Any], state: TrainState, data: DeviceData, experiment: Experiment
) -> tuple[Row, dict[str, Predictions]]:
    """All metrics of a state, and the predictions they come from, by split."""
    predictions: dict[str, Predictions] = {}
    for name, split in experiment.dataset.splits.items():
        labels = experiment.noise.labels if name == "train" else split.labels
        predictions[name] = predict(
            p_eval_step, state, data, experiment.feed, name, labels, experiment.eval_batch_size
        )
    return measured_row(experiment, predictions), predictions


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


def config_of(workdir: Path, overrides: Mapping[str, Any] | None = None) -> ConfigDict:
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
    return config_lib.resolve(workdir_lib.read_config(workdir), config_lib.unflatten(overrides))


def evaluate_checkpoint(
    workdir: Path, step: int | None = None, overrides: Mapping[str, Any] | None = None
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
    config = config_of(workdir, overrides)
    experiment = experiment_lib.create(config, training=False)
    experiment.noise.check_equals(workdir / "noise.npz")
    checkpoints = Checkpoints(workdir / "checkpoints", config.keep_checkpoints)
    steps = checkpoints.steps()
    if not steps or (step is not None and step not in steps):
        raise WorkdirError(
            f"--step={step}: no such checkpoint in {workdir}; there are: {steps or 'none'}"
            if steps
            else f"--workdir={workdir}: the run has no checkpoint yet"
        )
    step = steps[-1] if step is None else step
    state = replicate(checkpoints.restore(step, like=jax.eval_shape(experiment.init_state)))
    checkpoints.close()

    p_eval_step = parallelize(experiment.eval_step())
    row, predictions = measure(p_eval_step, state, device_data(experiment), experiment)
    result = {"step": step, **row, "noise_sha256": experiment.noise.sha256, "per_class": {}}
    without = {"train": experiment.noise.open_set}  # these images are of no class
    for name, split in experiment.dataset.splits.items():
        result["per_class"][name] = metrics.per_class(
            predictions[name], split.labels, experiment.dataset.class_names, without=without.get(name)
        )
    if jax.process_index() == 0:
        metrics.write_whole(workdir / f"evaluation_{step}.json", json.dumps(result, indent=2) + "\n")
        _print(result)
    return result


def _print(result: dict[str, Any]) -> None:
    def cell(value: Any) -> str:
        return "–" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)

    console = Console(highlight=False)
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
