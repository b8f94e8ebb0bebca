"""Pretrained weights: a PyTorch state dict into the variables of a model.

The models name their layers as the reference's state dict does, with '_0' for '.0': 'layer1_0/conv1/kernel'
is 'layer1.0.conv1.weight'. Kernels are transposed from PyTorch's order of axes to Flax's.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from grjax.errors import ConfigError
from grjax.models import state_dict
from grjax.models.state_dict import StateDict

Variables = Mapping[str, Any]

HEAD = "fc"  # the classifier of every model with a reference

# Names of one layer in different repositories; the models have the second.
_ALIASES = (("linear", "fc"), ("classifier", "fc"), ("shortcut", "downsample"))

_LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


def load(path: str | Path, variables: Variables, *, head: bool = False) -> dict[str, Any]:
    """`variables` with the weights of a file.

    Args:
      path: see `grjax.models.state_dict.read`.
      variables: of the model, as `model.init` gives them, or their shapes.
      head: load the classifier, too; else it stays unchanged, and the file's may have other classes.

    Returns:
      The same tree; what was loaded are NumPy arrays in the dtypes of `variables`.

    Raises:
      ConfigError: the file cannot be read or does not fit; names that are missing, unexpected or of another
        shape are listed in one message.
    """
    return convert(state_dict.read(path), variables, head=head, source=str(path))


def convert(
    tensors: StateDict, variables: Variables, *, head: bool = True, source: str = "the state dict"
) -> dict[str, Any]:
    """`variables` with the tensors of a state dict; see `load`."""
    tensors = {_renamed(name): tensor for name, tensor in tensors.items()}
    unexpected = {name for name in tensors if not name.endswith("num_batches_tracked")}
    result, missing, misshapen = {}, [], []

    def take(name: str, shape: tuple[int, ...]) -> np.ndarray | None:
        unexpected.discard(name)
        if name not in tensors:
            missing.append(name)
            return None
        array = _transposed(tensors[name])
        if array.shape != shape:
            misshapen.append(f"{name} {array.shape} for {shape}")
            return None
        return array

    for path, leaf in flatten_dict(variables).items():
        layers, kind = path[1:-1], path[-1]
        if layers == (HEAD,) and not head:
            unexpected.discard(f"{HEAD}.{_LEAVES[kind]}")
            result[path] = leaf
            continue
        array = take(_source(layers, kind), leaf.shape)
        if array is not None:
            result[path] = array.astype(leaf.dtype)
    problems = [
        f"{what} {', '.join(sorted(names))}"
        for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", misshapen))
        if names
    ]
    if problems:
        raise ConfigError(f"model.pretrained: {source} does not fit the model: {'; '.join(problems)}")
    return unflatten_dict(result)


def loader(pretrained: Any = None, pretrained_head: Any = False) -> Callable[[Variables], Variables]:
    """The change to fresh variables that the keys of `config.model` with these names stand for.

    Args:
      pretrained: path of a file of weights; None: nothing changes.
      pretrained_head: load the classifier, too.

    Raises:
      ConfigError: not a path, or not true or false.
    """
    if not isinstance(pretrained, str | None):
        raise ConfigError(f"model.pretrained: must be a path or None, got {pretrained!r}")
    if not isinstance(pretrained_head, bool):
        raise ConfigError(f"model.pretrained_head: must be true or false, got {pretrained_head!r}")
    if pretrained is None:
        return lambda variables: variables
    return lambda variables: jax.tree.map(jnp.asarray, load(pretrained, variables, head=pretrained_head))


def _renamed(name: str) -> str:
    parts = name.split(".")
    for theirs, ours in _ALIASES:
        parts = [ours if part == theirs else part for part in parts]
    return ".".join(parts)


def _source(layers: tuple[str, ...], kind: str) -> str:
    """The name in the state dict of a leaf."""
    return ".".join(re.sub(r"_(\d+)$", r".\1", layer) for layer in (*layers, _LEAVES.get(kind, kind)))


def _transposed(array: np.ndarray) -> np.ndarray:
    """[out, in, height, width] -> [height, width, in, out]; [out, in] -> [in, out]."""
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T if array.ndim == 2 else array
