"""Metrics against direct computation, and the file they are written to."""

import errno
import json
import os

import numpy as np
import pytest

from grjax import metrics
from grjax.metrics import Predictions
from grjax.noise import NoisyLabels
from grjax.workdir import files
from grjax.workdir.metrics_file import MetricsFile, read_rows

N, NUM_CLASSES = 500, 4


@pytest.fixture
def predictions():
    rng = np.random.default_rng(0)
    return Predictions(
        classes=rng.integers(0, NUM_CLASSES, N).astype(np.int32),
        p=rng.random(N).astype(np.float32),
        losses=rng.exponential(size=N).astype(np.float32),
    )


def noise_of(clean, labels):
    return NoisyLabels(
        ids=np.arange(len(clean)),
        clean=np.asarray(clean, np.int32),
        labels=np.asarray(labels, np.int32),
        num_classes=NUM_CLASSES,
        nominal_rate=0.5,
    )


def test_clean_metrics_against_a_loop(predictions):
    labels = np.random.default_rng(1).integers(0, NUM_CLASSES, N)
    right = [a == b for a, b in zip(predictions.classes, labels, strict=True)]
    row = metrics.clean_metrics("test", predictions, labels)
    assert row == {
        "test_accuracy": pytest.approx(sum(right) / N),
        "test_loss": pytest.approx(sum(map(float, predictions.losses)) / N),
    }
    assert all(type(value) is float for value in row.values())
    assert set(metrics.clean_metrics("validation", predictions, labels)) == {
        "validation_accuracy", "validation_loss",
    }  # fmt: skip


def test_train_metrics_against_a_loop(predictions):
    rng = np.random.default_rng(1)
    clean, labels = rng.integers(0, NUM_CLASSES, (2, N))
    row = metrics.train_metrics(predictions, noise_of(clean, labels))

    examples = list(zip(predictions.classes, predictions.p.tolist(), clean, labels, strict=True))

    def mean(values):
        values = list(values)
        return pytest.approx(sum(values) / len(values))

    assert row == {
        "train_accuracy_noisy": mean(predicted == label for predicted, _, _, label in examples),
        "train_accuracy_intact": mean(predicted == right for predicted, _, right, _ in examples),
        "memorisation": mean(predicted == label for predicted, _, right, label in examples if label != right),
        "mean_p_clean": mean(p for _, p, right, label in examples if label == right),
        "mean_p_mislabelled": mean(p for _, p, right, label in examples if label != right),
        "train_loss": mean(predictions.losses.tolist()),
    }
    assert all(type(value) is float for value in row.values())


def test_memorising_and_resisting_models():
    clean, labels = np.array([0, 1, 2, 3]), np.array([0, 1, 3, 2])
    p = losses = np.zeros(4, np.float32)
    memorised = metrics.train_metrics(Predictions(labels, p, losses), noise_of(clean, labels))
    assert (memorised["memorisation"], memorised["train_accuracy_noisy"]) == (1, 1)
    assert memorised["train_accuracy_intact"] == 0.5
    resisted = metrics.train_metrics(Predictions(clean, p, losses), noise_of(clean, labels))
    assert (resisted["memorisation"], resisted["train_accuracy_intact"]) == (0, 1)


def test_a_mean_over_no_example_is_none(predictions):
    labels = np.zeros(N)
    clean_only = metrics.train_metrics(predictions, noise_of(labels, labels))
    assert (clean_only["memorisation"], clean_only["mean_p_mislabelled"]) == (None, None)
    assert clean_only["mean_p_clean"] is not None
    wrong_only = metrics.train_metrics(predictions, noise_of(labels, labels + 1))
    assert wrong_only["mean_p_clean"] is None
    assert wrong_only["memorisation"] is not None
    json.dumps([clean_only, wrong_only], allow_nan=False)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_mean_that_is_not_finite_is_none(predictions, value):
    predictions.losses[3] = value
    labels = np.zeros(N)
    assert metrics.clean_metrics("test", predictions, labels)["test_loss"] is None
    row = metrics.train_metrics(predictions, noise_of(labels, labels))
    assert row["train_loss"] is None
    assert row["mean_p_clean"] is not None


def test_means_are_taken_in_float64():
    small = 2.0**-30  # lost beside 1 in float32
    classes = labels = np.zeros(2, np.int32)
    values = np.array([1, small], np.float32)
    predictions = Predictions(classes, values, values)
    expected = (1 + small) / 2
    assert metrics.clean_metrics("test", predictions, labels)["test_loss"] == expected
    row = metrics.train_metrics(predictions, noise_of(labels, labels))
    assert (row["mean_p_clean"], row["train_loss"]) == (expected, expected)
    row = metrics.train_metrics(predictions, noise_of(labels, labels + 1))
    assert row["mean_p_mislabelled"] == expected


def test_per_class_is_recall():
    classes = np.array([0, 0, 1, 1, 1, 3], np.int32)
    labels = np.array([0, 1, 1, 1, 0, 0], np.int32)
    p = losses = np.zeros(6, np.float32)
    assert metrics.per_class(Predictions(classes, p, losses), labels, ["a", "b", "c", "d"]) == [
        {"class": "a", "examples": 3, "accuracy": 1 / 3},
        {"class": "b", "examples": 3, "accuracy": 2 / 3},
        {"class": "c", "examples": 0, "accuracy": None},
        {"class": "d", "examples": 0, "accuracy": None},
    ]


# ----------------------------------------------------------------------------------------------- the file


def row_of(step, **more):
    return {"step": step, "test_accuracy": step / 100, "memorisation": None, **more}


def file_of(folder, steps=(0, 10, 20, 30)):
    """A folder with a metrics.jsonl of rows at `steps`."""
    file = MetricsFile(folder, 0)
    for step in steps:
        file.write(row_of(step))
    return folder / "metrics.jsonl"


def test_rows_are_lines_of_json(tmp_path):
    path = file_of(tmp_path)
    rows = [row_of(step) for step in (0, 10, 20, 30)]
    assert path.read_text() == "".join(json.dumps(row) + "\n" for row in rows)
    assert read_rows(path) == rows


def test_a_row_is_there_when_write_returns(tmp_path):
    file = MetricsFile(tmp_path, 0)
    assert (tmp_path / "metrics.jsonl").read_text() == ""
    for step in (0, 10):
        file.write(row_of(step))
        assert read_rows(tmp_path / "metrics.jsonl")[-1] == row_of(step)
        assert file.rows == read_rows(tmp_path / "metrics.jsonl")


@pytest.mark.parametrize(
    ("step", "kept"), [(20, [0, 10, 20]), (25, [0, 10, 20]), (0, [0]), (99, [0, 10, 20, 30])]
)
def test_rows_after_the_step_of_resume_are_dropped(tmp_path, step, kept):
    path = file_of(tmp_path)
    file = MetricsFile(tmp_path, step)
    assert [row["step"] for row in file.rows] == kept
    assert read_rows(path) == file.rows
    file.write(row_of(100))
    assert [row["step"] for row in read_rows(path)] == [*kept, 100]


def test_a_row_at_the_step_of_resume_is_not_written_again(tmp_path):
    file_of(tmp_path)
    file = MetricsFile(tmp_path, 20)
    assert [file.has(step) for step in (0, 10, 15, 20, 30)] == [True, True, False, True, False]
    file.write(row_of(30))
    assert file.has(30)


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_last_line_that_was_cut_off_is_dropped(tmp_path, cut):
    path = file_of(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    file = MetricsFile(tmp_path, 100)
    kept = [0, 10, 20, 30] if cut == 1 else [0, 10, 20]  # without its line feed a row is whole
    assert [row["step"] for row in file.rows] == kept
    file.write(row_of(40))
    assert [row["step"] for row in read_rows(path)] == [*kept, 40]


def test_rows_after_a_damaged_one_are_dropped(tmp_path):
    path = file_of(tmp_path)
    lines = path.read_text().splitlines()
    lines[1] = lines[1][:10]
    path.write_text("\n".join(lines) + "\n")
    assert [row["step"] for row in read_rows(path)] == [0]


def test_no_file_is_no_rows(tmp_path):
    assert read_rows(tmp_path / "metrics.jsonl") == []


def test_only_the_writing_process_writes(tmp_path):
    file = MetricsFile(tmp_path, 0, write=False)
    file.write(row_of(0))
    assert file.has(0)
    assert list(tmp_path.iterdir()) == []
    before = file_of(tmp_path).read_bytes()
    file = MetricsFile(tmp_path, 10, write=False)
    file.write(row_of(20, test_loss=3.0))
    assert [row["step"] for row in file.rows] == [0, 10, 20]
    assert (tmp_path / "metrics.jsonl").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


@pytest.mark.parametrize(
    ("value", "error"), [(float("nan"), ValueError), (float("inf"), ValueError), (np.float32(1), TypeError)]
)
def test_what_is_no_json_does_not_get_into_the_file(tmp_path, value, error):
    path = file_of(tmp_path)
    before = path.read_bytes()
    with pytest.raises(error, match="JSON"):
        MetricsFile(tmp_path, 100).write(row_of(40, test_loss=value))
    assert path.read_bytes() == before


def test_write_whole(tmp_path):
    path = tmp_path / "file.json"
    for text in ("first, and longer\n", "zwölf\n", ""):
        files.write_text(path, text)
        assert path.read_bytes() == text.encode("utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["file.json"]


def test_a_write_that_fails_leaves_the_old_text(tmp_path, monkeypatch):
    path = tmp_path / "file.json"
    files.write_text(path, "old")

    def disk_full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(OSError, match="No space"):
        files.write_text(path, "new text")
    assert path.read_text() == "old"
