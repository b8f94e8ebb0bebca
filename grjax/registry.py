"""Looking up a loss, noise model, data set ... by the name a config gives, and checking its options.

A registry is a plain dict from names to functions or classes, written down where they are imported.
"""

import difflib
import inspect
import numbers
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import jax
from jax.typing import ArrayLike

from grjax.errors import ConfigError
from grjax.plain_values import plain
from grjax.ranges import annotations, range_in

T = TypeVar("T")


def closest(word: str, known: Collection[str]) -> str:
    """The hint that ends an error about an unknown `word`: the closest known one, and all of them."""
    matches = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    hint = f"did you mean {matches[0]!r}? " if matches else ""
    return f"{hint}Known: {', '.join(sorted(known)) or 'none'}"


def lookup(kind: str, table: Mapping[str, T], name: str) -> T:
    """`table[name]`, or a `ConfigError` that names the kind of thing and the closest match."""
    if name not in table:
        raise ConfigError(f"{kind}: unknown name {name!r}; {closest(str(name), table)}")
    return table[name]


def check_options(
    kind: str,
    name: str,
    functions: Callable[..., Any] | tuple[Callable[..., Any], ...],
    options: Mapping[str, Any],
    supplied: Collection[str] = (),
) -> dict[str, Any]:
    """Checks `options` against the signature of a function, before it is called.

    Args:
      kind: what is being configured, for the error: 'loss', 'noise', ...
      name: the registered name, for the error.
      functions: a function, a class whose constructor takes the options, or several that share them.
      options: keyword arguments from a config.
      supplied: names of the parameters that the library passes itself.

    Returns:
      The options, scalars of NumPy and of jax as numbers of Python.

    Raises:
      ConfigError: an option is unknown, of the wrong type or out of its range, or a required one is missing.
    """
    parameters: dict[str, inspect.Parameter] = {}
    hints: dict[str, Any] = {}
    for function in functions if isinstance(functions, tuple) else (functions,):
        parameters |= inspect.signature(function).parameters
        hints |= annotations(function)
    parameters = {
        key: parameter
        for key, parameter in parameters.items()
        if key not in supplied and parameter.kind is not parameter.VAR_KEYWORD
    }
    options = plain(options)
    for key, value in options.items():
        if key not in parameters:
            raise ConfigError(f"{kind}.{key}: {name!r} has no such option; {closest(key, parameters)}")
        if not _fits(value, hints.get(key, Any)):
            raise ConfigError(f"{kind}.{key}: {name!r} takes {_describe(hints[key])}, got {value!r}")
        interval = range_in(hints.get(key))
        if interval is not None:
            # A duration may have been given in epochs.
            also = f" or {key.removesuffix('steps')}epochs" if key.endswith("_steps") else ""
            interval.check(f"{kind}.{key}{also}", value)
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in options:
            raise ConfigError(f"{kind}.{key}: {name!r} needs a value for it, none is given")
    return dict(options)


_SIMPLE = {
    float: (numbers.Real, "a number"),
    int: (numbers.Integral, "a whole number"),
    str: (str, "a string"),
    bool: (bool, "true or false"),
    type(None): (type(None), "None"),
}


def _fits(value: Any, hint: Any) -> bool:
    """Whether a config's literal may be passed where `hint` is annotated; unknown hints accept all."""
    if typing.get_origin(hint) is typing.Annotated:
        return _fits(value, hint.__origin__)
    if hint == ArrayLike:
        if isinstance(value, list | tuple):
            return all(_fits(element, ArrayLike) for element in value)
        return not isinstance(value, str | bool | None | Mapping)
    if hint is float and isinstance(value, jax.Array):
        return value.ndim == 0  # traced, it may be any number
    if hint in _SIMPLE:
        return isinstance(value, _SIMPLE[hint][0]) and (hint is bool or not isinstance(value, bool))
    if typing.get_origin(hint) is typing.Literal:
        return value in typing.get_args(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return any(_fits(value, choice) for choice in typing.get_args(hint))
    if _is_sequence(hint):
        element, *_ = typing.get_args(hint)
        return isinstance(value, list | tuple) and all(_fits(each, element) for each in value)
    return True


def _describe(hint: Any) -> str:
    """What `_fits` accepts, in words."""
    if typing.get_origin(hint) is typing.Annotated:
        return _describe(hint.__origin__)
    if hint == ArrayLike:
        return "a number or a list of numbers"
    if hint in _SIMPLE:
        return _SIMPLE[hint][1]
    if typing.get_origin(hint) is typing.Literal:
        return f"one of {', '.join(map(repr, typing.get_args(hint)))}"
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join(_describe(choice) for choice in typing.get_args(hint))
    return "a list" if _is_sequence(hint) else str(hint)


def _is_sequence(hint: Any) -> bool:
    origin = typing.get_origin(hint)
    return inspect.isclass(origin) and issubclass(origin, Sequence)
