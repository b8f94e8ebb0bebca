"""Labels and names of classes as people have them: one reader for arrays, files, audits and the estimator."""

import math
import os
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from grjax.errors import ConfigError

_SHOWN = 5  # rows in an error
# What missing values are called once they have become text.
_MISSING = ("nan", "nat", "<na>")


def read(labels: ArrayLike, where: str, *, floating: bool = False) -> np.ndarray:
    """Labels as whole numbers or as names.

    Args:
      labels: [N], whole numbers of any type, booleans, or names: text, or bytes of UTF-8. A list, an array,
        also one of objects, or what pandas has: a Series, categoricals.
      where: the field, to begin an error.
      floating: whether floating numbers are labels too, as scikit-learn takes them.

    Returns:
      int64 [N], or text [N]: without blanks around it, and with accents in one form. With `floating`,
      numbers stay unchanged.

    Raises:
      ConfigError: labels that are missing or blank, with their rows; numbers among names; other types, or
        numbers that int64 cannot hold.

    Example:
      >>> from grjax.data import class_labels
      >>> class_labels.read([' cat', b'dog'], 'labels').tolist()
      ['cat', 'dog']
    """
    mask = getattr(labels, "mask", None) if isinstance(labels, np.ma.MaskedArray) else None
    given = labels if hasattr(labels, "dtype") else np.array(labels, dtype=object)
    array = np.asarray(given)
    if array.ndim != 1:
        raise ConfigError(f"{where}: must be [N], got {list(array.shape)}")
    if mask is not None:
        _refuse_missing(np.broadcast_to(mask, array.shape), where)
    if array.dtype.kind not in "biuf":
        array = _of_objects(array, where, floating)
    if array.dtype.kind == "f":
        _refuse_missing(np.isnan(array), where)
        if not floating:
            raise ConfigError(
                f"{where}: must be integers or names of classes, got {array.dtype}; round them, or give "
                "names as text"
            )
        return array
    if array.dtype.kind == "b" and floating:
        return array
    if array.dtype.kind == "u" and array.size and int(array.max()) >= 2**63:
        raise ConfigError(f"{where}: must be below 2**63, got {array.max()}")
    return array.astype(np.int64) if array.dtype.kind in "biu" else array


def check_numbers(labels: np.ndarray, where: str) -> None:
    """Raises `ConfigError` if a number is no class because it is negative, as -1 of labels -1 and 1."""
    if labels.dtype.kind == "i" and labels.size and labels.min() < 0:
        rows = np.flatnonzero(labels < 0)
        found = np.unique(labels)
        hint = "classes are numbered from 0"
        if found.tolist() == [-1, 1]:
            hint += ": for labels -1 and 1 give (labels + 1) // 2"
        elif found.tolist()[0] == -1:
            hint += "; leave out examples without a label"
        raise ConfigError(f"{where}: {labels[rows[0]]} is no class ({_rows(rows, len(labels))}); {hint}")


def class_names(names: Any) -> list[str]:
    """The names of classes in the order of their numbers.

    Args:
      names: a sequence or array of distinct names; or a mapping of the numbers 0..C-1 to names, or of names
        to these numbers.

    Raises:
      ConfigError: anything else.

    Example:
      >>> from grjax.data import class_labels
      >>> class_labels.class_names({'dog': 1, 'cat': 0})
      ['cat', 'dog']
    """
    if isinstance(names, Mapping):
        numbers = list(range(len(names)))
        by_number = {_item(key): value for key, value in names.items()}
        by_name = {_item(value): key for key, value in names.items()}
        chosen = next((each for each in (by_number, by_name) if _numbered(each, numbers)), None)
        if chosen is None:
            raise ConfigError(
                "class_names: a mapping must have the numbers 0..C-1 as keys or as values, "
                f"got {dict(names)!r}"
            )
        names = [chosen[number] for number in numbers]
    if isinstance(names, str | bytes | set | frozenset) or not isinstance(names, Iterable):
        raise ConfigError(f"class_names: must be a list of names in the order of the labels, got {names!r}")
    found = _texts([_item(name) for name in names], "class_names")
    twice = next((name for name in found if found.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"class_names: must be distinct, {twice!r} occurs {found.count(twice)} times")
    return found


def _numbered(mapping: Mapping[Any, Any], numbers: list[int]) -> bool:
    """Whether the keys are these numbers."""
    return all(isinstance(key, int) for key in mapping) and sorted(mapping) == numbers


def _item(value: Any) -> Any:
    """A scalar of NumPy or jax as Python's."""
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value


def _of_objects(array: np.ndarray, where: str, floating: bool) -> np.ndarray:
    """Numbers, or names as text, from objects, text or bytes."""
    if array.dtype.kind not in "OUST":
        raise ConfigError(f"{where}: must be integers or names of classes, got {array.dtype}")
    values = [_item(value) for value in array.tolist()]
    _refuse_missing(np.array([_is_missing(value) for value in values], bool), where)
    if not values:
        return np.zeros(0, np.int64)
    text = [isinstance(value, str | bytes) for value in values]
    if all(text):
        return np.array(_texts(values, where))
    if any(text):
        row, other = text.index(not text[0]), values[text.index(not text[0])]
        raise ConfigError(
            f"{where}: must be all numbers or all names, got {values[0]!r} in row 0, {other!r} in row {row}"
        )
    integral = all(isinstance(value, int) for value in values)
    if integral or all(isinstance(value, int | float) for value in values):
        try:
            return np.array(values, np.int64 if integral else np.float64)
        except OverflowError:
            row = next(k for k, value in enumerate(values) if not -(2**63) <= value < 2**63)
            raise ConfigError(f"{where}: must be below 2**63, got {values[row]} in row {row}") from None
    row = next(k for k, value in enumerate(values) if not isinstance(value, int | float))
    kind = type(values[row]).__name__
    raise ConfigError(
        f"{where}: must be integers or names of classes, got {kind} {values[row]!r} in row {row}"
    )


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, bytes):
        return not value.strip()
    if isinstance(value, str):
        return not value.strip() or value.strip().lower() in _MISSING
    return isinstance(value, float) and math.isnan(value)


def _refuse_missing(missing: np.ndarray, where: str) -> None:
    if missing.any():
        rows = _rows(np.flatnonzero(missing), len(missing))
        raise ConfigError(
            f"{where}: each example must have one, missing or blank in {rows}; leave these examples out, or "
            "give them a label"
        )


def _rows(rows: np.ndarray, number: int) -> str:
    """'row 3', or 'rows 1, 2, 3, 4, 5, ... (90 of 100)'."""
    shown = ", ".join(map(str, rows[:_SHOWN].tolist()))
    if len(rows) == 1:
        return f"row {shown}"
    return f"rows {shown}{', ...' if len(rows) > _SHOWN else ''} ({len(rows)} of {number})"


def _texts(values: Iterable[Any], where: str) -> list[str]:
    values = list(values)
    _refuse_missing(np.array([_is_missing(value) for value in values], bool), where)
    return [readable(value) for value in values]


def readable(name: Any) -> str:
    r"""A name as text that any file and page can hold: bytes that are no UTF-8 become escapes, as \xe9."""
    if not isinstance(name, bytes):
        name = os.fsencode(str(name)) if _has_surrogates(str(name)) else str(name).encode()
    return unicodedata.normalize("NFC", name.decode("utf-8", "backslashreplace").strip())


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)
