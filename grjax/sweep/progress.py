"""What a person sees of a sweep: a line for each trial that ends, and on a terminal a live one below."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from grjax.progress import plain_console
from grjax.sweep.definition import describe


class SweepDisplay:
    """Trials done, running and failed of all workers, and the time left at the rate of this one."""

    def __init__(self, num_trials: int):
        self._num_trials = num_trials
        self._console = plain_console(soft_wrap=True)
        self._bar = Progress(
            TextColumn("trials"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.fields[status]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=num_trials, status="")
        self._start = time.monotonic()
        self._done_before: int | None = None

    @contextmanager
    def live(self) -> Iterator[None]:
        """Within it the live line is shown."""
        with self._bar:
            yield

    def update(self, states: Mapping[int, str]) -> str:
        """Moves the live line to these states of the trials; returns what it says."""
        counts = Counter(states.values())
        done = counts["complete"] + counts["failed"]
        if self._done_before is None:
            self._done_before = done
        status = f"{counts['running']} running, {counts['failed']} failed, {self._time_left(done)}"
        self._bar.update(self._task, completed=done, status=status)
        return f"[{done}/{self._num_trials}, {status}]"

    def ended(
        self, states: Mapping[int, str], number: int, overrides: Mapping[str, Any], result: str
    ) -> None:
        """A line for a trial that has ended."""
        where = self.update(states)
        prefix = "" if self._console.is_terminal else f"{where} "
        self.say(f"{prefix}{number:04d} {describe(overrides)}: {result}")

    def say(self, text: str) -> None:
        """The text, unchanged."""
        self._console.print(text)

    def _time_left(self, done: int) -> str:
        new = done - (self._done_before or 0)
        if not new:
            return "time left unknown"
        seconds = (time.monotonic() - self._start) / new * (self._num_trials - done)
        return f"{seconds / 60:.0f} min left" if seconds >= 90 else f"{seconds:.0f} s left"
