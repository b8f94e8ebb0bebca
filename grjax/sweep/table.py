"""What a table is: rows and columns of trials, a metric, and the numbers a paper has in the same place."""

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from grjax.errors import ConfigError
from grjax.registry import closest
from grjax.summary import summary_metrics
from grjax.sweep.statistics import SEEDS, Comparison, Spread, compare, seeds_of, spread

Overrides = Mapping[str, Any]
Published = float | tuple[float, float] | None  # a number, or its mean and standard deviation


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of a sweep. A trial belongs to the row and to the column whose pairs are among its overrides.

    Attributes:
      title: its heading.
      rows: for each label the overrides that its trials share; None: not trained here, published only.
      columns: the same for each column; `{"r = 0.4": {}}` is one column with every trial.
      metric: a key of summary.json. The last evaluation is the headline of this project.
      also: metrics of which a table each follows; those named 'best' are labelled as chosen on test data.
      baseline: the row with which the others are compared, in pairs over shared seeds.
      percent: accuracies are shown as percentages, as papers have them, else as fractions.
      published: for each row its published values of `metric`, a column each, in the unit shown.
      source: of the published values.
      tolerance: how far from the published value still counts as the same, in the unit shown.

    Raises:
      ConfigError: no run measures the metric, or one of `also`.
    """

    title: str
    rows: Mapping[str, Overrides | None]
    columns: Mapping[str, Overrides]
    metric: str = "test_accuracy_last"
    also: Sequence[str] = ("test_accuracy_best",)
    baseline: str | None = None
    percent: bool = False
    published: Mapping[str, Sequence[Published]] = dataclasses.field(default_factory=dict)
    source: str = ""
    tolerance: float = 1.0

    def __post_init__(self) -> None:
        known = summary_metrics(("test", "validation", "validation_noisy"))
        for field, metrics in (("metric", (self.metric,)), ("also", self.also)):
            for metric in metrics:
                # Data sets may have splits of other names.
                if metric not in known and not re.fullmatch(r"\w+_accuracy_(last|best|best_step)", metric):
                    raise ConfigError(f"table.{field}: unknown metric {metric!r}; {closest(metric, known)}")

    def trained(self) -> dict[str, Overrides]:
        """The rows that have trials."""
        return {label: pairs for label, pairs in self.rows.items() if pairs is not None}

    def published_in(self, row: str, column: str) -> tuple[float, float | None] | None:
        """The published mean and standard deviation of a cell, as far as there are."""
        value = dict(zip(self.columns, self.published.get(row, ()), strict=False)).get(column)
        return value if isinstance(value, tuple) else None if value is None else (value, None)


@dataclasses.dataclass(frozen=True)
class Cell:
    """What a table knows of one cell, in the unit shown.

    Attributes:
      planned: how many seeds there are to be.
      failed: how many have ended in an error.
      values: by the seeds of each run that is done.
      published: mean and standard deviation in the paper.
    """

    planned: int
    failed: int
    values: Mapping[tuple[Any, ...], float]
    published: tuple[float, float | None] | None

    def spread(self) -> Spread | None:
        """The spread over finished runs; None as long as there are none."""
        return spread(list(self.values.values())) if self.values else None

    def verdict(self, tolerance: float) -> Literal["within", "above", "below"] | None:
        """Where our mean lies beside the published one; None if one of them is missing."""
        ours = self.spread()
        if ours is None or self.published is None:
            return None
        difference = round(ours.mean - self.published[0], 9)  # 70.3 - 70 is more than 0.3 in float64
        return "within" if abs(difference) <= tolerance else "above" if difference > 0 else "below"

    def against(self, baseline: "Cell") -> Comparison | None:
        """The paired comparison over the seeds that are done in both; None as long as there are none."""
        shared = self.values.keys() & baseline.values.keys()
        if not shared:
            return None
        return compare(
            {seed: self.values[seed] for seed in shared}, {seed: baseline.values[seed] for seed in shared}
        )


def check(table: Table, trials: Sequence[Overrides], chosen: Collection[str] = ()) -> None:
    """Whether the trials of a sweep fill a table: every trial one cell, every cell repetitions of one thing.

    Args:
      table: of the sweep.
      trials: the overrides of each.
      chosen: keys among which the sweep selects, in which trials of a cell may therefore differ.

    Raises:
      ConfigError: a label that is not there, a trial in no cell or in two, a cell without trials or with
        trials that differ in more than seeds, or a baseline that was not run with the seeds of a row.
    """
    for row, values in table.published.items():
        if row not in table.rows:
            raise ConfigError(f"table.published: unknown row {row!r}; {closest(row, table.rows)}")
        if len(values) != len(table.columns):
            raise ConfigError(
                f"table.published: row {row!r} must have {len(table.columns)} values, one a column, "
                f"got {len(values)}"
            )
    if table.published and not table.source:
        raise ConfigError("table.source: must say where the published values come from, got ''")
    if table.baseline is not None and table.baseline not in table.trained():
        raise ConfigError(
            f"table.baseline: unknown row {table.baseline!r}; {closest(table.baseline, table.trained())}"
        )
    members: dict[tuple[str, str], list[Overrides]] = {
        (row, column): [] for row in table.trained() for column in table.columns
    }
    for trial in trials:
        members[_cell_of(table, trial)].append(trial)
    for (row, column), inside in members.items():
        if not inside:
            raise ConfigError(f"table: no trial is in row {row!r}, column {column!r}")
        varying = _varying(inside) - set(SEEDS) - set(chosen)
        if varying:
            raise ConfigError(
                f"table: trials in row {row!r}, column {column!r} differ in {', '.join(sorted(varying))}; "
                "make rows or columns of it, or let it be selected"
            )
        if table.baseline is not None:
            baseline_seeds = {seeds_of(trial) for trial in members[table.baseline, column]}
            if {seeds_of(trial) for trial in inside} != baseline_seeds:
                raise ConfigError(
                    f"table.baseline: {table.baseline!r} and {row!r} must have the same seeds in column "
                    f"{column!r}, to be compared in pairs"
                )


def cells(
    table: Table, trials: Sequence[Overrides], lines: Sequence[Mapping[str, Any]]
) -> dict[tuple[str, str], Cell]:
    """The cells of a table by (row, column), those of published rows among them.

    Args:
      table: checked with the trials.
      trials: the overrides of each that is planned.
      lines: of results.jsonl.
    """
    scale = 100.0 if table.percent and "accuracy" in table.metric else 1.0
    planned: dict[tuple[str, str], set[Any]] = {}
    for trial in trials:
        planned.setdefault(_cell_of(table, trial), set()).add(seeds_of(trial))
    values: dict[tuple[str, str], dict[Any, float]] = {}
    failed: dict[tuple[str, str], int] = {}
    for line in lines:
        where = _cell_of(table, line["overrides"])
        if line["state"] == "complete":
            if table.metric not in line["summary"]:
                raise ConfigError(
                    f"table.metric: {table.metric!r} is not in the summary of trial {line['trial']}; "
                    f"{closest(table.metric, line['summary'])}"
                )
            value = line["summary"][table.metric]
            if value is not None:  # as memorisation where no label is wrong
                values.setdefault(where, {})[seeds_of(line["overrides"])] = scale * value
        elif line["state"] == "failed":
            failed[where] = failed.get(where, 0) + 1
    return {
        (row, column): Cell(
            planned=len(planned.get((row, column), ())),
            failed=failed.get((row, column), 0),
            values=values.get((row, column), {}),
            published=table.published_in(row, column),
        )
        for row in table.rows
        for column in table.columns
    }


def _cell_of(table: Table, trial: Overrides) -> tuple[str, str]:
    return _label_of("row", table.trained(), trial), _label_of("column", table.columns, trial)


def _label_of(what: str, labels: Mapping[str, Overrides], trial: Overrides) -> str:
    """The one label whose pairs are all among the trial's."""
    matching = [label for label, pairs in labels.items() if _among(pairs, trial)]
    if len(matching) != 1:
        found = " and ".join(map(repr, matching)) or "none"
        raise ConfigError(f"table: a trial must be in one {what}, got {found} for {dict(trial)}")
    return matching[0]


def _among(pairs: Overrides, trial: Overrides) -> bool:
    return all(key in trial and _plain(trial[key]) == _plain(value) for key, value in pairs.items())


def _plain(value: Any) -> Any:
    """A value as JSON gives it back: a tuple is a list there."""
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _varying(trials: Sequence[Overrides]) -> set[str]:
    """The keys whose value is not the same in all trials; what is not set differs from every value."""
    unset, first = object(), trials[0]
    return {
        key
        for trial in trials[1:]
        for key in first.keys() | trial.keys()
        if _plain(first.get(key, unset)) != _plain(trial.get(key, unset))
    }
