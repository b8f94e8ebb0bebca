"""The benchmark that repeats cells of the paper's Table 1, in small."""

import pytest
from grjax.configs.gr_cifar100 import build

from benchmarks import reproduce


def test_the_table_comes_last_and_finished_runs_are_not_repeated(
    tmp_path, data_dir, capsys, compile_quickly, monkeypatch
):
    network = {"name": "cnn", "features": (4,), "hidden": 8}  # compiles sooner
    monkeypatch.setattr(reproduce, "build", lambda **arguments: {**build(**arguments), "model": network})
    arguments = ["--quick", "--no-store", f"--workdir={tmp_path}"]
    reproduce.main(arguments)
    first = capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {f"{loss}_0" for loss in reproduce.PUBLISHED}
    header, _, *rows = first.strip().splitlines()[-5:]
    assert header.startswith("| loss | best, chosen on test | Table 1 |")
    assert [row.split("`")[1] for row in rows] == ["cross_entropy", "gce", "gradient_rescaling"]
    assert all("(n=1)" in row for row in rows)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    reproduce.main(arguments)
    assert capsys.readouterr().out == first
    assert written == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}


def test_published_figures_stand_beside_the_runs():
    run = {"test_accuracy_best": 0.5, "test_accuracy_last": 0.25, "memorisation": 0.125}
    other = {**run, "test_accuracy_best": 0.6}
    results = {loss: [run, other] for loss in reproduce.PUBLISHED}
    *_, ce, gce, gr = reproduce.table(results, quick=False).splitlines()
    assert ce == "| `cross_entropy` | 55.0 ± 7.1 (n=2) | 53.2 | 25.0 ± 0.0 (n=2) | – | 12.5 ± 0.0 (n=2) |"
    assert "| 58.6 |" in gce
    assert "| 61.0 |" in gr


@pytest.mark.parametrize("dataset", ["nowhere"])
def test_data_that_are_not_there_are_one_line(dataset, tmp_path, capsys):
    with pytest.raises(SystemExit):
        reproduce.main([f"--data_dir={tmp_path / dataset}", "--no-store", f"--workdir={tmp_path}/runs"])
    error = capsys.readouterr().err
    assert error.startswith("ConfigError: data.dir: ")
    assert error.count("\n") == 1
