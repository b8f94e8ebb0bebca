"""The report of a sweep: its settings, their statistics, and its figures."""

import re
from pathlib import Path

import numpy as np
import pytest
from reported_runs import write_run, write_sweep

from grjax.analysis.report import multiples, page, svg, trials, write_report
from grjax.analysis.report.runs import UnavailableError
from grjax.errors import WorkdirError
from grjax.workdir.metrics_file import read_rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_sweep(tmp_path_factory.mktemp("sweep"))


@pytest.fixture(scope="module")
def sweep(folder):
    return trials.read(folder)


def last(folder, numbers, key):
    return [read_rows(folder / "trials" / f"{number:04d}" / "metrics.jsonl")[-1][key] for number in numbers]


def test_settings_are_what_trials_share_but_for_seeds(folder, sweep):
    assert sweep.keys == ["loss.lam", "noise.rate"]  # beta is the same in all
    assert [setting.name(sweep.keys) for setting in sweep.settings] == [
        "λ = 0, r = 0.2", "λ = 0, r = 0.6", "λ = 1, r = 0.2", "λ = 1, r = 0.6",
    ]  # fmt: skip
    columns, rows = trials.table(sweep)
    assert columns[0] == "test, last"
    for number, (_, cells) in enumerate(rows[:3]):
        values = last(folder, (2 * number, 2 * number + 1), "test_accuracy")
        assert cells[0] == f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"
        assert cells[-1] == "2"
    (alone,) = last(folder, (6,), "memorisation")
    assert rows[3][1][2] == f"{alone:.3f}"
    assert rows[3][1][-1] == "1, 1 failed"


def test_settings_stand_in_a_grid_if_they_are_one(sweep):
    columns, rows = sweep.rows()
    assert columns == ["noise.rate"]
    assert [[setting.overrides["loss.lam"] for setting in row] for row in rows] == [[0, 0], [1, 1]]
    odd = trials.Sweep(sweep.folder, sweep.results, sweep.settings[:3], sweep.keys)
    assert odd.rows() == ([], [sweep.settings[:3]])


def test_small_multiples_are_means_over_runs(folder, sweep):
    panels = multiples.learning_curves(sweep).figure.axes
    assert [axes.get_title() for axes in panels[:2]] == ["r = 0.2", "r = 0.6"]
    assert [axes.get_ylabel() for axes in panels] == ["λ = 0", "", "λ = 1", ""]
    mean = panels[1].lines[2]  # after a thin line for each run
    runs = [read_rows(folder / "trials" / f"{number:04d}" / "metrics.jsonl") for number in (2, 3)]
    np.testing.assert_allclose(
        mean.get_ydata(), np.mean([[row["test_accuracy"] for row in rows] for rows in runs], axis=0)
    )


def test_emphasis_mode_stands_over_noise_rate(folder, sweep):
    lines = multiples.best_mode(sweep).figure.axes[0].lines
    np.testing.assert_array_equal(lines[0].get_xdata(), [0.2, 0.6])
    np.testing.assert_allclose(lines[0].get_ydata(), [0, 1 / 2])  # of lam 0, then lam 1
    hard = multiples.accuracy_by_mode(sweep).figure.axes[0].containers[1]
    expected = [np.mean(last(folder, numbers, "test_accuracy")) for numbers in ((4, 5), (6,))]
    np.testing.assert_allclose(np.asarray(hard.lines[0].get_ydata(), float), expected)


def test_page_of_a_sweep(folder, monkeypatch):
    render = svg.render
    monkeypatch.setattr(svg, "render", lambda figure, ending: render(figure, "svg"))  # PNG takes long
    assert write_report([folder]) == folder / "report.html"
    text = (folder / "report.html").read_text()
    assert re.findall(r'<figure id="(\w+)"', text) == [entry.name for entry in page.OF_A_SWEEP]
    assert "0.9 ± 0.1 (2)<br>0.8: above</td>" in text  # table.md
    assert "&lt;script&gt;" in text
    assert "<script" not in text
    assert "1 of 8 trials failed; trial 7: NonFiniteError: the loss is nan" in text


def test_what_a_sweep_does_not_have_is_left_out(tmp_path, sweep):
    bare = trials.Sweep(tmp_path, sweep.results, sweep.settings, sweep.keys)
    with pytest.raises(UnavailableError, match="selects loss"):
        multiples.best_mode(bare)
    many = trials.Sweep(tmp_path, sweep.results, sweep.settings * 20, sweep.keys)
    with pytest.raises(UnavailableError, match="80 settings"):
        multiples.learning_curves(many)


def test_a_sweep_is_reported_alone_and_once_it_has_results(folder, tmp_path):
    run = write_run(tmp_path / "run", keep=False, epochs=1)
    with pytest.raises(WorkdirError, match="is a sweep"):
        write_report([run, folder])
    (tmp_path / "results.jsonl").touch()
    with pytest.raises(WorkdirError, match="no trial of the sweep has ended yet"):
        write_report([Path(tmp_path)])
