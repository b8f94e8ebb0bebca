"""Values of NumPy, of jax and of pathlib as Python's own: one place accepts them for options."""

import os
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np


def plain(value: Any) -> Any:
    """A scalar as a number of Python, a path as text, and so within mappings, lists and tuples.

    Grid searches give np.float64(8), and jax arrays without a dimension. Traced arrays and those with a
    dimension stay unchanged.

    Example:
      >>> import numpy as np
      >>> from grjax.plain_values import plain
      >>> plain({'loss.beta': np.float32(8), 'epochs': np.array(4), 'sizes': (np.int64(1), 2)})
      {'loss.beta': 8.0, 'epochs': 4, 'sizes': (1, 2)}
    """
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return type(value)(plain(each) for each in value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, jax.core.Tracer):
        return value
    if isinstance(value, np.generic | np.ndarray | jax.Array) and value.ndim == 0:
        return value.item()
    return value
