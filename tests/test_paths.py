"""Every public function takes a folder as text, with ~ too, and as any os.PathLike."""

import os
from pathlib import Path

import numpy as np
import pytest
from small_runs import small

from grjax import analysis
from grjax.analysis import figures
from grjax.analysis.audit_run import audit_run
from grjax.analysis.noise_report import report_noise
from grjax.analysis.report import write_report
from grjax.evaluate import evaluate_checkpoint
from grjax.sweep import Sweep, engine, phases, results
from grjax.train import train_and_evaluate
from grjax.workdir import predictions
from grjax.workdir.checkpoints import Checkpoints
from grjax.workdir.folder import read_config


class Entry(os.PathLike):
    """As what os.scandir gives: a path that is neither text nor a pathlib.Path."""

    def __init__(self, path):
        self._path = str(path)

    def __fspath__(self):
        return self._path


def at_home(path):
    """As text, from the home folder on."""
    return f"~/{Path(path).name}"


SHAPES = pytest.mark.parametrize("shape", [str, Entry, at_home])


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home") / "run"
    assert train_and_evaluate(small(train_steps=4), str(folder))["num_steps"] == 4
    return folder


@SHAPES
def test_what_looks_at_a_run(trained, shape, monkeypatch):
    monkeypatch.setenv("HOME", str(trained.parent))
    workdir, config = shape(trained), small(train_steps=4)
    assert train_and_evaluate(config, workdir)["num_steps"] == 4  # finished
    assert report_noise(config, workdir)["num_examples"] > 0
    assert evaluate_checkpoint(workdir, np.int64(4))["step"] == 4
    assert audit_run(workdir, export=True)["last_step"] == 4
    assert predictions.read(workdir).steps.tolist()[-1] == 4
    assert read_config(workdir).batch_size == 64


def test_a_report_of_it(trained, monkeypatch):
    monkeypatch.setenv("HOME", str(trained.parent))
    assert write_report("~/run") == trained / "report.html"
    page = write_report([Entry(trained)], Entry(trained.parent / "page"))
    assert page == trained.parent / "page" / "report.html"
    figures.main(["mean_p", "~/run", "--output=~/mean_p.svg"], "figure")
    assert (trained.parent / "mean_p.svg").exists()


@SHAPES
def test_checkpoints(home, shape):
    checkpoints = Checkpoints(shape(home / "checkpoints"), 1)
    checkpoints.save(3, {"a": np.ones(2)})
    checkpoints.close()
    assert (home / "checkpoints" / "3").is_dir()


@SHAPES
def test_an_audit_of_arrays(home, shape):
    x = np.linspace(-1, 1, 40)[:, None]
    config = {"model.hidden": (4,), "train_epochs": 2, "eval_every_epochs": 1.0}
    analysis.audit(x, (x[:, 0] > 0).astype(int), config, workdir=shape(home / "audit"))
    assert (home / "audit" / "summary.json").exists()


def test_a_sweep(home):
    sweep, folder = Sweep(small(train_steps=4), [{"init_seed": 0}]), "~/sweep"
    assert [each["state"] for each in phases.run(sweep, folder)] == ["complete"]
    assert [each["state"] for each in engine.run(sweep, folder, dry_run=True)] == ["complete"]
    assert [each["state"] for each in engine.run_trials(sweep, Entry(home / "sweep"))] == ["complete"]
    assert [each["state"] for each in results.read(folder)] == ["complete"]
    assert not (Path.cwd() / "~").exists()
