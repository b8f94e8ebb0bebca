"""Loggers: the rows of metrics.jsonl, in the programs in which people look at their runs.

Each is one key of the config, true or false: `tensorboard`, `wandb`, `mlflow`. Adding one: a function
(Opening) -> Logger in a file of its own, a row in `_LOGGERS`, and its key in the defaults of the config.

A run that goes on continues in the same run of the logger, whose id is kept in loggers.json, and sends no
row twice. A logger that is switched on later gets the earlier rows as well.
"""

import importlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from grjax.errors import LoggerWarning, require
from grjax.loggers.logger import Logger, Opening
from grjax.metrics import Row
from grjax.workdir import layout
from grjax.workdir.files import read_json, write_json

__all__ = ["Logger", "Opening", "check", "names", "open_all"]


class _Registered(NamedTuple):
    """Where a logger is, and what it needs."""

    module: str  # with a function `open_logger`; it imports the package only when it is called
    package: str
    extra: str | None  # of grjax, that brings the package; None: the base install has it


_LOGGERS: dict[str, _Registered] = {
    "tensorboard": _Registered("grjax.loggers.tensorboard", "tensorboardX", None),
    "wandb": _Registered("grjax.loggers.weights_and_biases", "wandb", "wandb"),
    "mlflow": _Registered("grjax.loggers.ml_flow", "mlflow", "mlflow"),
}


def names() -> list[str]:
    """The registered loggers, each a key of the config."""
    return list(_LOGGERS)


def check(config: Mapping[str, Any]) -> None:
    """Checks that the packages of the loggers of a config are installed; imports none of them.

    Raises:
      ConfigError: one is missing; the message names the extra of grjax that brings it.
    """
    for name, registered in _LOGGERS.items():
        if config[name] and registered.extra is not None:
            require(registered.package, registered.extra)


def open_all(
    config: Mapping[str, Any],
    workdir: Path,
    *,
    step: int,
    rows: Sequence[Row],
    environment: Mapping[str, Any],
) -> list[Logger]:
    """Opens the loggers of a run; one process of several does.

    Args:
      config: of the run, nested.
      workdir: of the run.
      step: at which the run begins or goes on.
      rows: of metrics.jsonl up to that step; those that a logger does not have yet are sent to it.
      environment: of this start, see `grjax.workdir.folder.record_start`.

    Raises:
      ConfigError: a logger cannot be opened, as without a log-in.
    """
    opened: list[Logger] = []
    try:
        for name, registered in _LOGGERS.items():
            if config[name]:
                opening = Opening(
                    workdir=workdir,
                    name=_run_name(workdir),
                    step=step,
                    config=config,
                    environment=environment,
                    kept=_kept(workdir, name),
                    keep=_keep(workdir, name),
                )
                logger = importlib.import_module(registered.module).open_logger(opening)
                opened.append(logger if registered.extra is None else _Patient(name, logger, rows))
    except BaseException:
        for logger in opened:
            logger.close()
        raise
    return opened


class _Patient:
    """A logger whose errors do not end a run: what could not be sent is sent with the next row."""

    def __init__(self, name: str, logger: Logger, rows: Sequence[Row]):
        self._name, self._logger, self._pending, self._warned = name, logger, list(rows), False
        self.where = logger.where
        self._send()

    def log(self, row: Row) -> None:
        """See `Logger`."""
        self._pending.append(row)
        self._send()

    def end(self, summary: Mapping[str, Any]) -> None:
        """See `Logger`."""
        self._send()
        self._trying(self._logger.end, summary)

    def close(self) -> None:
        """See `Logger`."""
        self._trying(self._logger.close)

    def _send(self) -> None:
        while self._pending and self._trying(self._logger.log, self._pending[0]):
            del self._pending[0]

    def _trying(self, function: Any, *arguments: Any) -> bool:
        """Calls the function, and says whether it returned; the first error of a run is a warning."""
        try:
            function(*arguments)
        except Exception as error:  # of a network, a server or a database
            if not self._warned:
                warnings.warn(
                    f"{self._name}: {type(error).__name__}: {error}; the run goes on, and metrics.jsonl has "
                    "every row",
                    LoggerWarning,
                    stacklevel=2,
                )
            self._warned = True
            return False
        return True


def _run_name(workdir: Path) -> str:
    """The name of the folder; 'SWEEP/0007' for a trial."""
    *_, above, between, name = ("", "", *workdir.resolve().parts)
    return f"{above}/{name}" if between == layout.TRIALS else name


def _kept(workdir: Path, name: str) -> dict[str, Any]:
    """What a logger has kept in loggers.json."""
    path = workdir / layout.LOGGERS
    return dict(read_json(path).get(name, {})) if path.exists() else {}


def _keep(workdir: Path, name: str) -> Any:
    """A function that keeps something for a logger in loggers.json."""

    def keep(**values: Any) -> None:
        path = workdir / layout.LOGGERS
        every = read_json(path) if path.exists() else {}
        write_json(path, {**every, name: {**every.get(name, {}), **values}})

    return keep
