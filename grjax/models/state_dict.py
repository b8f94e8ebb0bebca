"""Reads the weights in a file of PyTorch or safetensors, without PyTorch."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from grjax import array_pickle
from grjax.errors import ConfigError

StateDict = dict[str, np.ndarray]


def read(path: str | Path) -> StateDict:
    """The tensors of a file by name.

    Args:
      path: a .safetensors file, or what `torch.save(model.state_dict(), path)` writes; a training checkpoint
        with the entry 'state_dict' or 'model' is opened, and the 'module.' of DataParallel is cut off.

    Returns:
      Arrays in the shapes and dtypes of the file.

    Raises:
      ConfigError: no such file, or not of these kinds.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"model.pretrained: must be a file of weights, {str(path)!r} is none")
    if path.suffix == ".safetensors":
        try:
            found: Any = load_file(path)
        except (SafetensorError, KeyError, ValueError) as error:
            raise ConfigError(f"model.pretrained: {path} is no whole safetensors file: {error}") from error
    elif zipfile.is_zipfile(path):
        found = _read_archive(path)
    else:
        found = _read_with_torch(path)
    if not isinstance(found, Mapping):
        raise ConfigError(f"model.pretrained: {path} holds a {type(found).__name__}, not a state dict")
    for key in ("state_dict", "model"):
        if isinstance(found.get(key), Mapping):
            found = found[key]
    arrays = {name: value for name, value in found.items() if isinstance(value, np.ndarray)}
    if not arrays:
        raise ConfigError(f"model.pretrained: {path} holds no tensors under names")
    if all(name.startswith("module.") for name in arrays):
        arrays = {name.removeprefix("module."): value for name, value in arrays.items()}
    return arrays


def _read_archive(path: Path) -> Any:
    def refuse(name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it holds a {name}")

    try:
        return array_pickle.load_archive(path, refuse)
    except (pickle.UnpicklingError, KeyError, IndexError, ValueError, zipfile.BadZipFile) as error:
        reason = f"{path} is no file of weights alone: {error}; save model.state_dict()"
        raise ConfigError(f"model.pretrained: {reason}") from error


def _read_with_torch(path: Path) -> Any:
    """The format that torch.save wrote before PyTorch 1.6."""
    try:
        import torch
    except ImportError as error:
        raise ConfigError(
            f"model.pretrained: {path} is neither safetensors nor in PyTorch's format since version 1.6; an "
            "older file needs PyTorch: pip install 'grjax[torch]'"
        ) from error
    try:
        return _to_numpy(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # whatever the damaged part raises
        reason = str(error).splitlines()[0]
        raise ConfigError(f"model.pretrained: PyTorch cannot read {path} as weights: {reason}") from error


def _to_numpy(found: Any) -> Any:
    """Tensors to arrays, within mappings."""
    if isinstance(found, Mapping):
        return {name: _to_numpy(value) for name, value in found.items()}
    if hasattr(found, "detach"):
        found = found.detach()
        return found.float().numpy() if found.is_floating_point() else found.numpy()
    return found
