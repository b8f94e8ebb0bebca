"""A trace of some steps of a run, for Perfetto (https://ui.perfetto.dev) and TensorBoard's profile plugin."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from grjax.errors import ConfigError


class Profiler:
    """Writes what host and devices do in the steps from `first` to before `last` into a folder.

    A call of several steps is traced whole if one of its steps is. A run that goes on after `first` traces
    what is left, and one that goes on after `last` nothing.
    """

    def __init__(self, steps: Sequence[Any], folder: Path, *, total_steps: int, write: bool = True):
        """`steps`: (first, last), or () for no trace; `write`: whether this process writes one.

        Raises:
          ConfigError: other steps than a run of `total_steps` has.
        """
        whole = all(isinstance(step, int) and not isinstance(step, bool) for step in steps)
        if steps and not (len(steps) == 2 and whole and 0 <= steps[0] < steps[1] <= total_steps):
            raise ConfigError(
                f"profile: must be two steps of the run's {total_steps}, as (10, 20), the first before the "
                f"second; or () for no trace; got {tuple(steps)}"
            )
        self._first: int
        self._last: int
        self._first, self._last = steps if steps and write else (0, 0)
        self._folder = folder
        self._tracing = False

    def due(self, step: int, end: int) -> bool:
        """Whether tracing has to start, or to stop, before the call from `step` to `end`."""
        return self._tracing != (self._first < end and step < self._last)

    def switch(self) -> None:
        """Starts tracing, or stops; nothing should be running on the devices."""
        if self._tracing:
            jax.profiler.stop_trace()
        else:
            jax.profiler.start_trace(self._folder)
        self._tracing = not self._tracing

    @contextmanager
    def closing(self) -> Iterator[None]:
        """After it, however it ends, what has been traced is written."""
        try:
            yield
        finally:
            if self._tracing:
                self.switch()
