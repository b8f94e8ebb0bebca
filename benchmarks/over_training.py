"""How runs went on: what is kept of each evaluation, and the tables of it, a column each evaluation."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from grjax.workdir.metrics_file import read_rows

Evaluation = Mapping[str, float]
KEPT = ("step", "test_accuracy", "memorisation", "mean_p_clean", "mean_p_mislabelled")

# What a cell of each table says, from the means of an evaluation.
_CELLS: dict[str, Callable[[Evaluation], str]] = {
    "test accuracy over training": lambda mean: f"{100 * mean['test_accuracy']:.1f}",
    "memorisation over training": lambda mean: f"{mean['memorisation']:.2f}",
    "mean p over training": lambda mean: f"{mean['mean_p_clean']:.2f} / {mean['mean_p_mislabelled']:.2f}",
}


def evaluations(workdir: Path) -> list[dict[str, Any]]:
    """Those of a run, from its metrics.jsonl."""
    return [{key: row[key] for key in KEPT} for row in read_rows(workdir / "metrics.jsonl")]


def tables(runs: Iterable[Mapping[str, Any]], rows: Mapping[str, Mapping[str, Any] | None]) -> dict[str, str]:
    """Means over the seeds of runs with some wrong labels, each of which has its 'evaluations'."""
    of: dict[str, list[Sequence[Evaluation]]] = {row: [] for row in rows}
    for run in runs:
        for row, pairs in rows.items():
            if pairs is not None and pairs.items() <= run["overrides"].items():
                of[row].append(run["evaluations"])
    steps = [each["step"] for each in next(iter(of.values()))[0]]
    head = f"| | {' | '.join(f'{step:,}' for step in steps)} |\n" + "|---" * (1 + len(steps)) + "|\n"
    return {
        name: head + "\n".join(f"| {row} | {' | '.join(map(text, _means(of[row])))} |" for row in rows)
        for name, text in _CELLS.items()
    }


def _means(runs: Sequence[Sequence[Evaluation]]) -> list[Evaluation]:
    """The mean of each evaluation over the runs of a row."""
    return [
        {key: statistics.fmean(run[key] for run in each) for key in KEPT} for each in zip(*runs, strict=True)
    ]
