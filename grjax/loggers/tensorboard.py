"""TensorBoard: event files in the workdir."""

from collections.abc import Mapping
from typing import Any

from grjax.loggers.logger import Opening, numbers
from grjax.metrics import Row
from grjax.workdir import layout


class _TensorBoard:
    where = None  # every run has it, in its workdir

    def __init__(self, opening: Opening):
        from tensorboardX import SummaryWriter

        # TensorBoard hides the events after the step at which the run goes on: they come again.
        folder = str(opening.workdir / layout.TENSORBOARD)
        self._events = SummaryWriter(folder, purge_step=opening.step + 1)

    def log(self, row: Row) -> None:
        for key, value in numbers(row).items():
            if key != "seconds":
                self._events.add_scalar(key, value, row["step"])
        self._events.flush()

    def end(self, summary: Mapping[str, Any]) -> None:
        del summary  # its numbers are those of rows

    def close(self) -> None:
        """Ends the threads that write events."""
        self._events.close()


def open_logger(opening: Opening) -> _TensorBoard:
    """Opens the event file of a start."""
    return _TensorBoard(opening)
