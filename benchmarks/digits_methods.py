"""Methods on digits: what a sweep of configs/digits_methods.py found.

  python -m benchmarks.digits_methods runs/digits_methods

Prints accuracy, memorisation, what is kept and the estimated rate, also of a sweep that is not at its end,
and stores every run in docs/results/digits_methods.json.
"""

import argparse
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from grjax import host

host.tune()  # before jax is imported

from grjax.configs.digits_methods import COLUMNS, ROWS

from benchmarks.digits import RESULTS
from benchmarks.environment import environment
from grjax.config import flatten
from grjax.errors import exit_in_one_line
from grjax.sweep import results

KEPT = (
    "test_accuracy_last", "test_accuracy_best", "memorisation", "noise_rate_realised", "noise_rate_estimated",
    "kept_share", "kept_purity", "kept_recall", "examples_per_second",
)  # fmt: skip
Stored = Mapping[str, Any]


def stored(folder: Path) -> dict[str, Any]:
    """What is kept of a sweep: for each run its cell, seed, state and figures."""
    runs = []
    for line in results.read(folder):
        overrides = line["overrides"]
        [row] = [name for name, pairs in ROWS.items() if pairs.items() <= overrides.items()]
        [column] = [
            name for name, pairs in COLUMNS.items() if flatten(pairs).items() <= flatten(overrides).items()
        ]
        summary = line["summary"] and {key: line["summary"][key] for key in KEPT}
        runs.append(
            {
                "row": row,
                "column": column,
                "seed": overrides["init_seed"],
                "state": line["state"],
                "summary": summary,
            }
        )
    return {"environment": environment(), "runs": runs}


def values(found: Stored, row: str, column: str, metric: str) -> list[float]:
    """The figures of a cell, one for each seed that has it."""
    ended = [run for run in found["runs"] if (run["row"], run["column"]) == (row, column) and run["summary"]]
    return [run["summary"][metric] for run in ended if run["summary"][metric] is not None]


def percent(numbers: Sequence[float]) -> str:
    """Mean ± standard deviation in %; nothing where there is no number."""
    if not numbers:
        return ""
    spread = f" ± {100 * statistics.stdev(numbers):.1f}" if len(numbers) > 1 else ""
    return f"{100 * statistics.mean(numbers):.1f}{spread}"


def markdown(found: Stored, cell: Callable[[str, str], str]) -> str:
    """A table of the rows that have anything to show."""
    lines = [f"| | {' | '.join(COLUMNS)} |", "|---" * (1 + len(COLUMNS)) + "|"]
    for row in ROWS:
        shown = [cell(row, column) for column in COLUMNS]
        if any(shown):
            lines.append(f"| {row} | {' | '.join(shown)} |")
    return "\n".join(lines)


def tables(found: Stored) -> dict[str, str]:
    """The tables of the page by heading."""

    def of(metric: str) -> str:
        return markdown(found, lambda row, column: percent(values(found, row, column, metric)))

    def kept(row: str, column: str) -> str:
        parts = [
            values(found, row, column, metric) for metric in ("kept_share", "kept_purity", "kept_recall")
        ]
        return (
            ", ".join(f"{100 * statistics.mean(part):.0f}" if part else "–" for part in parts)
            if any(parts)
            else ""
        )

    def rate(row: str, column: str) -> str:
        estimated = values(found, row, column, "noise_rate_estimated")
        realised = values(found, row, column, "noise_rate_realised")
        return f"{percent(estimated)}; {100 * statistics.mean(realised):.1f}" if estimated else ""

    return {
        "Last epoch": of("test_accuracy_last"),
        "Best of seven evaluations, chosen on test": of("test_accuracy_best"),
        "Memorisation at the end": of("memorisation"),
        "What is kept at the end": markdown(found, kept),
        "The estimated rate": markdown(found, rate),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the sweep")
    parser.add_argument("--no-store", action="store_true")
    flags = parser.parse_args(arguments)
    with exit_in_one_line():
        found = stored(flags.folder)
    for heading, text in tables(found).items():
        print(f"## {heading}\n\n{text}\n")
    print(", ".join(f"{key} {value}" for key, value in found["environment"].items()))
    if not flags.no_store:
        (RESULTS / "digits_methods.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
