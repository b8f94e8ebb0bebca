"""A config file with the sections that it leaves out, as run.py loads every one.

ml_collections sets a key from the command line only in a section that is there: with these,
`--config.imbalance.name=long_tail` works whatever the file says.
"""

import re
import runpy
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from grjax.config import defaults
from grjax.errors import ConfigError, GrjaxError
from grjax.sweep.definition import OPTIONS, Sweep


class ConfigFileError(GrjaxError):
    """A `ConfigError` of a config file, but no ValueError: ml_collections would show the traceback of one."""

    exit_code = ConfigError.exit_code


def get_config(path: str) -> ConfigDict:
    """What a file's `get_config` returns, completed by the default sections.

    Args:
      path: of the file; after a colon the argument of its `get_config`, if it takes one.

    Raises:
      ConfigFileError: the file does not take that argument.
    """
    file, *argument = path.split(":", 1)
    functions = runpy.run_path(file)
    try:
        # A sweep may import the get_config of another file, as its base.
        own = getattr(functions.get("get_config"), "__module__", None) == functions["__name__"]
        if "get_sweep" in functions and not own:
            return _completed(functions["get_sweep"](*argument).base, sweep=OPTIONS)
        return _completed(functions["get_config"](*argument))
    except ConfigError as error:
        raise ConfigFileError(str(error)) from error


def get_sweep(path: str) -> Sweep:
    """What a file's `get_sweep` returns.

    Args:
      path: of the file, or of this one and after a colon of the file; after a colon the argument of its
        `get_sweep`, if it takes one.

    Raises:
      ConfigError: the file defines no sweep.
    """
    file, *argument = path.removeprefix(f"{__file__}:").split(":", 1)
    functions = runpy.run_path(file)
    if "get_sweep" not in functions:
        raise ConfigError(f"--config={file}: has no function get_sweep; --mode=sweep needs one")
    return functions["get_sweep"](*argument)


def _completed(config: ConfigDict, **more: Any) -> ConfigDict:
    """A config with the default sections that it leaves out, and `more`."""
    sections = {key: value for key, value in defaults().items() if isinstance(value, ConfigDict)}
    # A default of None has no type to set it by; left out, it takes that of the value.
    data = {key: value for key, value in sections["data"].items() if value is not None}
    data |= dict(config.get("data", {}))
    return ConfigDict({**sections, **config, "data": data, **more})


def complete(argv: list[str], default: Path) -> list[str]:
    """The arguments of a program; its `--config FILE`, or a default one, is loaded through this file."""
    names_file = re.compile("--?config(=|$)")
    at = next((k for k, argument in enumerate(argv) if names_file.match(argument)), None)
    if at is None:
        return [argv[0], f"--config={__file__}:{default}", *argv[1:]]
    file, rest = argv[at].partition("=")[2], argv[at + 1 :]
    if "=" not in argv[at] and rest:  # the file is an argument of its own
        file, *rest = rest
    return [*argv[:at], f"--config={__file__}:{file}", *rest]
