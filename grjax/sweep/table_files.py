"""table.md and table.csv: what the trials of a sweep say together, written down.

table.md   for people: a cell is mean ± standard deviation (n), under it the published number and the verdict
table.csv  for programs: a line for each cell and metric, unrounded
"""

import collections
import csv
import dataclasses
import io
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from grjax.sweep.definition import describe
from grjax.sweep.selection import Candidate, Choice
from grjax.sweep.statistics import spread
from grjax.sweep.table import Cell, Overrides, Table, cells
from grjax.workdir.files import write_text

_FEW = 6  # candidates are listed in the table

Cells = Mapping[tuple[str, str], Cell]

# What a metric is called in a heading; others go by their key.
_HEADINGS = {
    "test_accuracy_last": "test accuracy, last epoch",
    "test_accuracy_best": "test accuracy, best evaluation, chosen on test",
    "train_accuracy_noisy": "train accuracy against the given labels, last epoch",
    "train_accuracy_intact": "train accuracy against the intact labels, last epoch",
    "noise_rate_realised": "noise rate, realised",
    "noise_rate_estimated": "noise rate as the method estimates it, last epoch",
    "kept_purity": "purity: the part of the kept examples whose labels are right, last epoch",
    "kept_recall": "recall: the part of the right labels that is kept, last epoch",
    "memorisation": "memorisation: the part of the wrong labels that is predicted, last epoch",
}
_COLUMNS = (
    "table", "metric", "row", "column", "mean", "std", "n", "low_95", "high_95", "planned", "failed",
    "published", "published_std", "tolerance", "verdict",
    "baseline", "difference", "difference_low_95", "difference_high_95", "p_value", "pairs",
)  # fmt: skip


def write(
    tables: Sequence[Table],
    trials: Sequence[Overrides],
    lines: Sequence[Mapping[str, Any]],
    folder: Path,
    *,
    made: Sequence[Choice] = (),
) -> None:
    """Writes table.md and table.csv, whole or not at all; also of a sweep that is not at its end.

    Args:
      tables: of the sweep, checked with its trials.
      trials: the overrides of each that is planned.
      lines: of results.jsonl so far.
      folder: of the sweep.
      made: what was chosen on validation data, of a sweep that selects.

    Raises:
      ConfigError: a metric that the runs do not have.
    """
    filled = [(table, cells(table, trials, lines)) for table in _with_also(tables)]
    sections = [section for table, content in filled for section in _sections(table, content)]
    sections += [*_chosen(made), _provenance(lines)]
    write_text(folder / "table.md", "\n\n".join(sections) + "\n")
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(record for table, content in filled for record in _records(table, content))
    write_text(folder / "table.csv", text.getvalue())


def _with_also(tables: Sequence[Table]) -> Iterator[Table]:
    """Each table, and after it one for each further metric that no table of the same title has."""
    for table in tables:
        yield table
        have = {other.metric for other in tables if other.title == table.title}
        for metric in table.also:
            if metric not in have:
                yield dataclasses.replace(table, metric=metric, published={}, also=())


def _sections(table: Table, content: Cells) -> Iterator[str]:
    """The Markdown of a table: heading, how to read it, cells; then the comparison with the baseline."""
    heading = _HEADINGS.get(table.metric, table.metric.replace("_", " "))
    unit = ", in %" if table.percent and _is_accuracy(table) else ""
    says = f"{heading[0].upper()}{heading[1:]}{unit}: mean ± standard deviation (number of seeds)."
    if table.published:
        says += (
            f" Below it the published number, of {table.source}, and where ours lies: within "
            f"±{table.tolerance:g} of it, above or below."
        )
    yield f"## {table.title}: {heading}"
    yield says
    # Most methods do not have most of the further metrics, as a noise rate that is estimated.
    measured = {row for (row, _), cell in content.items() if cell.values}
    rows = [row for row in table.rows if _is_accuracy(table) or row in measured]
    yield _grid(table, rows, lambda row, column: _shown(table, content[row, column]))
    others = [row for row in rows if row in table.trained() and row != table.baseline]
    if table.baseline in rows and others:
        yield (
            f"Against {table.baseline}, in pairs that share the seeds of noise, initialisation and order: "
            "mean difference [95% interval], p of the paired t-test (pairs). No p is corrected for the "
            "number of cells."
        )
        yield _grid(table, others, lambda row, column: _compared(table, content, row, column))


def _grid(table: Table, rows: Sequence[str], text: Callable[[str, str], str]) -> str:
    lines = [f"| | {' | '.join(table.columns)} |", "|---" * (1 + len(table.columns)) + "|"]
    lines += [f"| {row} | {' | '.join(text(row, column) for column in table.columns)} |" for row in rows]
    return "\n".join(lines)


def _shown(table: Table, cell: Cell) -> str:
    """A cell, as '70.2 ± 0.3 (5)<br>70.0: within'."""
    digits = _digits(table)
    parts = []
    ours = cell.spread()
    if cell.planned:
        count = (
            f"{len(cell.values)} of {cell.planned}" if len(cell.values) < cell.planned else f"{cell.planned}"
        )
        count += f", {cell.failed} failed" if cell.failed else ""
        parts.append(f"{_number(ours.mean, ours.std, digits) if ours else '–'} ({count})")
    if cell.published is not None:
        verdict = cell.verdict(table.tolerance)
        parts.append(f"{_number(*cell.published, 1)}{f': {verdict}' if verdict else ' published'}")
    return "<br>".join(parts) or "–"


def _compared(table: Table, content: Cells, row: str, column: str) -> str:
    """As '+9.2 [8.7, 9.7], p = 0.0001 (5)'."""
    assert table.baseline is not None
    comparison = content[row, column].against(content[table.baseline, column])
    if comparison is None:
        return "–"
    digits, difference = _digits(table), comparison.difference
    if difference.low is None or comparison.p_value is None:
        return f"{difference.mean:+.{digits}f} ({difference.n})"
    p = "p < 0.0001" if comparison.p_value < 1e-4 else f"p = {comparison.p_value:.2g}"
    interval = f"[{difference.low:.{digits}f}, {difference.high:.{digits}f}]"
    return f"{difference.mean:+.{digits}f} {interval}, {p} ({difference.n})"


def _chosen(made: Sequence[Choice]) -> Iterator[str]:
    """What was chosen, and from what; without an only candidate nothing was."""
    several = [choice for choice in made if len(choice.candidates) > 1]
    if several:
        yield "## What was chosen on validation data"
        yield (
            "By the mean score on held-out data (mean ± standard deviation, number of runs), then trained on "
            "everything; selection.json has every run."
        )
        lines = ["| setting | chosen | score | candidates |", "|---|---|---|---|"]
        for choice in several:
            best = next((each for each in choice.candidates if each.overrides == choice.chosen), None)
            others = [f"{describe(each.overrides)}: {_score(each)}" for each in choice.candidates]
            shown = "; ".join(others) if len(others) <= _FEW else f"{len(others)}, in selection.json"
            chosen = (describe(best.overrides), _score(best)) if best else ("none is left", "–")
            lines.append(f"| {describe(choice.setting)} | {' | '.join(chosen)} | {shown} |")
        yield "\n".join(lines)


def _score(candidate: Candidate) -> str:
    """As '0.961 ± 0.004 (3)', or why there is none."""
    lost = [f"{candidate.failed} failed"] * bool(candidate.failed) + ["pruned"] * bool(candidate.pruned)
    if not candidate.scores:
        return ", ".join(lost) or "not run"
    result = spread(candidate.scores)
    return f"{_number(result.mean, result.std, 3)} ({', '.join([str(result.n), *lost])})"


def _records(table: Table, content: Cells) -> Iterator[dict[str, Any]]:
    """The lines of table.csv; what there is not is empty."""
    for (row, column), cell in content.items():
        record: dict[str, Any] = {"table": table.title, "metric": table.metric, "row": row, "column": column}
        record |= {"n": len(cell.values), "planned": cell.planned, "failed": cell.failed}
        ours = cell.spread()
        if ours is not None:
            record |= {"mean": ours.mean, "std": ours.std, "low_95": ours.low, "high_95": ours.high}
        if cell.published is not None:
            record |= {"published": cell.published[0], "published_std": cell.published[1]}
            record |= {"tolerance": table.tolerance, "verdict": cell.verdict(table.tolerance)}
        if table.baseline is not None and row != table.baseline:
            comparison = cell.against(content[table.baseline, column])
            if comparison is not None:
                difference = comparison.difference
                record |= {
                    "baseline": table.baseline,
                    "difference": difference.mean,
                    "difference_low_95": difference.low,
                    "difference_high_95": difference.high,
                    "p_value": comparison.p_value,
                    "pairs": difference.n,
                }
        yield record


def _digits(table: Table) -> int:
    return 1 if table.percent and _is_accuracy(table) else 3


def _is_accuracy(table: Table) -> bool:
    return "accuracy" in table.metric


def _number(mean: float, std: float | None, digits: int) -> str:
    return f"{mean:.{digits}f}" + ("" if std is None else f" ± {std:.{digits}f}")


def _provenance(lines: Sequence[Mapping[str, Any]]) -> str:
    """What the runs were made by and on; several of each where workers differ."""
    states = collections.Counter(line["state"] for line in lines)
    counts = ", ".join(f"{number} {state}" for state, number in sorted(states.items())) or "none yet"
    starts = [line["environment"] for line in lines if line.get("environment")]
    commands = _distinct(f"`{_command(at['command'])}`" for at in starts)
    machines = _distinct(map(_machine, starts))
    return f"Trials: {counts}. Made by {'; '.join(commands) or '–'}, on {'; '.join(machines) or '–'}."


def _command(argv: Sequence[str]) -> str:
    program = Path(argv[0]).name
    words = shlex.join([program, *argv[1:]])
    return f"python {words}" if program.endswith(".py") else words


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _machine(start: Mapping[str, Any]) -> str:
    """Devices and versions of an entry of environment.json."""
    devices = f"{len(start['devices'])} x {' and '.join(sorted(set(start['devices'])))}"
    versions = [f"{name} {version}" for name, version in start["packages"].items() if version]
    return f"{devices}, {start['cpu_count']} CPU cores, Python {start['python']}, {', '.join(versions)}"
