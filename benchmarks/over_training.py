"""How runs went on: what is kept of each evaluation, and the tables of it, a column each evaluation."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.markdown import grid
from grjax.workdir import layout
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
    """What is kept of the evaluations of a run."""
    return [{key: row[key] for key in KEPT} for row in read_rows(workdir / layout.METRICS)]


def tables(runs: Iterable[Mapping[str, Any]], rows: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Means over the seeds of runs with some wrong labels, each of which has its 'evaluations'."""
    of: dict[str, list[Sequence[Evaluation]]] = {row: [] for row in rows}
    for run in runs:
        for row, pairs in rows.items():
            if pairs.items() <= run["overrides"].items():
                of[row].append(run["evaluations"])
    means = {row: {f"{mean['step']:,.0f}": mean for mean in _means(every)} for row, every in of.items()}
    steps = list(next(iter(means.values())))

    def table(text: Callable[[Evaluation], str]) -> str:
        return grid(rows, steps, lambda row, step: text(means[row][step]))

    return {name: table(text) for name, text in _CELLS.items()}


def _means(runs: Sequence[Sequence[Evaluation]]) -> list[Evaluation]:
    """The mean of each evaluation over the runs of a row."""
    return [
        {key: statistics.fmean(run[key] for run in each) for key in KEPT} for each in zip(*runs, strict=True)
    ]
