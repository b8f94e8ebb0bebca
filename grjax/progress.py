"""What a person sees while a run goes on: a live bar on a terminal, plain lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from grjax.metrics import Row


class Display:
    """Lines of text, and on a terminal a progress bar below them with rate and time left.

    `quiet`: shows nothing, for all but one process of a run on several hosts.
    """

    def __init__(self, *, quiet: bool):
        self._console = Console(quiet=quiet, highlight=False, soft_wrap=True)
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
        """Text as it is."""
        self._console.print(text, markup=False)
