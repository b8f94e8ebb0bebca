"""Config files: how one is found, by its path or by the name of a shipped one, and what it gives.

ml_collections sets a key from the command line only in a section that is there: a file's config is completed
by the default sections, so `--config.imbalance.name=long_tail` works whatever the file says.
"""

import importlib
import re
import runpy
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from grjax import configs
from grjax.config.merging import defaults
from grjax.errors import ConfigError
from grjax.registry import closest
from grjax.sweep.definition import OPTIONS, Sweep


class ConfigFile:
    """A config file, executed once, as this is made; its functions are called once, when they are needed.

    A shipped file is imported as `grjax.configs.NAME`, so that others which build on it share it.

    Args:
      given: the path of a file or the name of a shipped config; after a colon the argument of the file's
        `get_config` and `get_sweep`, if they take one. Where there is no configs/NAME.py, that is the
        shipped one, too.

    Raises:
      ConfigError: no such file, and no shipped config of that name.

    Example:
      >>> ConfigFile("gr_cifar100:loss=gce,rate=0.2").config.noise.rate
      0.2
    """

    def __init__(self, given: str):
        self._name, *self._argument = given.split(":", 1)
        found = _find(self._name)
        if isinstance(found, Path):
            self._content = runpy.run_path(str(found))
        else:
            self._content = vars(importlib.import_module(found))

    @property
    def has_sweep(self) -> bool:
        """Whether it is a sweep; a file with a `get_config` of its own, too, is a config first."""
        # A sweep may import the get_config of another file, as its base.
        of = getattr(self._content.get("get_config"), "__module__", None)
        return "get_sweep" in self._content and of != self._content["__name__"]

    @cached_property
    def config(self) -> ConfigDict:
        """What `get_config` returns, or the base of a sweep, completed by the default sections."""
        if self.has_sweep:
            return _completed(self.sweep.base, sweep=OPTIONS)
        if "get_config" not in self._content:
            raise ConfigError(f"--config={self._name}: must have a function get_config or get_sweep")
        return _completed(self._content["get_config"](*self._argument))

    @cached_property
    def sweep(self) -> Sweep:
        """What `get_sweep` returns; a ConfigError, if the file has none."""
        if "get_sweep" not in self._content:
            raise ConfigError(f"--config={self._name}: has no function get_sweep; a sweep needs one")
        return self._content["get_sweep"](*self._argument)


def take_from(arguments: Sequence[str], default: str) -> tuple[str, list[str]]:
    """The value of --config among the arguments of a program, and the other arguments.

    Args:
      arguments: `--config=FILE` or `--config FILE` among others, once.
      default: where it is not among them.

    Raises:
      ConfigError: it is there twice, or without a value.

    Example:
      >>> take_from(["--debug", "--config", "digits", "--config.init_seed=1"], "cifar10n")
      ('digits', ['--debug', '--config.init_seed=1'])
    """
    rest = list(arguments)
    places = [place for place, argument in enumerate(rest) if re.match("--?config(=|$)", argument)]
    if not places:
        return default, rest
    if len(places) > 1:
        raise ConfigError("--config: must be given once")
    _, equals, file = rest.pop(places[0]).partition("=")
    if not equals and places[0] < len(rest):  # the file is an argument of its own
        file = rest.pop(places[0])
    if not file:
        raise ConfigError("--config: must be a file or the name of a shipped config, got none")
    return file, rest


def _find(name: str) -> Path | str:
    """The path of a file; of a shipped one, the name of its module."""
    path, shipped = Path(name).expanduser(), configs.names()
    if path.name == name and path.suffix != ".py":
        if name not in shipped:
            raise ConfigError(f"--config={name}: no config of that name is shipped; {closest(name, shipped)}")
        return f"{configs.__name__}.{name}"
    there = path.is_file()
    ours = path.resolve().parent == configs.FOLDER.resolve() if there else path.parent == Path("configs")
    if ours and path.suffix == ".py" and path.stem in shipped:
        return f"{configs.__name__}.{path.stem}"
    if not there:
        raise ConfigError(f"--config={name}: there is no such file")
    return path


def _completed(config: ConfigDict, **more: Any) -> ConfigDict:
    """A config with the default sections that it leaves out, and `more`."""
    sections = {key: value for key, value in defaults().items() if isinstance(value, ConfigDict)}
    # A default of None has no type to set it by; left out, it takes that of the value.
    data = {key: value for key, value in sections["data"].items() if value is not None}
    data |= dict(config.get("data", {}))
    return ConfigDict({**sections, **config, "data": data, **more})
