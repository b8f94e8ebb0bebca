"""The predictions that a run keeps."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from grjax import config
from grjax.data import from_arrays
from grjax.errors import WorkdirError
from grjax.metrics import Predictions
from grjax.train import train_and_evaluate
from grjax.workdir import predictions


def small(**overrides):
    layer = {
        "noise.rate": 0.4,
        "model.name": "mlp",
        "batch_size": 64,
        "train_steps": 12,
        "eval_every_steps": 4,
        "checkpoint_every_steps": 4,
        "data.validation_fraction": 0.2,
        "tensorboard": False,
        **overrides,
    }
    return config.resolve(config.unflatten(layer))


@pytest.fixture(scope="module")
def finished_once(tmp_path_factory, data_dir):
    folder = tmp_path_factory.mktemp("finished")
    train_and_evaluate(small(), folder)
    return folder


@pytest.fixture
def finished(finished_once, tmp_path):
    return Path(shutil.copytree(finished_once, tmp_path / "finished"))


def contents(workdir):
    return {path.name: path.read_bytes() for path in (workdir / "predictions").iterdir()}


def test_they_are_those_of_the_rows(finished_once):
    rows = [json.loads(line) for line in (finished_once / "metrics.jsonl").read_text().splitlines()]
    history = predictions.read(finished_once)
    train, test = history.splits["train"], history.splits["test"]
    assert list(history.splits) == ["train", "validation", "test"]
    assert history.steps.tolist() == [row["step"] for row in rows] == [0, 4, 8, 12]
    with np.load(finished_once / "noise.npz") as noise:
        np.testing.assert_array_equal(history.ids, noise["ids"])
        np.testing.assert_array_equal(train.labels, noise["noisy_labels"])
        intact = noise["clean_labels"] == noise["noisy_labels"]
    assert (train.p.dtype, train.classes.dtype) == (np.float16, np.uint8)
    for t, row in enumerate(rows):
        assert np.mean(train.classes[t] == train.labels) == pytest.approx(row["train_accuracy_noisy"])
        assert np.mean(test.classes[t] == test.labels) == pytest.approx(row["test_accuracy"])
        p = train.p[t].astype(np.float64)
        assert p[intact].mean() == pytest.approx(row["mean_p_clean"], rel=1e-3)
        assert p[~intact].mean() == pytest.approx(row["mean_p_mislabelled"], rel=1e-3)


def test_a_resumed_run_keeps_the_same_and_forgets_what_came_later(finished_once, finished):
    (finished / "summary.json").unlink()
    for step in (8, 12):
        shutil.rmtree(finished / "checkpoints" / str(step))
    # What a run of other lengths would have left, and one killed while it was writing.
    shutil.copy(finished / "predictions" / "12.npz", finished / "predictions" / "16.npz")
    shutil.copy(finished / "predictions" / "4.npz", finished / "predictions" / "8.npz")
    (finished / "predictions" / "12.npz").unlink()
    train_and_evaluate(small(), finished)
    assert contents(finished) == contents(finished_once)


def test_they_can_be_turned_off_without_being_another_run(finished):
    (finished / "summary.json").unlink()
    for step in (8, 12):
        shutil.rmtree(finished / "checkpoints" / str(step))
    train_and_evaluate(small(keep_predictions=False), finished)
    assert predictions.read(finished).steps.tolist() == [0, 4]


def test_many_classes_take_more_than_a_byte(tmp_path):
    found = Predictions(np.array([300, 2], np.int32), np.array([0.25, 1.0], np.float32), np.zeros(2))
    pixels, names = np.zeros((2, 1, 1, 1), np.uint8), list(map(str, range(400)))
    dataset = from_arrays(pixels, [1, 2], test=(pixels, [1, 2]), class_names=names)
    predictions.keep(tmp_path, 3, {"train": found}, dataset)
    np.savez(tmp_path / "noise.npz", ids=[5, 7], noisy_labels=[1, 2])
    train = predictions.read(tmp_path).splits["train"]
    assert train.classes.dtype == np.uint16
    assert train.classes.tolist() == [[300, 2]]
    assert train.p.tolist() == [[0.25, 1.0]]


def test_what_cannot_be_read_is_named(finished, tmp_path):
    with pytest.raises(WorkdirError, match="has kept no predictions"):
        predictions.read(tmp_path)
    damaged = finished / "predictions" / "8.npz"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WorkdirError, match=r"8\.npz: cannot be read"):
        predictions.read(finished)
    damaged.write_bytes(whole)
    with np.load(finished / "noise.npz") as noise:
        number = len(noise["ids"])
        shorter = {key: noise[key][:-1] for key in noise}
    np.savez(finished / "noise.npz", **shorter)
    with pytest.raises(WorkdirError, match=rf"{number} training examples, noise\.npz of {number - 1}"):
        predictions.read(finished)
