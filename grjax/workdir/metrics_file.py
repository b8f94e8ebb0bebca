"""metrics.jsonl: a row for each evaluation of a run."""

import json
from pathlib import Path

from grjax.metrics import Row
from grjax.workdir import layout
from grjax.workdir.files import write_text


class MetricsFile:
    """metrics.jsonl: one row a line, in the order of steps.

    Opened by a run that goes on at `step`, it forgets the rows after that step, which will come again, and
    a last line that was cut off. `rows` holds what the file holds.
    """

    def __init__(self, workdir: Path, step: int, *, write: bool = True):
        """`write`: whether this process writes; of several, one does."""
        self._path = workdir / layout.METRICS
        self._write = write
        self.rows = [row for row in read_rows(self._path) if row["step"] <= step]
        if write:
            write_text(self._path, "".join(_line(row) for row in self.rows))

    def has(self, step: int) -> bool:
        """Whether there is a row for the step."""
        return any(row["step"] == step for row in self.rows)

    def write(self, row: Row) -> None:
        """Appends a row; it outlives the process when this returns."""
        self.rows.append(row)
        if self._write:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(_line(row))


def read_rows(path: Path) -> list[Row]:
    """The rows of a metrics.jsonl, up to a line that is not whole; none if there is no such file."""
    rows = []
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                break
    return rows


def _line(row: Row) -> str:
    return json.dumps(row, allow_nan=False) + "\n"
