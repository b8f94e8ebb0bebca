"""Training: the loop. Read this after `run.py`; `grjax/steps.py` is what it calls on the devices."""

import contextlib
import dataclasses
import json
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from grjax import dynamics, metrics, predictions
from grjax import experiment as experiment_lib
from grjax import workdir as workdir_lib
from grjax.checkpoints import Checkpoints, StopRequest, watch_sigterm
from grjax.errors import NonFiniteError, PreemptedError, WorkdirError
from grjax.evaluate import device_data, measure
from grjax.experiment import Experiment
from grjax.metrics import MetricsFile, Row
from grjax.profile import Profiler
from grjax.progress import Display
from grjax.steps import PyTree, TrainState, parallelize, replicate
from grjax.stopwatch import Stopwatch


@dataclasses.dataclass(frozen=True)
class Prepared:
    """An experiment with the programs that run it; trials of a sweep share theirs, `grjax.sweep.programs`."""

    experiment: Experiment
    init_state: Callable[[], TrainState]
    data: Callable[[], PyTree]  # what both steps take beside the state and a batch, on the devices
    p_train_step: Callable[..., Any]
    p_eval_step: Callable[..., Any]


def prepare(config: ConfigDict) -> Prepared:
    """The experiment of a config, with programs of its own.

    Raises:
      ConfigError: the config asks for something impossible.
    """
    experiment = experiment_lib.create(config)
    return Prepared(
        experiment,
        experiment.init_state,
        lambda: device_data(experiment),
        parallelize(experiment.train_step(), donate_state=True),
        parallelize(experiment.eval_step()),
    )


def train_and_evaluate(
    config: ConfigDict,
    workdir: Path,
    start_time: float | None = None,
    *,
    prepared: Prepared | None = None,
    display: Display | None = None,
    on_row: Callable[[Row], None] | None = None,
) -> dict[str, Any]:
    """Trains the experiment of a config, or goes on with it where it was stopped.

    Whenever it is killed, the same call goes on from the latest checkpoint and ends, on CPU, in the same
    parameters and metrics bit for bit. A finished run is left as it is.

    Args:
      config: from `grjax.config.resolve`.
      workdir: the run's folder; `grjax.workdir` says what is written there.
      start_time: `time.monotonic()` when the process began, for the times in the summary; None: now.
      prepared: of this config; None: it is prepared here.
      display: what a person sees; None: a line for each evaluation.
      on_row: called with each new row of metrics.jsonl; what it raises ends the run.

    Returns:
      What summary.json holds.

    Raises:
      ConfigError: the config asks for something impossible; nothing is trained.
      WorkdirError: the workdir cannot be written, or belongs to another run.
      NonFiniteError: the loss or the state stopped being finite; the checkpoints are from before.
      PreemptedError: SIGTERM came; the state is saved.
    """
    start_time = time.monotonic() if start_time is None else start_time
    prepared = prepared or prepare(config)
    experiment = prepared.experiment
    leader = jax.process_index() == 0
    profiler = Profiler(config.profile, workdir / "profile", total_steps=experiment.total_steps, write=leader)
    workdir_lib.open_for(config, workdir)
    display = display or Display(quiet=not leader)
    summary = workdir_lib.read_summary(workdir)
    if summary is not None:
        experiment.noise.check_equals(workdir / "noise.npz")
        display.say(f"{workdir}: the run is finished, at step {summary['num_steps']}; nothing to do")
        return summary
    lock = workdir_lib.locked(workdir) if leader else contextlib.nullcontext()
    with (
        lock,
        watch_sigterm() as stop_request,
        contextlib.closing(Checkpoints(workdir / "checkpoints", config.keep_checkpoints)) as checkpoints,
    ):
        summary = _run(
            config, workdir, prepared, checkpoints, display, stop_request, profiler, start_time, on_row
        )
    display.say(json.dumps(summary, indent=2))
    return summary


def _run(
    config: ConfigDict,
    workdir: Path,
    prepared: Prepared,
    checkpoints: Checkpoints,
    display: Display,
    stop_request: StopRequest,
    profiler: Profiler,
    start_time: float,
    on_row: Callable[[Row], None] | None,
) -> dict[str, Any]:
    """Restores, trains to the end or until asked to stop, and returns the summary."""
    leader, experiment = jax.process_index() == 0, prepared.experiment
    # The latest checkpoint is the run; without one it begins at step 0.
    state = prepared.init_state()
    step, state = checkpoints.restore_latest(like=state) or (0, state)
    workdir_lib.keep_noise(
        experiment.noise, experiment.dataset.class_names, workdir, new=step == 0, write=leader
    )
    if step > 0 and not (workdir / "metrics.jsonl").exists():
        raise WorkdirError(f"{workdir}: the run is at step {step}, but its metrics.jsonl is gone")
    metrics_file = MetricsFile(workdir, step, tensorboard=config.tensorboard, write=leader)
    stopwatch = Stopwatch(start_time, earlier=metrics_file.rows[-1]["seconds"] if metrics_file.rows else 0)
    if leader:
        predictions.forget_after(workdir, step)
        workdir_lib.record_start(workdir, step)
    display.say(_description(experiment, workdir, step))

    state, data = replicate(state), prepared.data()
    batches = experiment.train_batches(step)

    # The order within the loop is fixed:
    #   evaluate if due -> save if due -> stop if asked -> batch -> step -> look at the step before.
    # A checkpoint thus always comes after the row of its step, and a resumed run repeats neither. The host
    # looks at the metrics of a call only after it has dispatched the next: the devices never wait for it.
    pending: StepMetrics | None = None
    # Virtual devices of a CPU may deadlock over several programs with collectives at a time.
    one_at_a_time = jax.default_backend() == "cpu" and jax.device_count() > 1

    def look_at(call: StepMetrics) -> None:
        loss = _check_losses(call, experiment, checkpoints)
        display.step(call.end, loss, stopwatch.live_rate(call.end) * experiment.batch_size)

    with display.live(experiment.total_steps, step), profiler.closing():
        while True:
            done = step == experiment.total_steps
            stop = stop_request.at(step)
            evaluate_due = experiment.evaluation_due(step)
            save_due = done or stop or (step > 0 and step % experiment.checkpoint_every == 0)
            if evaluate_due or save_due:
                if pending is not None:
                    look_at(pending)
                    pending = None
                stopwatch.pause(step)
                _check_state(step, state, experiment, checkpoints)
            if evaluate_due and not metrics_file.has(step):
                measured, predicted = measure(prepared.p_eval_step, state, data, experiment)
                if leader and config.keep_predictions:  # before the row, which says that all is there
                    predictions.keep(workdir, step, predicted, experiment.dataset)
                metrics_file.write(make_row(step, measured, experiment, stopwatch))
                display.row(metrics_file.rows[-1])
                if on_row is not None:
                    on_row(metrics_file.rows[-1])
            if save_due and step not in checkpoints.steps():
                checkpoints.save(step, state)
            if done or stop:
                break

            if profiler.due(step, step + experiment.steps_per_call):
                jax.block_until_ready(state)
                stopwatch.pause(step)
                profiler.switch()
            stopwatch.run(step)
            with jax.profiler.StepTraceAnnotation("train", step_num=step):
                state, step_metrics = prepared.p_train_step(state, data, next(batches))
            step += experiment.steps_per_call
            if stopwatch.seconds_to_first_step is None or one_at_a_time:
                jax.block_until_ready(step_metrics)
            if stopwatch.seconds_to_first_step is None:
                stopwatch.first_step_done(step)
            if pending is not None:
                look_at(pending)
            pending = StepMetrics(step, step_metrics)
    checkpoints.wait()
    if not done:
        raise PreemptedError(f"SIGTERM: saved at step {step} in {workdir}; start the same command to go on")
    summary = make_summary(metrics_file.rows, experiment, stopwatch)
    if leader:
        dynamics.save(workdir, state.dynamics, experiment.noise.ids)
        metrics.write_whole(workdir / "summary.json", json.dumps(summary, indent=2) + "\n")
    return summary


class StepMetrics(NamedTuple):
    """The metrics of a call of K steps, [K] each, which has led to step `end`; perhaps not computed yet."""

    end: int
    values: dict[str, jax.Array]


def _check_losses(call: StepMetrics, experiment: Experiment, checkpoints: Checkpoints) -> float:
    """Waits for the losses of a call and returns the last; raises `NonFiniteError` if one is not finite."""
    losses = np.asarray(call.values["loss"])
    bad = np.flatnonzero(~np.isfinite(losses))
    if bad.size:
        step = call.end - len(losses) + int(bad[0])
        what = f"the loss is {losses[bad[0]]} at step {step}"
        raise non_finite(what, step, experiment, checkpoints)
    return float(losses[-1])


def _check_state(step: int, state: TrainState, experiment: Experiment, checkpoints: Checkpoints) -> None:
    """Raises `NonFiniteError` rather than measure a poisoned state, or save it as the latest checkpoint."""
    if not all_finite(state):
        what = f"the parameters are not finite after {step} steps"
        raise non_finite(what, max(step - 1, 0), experiment, checkpoints)


@jax.jit
def all_finite(state: TrainState) -> jax.Array:
    """Bool [], whether no number of the state is NaN or infinite."""
    return jnp.array([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(state)]).all()


def non_finite(what: str, step: int, experiment: Experiment, checkpoints: Checkpoints) -> NonFiniteError:
    """The error that ends a run in which something is not finite, at or after `step`."""
    checkpoints.wait()
    steps = checkpoints.steps()
    good = f"step {steps[-1]}" if steps else "none yet"
    return NonFiniteError(
        f"{what} (learning rate {experiment.learning_rate_at(step):.4g}); last good checkpoint: {good}; "
        "try a lower optimizer.learning_rate, or optimizer.clip_norm"
    )


def _description(experiment: Experiment, workdir: Path, step: int) -> str:
    """What a run is about to do, in two lines."""
    sizes = ", ".join(f"{len(split)} {name}" for name, split in experiment.dataset.splits.items())
    noise = experiment.noise
    return (
        f"{experiment.dataset.name}: {sizes} examples; noise {noise.realised_rate:.4f} "
        f"({noise.convention['name']}, nominal {noise.nominal_rate}, sha256 {noise.sha256[:12]}); "
        f"{jax.device_count()} x {jax.devices()[0].device_kind}\n"
        f"{workdir}: {'from' if step == 0 else 'going on at'} step {step} to {experiment.total_steps}, "
        f"{experiment.steps_per_call} a call, {experiment.sampler.steps_per_epoch} an epoch"
    )


def make_row(step: int, measured: Row, experiment: Experiment, stopwatch: Stopwatch) -> Row:
    """A row of metrics.jsonl."""
    rate = stopwatch.lap()
    return {
        "step": step,
        "epoch": step / experiment.sampler.steps_per_epoch,
        **measured,
        "learning_rate": experiment.learning_rate_at(step),
        "examples_per_second": None if rate is None else rate * experiment.batch_size,
        "seconds": stopwatch.seconds(),
    }


def summary_metrics(splits: Iterable[str]) -> list[str]:
    """The numbers in the summary of a run that measures these splits beside train."""
    kinds = ("last", "best", "best_step")
    return [
        *(f"{split}_accuracy_{kind}" for split in splits for kind in kinds),
        "train_accuracy_noisy", "train_accuracy_intact", "memorisation", "mean_p_clean", "mean_p_mislabelled",
        "noise_rate_nominal", "noise_rate_realised", "num_steps", "examples_per_second",
        "seconds_to_first_step", "wall_seconds",
    ]  # fmt: skip


def make_summary(rows: list[Row], experiment: Experiment, stopwatch: Stopwatch) -> dict[str, Any]:
    """The end of a run. The last evaluation is its result; 'best' is chosen on the data it is measured on."""
    last, summary = rows[-1], {}
    rates = [row["examples_per_second"] for row in rows if row["examples_per_second"] is not None]
    for split in experiment.dataset.splits:
        if split != "train":
            key = f"{split}_accuracy"
            best = max(rows, key=lambda row: row[key])
            summary[f"{key}_last"] = last[key]
            summary[f"{key}_best"] = best[key]
            summary[f"{key}_best_step"] = best["step"]
    for key in ("train_accuracy_noisy", "train_accuracy_intact", "memorisation"):
        summary[key] = last[key]
    return {
        **summary,
        "mean_p_clean": last["mean_p_clean"],
        "mean_p_mislabelled": last["mean_p_mislabelled"],
        "noise_rate_nominal": experiment.noise.nominal_rate,
        "noise_rate_realised": experiment.noise.realised_rate,
        "noise_sha256": experiment.noise.sha256,
        "num_steps": last["step"],
        "examples_per_second": statistics.median(rates) if rates else None,
        "seconds_to_first_step": stopwatch.seconds_to_first_step,
        "wall_seconds": stopwatch.seconds(),
    }
