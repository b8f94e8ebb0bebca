"""What a logger is, and what it is opened with."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from grjax.metrics import Row


class Logger(Protocol):
    """A run in another program.

    Attributes:
      where: an address, a folder or a store, for a person; None: there is nothing to say.
    """

    where: str | None

    def log(self, row: Row) -> None:
        """Sends a row of metrics.jsonl, unless it is there already."""
        ...

    def end(self, summary: Mapping[str, Any]) -> None:
        """Sends what summary.json holds: the run is finished."""
        ...

    def close(self) -> None:
        """Closes the run; without `end` before, it is one that was stopped."""
        ...


class Opening(NamedTuple):
    """What a logger is opened with.

    Attributes:
      workdir: of the run.
      name: of the run, for a person.
      step: at which the run begins or goes on.
      config: of the run, nested.
      environment: of this start.
      kept: what `keep` has kept, in this start or an earlier one.
      keep: keeps values of JSON, by keyword.
    """

    workdir: Path
    name: str
    step: int
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    kept: Mapping[str, Any]
    keep: Callable[..., None]


def numbers(row: Row) -> dict[str, float]:
    """The metrics of a row that apply, without its step."""
    return {key: value for key, value in row.items() if key != "step" and isinstance(value, int | float)}
