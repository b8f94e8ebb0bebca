"""Pages in docs/results about a sweep: they say what the stored runs say."""

import json
from pathlib import Path

import pytest

from benchmarks import over_training, sweep_results

RESULTS = Path(__file__).parents[1] / "docs" / "results"
ACCURACIES = ("test_accuracy_last", "test_accuracy_best")
STEPS = {
    "digits_methods": 660,
    "fashion_mnist_losses": 4_680,
    "fashion_mnist_methods": 600,
    "phuber_mnist_table": 37_500,
    "vehicles10_regularisers": 2_400,
}


@pytest.fixture(scope="module", params=sorted(STEPS))
def stored(request):
    """A name, its runs and its page."""
    found = json.loads((RESULTS / "data" / f"{request.param}.json").read_text())
    return request.param, found, (RESULTS / f"{request.param}.md").read_text()


def test_every_run_is_a_trial_of_the_config_once(stored):
    name, found, _ = stored
    trials = [json.dumps(trial, sort_keys=True) for trial in sweep_results.SWEEPS[name]().trials]
    runs = [json.dumps(run["overrides"], sort_keys=True) for run in found["runs"]]
    assert len(set(runs)) == len(runs)
    assert set(runs) <= set(trials)
    assert {run["summary"]["num_steps"] for run in found["runs"]} == {STEPS[name]}


def test_the_tables_are_those_of_the_runs(stored):
    name, found, page = stored
    shown = sweep_results.shown(name, found)
    tables = sweep_results.markdown(shown)
    if name != "digits_methods":
        tables.pop("time")  # measured on what other work left
    for what, table in tables.items():
        assert table in page, what
    prose = " ".join(page.split())
    assert f"n = {shown.num_seeds} seed" in prose
    assert f"{len(found['runs'])} runs" in prose
    for environment in (found["environment"], *found.get("earlier_environments", ())):
        assert f"jax {environment['jax']}" in prose


def run(row, seed, sweep=0, **summary):
    overrides = {**row, "noise": {"name": "symmetric", "rate": 0.0}, "noise.seed": seed, "init_seed": seed}
    kept = {"test_accuracy_last": 0.9, "wall_seconds": 3.0, "seconds_to_first_step": 1.0, **summary}
    return {"sweep": sweep, "overrides": overrides, "state": "complete", "summary": kept}


def test_columns_that_not_all_rows_have_are_not_shown_and_published_numbers_stay_in_theirs():
    from grjax.configs import phuber_mnist_table as mnist

    sweep = mnist.build(num_seeds=1)
    runs = [
        {
            "sweep": 0,
            "overrides": trial,
            "state": "complete",
            "summary": dict.fromkeys(sweep_results.KEPT, 1.0)
            | dict.fromkeys(ACCURACIES, 0.988)
            | {"wall_seconds": 3.0},
        }
        for trial in sweep.trials
        if trial["noise.rate"] != 0.2 or trial["loss"]["name"] == "gce"
    ]
    shown = sweep_results.shown("phuber_mnist_table", {"runs": runs})
    assert (list(shown.table.columns), shown.num_seeds) == (["0", ".4", ".6"], 1)
    assert sweep_results.markdown(shown)["last"].splitlines()[2:4] == [
        "| CE | 98.8; 99.1 | 98.8; 98.6 | **98.8; 98.0** |",
        "| GCE | 98.8; 98.8 | 98.8; 98.5 | **98.8; 98.1** |",
    ]
    assert sweep_results.within(shown) == (8, 12)


def test_seeds_that_not_all_rows_have_are_not_shown_and_times_are_of_one_sweep(monkeypatch):
    from grjax.configs import digits_methods

    rows = {name: digits_methods.ROWS[name] for name in ("CE", "PES", "GR")}
    monkeypatch.setattr(digits_methods, "COLUMNS", {"clean": digits_methods.COLUMNS["clean"]})
    runs = [run(rows["CE"], seed) for seed in range(3)]
    runs += [run(rows["PES"], seed, wall_seconds=6.0, test_accuracy_last=0.8) for seed in range(2)]
    runs += [run(rows["GR"], seed, sweep=1) for seed in range(3)]
    shown = sweep_results.shown("digits_methods", {"runs": runs})
    assert shown.num_seeds == 2
    table, filled = sweep_results.content(shown, "test_accuracy_last")
    assert list(table.rows) == ["CE", "GR", "PES"]
    assert len(filled["CE", "clean"].values) == 2
    assert filled["PES", "clean"].spread().mean == pytest.approx(80)
    times = sweep_results._times(shown).splitlines()[2:]
    assert times == ["| CE | 1.0 |", "| GR | – |", "| PES | 2.5 |"]


def test_a_stored_file_and_a_folder_together_are_all_their_runs(tmp_path):
    from grjax.configs import phuber_mnist_table as mnist

    first, second = mnist.build(num_seeds=1), mnist.build(first_seed=1, num_seeds=1)
    assert [*first.trials, *second.trials] == mnist.build(num_seeds=2).trials
    assert [trial["noise.seed"] for trial in second.trials] == [1] * 20

    def lines(sweep, accuracy):
        summary = dict.fromkeys(sweep_results.KEPT, 1.0) | {"test_accuracy_last": accuracy}
        return [
            {"trial": number, "overrides": trial, "state": "complete", "summary": summary}
            for number, trial in enumerate(sweep.trials)
        ]

    def folder(name, rows):
        (tmp_path / name).mkdir()
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / name / "results.jsonl").write_text(text)
        return tmp_path / name

    folders = [folder("a", lines(first, 0.7)), folder("b", lines(first, 0.8)[:1])]
    before = sweep_results.stored("phuber_mnist_table", folders)
    assert "earlier_environments" not in before
    earlier = [before["environment"] | {"jax": "0.10.0"}, before["environment"] | {"jax": "0.9.0"}]
    before |= {"environment": earlier[0], "earlier_environments": earlier[1:]}
    (tmp_path / "before.json").write_text(sweep_results._compact(before))
    paths = [tmp_path / "before.json", folder("c", lines(second, 0.9))]
    found = sweep_results.stored("phuber_mnist_table", paths)
    assert found["environment"]["jax"] not in ("0.10.0", "0.9.0")
    assert found["earlier_environments"] == earlier
    runs = found["runs"]
    assert [run["sweep"] for run in runs] == [1] + [0] * 19 + [2] * 20
    assert [run["summary"]["test_accuracy_last"] for run in runs] == [0.8] + [0.7] * 19 + [0.9] * 20


def test_how_runs_went_on_is_the_mean_of_their_evaluations(tmp_path):
    from grjax.configs import vehicles10_regularisers as vehicles

    sweep = vehicles.build(num_seeds=2)
    chosen = [trial for trial in sweep.trials if trial["noise.rate"] == 0.4 and not trial["model.dropout"]]
    chosen = [trial for trial in chosen if not trial["optimizer.weight_decay"]]  # CE and GR, two seeds
    for number in range(len(chosen)):
        workdir = tmp_path / "trials" / f"{number:04}"
        workdir.mkdir(parents=True)
        rows = [
            {"step": step, "test_accuracy": 0.1 * number, "memorisation": step / 10_000, "learning_rate": 0.1}
            | {"mean_p_clean": 0.5 + 0.1 * number, "mean_p_mislabelled": 0.1}
            for step in (300, 2_400)
        ]
        (workdir / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    summary = dict.fromkeys(sweep_results.KEPT, 0.5) | {"wall_seconds": 3.0}
    lines = [
        {"overrides": trial, "state": "complete", "summary": summary, "workdir": f"trials/{number:04}"}
        for number, trial in enumerate(chosen)
    ]
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = sweep_results.stored("vehicles10_regularisers", [tmp_path])
    (tmp_path / "again.json").write_text(sweep_results._compact(found))
    again = sweep_results.stored("vehicles10_regularisers", [tmp_path / "again.json"])
    assert again["runs"] == found["runs"]
    tables = sweep_results.markdown(sweep_results.shown("vehicles10_regularisers", again))
    # Runs 0 and 2 are cross-entropy's, 1 and 3 Gradient Rescaling's.
    assert tables["test accuracy over training"].splitlines() == [
        "| | 300 | 2,400 |", "|---|---|---|", "| CE | 10.0 | 10.0 |", "| GR | 20.0 | 20.0 |",
    ]  # fmt: skip
    assert tables["memorisation over training"].splitlines()[2] == "| CE | 0.03 | 0.24 |"
    assert tables["mean p over training"].splitlines()[3] == "| GR | 0.70 / 0.10 | 0.70 / 0.10 |"
    assert set(found["runs"][0]["evaluations"][0]) == set(over_training.KEPT)
