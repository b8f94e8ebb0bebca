"""Several workers from one command: processes on this machine, each on cores of its own.

A CPU's cores work on a small network's step together badly: most of the time all but one wait. With a worker
on each, none does.
"""

import dataclasses
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import jax

from grjax.errors import ConfigError, SweepFailedError
from grjax.sweep import folder as folder_lib
from grjax.sweep.definition import Sweep


@dataclasses.dataclass(frozen=True)
class _Worker:
    process: subprocess.Popen[bytes]
    log: Path
    start: int  # where in the log what it prints begins


@contextmanager
def others(sweep: Sweep, folder: Path, command: Sequence[str]) -> Iterator[None]:
    """Within it, `sweep.workers` - 1 more workers run beside this process; it ends when they have ended.

    What they print is in worker_N.log in the sweep's folder; the last line of each is printed at the end.
    Where a signal or an error ends the block, they are told to save and stop. Where the system can
    bind a process to cores, each worker has its share, and so has this process within the block; for that,
    jax must not have been used yet.

    Args:
      sweep: which they run.
      folder: of the sweep.
      command: starts a worker.

    Raises:
      ConfigError: more workers than cores, an accelerator or several hosts, which take
        one, or an impossible trial.
      WorkdirError: the folder is another sweep's.
    """
    if sweep.workers == 1:
        yield
        return
    _check(sweep, folder)
    started: list[_Worker] = []
    with _bound_to_cores(sweep.workers) as shares:
        if jax.process_count() > 1:
            raise ConfigError(f"sweep.workers: must be 1 on several hosts, got {sweep.workers}")
        if jax.default_backend() != "cpu":
            raise ConfigError(
                f"sweep.workers: must be 1 on {jax.default_backend()}, got {sweep.workers}; several "
                "accelerators are used by --config.sweep.execution=spread, or by a command for each that "
                "sees only its own"
            )
        folder.mkdir(parents=True, exist_ok=True)
        failed = None
        try:
            for number, share in enumerate(shares[1:], start=1):
                started.append(_start(command, folder / f"worker_{number}.log", share, shares[0]))
            try:
                yield
            except SweepFailedError as error:  # all trials have ended, and so do the others
                failed = error
            _end(started)
        except BaseException:
            for worker in started:
                worker.process.terminate()
            _end(started)
            raise
        if failed is not None:
            raise failed


def _check(sweep: Sweep, folder: Path) -> None:
    """What would stop this process would stop the others, and leave a log."""
    if sweep.select is None:  # else trials and folder are those of two phases, see `grjax.sweep.phases`
        sweep.configs()
        if folder.exists():
            folder_lib.check(sweep, folder)


@contextmanager
def _bound_to_cores(count: int) -> Iterator[list[set[int]]]:
    """Binds this thread, and what it starts, to the first of `count` shares of its cores; yields them all."""
    if not hasattr(os, "sched_setaffinity"):  # macOS: the system alone decides
        yield [set() for _ in range(count)]
        return
    cores = sorted(os.sched_getaffinity(0))
    if count > len(cores):
        raise ConfigError(f"sweep.workers: must be at most the number of cores, {len(cores)}, got {count}")
    shares = [set(cores[number::count]) for number in range(count)]
    os.sched_setaffinity(0, shares[0])
    try:
        yield shares
    finally:
        os.sched_setaffinity(0, cores)


def _start(command: Sequence[str], log: Path, share: set[int], own: set[int]) -> _Worker:
    with log.open("ab") as output:
        begin = output.tell()
        if share:
            os.sched_setaffinity(0, share)  # a process starts on the cores of the thread that starts it
        try:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        finally:
            if share:
                os.sched_setaffinity(0, own)
        return _Worker(process, log, begin)


def _end(started: list[_Worker]) -> None:
    """Waits for workers, says how each ended, and takes it from the list."""
    while started:
        worker = started[0]
        status = worker.process.wait()
        lines = worker.log.read_bytes()[worker.start :].decode(errors="replace").splitlines()
        print(
            f"{worker.log.name}: {lines[-1] if lines else ''}{f' (exit status {status})' if status else ''}"
        )
        del started[0]
