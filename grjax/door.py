"""What a command does first: it says how it ends on a signal, and lets every character be printed."""

import io
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from grjax.errors import CtrlCError, PreemptedError

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
