"""Workdirs of grjax 0.1: they are evaluated, audited and reported, and an unfinished one does not go on."""

import json
import shutil

import jax
import numpy as np
import pytest

from grjax import config, experiment, first_edition
from grjax.analysis.audit_run import audit_run
from grjax.analysis.report import write_report
from grjax.errors import WorkdirError
from grjax.evaluate import evaluate_checkpoint
from grjax.first_edition import FirstTrainState
from grjax.sweep import Sweep, engine, seeds
from grjax.train import train_and_evaluate
from grjax.workdir import folder
from grjax.workdir.checkpoints import Checkpoints


def small(**overrides):
    layer = {
        "noise": {"name": "symmetric", "rate": 0.4},
        "model": {"name": "mlp", "hidden": (8,)},
        "loss": {"name": "elr", "lam": 3.0},  # it remembers its examples: a state of every kind
        "batch_size": 256,
        "train_steps": 10,
        "eval_every_steps": 5,
        "checkpoint_every_steps": 10,
        "tensorboard": False,
        **overrides,
    }
    return config.resolve(layer)


def older(workdir, **changes):
    """Makes the folder of a run what version 0.1 would have left."""
    written = json.loads((workdir / "config.json").read_text())
    del written["method"], written["data"]["order"]  # keys that 0.1 did not have
    for section, options in changes.items():
        written[section] |= options
    (workdir / "config.json").write_text(json.dumps(written))
    like = jax.eval_shape(experiment.create(small()).init_state)
    checkpoints = Checkpoints(workdir / "checkpoints", 3)
    (step,) = checkpoints.steps()
    state = checkpoints.restore(step, like)
    checkpoints.close()
    shutil.rmtree(workdir / "checkpoints")
    learner = state.learner
    checkpoints = Checkpoints(workdir / "checkpoints", 3)
    checkpoints.save(
        step,
        FirstTrainState(
            step=state.step,
            params=learner.params,
            batch_stats=learner.batch_stats,
            opt_state=learner.opt_state,
            loss_memory=learner.loss_memory,
            dynamics=state.dynamics,
        ),
    )
    checkpoints.close()
    return workdir


@pytest.fixture(scope="module")
def today(tmp_path_factory, data_dir):
    workdir = tmp_path_factory.mktemp("today") / "run"
    train_and_evaluate(small(), workdir)
    return workdir


@pytest.fixture
def first(today, tmp_path):
    return older(shutil.copytree(today, tmp_path / "run"))


def test_it_is_evaluated_as_it_was(today, first):
    found = evaluate_checkpoint(first)
    row = json.loads((today / "metrics.jsonl").read_text().splitlines()[-1])
    assert found["test_accuracy"] == row["test_accuracy"]
    assert found["memorisation"] == row["memorisation"]


def test_the_whole_state_is_found(today, first):
    made = experiment.create(small())
    states = []
    for workdir in (today, first):
        checkpoints = Checkpoints(workdir / "checkpoints", 3)
        states.append(made.restore(checkpoints, 10))
        checkpoints.close()
    ours, theirs = map(jax.tree.leaves, states)
    assert len(ours) == len(theirs) > 10
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_it_is_audited_and_reported_as_it_was(today, first):
    assert audit_run(first) == audit_run(today)
    assert "test_accuracy" in write_report([first]).read_text()


def test_a_finished_one_is_left_as_it_is(first, capsys):
    before = (first / "metrics.jsonl").read_bytes()
    train_and_evaluate(small(), first)
    assert "the run is finished, at step 10; nothing to do" in capsys.readouterr().out
    assert (first / "metrics.jsonl").read_bytes() == before


def test_an_unfinished_one_does_not_go_on(first):
    (first / "summary.json").unlink()
    with pytest.raises(WorkdirError, match=r"grjax 0\.1 began the run") as caught:
        train_and_evaluate(small(), first)
    assert "\n" not in str(caught.value)
    assert [path.name for path in (first / "checkpoints").iterdir()] == ["10"]  # none is set aside
    evaluate_checkpoint(first)


def test_one_of_another_config_is_refused_by_the_keys_that_differ(first):
    with pytest.raises(WorkdirError, match=r"another config \(loss\.lam: 3\.0 there, 2\.0 here\)"):
        train_and_evaluate(small(loss={"name": "elr", "lam": 2.0}), first)


def test_options_have_todays_names(first):
    restarts = {"name": "cosine_restarts", "period_epochs": 10}
    found = first_edition.today({"schedule": restarts, "model": {"name": "vit", "scan_blocks": True}})
    assert found["schedule"] == {"name": "cosine", "period_epochs": 10}
    assert found["model"] == {"name": "vit"}
    assert restarts["name"] == "cosine_restarts"
    # What that network has saved is of another structure; 'no such option' says so.
    assert "scan_blocks" in first_edition.today({"model": {"name": "resnet44", "scan_blocks": True}})["model"]
    assert folder.read_config(first).method.name == "single"


def test_a_sweep_does_not_go_on(tmp_path):
    sweep = Sweep(small(), seeds([0]))
    written = {"name": "one", **sweep.as_json()}
    del written["base"]["method"]
    (tmp_path / "sweep.json").write_text(json.dumps(written))
    with pytest.raises(WorkdirError, match=r"grjax 0\.1 began the sweep"):
        engine.run(sweep, tmp_path)


def test_a_checkpoint_that_neither_edition_reads_keeps_its_first_error(today, monkeypatch):
    def restore(self, step, like):
        raise WorkdirError(f"as a {type(like).__name__}")

    monkeypatch.setattr(Checkpoints, "restore", restore)
    with pytest.raises(WorkdirError, match=r"^as a TrainState$"):
        experiment.create(small()).restore(Checkpoints(today / "checkpoints", 3), 12)
