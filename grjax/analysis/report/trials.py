"""A sweep as its folder tells it: settings, and of each the runs that differ in their seeds only."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grjax.config import flatten
from grjax.errors import WorkdirError
from grjax.metrics import BELIEFS
from grjax.sweep import results
from grjax.sweep.results import Result
from grjax.sweep.statistics import SEEDS, spread

_SYMBOLS = {"lam": "λ", "beta": "β", "alpha": "α", "gamma": "γ", "tau": "τ", "rate": "r"}

# Columns of the page's table, by their keys in summary.json.
METRICS = {
    "test_accuracy_last": "test, last",
    "test_accuracy_best": "test, best",
    "memorisation": "memorisation",
    "train_accuracy_noisy": "train, noisy",
    "train_accuracy_intact": "train, intact",
}
# More columns, where a trial's method estimates the noise rate or chooses examples.
OF_BELIEFS = {
    "noise_rate_realised": "noise rate",
    "noise_rate_estimated": "estimated",
    "kept_purity": "purity",
    "kept_recall": "recall",
}


@dataclasses.dataclass(frozen=True)
class Setting:
    """What trials share that differ in their seeds.

    Attributes:
      overrides: theirs, without the seeds.
      complete: the results of those that have ended well.
      failed: how many have not.
    """

    overrides: dict[str, Any]
    complete: tuple[Result, ...]
    failed: int

    def name(self, keys: Sequence[str]) -> str:
        """As 'λ = 0.5, β = 8': its values of some keys."""
        parts = []
        for key in keys:
            if key in self.overrides:
                last = key.rpartition(".")[2]
                value = self.overrides[key]
                text = f"{value:g}" if isinstance(value, float) else str(value)
                parts.append(text if last == "name" else f"{_SYMBOLS.get(last, last)} = {text}")
        return ", ".join(parts)


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What the folder of a sweep holds so far.

    Attributes:
      folder: of the sweep.
      results: of results.jsonl, at least one.
      settings: in the order of the trials.
      keys: in which the settings differ, in the order in which the trials give them.
    """

    folder: Path
    results: list[Result]
    settings: list[Setting]
    keys: list[str]

    def workdirs(self, setting: Setting) -> list[Path]:
        """The workdirs of the runs of a setting."""
        return [self.folder / result["workdir"] for result in setting.complete]

    def first_error(self) -> str:
        """That of the first trial that has failed."""
        failed = next(result for result in self.results if result["state"] != "complete")
        return f"trial {failed['trial']}: {failed['error']}"

    def rows(self) -> tuple[list[str], list[list[Setting]]]:
        """The settings as a grid, if they are one, else four in a row.

        Returns:
          The keys that the columns stand for, one where every row has the same columns, else none; and the
          rows.
        """
        for key in reversed(self.keys):
            others = [each for each in self.keys if each != key]
            rows: dict[str, list[Setting]] = {}
            for setting in self.settings:
                rows.setdefault(setting.name(others), []).append(setting)
            columns = {tuple(setting.name([key]) for setting in row) for row in rows.values()}
            if len(columns) == 1 and len(next(iter(columns))) > 1:
                return [key], list(rows.values())
        return [], [self.settings[first : first + 4] for first in range(0, len(self.settings), 4)]


def is_sweep(folder: Path) -> bool:
    """Whether there is a sweep in a folder."""
    return (folder / "results.jsonl").exists()


def read(folder: Path) -> Sweep:
    """The sweep in a folder.

    Raises:
      WorkdirError: no trial has ended yet.
    """
    found = results.read(folder)
    if not found:
        raise WorkdirError(f"--workdir={folder}: no trial of the sweep has ended yet")
    groups: dict[str, list[Result]] = {}
    for result in found:
        groups.setdefault(json.dumps(_without_seeds(result), sort_keys=True), []).append(result)
    settings = [
        Setting(
            overrides=_without_seeds(group[0]),
            complete=tuple(result for result in group if result["state"] == "complete"),
            failed=sum(result["state"] != "complete" for result in group),
        )
        for group in groups.values()
    ]
    keys = dict.fromkeys(key for setting in settings for key in setting.overrides)
    values = {key: [setting.overrides.get(key) for setting in settings] for key in keys}
    differing = [key for key in keys if any(value != values[key][0] for value in values[key])]
    return Sweep(folder, found, settings, differing)


def table(sweep: Sweep) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """The metrics of each setting as 'mean ± standard deviation', under the names of the columns."""
    measured = [result["summary"] for setting in sweep.settings for result in setting.complete]
    believing = any(summary.get(key) is not None for summary in measured for key in BELIEFS)
    columns = {**METRICS, **(OF_BELIEFS if believing else {})}
    rows = []
    for setting in sweep.settings:
        cells = []
        for key in columns:
            values = [result["summary"].get(key) for result in setting.complete]
            known = [value for value in values if value is not None]
            cells.append(_mean(known))
        count = str(len(setting.complete)) + f", {setting.failed} failed" * bool(setting.failed)
        rows.append((setting.name(sweep.keys) or "all trials", [*cells, count]))
    return [*columns.values(), "runs"], rows


def shared_config(sweep: Sweep) -> dict[str, Any]:
    """The keys that have the same value in all trials."""
    configs = [flatten(result["config"]) for result in sweep.results if result["config"]]
    return {
        key: value
        for key, value in sorted(configs[0].items() if configs else ())
        if all(key in config and config[key] == value for config in configs)
    }


def _mean(values: Sequence[float]) -> str:
    if not values:
        return "–"
    found = spread(values)
    return f"{found.mean:.3f}" + ("" if found.std is None else f" ± {found.std:.3f}")


def _without_seeds(result: Result) -> dict[str, Any]:
    return {key: value for key, value in result["overrides"].items() if key not in SEEDS}
