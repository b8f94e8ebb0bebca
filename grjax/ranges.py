"""Ranges of options: declared once, beside the type of the option, and checked by one validator.

    def mixup(images, key, *, alpha: Annotated[float, In("(0, inf)")]): ...

`grjax.registry.check_options` checks them for everything that is made by name; `in_range` makes a function
check them whenever it is called.
"""

import dataclasses
import functools
import inspect
import numbers
import types
import typing
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np

from grjax.errors import ConfigError

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class In:
    """The range of an option, written beside its type where it is declared.

    A square bracket includes its end, a round one does not; an end is a number, a power as 2**64, or inf.
    Every number of a list or an array is meant.

    Attributes:
      interval: as '[0, 1)'.

    Example:
      >>> from typing import Annotated
      >>> from grjax.ranges import In
      >>> def weighted(x, *, momentum: Annotated[float, In("[0, 1)")] = 0.9): ...
      >>> 1.0 in In("[0, 1)")
      False
    """

    interval: str

    @functools.cached_property
    def ends(self) -> tuple[float, float]:
        """The least and the greatest number, whether they belong to it or not."""
        low, high = (base.strip().partition("**") for base in self.interval[1:-1].split(","))
        return tuple(float(base) ** float(power or 1) for base, _, power in (low, high))  # type: ignore[return-value]

    def __contains__(self, number: Any) -> bool:
        low, high = self.ends
        above = number >= low if self.interval[0] == "[" else number > low
        below = number <= high if self.interval[-1] == "]" else number < high
        return bool(above and below)

    def check(self, where: str, value: Any) -> None:
        """Checks a number, or all of a list or an array; what is traced, or no number, passes.

        Args:
          where: the option, for the error, as 'loss.beta'.
          value: of the option.

        Raises:
          ConfigError: one is out of range.
        """
        for number in _numbers(value):
            if number not in self:
                raise ConfigError(f"{where}: must be in {self.interval}, got {number}")


def _numbers(value: Any) -> list[Any]:
    """A number as a list of one, all of a list or of an array that has values; none of anything else."""
    if isinstance(value, list | tuple):
        return [number for element in value for number in _numbers(element)]
    if isinstance(value, jax.core.Tracer | bool):
        return []
    if isinstance(value, np.ndarray | jax.Array):
        has_values = np.issubdtype(value.dtype, np.number) and getattr(value, "is_fully_addressable", True)
        return np.unique(np.asarray(value)).tolist() if has_values else []
    return [value] if isinstance(value, numbers.Real) else []


def in_range(function: Callable[..., T]) -> Callable[..., T]:
    """Checks the ranges of a function's options, declared as `Annotated[..., In(...)]`, at each call.

    Raises (the function returned):
      ConfigError: which is a `ValueError`: an option out of its range.
    """
    ranges: dict[str, In] = {}

    @functools.wraps(function)
    def checked(*args: Any, **options: Any) -> T:
        if not ranges:
            ranges.update(ranges_of(function))
        for key, value in options.items():
            if key in ranges and not isinstance(value, jax.Array):  # what is on a device is not waited for
                ranges[key].check(key, value)
        return function(*args, **options)

    return checked


def ranges_of(function: Callable[..., Any]) -> dict[str, In]:
    """The ranges that a function, or the constructor of a class, declares for its options."""
    found = {key: range_in(hint) for key, hint in annotations(function).items()}
    return {key: interval for key, interval in found.items() if interval is not None}


def annotations(function: Callable[..., Any]) -> dict[str, Any]:
    """The types of a function's parameters, or of a constructor's, with what is `Annotated`."""
    of = function.__init__ if inspect.isclass(function) else function  # type: ignore[misc]
    return typing.get_type_hints(of, include_extras=True)


def range_in(hint: Any) -> In | None:
    """The range in the annotation, or in one of the alternatives of a union."""
    if typing.get_origin(hint) is typing.Annotated:
        return next((each for each in hint.__metadata__ if isinstance(each, In)), None)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next((each for each in map(range_in, typing.get_args(hint)) if each is not None), None)
    return None
