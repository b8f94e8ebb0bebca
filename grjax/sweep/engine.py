"""`--mode=sweep`: runs the trials of a sweep, alone or as one of several workers on the same folder."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import jax
from ml_collections import ConfigDict

from grjax.errors import BusyError, ConfigError, DiskFullError, PreemptedError, SweepFailedError
from grjax.paths import as_path
from grjax.progress import Display
from grjax.runs import Outcome
from grjax.stopping import StopRequest, watched_signals
from grjax.sweep import folder as folder_lib
from grjax.sweep import results
from grjax.sweep.definition import Sweep, describe
from grjax.sweep.programs import Group, Shared
from grjax.sweep.progress import SweepDisplay
from grjax.sweep.results import Result
from grjax.together import Alone, Spread, Together, Vmapped
from grjax.train import train_together
from grjax.workdir import layout


def run(sweep: Sweep, folder: str | os.PathLike[str], *, dry_run: bool = False) -> list[Result]:
    """Runs what is left of a sweep; what `--mode=sweep` does.

    Args:
      sweep: its definition.
      folder: of the sweep; `grjax.sweep.folder` says what is written there.
      dry_run: only say what would be done.

    Returns:
      The results so far, see `grjax.sweep.results.read`.

    Raises:
      SweepFailedError: trials ended in an error; the others are complete.
      ConfigError, WorkdirError, PreemptedError, CtrlCError: see `run_trials`.
    """
    folder = as_path(folder)
    if dry_run:
        _describe(sweep, folder, _checked(sweep, sweep.configs(), Shared()))
        return results.read(folder)
    found = run_trials(sweep, folder)
    _raise_for_failed(found)
    return found


def run_trials(sweep: Sweep, folder: str | os.PathLike[str]) -> list[Result]:
    """Runs the trials that are left; returns when every trial has ended, whoever ran it.

    Whenever it is killed, the same call goes on: finished trials are not run again, begun ones go on from
    their checkpoints. Several processes that call it for the same folder share the trials.

    Raises:
      ConfigError: some trial's config asks for something impossible; nothing is run.
      WorkdirError: the folder cannot be written, or belongs to another sweep.
      PreemptedError, CtrlCError: SIGTERM or Ctrl-C came; running trials are saved.
    """
    folder = as_path(folder)
    if jax.process_count() > 1:
        raise ConfigError("--mode=sweep: runs on one host; start a worker on each, see docs/guide/sweep.md")
    shared, configs = Shared(), sweep.configs()
    _Worker(sweep, folder, configs, groups=_checked(sweep, configs, shared), shared=shared).work()
    return results.read(folder)


def _checked(sweep: Sweep, configs: list[ConfigDict], shared: Shared) -> list[Group]:
    """The group of each trial; whatever is wrong with its config shows here."""
    groups = []
    for number, (config, overrides) in enumerate(zip(configs, sweep.trials, strict=True)):
        try:
            groups.append(shared.group(config))
        except ConfigError as error:
            raise ConfigError(f"trial {number} ({describe(overrides)}): {error}") from error
    return groups


class _Worker:
    """One process that works on a sweep."""

    def __init__(
        self, sweep: Sweep, folder: Path, configs: list[ConfigDict], *, groups: list[Group], shared: Shared
    ):
        from grjax.sweep.queue import Queue  # Optuna takes a second

        self._sweep, self._folder, self._configs = sweep, folder, configs
        self._groups, self._shared = groups, shared
        self._queue = Queue(folder, sweep, folder_lib.open_for(sweep, folder))
        self._display = SweepDisplay(len(configs))
        self._together = _together(sweep)

    def work(self) -> None:
        """Until every trial has ended, or SIGTERM or Ctrl-C comes."""
        start, ran = time.monotonic(), 0
        with self._queue, watched_signals() as stop_request, self._display.live():
            self._queue.fill(retry_failed=self._sweep.retry_failed)
            self._display.update(self._queue.states())
            while True:
                _stop_if_asked(stop_request, self._folder)
                if numbers := self._claim():
                    self._run(numbers, stop_request)
                    ran += len(numbers)
                    continue
                self._queue.fill()  # other workers have the rest; one of them may have crashed
                states = self._queue.states()
                self._display.update(states)
                if set(states.values()) <= {"complete", "failed"}:
                    break
                if "waiting" not in states.values():
                    time.sleep(1)
        self._display.say(
            f"{ran} of {len(states)} trials in {time.monotonic() - start:.1f} s; compiled: train step "
            f"{self._shared.compilations['train']}, evaluation step {self._shared.compilations['evaluation']}"
        )

    def _claim(self) -> list[int]:
        """Takes as many trials of one group as run at once; those that have begun go on with each other."""

        def together(one: int, other: int) -> bool:
            return self._groups[one] is self._groups[other] and self._begun(one) == self._begun(other)

        return self._queue.claim(self._together.size, together)

    def _begun(self, number: int) -> bool:
        return (folder_lib.workdir_of(self._folder, number) / layout.METRICS).exists()

    def _run(self, numbers: list[int], stop_request: StopRequest, together: Together | None = None) -> None:
        """Runs claimed trials to their ends, and records how they ended."""
        try:
            outcomes = self._outcomes(numbers, stop_request, together or self._together)
        except (PreemptedError, DiskFullError, KeyboardInterrupt):
            self._queue.give_back(numbers)
            raise
        except Exception as error:  # of whatever kind: the other trials go on
            if len(numbers) > 1:  # one of them, or too much for the memory: find out one by one
                for number in numbers:
                    self._run([number], stop_request, Alone())
                return
            outcomes = [error]
        for number, outcome in zip(numbers, outcomes, strict=True):
            self._record(number, outcome)

    def _outcomes(
        self, numbers: list[int], stop_request: StopRequest, together: Together
    ) -> Sequence[Outcome]:
        programs = self._shared.programs(self._configs[numbers[0]], together)
        while True:
            runs = [
                self._shared.run(self._configs[number], folder_lib.workdir_of(self._folder, number))
                for number in numbers
            ]
            try:
                return train_together(runs, programs, Display(quiet=True), stop_request=stop_request)
            except BusyError:  # its worker was taken for crashed and is not: this one finds what it leaves
                time.sleep(1)
                _stop_if_asked(stop_request, self._folder)

    def _record(self, number: int, outcome: Outcome) -> None:
        """A line in results.jsonl, then an end in the queue; killed in between, it ends the same again."""
        failed = isinstance(outcome, Exception)
        error = f"{type(outcome).__name__}: {' '.join(str(outcome).split())}"[:2000] if failed else None
        overrides, group = self._sweep.trials[number], self._groups[number].number
        workdir = folder_lib.workdir_of(self._folder, number)
        results.add(
            self._folder, {number: results.collect(number, overrides, workdir, group=group, error=error)}
        )
        if isinstance(outcome, Exception):
            self._queue.fail(number, str(error))
            text = str(error)
        else:
            key = next(key for key in _VALUES if key in outcome)
            self._queue.complete(number, outcome[key])
            name = key.removesuffix("_last").replace("_", " ")
            text = f"{name} {outcome[key]:.4f}, {outcome['wall_seconds']:.1f} s"
        self._display.ended(self._queue.states(), number, overrides, text)


def _together(sweep: Sweep) -> Together:
    """How trials run at once."""
    if sweep.execution == "vmapped":
        return Vmapped(sweep.chunk)
    # 'auto' is one by one: see docs/guide/sweep.md.
    return Spread() if sweep.execution == "spread" else Alone()


# The accuracy that Optuna is told, in the order of preference.
_VALUES = ("validation_accuracy_last", "validation_noisy_accuracy_last", "test_accuracy_last")


def _stop_if_asked(stop_request: StopRequest, folder: Path) -> None:
    if stop_request.at(0):
        raise stop_request.error(f"stopped between trials in {folder}")


def _raise_for_failed(found: list[Result]) -> None:
    failed = [result for result in found if result["state"] == "failed"]
    if failed:
        first = failed[0]
        raise SweepFailedError(
            f"{len(failed)} of {len(found)} trials failed, see results.jsonl; the first, {first['workdir']} "
            f"({describe(first['overrides'])}): {first['error']}"
        )


def _describe(sweep: Sweep, folder: Path, groups: list[Group]) -> None:
    """What `--dry_run` prints."""
    if folder.exists():
        folder_lib.check(sweep, folder)
    ended = {result["trial"]: result["state"] for result in results.read(folder)}
    steps = sum(group.experiment.total_steps for group in groups)
    print(f"{folder}: {len(groups)} trials, {steps:,} steps; {len(set(groups))} groups, each compiled once")
    for group in dict.fromkeys(groups):
        members = [number for number, other in enumerate(groups) if other is group]
        steps = group.experiment.total_steps
        print(f"group {group.number}: {len(members)} trials of {steps:,} steps")
        for number in members:
            begun = (folder_lib.workdir_of(folder, number) / "checkpoints").exists()
            state = ended.get(number, "begun" if begun else "to do")
            print(f"  {number:04d}  {state:8}  {describe(sweep.trials[number])}")
    left = len(groups) - len(ended)
    print(f"{len(ended)} have ended, {left} are left")
