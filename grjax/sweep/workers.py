"""Several workers from one command: processes on this machine, each on cores of its own.

A CPU's cores work on a small network's step together badly: most of the time all but one wait. With a worker
on each, none does.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import jax

from grjax.errors import ConfigError, SweepFailedError


@contextmanager
def others(count: int, folder: Path, command: Sequence[str]) -> Iterator[None]:
    """Within it, `count` - 1 more workers run beside this process; it ends when they have ended.

    What they print is in worker_N.log in the sweep's folder; the last line of each is printed at the end.
    Where an error leaves the block, they are told to save and stop. Where the system can bind a process to
    cores, each worker has its share, and so has this process within the block; for that, jax must not have
    been used yet.

    Args:
      count: of workers, this process among them.
      folder: of the sweep.
      command: starts a worker.

    Raises:
      ConfigError: more workers than cores, or an accelerator, which takes one.
    """
    if count == 1:
        yield
        return
    with _bound_to_cores(count) as shares:
        if jax.default_backend() != "cpu":
            raise ConfigError(
                f"sweep.workers: must be 1 on {jax.default_backend()}, got {count}; several accelerators are "
                "used by --config.sweep.execution=spread, or by a command for each that sees only its own"
            )
        folder.mkdir(parents=True, exist_ok=True)
        logs = [folder / f"worker_{number}.log" for number in range(1, count)]
        started = [
            _start(command, log, share, shares[0]) for log, share in zip(logs, shares[1:], strict=True)
        ]
        try:
            yield
        except SweepFailedError:  # all trials have ended, and so do the others
            raise
        except BaseException:
            for process in started:
                process.terminate()
            raise
        finally:
            for process, log in zip(started, logs, strict=True):
                _end(process, log)


@contextmanager
def _bound_to_cores(count: int) -> Iterator[list[set[int]]]:
    """Binds this thread, and what it starts, to the first of `count` shares of its cores; yields them all."""
    if not hasattr(os, "sched_setaffinity"):  # macOS: the system alone decides
        yield [set()] * count
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


def _start(command: Sequence[str], log: Path, share: set[int], own: set[int]) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        if not share:
            return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        os.sched_setaffinity(0, share)  # a process starts on the cores of the thread that starts it
        try:
            return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        finally:
            os.sched_setaffinity(0, own)


def _end(process: subprocess.Popen[bytes], log: Path) -> None:
    """Waits for a worker, and says how it ended."""
    status = process.wait()
    lines = log.read_text(errors="replace").splitlines()
    print(f"{log.name}: {lines[-1] if lines else ''}{f' (exit status {status})' if status else ''}")
