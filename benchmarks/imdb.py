"""IMDB, Table 5 of arXiv:1905.11233: what a sweep of configs/gr_table5.py found, beside the paper's numbers.

  python -m benchmarks.imdb runs/gr_table5

Prints the tables of docs/results/imdb.md, also of a sweep that is not at its end, and stores every run in
docs/results/data/imdb.json.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from grjax import host

host.tune()  # before jax is imported

from grjax.configs.gr_table5 import build

from benchmarks.environment import environment
from benchmarks.folders import RESULTS
from benchmarks.markdown import grid
from benchmarks.published import beside
from grjax.data.imdb import ImdbSkipGram
from grjax.errors import exit_in_one_line
from grjax.sweep import Table, results
from grjax.sweep.table import Cell, cells

KEPT = (
    "test_accuracy_last", "test_accuracy_best", "test_accuracy_best_step", "train_accuracy_noisy",
    "train_accuracy_intact", "memorisation", "noise_rate_realised", "noise_sha256", "num_steps",
    "wall_seconds",
)  # fmt: skip
Stored = Mapping[str, Any]


def stored(folder: Path) -> dict[str, Any]:
    """What is kept of a sweep: its runs, and what they were made by."""
    lines = results.read(folder)
    runs = [
        {
            "trial": line["trial"],
            "overrides": line["overrides"],
            "state": line["state"],
            "error": line["error"],
            "summary": line["summary"] and {key: line["summary"][key] for key in KEPT},
        }
        for line in lines
    ]
    builder = ImdbSkipGram(file_format="array_record")
    vectors = builder.info.metadata["document_vectors"] if builder.is_prepared() else None
    return {"environment": environment(), "vectors": vectors, "runs": runs}


def content(found: Stored, metric: str = "test_accuracy_last") -> tuple[Table, dict[tuple[str, str], Cell]]:
    """The table of the sweep and its cells, of the seeds that have been run."""
    sweep = build(num_seeds=len({run["overrides"]["init_seed"] for run in found["runs"]}))
    assert isinstance(sweep.table, Table)
    table = Table(**{**vars(sweep.table), "metric": metric})
    return table, cells(table, sweep.trials, found["runs"])


def markdown(found: Stored, metric: str = "test_accuracy_last") -> str:
    """Rows of losses: our mean [95% interval], the published number; bold where they are too far apart."""
    table, filled = content(found, metric)
    return grid(
        table.rows, list(table.columns), lambda row, column: beside(filled[row, column], table.tolerance)
    )


def within(found: Stored, metric: str = "test_accuracy_last") -> tuple[int, int]:
    """How many cells lie within the tolerance of the published number, and how many there are."""
    table, filled = content(found, metric)
    return sum(cell.verdict(table.tolerance) == "within" for cell in filled.values()), len(filled)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the sweep")
    parser.add_argument("--no-store", action="store_true")
    flags = parser.parse_args(arguments)
    with exit_in_one_line():
        found = stored(flags.folder)
        for metric, heading in (
            ("test_accuracy_last", "last evaluation"),
            ("test_accuracy_best", "best of 21 evaluations, chosen on test"),
        ):
            inside, number = within(found, metric)
            print(f"{heading}: {inside} of {number} within ±1.5\n\n{markdown(found, metric)}\n")
    print(", ".join(f"{key} {value}" for key, value in found["environment"].items()))
    if not flags.no_store:
        (RESULTS / "imdb.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
