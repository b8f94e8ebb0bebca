"""The train loop within one process."""

import dataclasses
import json
import logging
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_runs
from small_runs import assert_identical, final_state, rows

from grjax import data, experiment
from grjax.data import Split, tfds_source
from grjax.errors import ConfigError, NonFiniteError, WorkdirError
from grjax.evaluate import evaluate_checkpoint
from grjax.summary import summary_metrics
from grjax.train import train_and_evaluate
from grjax.workdir import folder
from grjax.workdir.checkpoints import Checkpoints


def small(**overrides):
    """A run of a second of Gradient Rescaling."""
    loss = {"loss.name": "gradient_rescaling", "loss.lam": 1.0, "loss.beta": 8.0}
    return small_runs.small(**{**loss, "tensorboard": True, **overrides})


@pytest.fixture(scope="module")
def finished_once(tmp_path_factory, data_dir):
    folder = tmp_path_factory.mktemp("finished")
    return folder, train_and_evaluate(small(), folder)


@pytest.fixture
def finished(finished_once, tmp_path):
    """The workdir of a finished run of `small()`, a copy for each test."""
    return Path(shutil.copytree(finished_once[0], tmp_path / "finished"))


def test_a_run_writes_what_the_documentation_says(finished_once):
    workdir, summary = finished_once
    written = {path.name for path in workdir.iterdir()} - {"tensorboard", ".lock"}
    assert written == {
        "checkpoints", "config.json", "dynamics.npz", "environment.json", "metrics.jsonl", "noise.json",
        "noise.npz", "predictions", "summary.json",
    }  # fmt: skip
    assert json.loads((workdir / "summary.json").read_text()) == summary
    assert summary.keys() == {*summary_metrics(["test"]), "noise_sha256"}
    assert [row["step"] for row in rows(workdir)] == [0, 4, 8, 12]
    assert summary["num_steps"] == 12
    assert summary["noise_rate_nominal"] == 0.4
    assert summary["noise_rate_realised"] == pytest.approx(0.4, abs=0.05)
    assert summary["test_accuracy_last"] == rows(workdir)[-1]["test_accuracy"]
    assert summary["test_accuracy_best"] == max(row["test_accuracy"] for row in rows(workdir))
    with np.load(workdir / "noise.npz") as stored:
        assert set(stored) == {"ids", "clean_labels", "noisy_labels"}


def test_nothing_compiles_after_the_first_step_and_the_train_step_once(tmp_path, caplog, monkeypatch):
    traced = []
    real = experiment.Experiment.train_step

    def counting(parts):
        step = real(parts)
        return lambda *args: traced.append(1) or step(*args)

    monkeypatch.setattr(experiment.Experiment, "train_step", counting)
    compiled = []
    for number, length in enumerate((1, 6)):  # with evaluations and checkpoints on the way
        caplog.clear()
        with caplog.at_level(logging.WARNING), jax.log_compiles():
            every = {"train_steps": length, "eval_every_steps": 1, "checkpoint_every_steps": 1}
            train_and_evaluate(small(**every), tmp_path / str(number))
        compiled.append(sum("Finished XLA compilation" in message for message in caplog.messages))
    assert len(traced) == 2  # once a run
    assert 0 < compiled[1] <= compiled[0]


def test_a_finished_run_is_not_taken_for_one_with_other_labels(tmp_path):
    """A file of labels may move, so where it lies is no part of the run; what it says is."""
    labels = data.load("digits").splits["train"].labels
    ids = data.load("digits").splits["train"].ids
    for name, given in {"one": labels, "other": (labels + 1) % 10}.items():
        np.savez(tmp_path / f"{name}.npz", ids=ids, labels=given)
    file = {"noise": {"name": "file", "path": str(tmp_path / "one.npz")}}
    train_and_evaluate(small(**file), tmp_path / "run")
    moved = shutil.move(tmp_path / "one.npz", tmp_path / "moved.npz")
    train_and_evaluate(small(noise={"name": "file", "path": str(moved)}), tmp_path / "run")
    with pytest.raises(WorkdirError, match="other noisy labels"):
        train_and_evaluate(
            small(noise={"name": "file", "path": str(tmp_path / "other.npz")}), tmp_path / "run"
        )


def test_clean_labels_do_not_reach_training(finished_once, tmp_path, monkeypatch):
    real_create = experiment.create

    def scrambled(config):
        parts = real_create(config)
        rng = np.random.default_rng(0)
        splits = {
            name: dataclasses.replace(split, labels=rng.permutation(split.labels))
            for name, split in parts.dataset.splits.items()
        }
        return dataclasses.replace(
            parts,
            dataset=dataclasses.replace(parts.dataset, splits=splits),
            noise=dataclasses.replace(parts.noise, clean=splits["train"].labels),
        )

    monkeypatch.setattr(experiment, "create", scrambled)
    train_and_evaluate(small(), tmp_path)
    monkeypatch.undo()
    assert_identical(final_state(tmp_path), final_state(finished_once[0]))
    assert rows(tmp_path)[-1] != rows(finished_once[0])[-1]


def test_a_run_repeats_bit_for_bit(finished_once, tmp_path):
    train_and_evaluate(small(), tmp_path)
    assert rows(tmp_path) == rows(finished_once[0])
    assert_identical(final_state(tmp_path), final_state(finished_once[0]))


@pytest.mark.parametrize("seed", ["noise.seed", "init_seed", "order_seed"])
def test_each_seed_matters(finished_once, tmp_path, seed):
    train_and_evaluate(small(**{seed: 1}), tmp_path)
    assert rows(tmp_path) != rows(finished_once[0])


def test_noise_depends_on_its_own_seed_alone():
    other = small(**{"init_seed": 1, "order_seed": 2, "batch_size": 32, "data.validation_fraction": 0.2})
    one, other = experiment.create(small()).noise, experiment.create(other).noise
    position = np.searchsorted(one.ids, other.ids)
    np.testing.assert_array_equal(one.labels[position], other.labels)


def test_a_finished_run_is_left_as_it_is(finished, capsys):
    before = {path: path.stat().st_mtime_ns for path in sorted(finished.rglob("*"))}
    train_and_evaluate(small(), finished)
    assert before == {path: path.stat().st_mtime_ns for path in sorted(finished.rglob("*"))}
    assert "finished" in capsys.readouterr().out


def test_a_workdir_of_another_config_is_refused(finished):
    differing = r"loss\.beta: 8\.0 there, 9\.0 here; noise\.seed: 0 there, 3 here"
    with pytest.raises(WorkdirError, match=differing):
        train_and_evaluate(small(**{"loss.beta": 9.0, "noise.seed": 3}), finished)


def test_where_the_data_lie_does_not_make_another_run(finished, data_dir):
    train_and_evaluate(small(**{"data.dir": data_dir}), finished)


def test_a_run_with_other_noise_does_not_go_on(finished):
    (finished / "summary.json").unlink()
    noise = experiment.create(small()).noise
    dataclasses.replace(noise, labels=np.roll(noise.labels, 1)).save(finished / "noise.npz")
    with pytest.raises(WorkdirError, match="other noisy labels"):
        train_and_evaluate(small(), finished)


def damage(folder):
    """Flips one bit in the middle of a checkpoint's largest file."""
    largest = max(
        (path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size
    )
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 0x10
    largest.write_bytes(bytes(content))


def test_a_damaged_checkpoint_falls_back_to_the_one_before(finished_once, finished, caplog):
    (finished / "summary.json").unlink()
    damage(finished / "checkpoints" / "12")
    summary = train_and_evaluate(small(), finished)
    assert summary["num_steps"] == 12
    assert "Damaged checkpoint" in caplog.text
    assert (finished / "damaged" / "12").exists()
    assert json.loads((finished / "environment.json").read_text())[-1]["from_step"] == 8
    assert rows(finished) == rows(finished_once[0])
    assert_identical(final_state(finished), final_state(finished_once[0]))


@pytest.mark.parametrize("name", ["noise.npz", "metrics.jsonl"])
def test_a_run_that_lost_a_file_does_not_go_on(finished, name):
    (finished / "summary.json").unlink()
    (finished / name).unlink()
    with pytest.raises(WorkdirError, match=name):
        train_and_evaluate(small(), finished)


def test_a_run_killed_before_its_summary_writes_it(finished_once, finished):
    (finished / "summary.json").unlink()
    summary = train_and_evaluate(small(), finished)
    timed = {"seconds_to_first_step", "wall_seconds"}
    assert {k: v for k, v in summary.items() if k not in timed} == {
        k: v for k, v in finished_once[1].items() if k not in timed
    }


def test_a_workdir_in_use_is_refused(tmp_path):
    folder.open_for(small(), tmp_path)
    with folder.locked(tmp_path), pytest.raises(WorkdirError, match="another process is training there"):
        train_and_evaluate(small(), tmp_path)
    with folder.locked(tmp_path):  # and free again
        pass


def test_without_a_whole_checkpoint_there_is_an_error(finished):
    (finished / "summary.json").unlink()
    for step in (4, 8, 12):
        damage(finished / "checkpoints" / str(step))
    with pytest.raises(WorkdirError, match="none of 3 checkpoints"):
        train_and_evaluate(small(), finished)
    assert (finished / "checkpoints" / "12").exists()


def test_a_non_finite_loss_stops_and_is_not_saved(tmp_path):
    run_config = small(**{"optimizer.learning_rate": 1e25, "checkpoint_every_steps": 1, "loss.beta": 0.0})
    with pytest.raises(NonFiniteError, match=r"at step \d+ \(learning rate 1e\+25\); last good checkpoint: "):
        train_and_evaluate(run_config, tmp_path)
    checkpoints = Checkpoints(tmp_path / "checkpoints", 3)
    for step in checkpoints.steps():
        state = checkpoints.restore(step, like=experiment.create(run_config).init_state())
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))
    assert not (tmp_path / "summary.json").exists()


def test_parameters_that_are_nan_end_a_run_also_where_an_activation_hides_them(tmp_path, monkeypatch):
    """On a CPU that is set up, relu makes 0 of NaN, and the loss stays finite."""
    init = experiment.Experiment.init

    def poisoned(self):
        def with_nan(seed, labels):
            state = init(self)(seed, labels)
            params = state.learner.params
            first = params["BatchNorm_0"] | {"bias": jnp.nan * params["BatchNorm_0"]["bias"]}
            return state.replace(learner=state.learner.replace(params=params | {"BatchNorm_0": first}))

        return with_nan

    monkeypatch.setattr(experiment.Experiment, "init", poisoned)
    with pytest.raises(NonFiniteError, match=r"not finite|the loss is nan"):
        train_and_evaluate(small(), tmp_path)
    assert not (tmp_path / "summary.json").exists()


def test_evaluate_repeats_what_training_measured(finished_once, finished, capsys):
    summary = finished_once[1]
    result = evaluate_checkpoint(finished, step=None)
    assert result["step"] == 12
    assert result["test_accuracy"] == summary["test_accuracy_last"]
    assert result["memorisation"] == summary["memorisation"]
    assert json.loads((finished / "evaluation_12.json").read_text()) == result
    correct = sum(row["accuracy"] * row["examples"] for row in result["per_class"]["test"])
    assert correct / 355 == pytest.approx(result["test_accuracy"])
    assert evaluate_checkpoint(finished, step=8)["test_accuracy"] == rows(finished)[2]["test_accuracy"]
    assert "memorisation" in capsys.readouterr().out


def test_evaluate_may_differ_where_it_changes_no_result(finished, data_dir):
    as_trained = evaluate_checkpoint(finished)
    elsewhere = evaluate_checkpoint(finished, overrides={"data.dir": data_dir, "eval_batch_size": 100})
    assert elsewhere["test_accuracy"] == as_trained["test_accuracy"]
    with pytest.raises(ConfigError, match=r"loss\.beta: evaluation takes the run's own config"):
        evaluate_checkpoint(finished, overrides={"loss.beta": 3.0})


def test_evaluate_says_what_there_is(finished, tmp_path):
    with pytest.raises(WorkdirError, match=r"--step=5: .*there are: \[4, 8, 12\]"):
        evaluate_checkpoint(finished, step=5)
    with pytest.raises(WorkdirError, match="no run there"):
        evaluate_checkpoint(tmp_path / "elsewhere", step=None)


def test_a_validation_split_is_measured_beside_the_test_set(tmp_path):
    summary = train_and_evaluate(small(**{"data.validation_fraction": 0.2}), tmp_path)
    assert {"validation_accuracy_last", "validation_accuracy_best", "test_accuracy_last"} <= summary.keys()


def test_without_noise_there_is_no_memorisation(tmp_path):
    summary = train_and_evaluate(small(**{"noise.rate": 0.0}), tmp_path)
    assert summary["memorisation"] is None
    assert summary["train_accuracy_noisy"] == summary["train_accuracy_intact"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"batch_size": 66}, "batch_size: 66 is not divisible by the 4 devices"),
        ({"eval_batch_size": 30}, "eval_batch_size: 30 is not divisible by the 4 devices"),
        ({"batch_size": 2000}, "batch_size: 2000 exceeds the 1442 training examples"),
        ({"loss.name": "gradient_rescalling"}, "did you mean 'gradient_rescaling'"),
        ({"loss.gamma": 2.0}, r"loss\.gamma: 'gradient_rescaling' has no such option"),
        ({"model.name": "cn"}, "did you mean 'cnn'"),
        ({"data.name": "digit"}, "did you mean 'digits'"),
        ({"schedule.name": "cosin"}, "did you mean 'cosine'"),
        ({"optimizer.name": "momentun"}, "did you mean 'momentum'"),
        ({"optimizer.learning_rate": -1.0}, r"optimizer\.learning_rate: must be in \[0, inf\), got -1"),
        ({"noise.name": "symetric", "noise.rate": 0.1}, "did you mean 'symmetric'"),
        ({"noise.rate": 1.5}, r"noise\.rate: must be in \[0, 1\], got 1.5"),
        ({"loss.lam": -1.0}, r"loss.lam: must be in \[0, inf\), got -1"),
        ({"loss.axis_name": "batch"}, r"loss\.axis_name: is no option of a config"),
        ({"model.num_classes": 3}, r"model\.num_classes: is no option of a config"),
        ({"model.dropout": 1.5}, r"model\.dropout: must be in \[0, 1\), got 1.5"),
        ({"model.features": (8, 8, 8, 8)}, "stages fit images of at least 16 pixels, got 8 x 8"),
        ({"schedule.warmup_epochs": 5.0}, "less than the 12 steps of the run, got 110 steps"),
        ({"train_steps": 0}, "train_steps: must be a whole positive number, got 0"),
    ],
)
def test_mistakes_show_before_training(tmp_path, overrides, message):
    with pytest.raises(ConfigError, match=message):
        train_and_evaluate(small(**overrides), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_labels_out_of_range_show_before_training(tmp_path, monkeypatch):
    def broken(builder, name):
        return Split(np.zeros((3, 8, 8, 1), np.uint8), np.array([0, 10, 2], np.int32), np.arange(3))

    monkeypatch.setattr(tfds_source, "_read_split", broken)
    with pytest.raises(ConfigError, match=r"example 1 has label 10; labels must be in \[0, 10\)"):
        train_and_evaluate(small(), tmp_path / "run")


def test_a_workdir_that_cannot_be_written_is_one_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkdirError, match="cannot be written"):
        train_and_evaluate(small(), tmp_path / "file" / "run")
