"""The times of a run: since its start, and of training alone."""

import time


class Stopwatch:
    """Counts wall time over all starts of a run, and the rate of training in this one.

    The rate counts only time between `run` and `pause`, so neither evaluation nor saving nor the first call,
    which compiles.
    """

    def __init__(self, start: float, earlier: float = 0.0):
        """`start`: `time.monotonic()` when the process began; `earlier`: seconds of earlier starts."""
        self._start = start - earlier
        self._process_start = start
        self._since: tuple[float, int] | None = None  # time and step at which training went on
        self._seconds, self._steps = 0.0, 0
        self._lap_seconds, self._lap_steps = 0.0, 0
        self.seconds_to_first_step: float | None = None

    def seconds(self) -> float:
        """Wall seconds so far, all starts together, without what a kill threw away."""
        return time.monotonic() - self._start

    def run(self, step: int) -> None:
        """Training goes on at `step`; nothing changes if it is going on already."""
        self._since = self._since or (time.monotonic(), step)

    def first_step_done(self, step: int) -> None:
        """The first call is done, and has led to `step`: the rate counts from here."""
        now = time.monotonic()
        self.seconds_to_first_step = now - self._process_start
        self._since = (now, step)

    def pause(self, step: int) -> None:
        """Training pauses at `step`, with everything dispatched also done."""
        if self._since is not None:
            began, first = self._since
            self._seconds += time.monotonic() - began
            self._steps += step - first
            self._since = None

    def live_rate(self, step: int) -> float:
        """Steps a second since training last went on; 0 before there is one."""
        if self._since is None or step == self._since[1]:
            return 0.0
        return (step - self._since[1]) / (time.monotonic() - self._since[0])

    def lap(self) -> float | None:
        """Steps a second since the last lap; None if there was none that counts."""
        seconds, steps = self._seconds - self._lap_seconds, self._steps - self._lap_steps
        self._lap_seconds, self._lap_steps = self._seconds, self._steps
        return steps / seconds if steps else None
