"""How a command talks: it ends on a signal in one line, prints every character, and warns in one line."""

import io
import os
import signal
import sys
import threading
import warnings
from types import FrameType
from typing import NoReturn

from grjax.errors import CtrlCError, DataWarning, LoggerWarning, PreemptedError

SIGNALS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
GO_ON = "start the same command to go on"


def exit_on_signals() -> None:
    """SIGTERM and Ctrl-C end the process in one line, wherever `grjax.stopping` does not watch them.

    The next signal ends it at once, whatever it is doing.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored, as by nohup
        signal.signal(signal.SIGINT, exit_at_once)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, exit_at_once)


def exit_at_once(number: int, frame: FrameType | None) -> NoReturn:
    """A signal handler."""
    del frame
    signal.signal(number, signal.SIG_DFL)
    # Not by print, within which the signal may have come.
    os.write(2, f"{SIGNALS[signal.Signals(number)]}: stopped; {GO_ON}\n".encode())
    # No Exception: nobody who turns errors into others, or goes on after them, should meet it.
    raise SystemExit(CtrlCError.exit_code if number == signal.SIGINT else PreemptedError.exit_code)


def print_anything() -> None:
    """What the encoding of a terminal lacks is printed as an escape of a backslash and its number.

    So are the bytes of a file's name that are no UTF-8, which Python keeps as surrogates.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # else it has been replaced, or is closed
            stream.reconfigure(errors="backslashreplace")


def warn_in_one_line() -> None:
    """A warning about the user's data or logger: neither a file of ours nor a line of it says anything."""
    before = warnings.showwarning

    def show(message, category, filename, lineno, file=None, line=None):  # type: ignore[no-untyped-def]
        if issubclass(category, DataWarning | LoggerWarning):
            print(f"{category.__name__}: {' '.join(str(message).split())}", file=sys.stderr)
        else:
            before(message, category, filename, lineno, file, line)

    warnings.showwarning = show


def say_a_full_disk_once() -> None:
    """What the threads of orbax and TensorBoard print and log of a full disk, the error at the end says."""
    from absl import logging

    from grjax.workdir.files import no_room

    def known(error: BaseException | None) -> bool:
        # The others are what they say of each other once one of them has failed.
        return no_room(error) or str(error) in ("handle is closed", "Event loop is closed")

    def in_thread(thread: threading.ExceptHookArgs) -> None:
        if not known(thread.exc_value):
            threading.__excepthook__(thread)

    def at_exit(ignored: "sys.UnraisableHookArgs") -> None:
        if not known(ignored.exc_value):
            sys.__unraisablehook__(ignored)

    threading.excepthook, sys.unraisablehook = in_thread, at_exit
    logging.get_absl_handler().addFilter(lambda record: not (record.exc_info and known(record.exc_info[1])))
