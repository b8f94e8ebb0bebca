"""What the sweep of a config found: the tables of its page in docs/results.

  python -m benchmarks.sweep_results digits_methods runs/digits_methods
  python -m benchmarks.sweep_results phuber_mnist_table runs/phuber_mnist_table

The first argument is the name of the config, of the page, and of the .json file in docs/results/data in which
every run is stored. Several folders are sweeps over some of the rows or seeds, and such a .json file counts
as the folders that it was made from. A run of a later one replaces the same run of an earlier one, and what
the config does not have any more is left out. Seeds that are not complete are stored and not shown.
"""

import argparse
import dataclasses
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from grjax import host

host.tune()  # before jax is imported

from grjax.configs.digits_methods import build as digits_methods
from grjax.configs.fashion_mnist_losses import build as fashion_mnist_losses
from grjax.configs.fashion_mnist_methods import build as fashion_mnist_methods
from grjax.configs.phuber_mnist_table import build as phuber_mnist_table
from grjax.configs.vehicles10_regularisers import build as vehicles10_regularisers

from benchmarks import over_training
from benchmarks.environment import environment
from benchmarks.folders import RESULTS
from benchmarks.markdown import grid
from benchmarks.published import beside
from grjax.errors import exit_in_one_line
from grjax.sweep import Sweep, Table, results
from grjax.sweep.statistics import seeds_of
from grjax.sweep.table import Cell, cells

SWEEPS: dict[str, Callable[[], Sweep]] = {
    "digits_methods": digits_methods,
    "fashion_mnist_losses": fashion_mnist_losses,
    "fashion_mnist_methods": fashion_mnist_methods,
    "phuber_mnist_table": phuber_mnist_table,
    "vehicles10_regularisers": vehicles10_regularisers,
}
KEPT = (
    "test_accuracy_last", "test_accuracy_best", "memorisation", "noise_rate_realised", "noise_rate_estimated",
    "kept_purity", "kept_recall", "num_steps", "seconds_to_first_step", "wall_seconds",
)  # fmt: skip
# Sweeps whose pages also show how each run went on.
FOLLOWED = ("vehicles10_regularisers",)
Stored = Mapping[str, Any]
Cells = Mapping[tuple[str, str], Cell]


def stored(name: str, paths: Sequence[Path]) -> dict[str, Any]:
    """What is kept of some sweeps: complete runs that the config has, and what they were made by.

    'environment' is this one, in which the runs of folders are taken to be made; 'earlier_environments' are
    other ones, of stored runs, if there are any.
    """
    trials = {json.dumps(trial, sort_keys=True) for trial in SWEEPS[name]().trials}
    runs: dict[str, Stored] = {}
    environments = [environment()]
    num_sweeps = 0
    for path in paths:
        before = json.loads(path.read_text()) if path.is_file() else {"runs": _complete(name, path)}
        for run in before["runs"]:
            runs[json.dumps(run["overrides"], sort_keys=True)] = run | {"sweep": num_sweeps + run["sweep"]}
        num_sweeps += 1 + max((run["sweep"] for run in before["runs"]), default=0)
        for each in (before.get("environment"), *before.get("earlier_environments", ())):
            if each is not None and each not in environments:
                environments.append(each)
    now, *earlier = environments
    return {
        "environment": now,
        **({"earlier_environments": earlier} if earlier else {}),
        "runs": [run for key, run in runs.items() if key in trials],
    }


def _complete(name: str, folder: Path) -> list[dict[str, Any]]:
    """What is kept of the complete runs of a sweep, which is number 0."""
    lines = [line for line in results.read(folder) if line["state"] == "complete"]
    runs = [
        {
            "sweep": 0,
            "overrides": line["overrides"],
            "state": line["state"],
            "summary": {key: line["summary"][key] for key in KEPT},
        }
        for line in lines
    ]
    if name in FOLLOWED:
        for run, line in zip(runs, lines, strict=True):
            run["evaluations"] = over_training.evaluations(folder / line["workdir"])
    return runs


class Shown(NamedTuple):
    """A table with the rows and columns that were run, and the runs of the seeds that all of these have."""

    table: Table
    runs: list[Stored]

    @property
    def num_seeds(self) -> int:
        """How many seeds there are."""
        return len({seeds_of(run["overrides"]) for run in self.runs})


def shown(name: str, found: Stored) -> Shown:
    """What of the stored runs the page shows."""
    sweep: Sweep = SWEEPS[name]()
    assert isinstance(sweep.table, Table)
    have = cells(sweep.table, sweep.trials, found["runs"])
    every = sweep.table.columns
    rows = {row: pairs for row, pairs in sweep.table.rows.items() if have[row, next(iter(every))].values}
    columns = {column: every[column] for column in every if all(have[row, column].values for row in rows)}
    published = {
        row: [value for column, value in zip(every, values, strict=True) if column in columns]
        for row, values in sweep.table.published.items()
    }
    seeds = set.intersection(*(set(have[row, column].values) for row in rows for column in columns))
    return Shown(
        dataclasses.replace(sweep.table, rows=rows, columns=columns, published=published),
        [
            run
            for run in found["runs"]
            if seeds_of(run["overrides"]) in seeds
            and any(pairs.items() <= run["overrides"].items() for pairs in columns.values())
        ],
    )


def content(what: Shown, metric: str) -> tuple[Table, Cells]:
    """The table of a metric and its cells."""
    table = dataclasses.replace(what.table, metric=metric)
    return table, cells(table, [run["overrides"] for run in what.runs], what.runs)


def markdown(what: Shown) -> dict[str, str]:
    """The tables of the page, by what they show: those of which a run has something to say."""
    tables = {"last": _accuracy(what, "test_accuracy_last"), "best": _accuracy(what, "test_accuracy_best")}
    measured = {key for run in what.runs for key, value in run["summary"].items() if value is not None}
    if "noise_rate_estimated" in measured:
        tables["rates"] = _rates(what)
    if "kept_recall" in measured:
        tables["kept"] = _kept(what)
    if "memorisation" in measured:
        tables["memorisation"] = _grid(*content(what, "memorisation"), 2)
    wrong = [run for run in what.runs if run["summary"]["memorisation"] is not None]
    if wrong and "evaluations" in wrong[0]:
        tables |= over_training.tables(wrong, what.table.trained())
    if "CE" in what.table.rows:
        tables["time"] = _times(what)
    return tables


def _accuracy(what: Shown, metric: str) -> str:
    """Beside the published numbers, where there are any."""
    table, filled = content(what, metric)
    if not table.published:
        return _grid(table, filled, 1)
    return grid(
        _rows(table, filled),
        list(table.columns),
        lambda row, column: beside(filled[row, column], table.tolerance),
    )


def within(what: Shown) -> tuple[int, int]:
    """How many cells lie within the tolerance of the published number, and how many have one."""
    table, filled = content(what, "test_accuracy_last")
    verdicts = [cell.verdict(table.tolerance) for cell in filled.values() if cell.published is not None]
    return verdicts.count("within"), len(verdicts)


def _grid(table: Table, filled: Cells, digits: int) -> str:
    """Mean ± standard deviation, of rows that have a value."""
    return grid(
        _rows(table, filled), list(table.columns), lambda row, column: _number(filled[row, column], digits)
    )


def _rates(what: Shown) -> str:
    """The realised rate, and below it what each row estimates."""
    table, filled = content(what, "noise_rate_estimated")
    _, realised = content(what, "noise_rate_realised")
    rows = {"*realised*": {column: realised[next(iter(table.rows)), column] for column in table.columns}}
    rows |= {row: {column: filled[row, column] for column in table.columns} for row in _rows(table, filled)}
    return grid(rows, list(table.columns), lambda row, column: _number(rows[row][column], 2))


def _kept(what: Shown) -> str:
    """Purity / recall, means alone."""
    table, purity = content(what, "kept_purity")
    _, recall = content(what, "kept_recall")

    def text(row: str, column: str) -> str:
        both = purity[row, column].spread(), recall[row, column].spread()
        return " / ".join("–" if each is None else f"{each.mean:.2f}" for each in both)

    return grid(_rows(table, recall), list(table.columns), text)


def _times(what: Shown) -> str:
    """Seconds of a run after its first step ÷ cross-entropy's with the same seed and labels: the median.

    Only of runs of one sweep: the machine had other work at another time.
    """
    lines = ["| | ÷ cross-entropy |", "|---|---|"]
    sweeps = {run["sweep"] for run in what.runs}
    each = [_seconds(what.table, [run for run in what.runs if run["sweep"] == sweep]) for sweep in sweeps]
    for row in what.table.rows:
        ratios = []
        for filled in each:
            for column in what.table.columns:
                base = filled["CE", column].values
                ratios += [
                    value / base[seed] for seed, value in filled[row, column].values.items() if seed in base
                ]
        lines.append(f"| {row} | {f'{statistics.median(ratios):.1f}' if ratios else '–'} |")
    return "\n".join(lines)


def _seconds(table: Table, runs: Sequence[Stored]) -> Cells:
    """The time of each run from its first step to its end."""
    after = [
        {
            **run,
            "summary": {
                "wall_seconds": run["summary"]["wall_seconds"] - run["summary"]["seconds_to_first_step"]
            },
        }
        for run in runs
    ]
    return cells(dataclasses.replace(table, metric="wall_seconds"), [run["overrides"] for run in runs], after)


def _rows(table: Table, filled: Cells) -> list[str]:
    return [row for row in table.rows if any(filled[row, column].values for column in table.columns)]


def _number(cell: Cell, digits: int) -> str:
    found = cell.spread()
    if found is None:
        return "–"
    return f"{found.mean:.{digits}f}" + ("" if found.std is None else f" ± {found.std:.{digits}f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("name", choices=SWEEPS, help="of the config")
    parser.add_argument("paths", nargs="+", type=Path, help="folders of the sweeps, or files of stored runs")
    parser.add_argument("--no-store", action="store_true")
    flags = parser.parse_args()
    found = stored(flags.name, flags.paths)
    if not flags.no_store:
        (RESULTS / f"{flags.name}.json").write_text(_compact(found))
    what = shown(flags.name, found)
    print(f"{len(found['runs'])} runs, n = {what.num_seeds} seeds\n")
    if what.table.published:
        print("{} of {} cells within ±{tolerance}\n".format(*within(what), tolerance=what.table.tolerance))
    for name, table in markdown(what).items():
        print(f"{name}\n\n{table}\n")


def _compact(found: Stored) -> str:
    """JSON with a line for each run."""
    runs = ",\n  ".join(json.dumps(run) for run in found["runs"])
    about = "".join(f' "{key}": {json.dumps(value)},\n' for key, value in found.items() if key != "runs")
    return f'{{\n{about} "runs": [\n  {runs}\n ]\n}}\n'


if __name__ == "__main__":
    with exit_in_one_line():
        main()
