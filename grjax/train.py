"""Training: the loop. Read this after `run.py`; `grjax/methods/single.py` is what it does on the devices."""

import contextlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from grjax import dynamics
from grjax import experiment as experiment_lib
from grjax.devices import PyTree
from grjax.evaluate import Evaluation, device_data
from grjax.experiment import Experiment
from grjax.finite import all_finite, check_losses, check_states
from grjax.methods import Method
from grjax.metrics import Predictions, Row
from grjax.profile import Profiler
from grjax.progress import Display
from grjax.runs import Outcome, Programs, Run, open_folder, restore
from grjax.steps import TrainState
from grjax.stopping import StopRequest, watched_signals
from grjax.summary import make_row, make_summary
from grjax.together import Alone, Together
from grjax.workdir import files, layout, predictions
from grjax.workdir import folder as workdir_lib
from grjax.workdir.checkpoints import Checkpoints


class StepMetrics(NamedTuple):
    """The metrics of a call of K steps, which has led to step `end`; perhaps not computed yet."""

    end: int
    values: dict[str, jax.Array]


def programs_of(experiment: Experiment) -> Programs:
    """The programs of an experiment that runs alone."""
    alone = Alone()
    return Programs(
        alone,
        lambda run: run.experiment.init_state(),
        lambda runs: device_data(runs[0].experiment),
        alone.train(experiment.train_step()),
        alone.evaluate(experiment.eval_step()),
    )


def train_and_evaluate(
    config: ConfigDict,
    workdir: str | os.PathLike[str],
    start_time: float | None = None,
    *,
    experiment: Experiment | None = None,
    display: Display | None = None,
    on_row: Callable[[Row], None] | None = None,
    stop_request: StopRequest | None = None,
) -> dict[str, Any]:
    """Trains the experiment of a config, or goes on with it where it was stopped.

    Whenever it is killed, the same call goes on from the latest checkpoint and ends, on CPU, in the same
    parameters and metrics bit for bit. A finished run is left unchanged.

    Args:
      config: from `grjax.config.resolve`.
      workdir: the run's folder; `grjax.workdir.layout` says what is written there.
      start_time: `time.monotonic()` when the process began, for the times in the summary; None: now.
      experiment: of this config; None: it is created here.
      display: what a person sees; None: a line for each evaluation.
      on_row: called with each new row of metrics.jsonl; what it raises ends the run.
      stop_request: that may stop the run; None: SIGTERM and Ctrl-C do.

    Returns:
      What summary.json holds.

    Raises:
      ConfigError: the config asks for something impossible; nothing is trained.
      WorkdirError: the workdir cannot be written, or belongs to another run.
      NonFiniteError: the loss or the state stopped being finite; the checkpoints are from before.
      PreemptedError, CtrlCError: SIGTERM or Ctrl-C came; the state is saved.
    """
    start_time = time.monotonic() if start_time is None else start_time
    experiment = experiment or experiment_lib.create(config)
    run = Run(config, workdir, experiment, on_row)
    display = display or Display(quiet=jax.process_index() != 0)
    programs = programs_of(experiment)
    [outcome] = train_together([run], programs, display, start_time, stop_request=stop_request)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def train_together(
    runs: Sequence[Run],
    programs: Programs,
    display: Display,
    start_time: float | None = None,
    *,
    stop_request: StopRequest | None = None,
) -> list[Outcome]:
    """Trains runs in step, or goes on with them where they were stopped.

    Each leaves in its folder what a run of its own leaves there; its times are those of all. Runs that were
    stopped at different steps go on at the earliest of them, which changes no result.

    Args:
      runs: at most `programs.together.size`; they differ in nothing that the programs do not take as inputs.
      programs: of the runs.
      display: what a person sees.
      start_time: see `train_and_evaluate`.
      stop_request: see `train_and_evaluate`.

    Returns:
      For each run its summary, or the error that ended it; the others went on.

    Raises:
      ConfigError, WorkdirError: as `train_and_evaluate`, about any of the runs.
      BusyError: another process is training in one of the folders.
      PreemptedError, CtrlCError: SIGTERM or Ctrl-C came; all are saved.
    """
    start_time = time.monotonic() if start_time is None else start_time
    leader, first = jax.process_index() == 0, runs[0]
    profiler = Profiler(
        first.config.profile,
        first.workdir / layout.PROFILE,
        total_steps=first.experiment.total_steps,
        write=leader,
    )
    for run in runs:
        workdir_lib.open_for(run.config, run.workdir)
        run.outcome = workdir_lib.read_summary(run.workdir)
        if run.outcome is not None:
            run.experiment.noise.check_equals(run.workdir / layout.NOISE)
            at = run.outcome["num_steps"]
            display.say(f"{run.workdir}: the run is finished, at step {at}; nothing to do")
    going = [run for run in runs if run.outcome is None]
    if going:
        with files.a_full_disk_named(first.workdir), contextlib.ExitStack() as stack:
            for run in going:
                if leader:
                    stack.enter_context(workdir_lib.locked(run.workdir))
                run.checkpoints = Checkpoints(run.workdir / layout.CHECKPOINTS, run.config.keep_checkpoints)
                stack.callback(run.checkpoints.close)
            stop_request = stop_request or stack.enter_context(watched_signals())
            _loop(
                going,
                programs,
                display,
                profiler,
                stop_request=stop_request,
                start_time=start_time,
                closing=stack,
            )
    return [run.outcome for run in runs if run.outcome is not None]


def _loop(
    runs: list[Run],
    programs: Programs,
    display: Display,
    profiler: Profiler,
    *,
    stop_request: StopRequest,
    start_time: float,
    closing: contextlib.ExitStack,
) -> None:
    """Restores, trains to the end or until asked to stop, and gives every run its outcome."""
    together, experiment = programs.together, runs[0].experiment
    method, leader = experiment.method(), jax.process_index() == 0
    # The latest checkpoint is the run; without one it begins at step 0.
    step, states = restore(runs, programs)
    for run in runs:
        open_folder(run, step, start_time)
        closing.callback(run.close_loggers)
        display.say(_description(run, step))
    # Runs that are fewer than a call takes are filled up with copies of the last.
    filled = runs + runs[-1:] * (together.size - len(runs))
    state = together.join(states + states[-1:] * (together.size - len(runs)))
    inputs = programs.inputs(filled)
    experiments = [run.experiment for run in filled]
    evaluation = Evaluation(programs.p_eval_step, together, inputs, experiments)
    batches: Iterator[PyTree] | None = None
    finite = together.each(all_finite)
    measured: list[tuple[Row, dict[str, Predictions]]] | None

    # The order within the loop is fixed:
    #   evaluate if due -> save if due -> stop if asked -> begin the epoch if due -> batch -> step
    #   -> look at the step before.
    # A checkpoint thus always comes after the row of its step, and a resumed run repeats neither; it begins
    # the epoch again, from the same state. The host looks at the metrics of a call only after it has
    # dispatched the next: the devices never wait for it.
    pending: StepMetrics | None = None
    latest: StepMetrics | None = None  # looked at already
    # Virtual devices of a CPU may deadlock over several programs with collectives at a time.
    one_at_a_time = jax.default_backend() == "cpu" and jax.device_count() > 1
    stopwatch = runs[0].stopwatch

    def look_at(call: StepMetrics) -> None:
        nonlocal latest
        latest = call
        losses = together.outputs(call.values["loss"])
        check_losses(runs, call.end, losses)
        rate = stopwatch.live_rate(call.end) * experiment.batch_size * len(runs)
        display.step(call.end, float(losses[: len(runs), -1].mean()), rate)

    with display.live(experiment.total_steps, step), profiler.closing():
        while True:
            done = step == experiment.total_steps
            stop = stop_request.at(step)
            evaluate_due = experiment.evaluation_due(step)
            save_due = done or stop or (step > 0 and step % experiment.checkpoint_every == 0)
            epoch, into_epoch = divmod(step, experiment.sampler.steps_per_epoch)
            epoch_due = not done and method.begin_epoch is not None and into_epoch == 0
            if evaluate_due or save_due or epoch_due:
                if pending is not None:
                    look_at(pending)
                    pending = None
                for run in runs:
                    run.stopwatch.pause(step)
                check_states(runs, step, finite(state))
            measured = None
            going = [run for run in runs if run.outcome is None]
            if evaluate_due and not all(run.metrics_file.has(step) for run in going):
                measured, seen = evaluation.measure(state), _seen(latest, together)
                for run, (row, predicted), of_method in zip(runs, measured, seen, strict=False):
                    if run.outcome is None and not run.metrics_file.has(step):
                        _keep_row(run, step, row | of_method, predicted, display=display)
            if save_due:
                for run, its_state in zip(runs, together.separate(state), strict=False):
                    if run.outcome is None and step not in run.checkpoints.steps():
                        run.checkpoints.save(step, its_state)
            if done or stop or all(run.outcome is not None for run in runs):
                break
            if epoch_due:
                # The same predictions, whether they were just measured or not.
                of_train = (
                    [of["train"] for _, of in measured] if measured else evaluation.predict(state, "train")
                )
                state = together.join(_begun(method, epoch, together.separate(state), of_train))
            if batches is None or (epoch_due and method.groups is not None):
                batches = _batches(experiments, together, state, step)

            if profiler.due(step, step + experiment.steps_per_call):
                jax.block_until_ready(state)
                for run in runs:
                    run.stopwatch.pause(step)
                profiler.switch()
            for run in runs:
                run.stopwatch.run(step)
            with jax.profiler.StepTraceAnnotation("train", step_num=step):
                state, step_metrics = programs.p_train_step(state, inputs, next(batches))
            step += experiment.steps_per_call
            compiled = stopwatch.seconds_to_first_step is None
            if compiled or one_at_a_time:
                jax.block_until_ready(step_metrics)
            if compiled:
                for run in runs:
                    run.stopwatch.first_step_done(step)
            if pending is not None:
                look_at(pending)
            pending = StepMetrics(step, step_metrics)
    for run in runs:
        run.checkpoints.wait()
    going = [run for run in runs if run.outcome is None]
    if going and not done:
        where = ", ".join(str(run.workdir) for run in going)
        raise stop_request.error(f"saved at step {step} in {where}")
    for run, its_state in zip(runs, together.separate(state), strict=False):
        if run.outcome is None:
            run.outcome = make_summary(run.metrics_file.rows, run.experiment, run.stopwatch)
            if leader:
                dynamics.save(run.workdir, its_state.dynamics, run.experiment.noise.ids)
                run.end_logging(run.outcome)
                files.write_json(run.workdir / layout.SUMMARY, run.outcome)
            display.say(json.dumps(run.outcome, indent=2))


def _batches(
    experiments: Sequence[Experiment], together: Together, state: PyTree, step: int
) -> Iterator[PyTree]:
    """The batches of the calls from `step` on, of all runs, on the devices."""
    groups = experiments[0].method().groups
    if groups is None:
        each: list[Any] = [None] * len(experiments)
    else:
        each = [groups(its_state.learner) for its_state in together.separate(state)]
    feeds = [
        experiment.train_batches(step, its_groups)
        for experiment, its_groups in zip(experiments, each, strict=True)
    ]
    return map(together.batches, zip(*feeds, strict=True))


def _begun(
    method: Method, epoch: int, states: Sequence[TrainState], of_train: Sequence[Predictions]
) -> list[TrainState]:
    """Each state after `Method.begin_epoch`, which sees what was predicted for the training split."""
    assert method.begin_epoch is not None
    after = []
    for state, predicted in zip(states, of_train, strict=True):
        learner = jax.tree.map(np.asarray, state.learner)
        after.append(state.replace(learner=method.begin_epoch(learner, predicted.records(), epoch)))
    return after


def _seen(latest: StepMetrics | None, together: Together) -> list[Row]:
    """What the method itself reported of the last step, for each run: 'method_{name}'."""
    if latest is None:
        return [{}] * together.size
    values = {
        f"method_{name}": together.outputs(value)[:, -1].astype(float).tolist()
        for name, value in latest.values.items()
        if name not in ("loss", "accuracy")
    }
    return [
        {name: each[run] if math.isfinite(each[run]) else None for name, each in values.items()}
        for run in range(together.size)
    ]


def _keep_row(
    run: Run, step: int, measured: Row, predicted: Mapping[str, Predictions], *, display: Display
) -> None:
    """Writes what an evaluation of a run found."""
    if jax.process_index() == 0 and run.config.keep_predictions:
        # Before the row, which says that all is there.
        predictions.keep(run.workdir, step, predicted, run.experiment.dataset)
    row = make_row(step, measured, run.experiment, run.stopwatch)
    run.log(row)
    display.row(row)
    if run.on_row is not None:
        try:
            run.on_row(row)
        except Exception as error:  # of one run: the others go on
            run.outcome = error


def _description(run: Run, step: int) -> str:
    """What a run is about to do, in a few lines."""
    experiment = run.experiment
    sizes = ", ".join(f"{len(split)} {name}" for name, split in experiment.dataset.splits.items())
    noise = experiment.noise
    elsewhere = "".join(f"\nlogged to {logger.where}" for logger in run.loggers if logger.where)
    return (
        f"{experiment.dataset.name}: {sizes} examples; noise {noise.realised_rate:.4f} "
        f"({noise.convention['name']}, nominal {noise.nominal_rate}, sha256 {noise.sha256[:12]}); "
        f"{jax.device_count()} x {jax.devices()[0].device_kind}\n"
        f"{run.workdir}: {'from' if step == 0 else 'going on at'} step {step} to {experiment.total_steps}, "
        f"{experiment.steps_per_call} a call, {experiment.sampler.steps_per_epoch} an epoch"
        f"{elsewhere}"
    )
