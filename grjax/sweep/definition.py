"""What a sweep is: a base config, and for each trial what it sets otherwise."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, Literal

from ml_collections import ConfigDict

from grjax import config as config_lib
from grjax.errors import ConfigError
from grjax.registry import closest
from grjax.sweep.selection import Select
from grjax.sweep.table import Table

Execution = Literal["auto", "one_by_one", "vmapped", "spread"]

# What of a sweep the command line sets, as --config.sweep.KEY: how it is run, not what it is.
OPTIONS = {
    "execution": "auto",
    "chunk": 4,
    "workers": 1,
    "storage": "",
    "heartbeat_seconds": 60,
    "retry_failed": False,
}


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Many trials around one config; a config file returns it from `get_sweep(argument=None)`.

    Attributes:
      base: what all trials share, as a config file's `get_config` returns it.
      trials: for each trial its overrides, {dotted key: value}; made by `grjax.sweep.axes`.
      table: how the results become a table, or several.
      select: how hyper-parameters are chosen on held-out data before the trials run: docs/guide/tables.md.
      execution: 'one_by_one': one trial after another through the same compiled step; 'vmapped': `chunk`
        trials at a time in one step; 'spread': as many at a time as there are devices, each on its own;
        'auto': the one that was measured to be fastest, see docs/guide/sweep.md. A trial's result does not
        depend on it.
      chunk: how many trials run at a time when 'vmapped'.
      workers: how many processes of this machine share the trials, each on CPU cores of its own; see
        `grjax.sweep.workers`.
      storage: where Optuna keeps the trials: '' is study.sqlite in the sweep's folder, 'journal' a journal
        file there (for folders on a network), else the URL of a database, as 'postgresql://host/name'.
      heartbeat_seconds: how often a worker reports; one that has not for twice as long is taken for crashed.
      retry_failed: whether a restart runs trials again that ended in an error.
    """

    base: ConfigDict
    trials: list[dict[str, Any]]
    table: Table | tuple[Table, ...] | None = None
    select: Select | None = None
    execution: Execution = "auto"
    chunk: int = 4
    workers: int = 1
    storage: str = ""
    heartbeat_seconds: int = 60
    retry_failed: bool = False

    def __post_init__(self) -> None:
        if not self.trials:
            raise ConfigError("sweep.trials: must hold at least one trial, got none")
        for number, overrides in enumerate(self.trials):
            if not isinstance(overrides, Mapping):
                raise ConfigError(f"sweep.trials[{number}]: must be a dict of config keys, got {overrides!r}")
        if self.execution not in ("auto", "one_by_one", "vmapped", "spread"):
            raise ConfigError(
                "sweep.execution: must be 'auto', 'one_by_one', 'vmapped' or 'spread', "
                f"got {self.execution!r}"
            )
        for key in ("chunk", "workers", "heartbeat_seconds"):
            if getattr(self, key) < 1:
                raise ConfigError(f"sweep.{key}: must be at least 1, got {getattr(self, key)}")

    def with_overrides(self, overrides: Mapping[str, Any]) -> "Sweep":
        """The same sweep with other values from the command line.

        Args:
          overrides: dotted keys; 'sweep.KEY' are fields of this class, others go to every trial.

        Raises:
          ConfigError: a key that the trials set themselves.
        """
        prefix = "sweep."
        own = {key.removeprefix(prefix): value for key, value in overrides.items() if key.startswith(prefix)}
        shared = {key: value for key, value in overrides.items() if not key.startswith(prefix)}
        for key in own:
            if key not in OPTIONS:
                raise ConfigError(f"sweep.{key}: unknown key; {closest(key, OPTIONS)}")
        for key in shared:
            if any(key in overrides for overrides in self.trials):
                raise ConfigError(
                    f"{key}: is set by the trials of the sweep, it cannot be set for all of them"
                )
        base = config_lib.resolve(self.base, config_lib.unflatten(shared)) if shared else self.base
        return dataclasses.replace(self, base=base, **own)

    def configs(self) -> list[ConfigDict]:
        """The whole config of each trial.

        Raises:
          ConfigError: an unknown key, a value that does not fit, or two trials that are the same.
        """
        configs: list[ConfigDict] = []
        seen: dict[str, int] = {}
        for number, overrides in enumerate(self.trials):
            try:
                config = config_lib.resolve(self.base, config_lib.unflatten(overrides))
            except ConfigError as error:
                raise ConfigError(f"trial {number} ({describe(overrides)}): {error}") from error
            text = json.dumps(config.to_dict(), sort_keys=True)
            if text in seen:
                raise ConfigError(
                    f"trials {seen[text]} and {number} ({describe(overrides)}): are the same run twice"
                )
            seen[text] = number
            configs.append(config)
        return configs

    def as_json(self) -> dict[str, Any]:
        """What sweep.json keeps: base and trials."""
        base = config_lib.resolve(self.base).to_dict()
        return json.loads(json.dumps({"base": base, "trials": self.trials}))


def describe(overrides: Mapping[str, Any]) -> str:
    """A trial in words: 'loss.name=gce, noise.rate=0.4'."""
    return ", ".join(f"{key}={value}" for key, value in overrides.items()) or "as the base"
