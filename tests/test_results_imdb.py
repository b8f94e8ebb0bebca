"""docs/results/imdb.md: the page says what the stored runs say."""

import json
import re

import pytest

from benchmarks import imdb
from benchmarks.folders import RESULTS
from grjax.configs import gr_table5

FOUND = json.loads((RESULTS / "imdb.json").read_text())
PAGE = (RESULTS.parent / "imdb.md").read_text()
METRICS = ("test_accuracy_last", "test_accuracy_best")


def test_every_trial_of_the_sweep_is_stored_as_the_config_has_it():
    sweep = gr_table5.get_sweep()
    assert [run["overrides"] for run in FOUND["runs"]] == json.loads(json.dumps(sweep.trials))
    assert {run["state"] for run in FOUND["runs"]} <= {"complete", "failed"}
    assert {run["summary"]["num_steps"] for run in FOUND["runs"] if run["summary"]} == {10_000}


@pytest.mark.parametrize("metric", METRICS)
def test_the_tables_are_those_of_the_runs(metric):
    assert imdb.markdown(FOUND, metric) in PAGE


def test_the_counts_are_those_of_the_runs():
    counts = [imdb.within(FOUND, metric) for metric in METRICS]
    assert re.findall(r"\b(\d+) of (\d+) cells", PAGE)[:2] == [tuple(map(str, count)) for count in counts]


def test_the_settings_of_the_vectors_are_those_stored():
    assert f"{FOUND['vectors']['tokens']:,} tokens" in PAGE
    assert f"{FOUND['vectors']['iterations']} iterations" in PAGE
    assert f"jax {FOUND['environment']['jax']}" in PAGE


def test_what_lies_outside_is_said_in_bold_with_a_reason():
    """Each cell that is not within the tolerance has a line of its own below the table."""
    table, filled = imdb.content(FOUND)
    outside = [where for where, cell in filled.items() if cell.verdict(table.tolerance) != "within"]
    named = re.findall(r"^- \*\*([\w-]+), ([^*]+)\*\*", PAGE, re.MULTILINE)
    listed = {(row, column) for row, columns in named for column in columns.split(", ")}
    assert listed == set(outside)


def run(row, column, seed, accuracy, state="complete"):
    overrides = {**gr_table5.ROWS[row], **gr_table5.COLUMNS[column], "noise.seed": seed, "init_seed": seed}
    overrides |= {"order_seed": seed, "imbalance.seed": seed}
    summary = {"test_accuracy_last": accuracy} if state == "complete" else None
    return {"trial": 0, "overrides": overrides, "state": state, "error": None, "summary": summary}


def test_a_cell_far_from_the_published_number_is_bold_and_failures_are_counted():
    runs = [run("CE", "r = 0", 0, 0.88), run("CE", "r = 0", 1, 0.89), run("GR", "r = .4", 0, 0.80)]
    runs += [
        run("GR", "r = .4", 1, 0.82),
        run("MAE", "r = 0", 0, None, "failed"),
        run("MAE", "r = 0", 1, 0.889),
    ]
    found = {"runs": runs}
    text = imdb.markdown(found)
    assert "| CE | 88.5 [82.1, 94.9]; 88.9 |" in text
    assert "**81.0 [68.3, 93.7]; 86.4**" in text
    assert "88.9; 88.9, 1 of 2 failed" in text
    assert imdb.within(found) == (2, 45)
