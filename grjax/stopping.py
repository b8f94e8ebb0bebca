"""Stopping on SIGTERM and Ctrl-C: what runs is saved first, and the same command goes on from there."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import jax
from jax.experimental import multihost_utils

from grjax.door import GO_ON, SIGNALS, exit_at_once
from grjax.errors import CtrlCError, PreemptedError


class StopRequest:
    """Whether SIGTERM or Ctrl-C came, agreed between all processes of a run.

    Attributes:
      came: which of them; None: none.
    """

    def __init__(self) -> None:
        self.came: signal.Signals | None = None

    def at(self, step: int) -> bool:
        """Whether to stop at this step; every process gets the same answer at the same step."""
        if jax.process_count() > 1:
            # jax watches SIGTERM itself, and agrees on the step to stop at.
            return multihost_utils.reached_preemption_sync_point(step)
        return self.came is not None

    def error(self, what: str) -> PreemptedError | CtrlCError:
        """What to raise when all is saved; `what` was done, and where."""
        kind = CtrlCError if self.came == signal.SIGINT else PreemptedError
        return kind(f"{SIGNALS[self.came or signal.SIGTERM]}: {what}; {GO_ON}")


@contextmanager
def watched_signals() -> Iterator[StopRequest]:
    """Within it, SIGTERM and a first Ctrl-C are noted; a second Ctrl-C does what it did before.

    What is ignored stays ignored, as Ctrl-C does under nohup. Outside the main thread, where Python sets no
    handlers, nothing is noted. Afterwards the handlers are those from before, and they get a signal that came
    too late to stop what ran within.
    """
    request, several = StopRequest(), jax.process_count() > 1
    before = {}
    if threading.current_thread() is threading.main_thread():
        numbers = [signal.SIGINT] if several else [signal.SIGINT, signal.SIGTERM]
        handlers = {number: signal.getsignal(number) for number in numbers}
        # None is a handler that is not Python's, which could not be set again.
        before = {number: of for number, of in handlers.items() if of not in (None, signal.SIG_IGN)}

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        request.came = request.came or signal.Signals(number)
        if number == signal.SIGINT:
            # In a command nothing is worth waiting for then; elsewhere it is a KeyboardInterrupt.
            of = before[signal.SIGINT]
            signal.signal(signal.SIGINT, signal.SIG_DFL if of is exit_at_once else of)
            if several:
                signal.raise_signal(signal.SIGTERM)  # so that all processes stop: see `StopRequest.at`

    for number in before:
        signal.signal(number, note)
    stopped = False
    try:
        yield request
    except (PreemptedError, KeyboardInterrupt):
        stopped = True
        raise
    finally:
        for number, of in before.items():
            signal.signal(number, of)
        if request.came is not None and not stopped:
            signal.raise_signal(request.came)
