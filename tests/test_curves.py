import json

import pytest

from grjax.analysis import curves
from grjax.errors import WorkdirError


def write_run(workdir, epochs=3, memorisation=0.5):
    workdir.mkdir()
    rows = [{"epoch": e, "test_accuracy": e / epochs, "memorisation": memorisation} for e in range(epochs)]
    (workdir / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return workdir


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_draws_a_picture(tmp_path, ending):
    runs = {"one": [write_run(tmp_path / "a"), write_run(tmp_path / "b")], "two": [write_run(tmp_path / "c")]}
    path = tmp_path / "figures" / f"curves.{ending}"
    curves.draw(runs, path, title="three runs")
    first = path.read_bytes()
    assert len(first) > 1000
    curves.draw(runs, path, title="three runs")
    assert path.read_bytes() == first  # the same runs give the same file


def test_a_metric_that_does_not_apply_is_a_gap(tmp_path):
    curves.draw({"clean": [write_run(tmp_path / "a", memorisation=None)]}, tmp_path / "curves.png")


def test_runs_that_do_not_fit_are_refused(tmp_path):
    short, long = write_run(tmp_path / "a"), write_run(tmp_path / "b", epochs=4)
    with pytest.raises(WorkdirError, match="other epochs"):
        curves.draw({"both": [short, long]}, tmp_path / "curves.png")
    with pytest.raises(WorkdirError, match="no metrics"):
        curves.draw({"none": [tmp_path]}, tmp_path / "curves.png")
