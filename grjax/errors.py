"""Errors that a user can mend, and how a program ends on them: in one line, without a traceback."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class GrjaxError(Exception):
    """Base of the errors below. `exit_code` is the exit status of the command."""

    exit_code = 1


class ConfigError(GrjaxError, ValueError):
    """An unusable value: the message names the field, the value and what would be right."""

    exit_code = 2


class WorkdirError(GrjaxError, RuntimeError):
    """A workdir that cannot be written, belongs to another run, or holds nothing to restore."""

    exit_code = 3


class BusyError(WorkdirError):
    """Another process is at work in the workdir."""


class DiskFullError(WorkdirError):
    """No space is left where a run writes; what was saved before is whole."""


class NonFiniteError(GrjaxError, ArithmeticError):
    """Training produced NaN or infinity."""

    exit_code = 4


class SweepFailedError(GrjaxError):
    """Some trials of a sweep ended in an error; the others are complete."""

    exit_code = 5


class PreemptedError(GrjaxError):
    """SIGTERM came: the state is saved, and the same command goes on from there."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: try again later


class CtrlCError(KeyboardInterrupt):
    """Ctrl-C came: the state is saved, and the same command goes on from there.

    It is no `Exception`: whoever goes on after errors, as a search over parameters, stops at this.
    """

    exit_code = 130  # 128 + SIGINT, as of a process that Ctrl-C ends


class DataWarning(UserWarning):
    """Something about data that is left out or looks wrong; the work goes on."""


class LoggerWarning(UserWarning):
    """A logger does not take what it is sent; the run goes on."""


def require(package: str, extra: str) -> None:
    """Raises `ConfigError` unless a package is installed that only an extra of grjax brings."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:  # a mere folder of that name, as W&B makes one
        raise ConfigError(f"{package}: must be installed for this; pip install 'grjax[{extra}]' brings it")


@contextmanager
def exit_in_one_line(
    debug: bool = False, kinds: tuple[type[Exception], ...] = (GrjaxError,)
) -> Iterator[None]:
    """Within it, an error of these kinds, or Ctrl-C, ends the process with one line on stderr.

    Args:
      debug: let the error through, with its traceback.
      kinds: which errors; the exit status is their `exit_code`, or 2.
    """
    try:
        yield
    except CtrlCError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except kinds as error:
        if debug:
            raise
        print(f"{type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(getattr(error, "exit_code", 2))
