"""`--mode=sweep`: runs the trials of a sweep, alone or as one of several workers on the same folder."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from grjax.checkpoints import StopRequest, watch_sigterm
from grjax.errors import BusyError, ConfigError, PreemptedError, SweepFailedError, require
from grjax.progress import Display
from grjax.sweep import folder as folder_lib
from grjax.sweep import results
from grjax.sweep.definition import Sweep, describe
from grjax.sweep.programs import Group, Shared
from grjax.sweep.progress import SweepDisplay
from grjax.sweep.results import Result
from grjax.train import train_and_evaluate


def run(sweep: Sweep, folder: Path, *, dry_run: bool = False) -> list[Result]:
    """Runs what is left of a sweep; ends when every trial has ended, whoever ran it.

    Whenever it is killed, the same call goes on: finished trials are not run again, begun ones go on from
    their checkpoints. Several processes that call it for the same folder share the trials.

    Args:
      sweep: its definition.
      folder: of the sweep; `grjax.sweep.folder` says what is written there.
      dry_run: only say what would be done.

    Returns:
      The results so far, see `grjax.sweep.results.read`.

    Raises:
      ConfigError: some trial's config asks for something impossible; nothing is run.
      WorkdirError: the folder cannot be written, or belongs to another sweep.
      SweepFailedError: trials ended in an error; the others are complete.
      PreemptedError: SIGTERM came; running trials are saved.
    """
    if jax.process_count() > 1:
        raise ConfigError("--mode=sweep: runs on one host; start a worker on each, see docs/sweep.md")
    require("optuna", "sweep")
    shared = Shared()
    configs = sweep.configs()
    groups = _checked(sweep, configs, shared)
    if dry_run:
        _describe(sweep, folder, groups)
        return results.read(folder)
    _Worker(sweep, folder, configs, groups, shared).work()
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
        self, sweep: Sweep, folder: Path, configs: list[ConfigDict], groups: list[Group], shared: Shared
    ):
        from grjax.sweep.queue import Queue  # Optuna is an extra

        self._sweep, self._folder, self._configs = sweep, folder, configs
        self._groups, self._shared = groups, shared
        self._queue = Queue(folder, sweep, folder_lib.open_for(sweep, folder))
        self._display = SweepDisplay(len(configs))

    def work(self) -> None:
        """Until every trial has ended, or SIGTERM comes."""
        start, ran = time.monotonic(), 0
        with self._queue, watch_sigterm() as stop_request, self._display.live():
            self._queue.fill(retry_failed=self._sweep.retry_failed)
            while not self._all_ended():
                _stop_if_asked(stop_request, self._folder)
                numbers = self._claim()
                if not numbers:
                    time.sleep(1)  # other workers have the rest; one of them may crash
                    self._queue.fill()
                    continue
                self._run(numbers)
                ran += len(numbers)
                self._queue.fill()
            states = self._queue.states()
        self._display.say(
            f"{ran} of {len(states)} trials in {time.monotonic() - start:.1f} s; compiled: train step "
            f"{self._shared.compilations['train']}, evaluation step {self._shared.compilations['evaluation']}"
        )
        _raise_for_failed(results.read(self._folder))

    def _all_ended(self) -> bool:
        states = self._queue.states()
        self._display.update(states)
        return set(states.values()) <= {"complete", "failed"}

    def _claim(self) -> list[int]:
        return self._queue.claim(1, together=lambda one, other: self._groups[one] is self._groups[other])

    def _run(self, numbers: list[int]) -> None:
        """Runs claimed trials to their ends."""
        for number in numbers:
            config = self._configs[number]
            self._ended(
                number,
                lambda: train_and_evaluate(
                    config,
                    folder_lib.workdir_of(self._folder, number),
                    prepared=self._shared.prepare(config),
                    display=Display(quiet=True),
                ),
            )

    def _ended(self, number: int, run: Callable[[], dict[str, Any]]) -> None:
        """Runs a trial and records how it ended."""
        try:
            summary = run()
        except BusyError:  # its worker was taken for crashed and is not
            self._queue.give_back([number])
            time.sleep(1)
        except (PreemptedError, KeyboardInterrupt):
            self._queue.give_back([number])
            raise
        except Exception as error:  # of whatever kind: the other trials go on
            text = f"{type(error).__name__}: {' '.join(str(error).split())}"[:2000]
            self._record(number, text)
            self._queue.fail(number, text)
            self._display.ended(self._queue.states(), number, self._sweep.trials[number], text)
        else:
            self._record(number, None)
            value = next(summary[key] for key in _VALUES if key in summary)
            self._queue.complete(number, value)
            text = f"test accuracy {summary['test_accuracy_last']:.4f}, {summary['wall_seconds']:.1f} s"
            self._display.ended(self._queue.states(), number, self._sweep.trials[number], text)

    def _record(self, number: int, error: str | None) -> None:
        workdir = folder_lib.workdir_of(self._folder, number)
        overrides, group = self._sweep.trials[number], self._groups[number].number
        results.add(self._folder, {number: results.collect(number, overrides, workdir, group, error)})


# The accuracy that Optuna is told, in the order of preference.
_VALUES = ("validation_accuracy_last", "validation_noisy_accuracy_last", "test_accuracy_last")


def _stop_if_asked(stop_request: StopRequest, folder: Path) -> None:
    if stop_request.at(0):
        raise PreemptedError(f"SIGTERM: stopped between trials in {folder}; start the same command to go on")


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
    print(f"{len(groups)} trials in {folder}, {len(set(groups))} compilations of the train step")
    print(f"steps: {sum(group.experiment.total_steps for group in groups):,}")
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
