"""Contenders in processes of their own, timed in turn.

A contender prints a line of JSON when it is ready, then one for each line it is sent, and a last one when it
is sent no more. Only one of them works at a time; each has a memory, a runtime and flags of its own.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

Facts = dict[str, Any]


class Contender:
    """A process that runs `python -m module json`, from its start to the line that says it is ready."""

    def __init__(self, module: str, spec: Facts, environment: dict[str, str]):
        start, self._name = time.monotonic(), f"{module} {json.dumps(spec)}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, json.dumps(spec)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self.ready = self._read()
        self.seconds_to_ready = time.monotonic() - start

    def round(self, seconds: float) -> Facts:
        """One round of about so many seconds."""
        assert self._process.stdin is not None
        print(seconds, file=self._process.stdin, flush=True)
        return self._read()

    def end(self) -> Facts:
        """Ends the process, and returns what it has to say in the end."""
        with self._process:  # which waits, and closes what is open
            assert self._process.stdin is not None
            self._process.stdin.close()
            return self._read()

    def _read(self) -> Facts:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                facts: Facts = json.loads(line)
                return facts
        with self._process:
            raise RuntimeError(f"{self._name} ended with exit code {self._process.wait()}")


def serve(
    step: Callable[[], None], wait: Callable[[], None], ready: Facts, at_end: Callable[[], Facts]
) -> None:
    """What a contender does: rounds of steps, until there is no line to read.

    Args:
      step: dispatches one call.
      wait: returns when everything dispatched is done.
      ready: said first, after the first step.
      at_end: what is said last; the peak of the process' memory is added.
    """
    print(json.dumps(ready), flush=True)
    for line in sys.stdin:
        calls, start = 0, time.perf_counter()
        while calls == 0 or time.perf_counter() - start < float(line):
            step()
            calls += 1
        wait()
        print(json.dumps({"calls": calls, "seconds": time.perf_counter() - start}), flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # before `at_end` adds to it
    print(json.dumps({"host_megabytes": peak, **at_end()}), flush=True)
