"""Reading files of labels as people have them, of NumPy, torch and pickle, in CSV and in JSON."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from grjax import array_pickle, text_table
from grjax.errors import ConfigError

_PICKLES = (".pt", ".pth", ".pkl", ".pickle")
_OF_CIFAR_N = {"aggre_label", "worse_label", "random_label1", "noisy_coarse_label", "clean_coarse_label"}


def read(path: str, where: str) -> dict[str, np.ndarray]:
    """The columns 'ids', 'labels', 'clean labels' and 'ids of other images' of a file, whichever it has.

    Args:
      path: of the file; its ending says the format.
      where: what names the file, to begin an error.

    Returns:
      int64 [N] each, not checked for their number. There are 'labels' always.

    Raises:
      ConfigError: the file cannot be read, or holds no such columns, or no whole numbers in them.
    """
    ending = os.path.splitext(path)[1].lower()
    if ending not in (".npz", ".npy", ".csv", ".json", *_PICKLES):
        raise ConfigError(f"{where}: must end in .npz, .npy, .csv, .json or {', '.join(_PICKLES)}")
    path = os.path.expanduser(path)
    try:
        columns = _columns(path, ending, where)
        return {
            name: _whole_numbers(array_pickle.as_array(each), name, where) for name, each in columns.items()
        }
    except ConfigError:
        raise
    except Exception as error:  # damage shows as whatever the part that was hit raises
        raise ConfigError(f"{where}: cannot be read as labels: {error}") from error


def _columns(path: str, ending: str, where: str) -> dict[str, Any]:
    if ending == ".csv":
        table = text_table.read(Path(path), f"{where}: cannot be read as labels")
        return _named({name: np.array(values, str) for name, values in table.columns.items()}, where, "id")
    if ending == ".json":
        return _of(json.loads(Path(path).read_text("utf-8-sig")), where)
    if ending == ".npz":
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            return _named({key: stored[key] for key in stored}, where)
    return _of(array_pickle.read(path), where)


def _of(found: Any, where: str) -> dict[str, Any]:
    """The columns in a dictionary, a list or an array."""
    if isinstance(found, list) and found and all(isinstance(row, Mapping) for row in found):
        found = {key: [row[key] for row in found] for key in found[0]}
    if isinstance(found, Mapping):
        if found and all(isinstance(key, int) or (isinstance(key, str) and key.isdigit()) for key in found):
            return {"ids": list(map(int, found)), "labels": list(found.values())}
        return _named(found, where, "id" if "id" in found else "ids")
    array = array_pickle.as_array(found)
    if array.ndim == 2 and array.shape[1] == 2:
        return {"ids": array[:, 0], "labels": array[:, 1]}
    return {"labels": array}


def _named(columns: Mapping[Any, Any], where: str, identity: str = "ids") -> dict[str, Any]:
    """The columns that count, by what they are: an id or ids, a label or labels."""
    if _OF_CIFAR_N & columns.keys() and identity not in columns:
        name = "cifar100_n" if any("coarse" in str(key) for key in columns) else "cifar10_n"
        raise ConfigError(f"{where}: is a file of CIFAR-N; set noise.name={name}, with noise.annotation")
    label = "label" if identity == "id" else "labels"
    noisy = f"noisy_{label}" if f"noisy_{label}" in columns else label
    for name in (identity, noisy):
        if name not in columns:
            known = ", ".join(sorted(map(str, columns))) or "nothing"
            raise ConfigError(
                f"{where}: must hold {identity!r} and 'noisy_{label}' or {label!r}, holds {known}"
            )
    named = {"ids": columns[identity], "labels": columns[noisy]}
    if f"clean_{label}" in columns:
        named["clean labels"] = columns[f"clean_{label}"]
    if "replaced_by" in columns:
        named["ids of other images"] = columns["replaced_by"]
    return named


def _whole_numbers(values: np.ndarray, name: str, where: str) -> np.ndarray:
    if values.ndim != 1:
        raise ConfigError(f"{where}: {name} must be [N], got {list(values.shape)}")
    if values.dtype.kind in "SU":
        text = values.astype(str)
        if name == "ids":  # as TFDS writes them for CIFAR: train_00042
            text = np.char.replace(text, "train_", "")
        try:
            return text.astype(np.int64)
        except ValueError as error:
            raise ConfigError(f"{where}: {name} must be whole numbers: {error}") from error
    if values.dtype.kind not in "iu":
        raise ConfigError(f"{where}: {name} must be whole numbers, got {values.dtype}")
    return values.astype(np.int64)
