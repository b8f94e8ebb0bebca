"""When a run is evaluated: many examples not before the first step, unless asked."""

import numpy as np
import pytest

from grjax import config, evaluation_times, train
from grjax.errors import ConfigError
from grjax.workdir.metrics_file import read_rows

SMALL = {
    "model": {"name": "mlp", "hidden": (8,)},
    "train_steps": 4,
    "eval_every_steps": 2,
    "checkpoint_every_steps": 1,
    "tensorboard": False,
}


@pytest.mark.parametrize(
    ("wish", "examples", "expected"),
    [("auto", 10_000, True), ("auto", 10_001, False), ("always", 10**6, True), ("never", 1, False)],
)
def test_the_start_is_measured_where_that_is_quick(wish, examples, expected):
    assert evaluation_times.starts_measured(wish, examples) == expected


@pytest.mark.parametrize("at_start", [True, False])
def test_the_end_is_always_evaluated(at_start):
    found = [step for step in range(8) if evaluation_times.due(step, 7, 3, at_start)]
    assert found == [0, 3, 6, 7][not at_start :]


@pytest.mark.parametrize(("wish", "steps"), [("auto", [0, 2, 4]), ("always", [0, 2, 4]), ("never", [2, 4])])
def test_rows_and_predictions_of_a_run(tmp_path, data_dir, wish, steps):
    run = config.resolve(SMALL, {"evaluate_start": wish, "data": {"dir": data_dir}})
    summary = train.train_and_evaluate(run, tmp_path)
    assert [row["step"] for row in read_rows(tmp_path / "metrics.jsonl")] == steps
    assert sorted(int(path.stem) for path in (tmp_path / "predictions").glob("*.npz")) == steps
    assert summary["test_accuracy_best_step"] in steps


def test_a_run_stopped_before_its_first_evaluation_goes_on(tmp_path, data_dir):
    data = {"data": {"dir": data_dir}, "evaluate_start": "never"}
    whole = train.train_and_evaluate(config.resolve(SMALL, data), tmp_path / "whole")

    class StopError(Exception):
        pass

    def stop(row):
        raise StopError

    with pytest.raises(StopError):
        train.train_and_evaluate(config.resolve(SMALL, data), tmp_path / "run", on_row=stop)
    # As a kill before the row was written leaves it: at step 1, without a row.
    (tmp_path / "run" / "metrics.jsonl").write_text("")
    for path in (tmp_path / "run" / "predictions").glob("*"):
        path.unlink()
    assert (tmp_path / "run" / "checkpoints").is_dir()
    again = train.train_and_evaluate(config.resolve(SMALL, data), tmp_path / "run")
    for key in ("test_accuracy_last", "mean_p_clean", "test_accuracy_best_step"):
        np.testing.assert_equal(again[key], whole[key])


def test_another_wish_is_an_error():
    with pytest.raises(ConfigError, match="evaluate_start: must be 'auto', 'always' or 'never', got 'yes'"):
        config.resolve({"evaluate_start": "yes"})
