"""Several trials of a group in step: `grjax.train` for all of them at once.

Each has its own folder, with the rows, checkpoints and summary that a run of its own would leave there; its
times are those of the chunk.
"""

import contextlib
import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from grjax import dynamics, metrics, predictions, train
from grjax import workdir as workdir_lib
from grjax.checkpoints import Checkpoints, StopRequest
from grjax.errors import GrjaxError, PreemptedError
from grjax.evaluate import measured_row
from grjax.experiment import Experiment
from grjax.metrics import MetricsFile, Predictions
from grjax.steps import DeviceData, PyTree
from grjax.stopwatch import Stopwatch
from grjax.sweep import traced
from grjax.sweep.mapping import Mapping
from grjax.sweep.programs import Shared, arrays

Outcome = dict[str, Any] | Exception  # a summary, or what ended the trial


@dataclasses.dataclass
class _Trial:
    config: ConfigDict
    workdir: Path
    experiment: Experiment
    checkpoints: Checkpoints
    metrics_file: MetricsFile
    stopwatch: Stopwatch
    error: GrjaxError | None = None


def run(
    configs: Sequence[ConfigDict],
    workdirs: Sequence[Path],
    shared: Shared,
    mapping: Mapping,
    stop_request: StopRequest,
) -> list[Outcome]:
    """Trains trials that have not begun from the first step to the last, all at once.

    Args:
      configs: of one group, at most `mapping.size`.
      workdirs: of the trials.
      shared: data and programs.
      mapping: how they run at once.
      stop_request: whether to save and stop.

    Returns:
      Of each trial its summary, or the error that ended it.

    Raises:
      BusyError: another process is training in one of the folders.
      PreemptedError: SIGTERM came; all are saved.
    """
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        trials = []
        for config, workdir in zip(configs, workdirs, strict=True):
            workdir_lib.open_for(config, workdir)
            stack.enter_context(workdir_lib.locked(workdir))
            experiment = shared.experiment(config)
            workdir_lib.keep_noise(experiment.noise, experiment.dataset.class_names, workdir, new=True)
            workdir_lib.record_start(workdir, 0)
            checkpoints = Checkpoints(workdir / "checkpoints", config.keep_checkpoints)
            stack.callback(checkpoints.close)
            metrics_file = MetricsFile(workdir, 0, tensorboard=config.tensorboard)
            trials.append(_Trial(config, workdir, experiment, checkpoints, metrics_file, Stopwatch(start)))
        _run(trials, shared, mapping, stop_request)
    return [trial.error or _finish(trial) for trial in trials]


def _run(trials: list[_Trial], shared: Shared, mapping: Mapping, stop_request: StopRequest) -> None:
    """The loop of `grjax.train`, in the same order."""
    group = shared.group(trials[0].config)
    # A chunk that is not full is filled up with copies, so that it needs no other program.
    filled = [trials[min(index, len(trials) - 1)] for index in range(mapping.size)]
    experiment = trials[0].experiment
    p_train_step, p_eval_step = group.mapped(mapping)
    states = [jax.tree.map(np.asarray, shared.init_state(trial.config, trial.experiment)) for trial in filled]
    state = mapping.place(_stacked(states))
    inputs = _inputs(filled, shared, mapping)
    feeds = [trial.experiment.train_batches(0) for trial in trials]
    step, pending = 0, None
    one_at_a_time = jax.default_backend() == "cpu" and jax.device_count() > 1  # see grjax.train
    while True:
        done = step == experiment.total_steps
        stop = stop_request.at(step)
        evaluate_due = experiment.evaluation_due(step)
        save_due = done or stop or (step > 0 and step % experiment.checkpoint_every == 0)
        if evaluate_due or save_due:
            if pending is not None:
                _check_losses(trials, *pending)
                pending = None
            for trial in trials:
                trial.stopwatch.pause(step)
            _check_states(trials, step, state)
        if evaluate_due:
            for trial, predicted in zip(
                trials, _predict(p_eval_step, state, inputs, filled, mapping), strict=False
            ):
                if trial.error is None:
                    _write_row(trial, step, predicted)
        if save_due:
            on_host = jax.tree.map(np.asarray, state)
            for index, trial in enumerate(trials):
                if trial.error is None:
                    own = _of_one(on_host, index)
                    trial.checkpoints.save(step, own)
                    if done:
                        dynamics.save(trial.workdir, own.dynamics, trial.experiment.noise.ids)
        if done or stop or all(trial.error for trial in trials):
            break
        for trial in trials:
            trial.stopwatch.run(step)
        batches = [next(feed) for feed in feeds]
        batches += batches[-1:] * (mapping.size - len(batches))
        state, step_metrics = p_train_step(state, inputs, mapping.batches(batches))
        step += experiment.steps_per_call
        if one_at_a_time or step == experiment.steps_per_call:
            jax.block_until_ready(step_metrics)
        if step == experiment.steps_per_call:
            for trial in trials:
                trial.stopwatch.first_step_done(step)
        if pending is not None:
            _check_losses(trials, *pending)
        pending = step, step_metrics["loss"]
    for trial in trials:
        trial.checkpoints.wait()
    if stop and not done:
        raise PreemptedError(
            f"SIGTERM: {len(trials)} trials saved at step {step}; start the same command to go on"
        )


def _write_row(trial: _Trial, step: int, predicted: dict[str, Predictions]) -> None:
    experiment = trial.experiment
    if trial.config.keep_predictions:
        predictions.keep(trial.workdir, step, predicted, experiment.dataset)
    row = measured_row(experiment, predicted)
    trial.metrics_file.write(train.make_row(step, row, experiment, trial.stopwatch))


def _finish(trial: _Trial) -> dict[str, Any]:
    summary = train.make_summary(trial.metrics_file.rows, trial.experiment, trial.stopwatch)
    metrics.write_whole(trial.workdir / "summary.json", json.dumps(summary, indent=2) + "\n")
    return summary


def _inputs(filled: list[_Trial], shared: Shared, mapping: Mapping) -> tuple[traced.Values, DeviceData]:
    """What both steps take beside states and batches."""
    values = _stacked([arrays(traced.values(trial.config)) for trial in filled])
    labels = np.stack([trial.experiment.noise.labels for trial in filled])
    data = shared.device_data(filled[0].experiment)
    return mapping.place(values), data.replace(labels=mapping.place(labels))


def _predict(
    p_eval_step: Any, state: PyTree, inputs: PyTree, filled: list[_Trial], mapping: Mapping
) -> list[dict[str, Predictions]]:
    """The predictions of each trial by split, as `evaluate.measure` makes them for one."""
    experiment = filled[0].experiment
    size = experiment.eval_batch_size
    of_trials: list[dict[str, Predictions]] = [{} for _ in filled]
    for name, split in experiment.dataset.splits.items():
        labels = np.stack([_labels(trial.experiment, name) for trial in filled])

        def positions(number: int, last: int = len(split) - 1) -> np.ndarray:
            return np.minimum(np.arange(size) + number * size, last).astype(np.int32)

        records = []
        for number, batch in enumerate(experiment.feed.batches(name, positions, 0, -(-len(split) // size))):
            examples = mapping.examples(batch, labels[:, positions(number)])
            records.append(jax.tree.map(np.asarray, p_eval_step(state, inputs, examples)))
        every = {
            key: np.concatenate([record[key] for record in records], axis=1)[:, : len(split)]
            for key in records[0]
        }
        for index, found in enumerate(of_trials):
            found[name] = Predictions(**{key: record[index] for key, record in every.items()})
    return of_trials


def _labels(experiment: Experiment, split: str) -> np.ndarray:
    return experiment.noise.labels if split == "train" else experiment.dataset.splits[split].labels


def _check_losses(trials: list[_Trial], end: int, losses: jax.Array) -> None:
    """Ends the trials with a loss that is not finite, of [trials, K] in the steps that led to `end`."""
    for trial, values in zip(trials, np.asarray(losses), strict=False):
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size and trial.error is None:
            step = end - len(values) + int(bad[0])
            what = f"the loss is {values[bad[0]]} at step {step}"
            trial.error = train.non_finite(what, step, trial.experiment, trial.checkpoints)


def _check_states(trials: list[_Trial], step: int, state: PyTree) -> None:
    """Ends the trials whose state is not finite."""
    for trial, finite in zip(trials, np.asarray(_all_finite(state)), strict=False):
        if not finite and trial.error is None:
            what = f"the parameters are not finite after {step} steps"
            trial.error = train.non_finite(what, max(step - 1, 0), trial.experiment, trial.checkpoints)


_all_finite = jax.jit(jax.vmap(train.all_finite))


def _stacked(trees: Sequence[PyTree]) -> PyTree:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def _of_one(tree: PyTree, index: int) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[index], tree)
