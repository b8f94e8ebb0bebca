"""What a person sees while a run goes on: a live bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from grjax.metrics import Row


def plain_console(**options: Any) -> Console:
    """A console on which names are printed as they are: '[b]' is no markup, ':cat:' no picture."""
    return Console(highlight=False, markup=False, emoji=False, **options)


@contextmanager
def counted(what: str, seconds_between_lines: float = 60.0) -> Iterator[Callable[[int, int], None]]:
    """Within it, a function (done, total) shows how far a long piece of work is, and the time that is left.

    On a terminal that is a bar, elsewhere a line now and then, on the process' own stderr: what is prepared
    inside TFDS finds `sys.stderr` redirected.

    Args:
      what: is counted, as 'document vectors, words'.
      seconds_between_lines: where there is no terminal.
    """
    console = plain_console(file=sys.__stderr__, soft_wrap=True)
    bar = Progress(
        TextColumn(what), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), console=console,
        disable=not console.is_terminal,
    )  # fmt: skip
    task = bar.add_task("", total=None)
    begin: tuple[float, int] | None = None
    printed_at = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal begin, printed_at
        now = time.monotonic()
        begin = begin or (now, done)  # what was done before a restart took no time now
        bar.update(task, completed=done, total=total)
        if not console.is_terminal and done > begin[1] and now - printed_at >= seconds_between_lines:
            minutes = (now - begin[0]) / (done - begin[1]) * (total - done) / 60
            console.print(f"{what}: {done:,} of {total:,}, {minutes:.0f} minutes left")
            printed_at = now

    with bar:
        yield report


class Display:
    """Lines of text, and on a terminal a progress bar below them with rate and time left.

    `quiet`: shows nothing, for all but one process of a run on several hosts.
    """

    def __init__(self, *, quiet: bool):
        self._console = plain_console(quiet=quiet, soft_wrap=True)
        self._bar = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.fields[status]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )

    @contextmanager
    def live(self, num_steps: int, step: int) -> Iterator[None]:
        """Within it the bar is shown, at `step` of `num_steps`."""
        self._task = self._bar.add_task("", total=num_steps, completed=step, status="compiling")
        with self._bar:
            yield

    def step(self, step: int, loss: float, examples_per_second: float) -> None:
        """Moves the bar to `step`."""
        status = f"loss {loss:.3f}  {examples_per_second:,.0f} examples/s"
        self._bar.update(self._task, completed=step, status=status)

    def row(self, row: Row) -> None:
        """A line for an evaluation."""
        held_out = [key for key in ("validation_accuracy", "test_accuracy") if key in row]
        parts = [f"epoch {row['epoch']:5.1f}"]
        for key in (*held_out, "train_accuracy_noisy", "train_accuracy_intact", "memorisation"):
            if row[key] is not None:
                parts.append(f"{key.replace('_', ' ')} {row[key]:.4f}")
        if row["examples_per_second"] is not None:
            parts.append(f"{row['examples_per_second']:,.0f} examples/s")
        self.say("  ".join(parts))

    def say(self, text: str) -> None:
        """The text, unchanged."""
        self._console.print(text)
