import csv
import dataclasses
import itertools
import re

import numpy as np
import pytest
import scipy.stats

from grjax.errors import ConfigError
from grjax.sweep import table_files
from grjax.sweep.selection import Candidate, Choice
from grjax.sweep.table import Table, cells, check

ROWS = {
    "quoted": None,
    "CE": {"loss.name": "cross_entropy"},
    "GR": {"loss.name": "gradient_rescaling", "loss.lam": 0.5},
}
COLUMNS = {"clean": {"noise.rate": 0.0}, "r = 0.4": {"noise.rate": 0.4}}
TRIALS = [
    {**row, **column, "noise.seed": seed, "init_seed": seed}
    for row, column, seed in itertools.product(
        [ROWS["CE"], {**ROWS["GR"], "loss.beta": 8.0}], COLUMNS.values(), range(3)
    )
]
TABLE = Table(
    title="Table 0",
    rows=ROWS,
    columns=COLUMNS,
    baseline="CE",
    percent=True,
    published={"quoted": (63.7, 58.8), "CE": (70.0, 60.0), "GR": ((69.3, 0.2), None)},
    source="A paper, Table 0",
    tolerance=1.0,
)
ENVIRONMENT = {
    "command": ["/somewhere/run.py", "--mode=sweep", "--config=configs/a table.py"],
    "devices": ["cpu", "cpu"],
    "cpu_count": 2,
    "python": "3.11.9",
    "packages": {"jax": "0.10.2", "grjax": None},
}


def lines(trials=TRIALS):
    """Runs whose accuracy grows with the row, falls with noise and varies with the seed."""
    return [
        {
            "trial": number,
            "overrides": trial,
            "state": "complete",
            "summary": {"test_accuracy_last": accuracy(trial), "test_accuracy_best": 0.9},
            "environment": ENVIRONMENT,
        }
        for number, trial in enumerate(trials)
    ]


def accuracy(trial):
    return 0.69 - trial["noise.rate"] / 4 + 0.02 * ("loss.beta" in trial) + 0.01 * trial["noise.seed"] ** 2


def test_a_cell_is_the_spread_of_its_seeds():
    check(TABLE, TRIALS)
    cell = cells(TABLE, TRIALS, lines())["GR", "r = 0.4"]
    values = [
        100 * accuracy(trial) for trial in TRIALS if "loss.beta" in trial and trial["noise.rate"] == 0.4
    ]
    result = cell.spread()
    np.testing.assert_allclose([result.mean, result.std], [np.mean(values), np.std(values, ddof=1)])
    assert (result.n, cell.planned, cell.failed, cell.published) == (3, 3, 0, None)


def test_verdicts_lie_within_above_or_below_the_published_number():
    content = cells(TABLE, TRIALS, lines())
    assert content["CE", "clean"].verdict(1.0) == "within"  # 70.67 beside 70.0
    assert content["CE", "clean"].verdict(0.5) == "above"
    assert content["CE", "r = 0.4"].spread().mean == pytest.approx(60 + 2 / 3)
    assert content["GR", "clean"].verdict(1.0) == "above"  # 72.67 beside 69.3 ± 0.2
    below = dataclasses.replace(TABLE, published={**TABLE.published, "CE": (80.0, 60.0)})
    assert cells(below, TRIALS, lines())["CE", "clean"].verdict(1.0) == "below"
    assert content["GR", "r = 0.4"].verdict(1.0) is None  # not published
    assert content["quoted", "clean"].verdict(1.0) is None  # not run
    exact = dataclasses.replace(content["CE", "clean"], values={0: 8.4}, published=(8.1, None))
    assert exact.verdict(0.3) == "within"  # though 8.4 - 8.1 > 0.3 in float64


def test_markdown_has_ours_beside_theirs(tmp_path):
    table_files.write([TABLE], TRIALS, lines(), tmp_path)
    text = (tmp_path / "table.md").read_text()
    assert "## Table 0: test accuracy, last epoch\n" in text
    assert "number, of A paper, Table 0, and where ours lies: within ±1 of it" in text
    assert "| quoted | 63.7 published | 58.8 published |" in text
    assert "| CE | 70.7 ± 2.1 (3)<br>70.0: within | 60.7 ± 2.1 (3)<br>60.0: within |" in text
    assert "| GR | 72.7 ± 2.1 (3)<br>69.3 ± 0.2: above | 62.7 ± 2.1 (3) |" in text
    assert "Against CE, in pairs that share" in text
    assert "| GR | +2.0 [2.0, 2.0], p < 0.0001 (3) | +2.0 [2.0, 2.0], p < 0.0001 (3) |" in text
    best = text[text.index("## Table 0: test accuracy, best evaluation, chosen on test") :]
    assert "| GR | 90.0 ± 0.0 (3) | 90.0 ± 0.0 (3) |" in best
    assert "published" not in best  # the paper's numbers are of the headline
    assert text.endswith(
        "Trials: 12 complete. Made by `python run.py --mode=sweep '--config=configs/a table.py'`, "
        "on 2 x cpu, 2 CPU cores, Python 3.11.9, jax 0.10.2.\n"
    )
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["table.csv", "table.md"]


def test_csv_is_unrounded_and_agrees_with_scipy(tmp_path):
    content = lines()
    generator = np.random.default_rng(0)
    for line in content:
        line["summary"]["test_accuracy_last"] += generator.normal(0, 0.01)
    table_files.write([TABLE], TRIALS, content, tmp_path)
    with open(tmp_path / "table.csv", newline="") as file:
        records = {(r["metric"], r["row"], r["column"]): r for r in csv.DictReader(file)}
    assert len(records) == 2 * 3 * 2  # metrics, rows, columns
    record = records["test_accuracy_last", "GR", "clean"]

    def values(name):
        return [
            100 * line["summary"]["test_accuracy_last"]
            for line in content
            if line["overrides"]["loss.name"] == name and line["overrides"]["noise.rate"] == 0
        ]

    ours, theirs = values("gradient_rescaling"), values("cross_entropy")
    test = scipy.stats.ttest_rel(ours, theirs)
    expected = {
        "mean": np.mean(ours), "std": np.std(ours, ddof=1), "difference": np.mean(ours) - np.mean(theirs),
        "p_value": test.pvalue, "difference_low_95": test.confidence_interval().low,
        "difference_high_95": test.confidence_interval().high,
    }  # fmt: skip
    assert {key: float(record[key]) for key in expected} == pytest.approx(expected, rel=1e-9)
    assert (record["n"], record["pairs"], record["published"], record["verdict"]) == (
        "3",
        "3",
        "69.3",
        "above",
    )
    assert records["test_accuracy_last", "quoted", "clean"]["mean"] == ""


def test_an_unfinished_table_says_what_is_missing(tmp_path):
    content = lines()
    for number in (1, 2):
        content[number] |= {"state": "failed", "summary": None, "error": "NonFiniteError: …"}
    del content[9:]  # of GR at r = 0.4 nothing has been run
    table_files.write([TABLE], TRIALS, content, tmp_path)
    text = (tmp_path / "table.md").read_text()
    assert "| CE | 69.0 (1 of 3, 2 failed)<br>70.0: within |" in text
    assert "| – (0 of 3) |" in text
    assert "| GR | +2.0 (1) | – |" in text  # the one pair there is has no interval
    assert "Trials: 7 complete, 2 failed." in text
    table_files.write([TABLE], TRIALS, [], tmp_path)
    assert "Trials: none yet." in (tmp_path / "table.md").read_text()


def test_what_was_chosen_is_under_the_table(tmp_path):
    candidates = [
        Candidate({"loss.beta": 4.0}, [0.9, 0.8]),
        Candidate({"loss.beta": 8.0}, [0.95, 0.97]),
        Candidate({"loss.beta": 12.0}, [0.99], failed=1),
    ]
    made = [
        Choice({"loss.lam": 0.5}, candidates, []),
        Choice({"loss.lam": 1.0}, [Candidate({}, failed=2), Candidate({"loss.beta": 1.0}, pruned=1)], []),
        Choice({"loss.name": "mae"}, [Candidate({})], []),  # nothing to choose
    ]
    table_files.write([TABLE], TRIALS, lines(), tmp_path, made=made)
    text = (tmp_path / "table.md").read_text()
    assert (
        "| loss.lam=0.5 | loss.beta=8.0 | 0.960 ± 0.014 (2) | loss.beta=4.0: 0.850 ± 0.071 (2); "
        "loss.beta=8.0: 0.960 ± 0.014 (2); loss.beta=12.0: 0.990 (1, 1 failed) |"
    ) in text
    assert "| loss.lam=1.0 | none is left | – | as the base: 2 failed; loss.beta=1.0: pruned |" in text
    assert "mae" not in text


def test_published_numbers_of_several_metrics_are_several_tables(tmp_path):
    best = dataclasses.replace(TABLE, metric="test_accuracy_best", published={"CE": (90.0, 50.0)})
    table_files.write([TABLE, best], TRIALS, lines(), tmp_path)
    text = (tmp_path / "table.md").read_text()
    assert text.count("chosen on test\n") == 1
    assert "| CE | 90.0 ± 0.0 (3)<br>90.0: within | 90.0 ± 0.0 (3)<br>50.0: above |" in text


def test_a_further_metric_has_three_digits_and_the_rows_that_measure_it(tmp_path):
    found = lines()
    for line in found:
        is_gr = "loss.beta" in line["overrides"]
        line["summary"] |= {"kept_purity": 0.71234 if is_gr else None, "memorisation": 0.5}
    table = dataclasses.replace(TABLE, published={}, also=("kept_purity", "memorisation"))
    table_files.write([table], TRIALS, found, tmp_path)
    purity, memorised = (tmp_path / "table.md").read_text().split("## Table 0: ")[2:]
    assert re.findall(r"^\| (\w+) \|.*", purity, re.MULTILINE) == ["GR"]
    assert "| GR | 0.712 ± 0.000 (3) | 0.712 ± 0.000 (3) |" in purity
    assert "Against" not in purity
    assert "| CE | 0.500 ± 0.000 (3) |" in memorised
    assert "Against CE" in memorised


def test_fractions_have_three_digits(tmp_path):
    table_files.write([dataclasses.replace(TABLE, percent=False, published={})], TRIALS, lines(), tmp_path)
    assert "| CE | 0.707 ± 0.021 (3) | 0.607 ± 0.021 (3) |" in (tmp_path / "table.md").read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"published": {"MAE": (1.0, 2.0)}}, "table.published: unknown row 'MAE'; Known: CE, GR, quoted"),
        ({"published": {"CE": (1.0,)}}, "row 'CE' must have 2 values, one a column, got 1"),
        ({"source": ""}, "table.source: must say where the published values come from"),
        ({"baseline": "quoted"}, "table.baseline: unknown row 'quoted'"),
        ({"rows": {**ROWS, "MAE": {"loss.name": "mae"}}}, "no trial is in row 'MAE', column 'clean'"),
        ({"columns": {"clean": {"noise.rate": 0.0}}, "published": {}}, "must be in one column, got none for"),
        ({"rows": {**ROWS, "all": {}}}, "must be in one row, got 'CE' and 'all' for"),
        ({"rows": {"all": {}}, "published": {}, "baseline": None}, "differ in loss.beta, loss.lam"),
    ],
)
def test_a_table_that_its_trials_do_not_fill_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        check(dataclasses.replace(TABLE, **changes), TRIALS)


def test_a_grid_in_a_cell_is_refused_unless_it_is_selected_from():
    grid = [*TRIALS, *({**trial, "loss.beta": 12.0} for trial in TRIALS if "loss.beta" in trial)]
    with pytest.raises(
        ConfigError, match=r"'GR', column 'clean' differ in loss.beta; make rows or columns of"
    ):
        check(TABLE, grid)
    check(TABLE, grid, chosen=["loss.beta"])


def test_a_baseline_of_other_seeds_is_refused():
    with pytest.raises(ConfigError, match="'CE' and 'GR' must have the same seeds in column 'clean'"):
        check(TABLE, TRIALS[1:])


def test_a_metric_that_no_run_has_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"table.metric: unknown metric 'test_acuracy_last'; did you mean"):
        dataclasses.replace(TABLE, metric="test_acuracy_last")
    with pytest.raises(ConfigError, match=r"table.also: unknown metric 'memorization'; did you mean"):
        dataclasses.replace(TABLE, also=("memorization",))
    held_out = dataclasses.replace(TABLE, metric="validation_accuracy_last")
    with pytest.raises(ConfigError, match="'validation_accuracy_last' is not in the summary of trial 0"):
        table_files.write([held_out], TRIALS, lines(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_lists_and_tuples_are_the_same_value():
    trials = [{"schedule.boundaries_steps": [15, 22], "noise.seed": 0}]
    table = Table("steps", rows={"two": {"schedule.boundaries_steps": (15, 22)}}, columns={"all": {}})
    check(table, trials)
    assert cells(table, trials, [])["two", "all"].planned == 1
