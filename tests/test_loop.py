"""What the train loop does and does not do between its steps: transfers, waiting, traces."""

import gzip
import json
import threading

import jax
import numpy as np
import pytest
import small_runs
from small_runs import final_state

from grjax import stopwatch, train
from grjax.errors import ConfigError, PreemptedError
from grjax.train import train_and_evaluate


def small(**overrides):
    """12 steps of 64 digits, evaluated and saved after every 6."""
    return small_runs.small(**{"eval_every_steps": 6, "checkpoint_every_steps": 6, **overrides})


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The workdir of a run without anything."""
    folder = tmp_path_factory.mktemp("plain")
    train_and_evaluate(small(), folder)
    return folder


@pytest.mark.parametrize("feed", ["resident", "streaming"])
def test_nothing_is_transferred_that_is_not_asked_for(tmp_path, monkeypatch, feed):
    """Between evaluations; on a CPU the guard sees what goes to the devices, not what comes from them."""
    guarded = []
    run, pause = stopwatch.Stopwatch.run, stopwatch.Stopwatch.pause

    def guarded_run(self, step):
        if step >= 6:  # the first step has been compiled
            guarded.append(step)
            jax.config.update("jax_transfer_guard", "disallow")
        run(self, step)

    def unguarded_pause(self, step):
        jax.config.update("jax_transfer_guard", "allow")
        pause(self, step)

    monkeypatch.setattr(stopwatch.Stopwatch, "run", guarded_run)
    monkeypatch.setattr(stopwatch.Stopwatch, "pause", unguarded_pause)
    try:
        train_and_evaluate(small(**{"data.feed": feed}), tmp_path)
    finally:
        jax.config.update("jax_transfer_guard", "allow")
    assert guarded == list(range(6, 12))


def test_the_metrics_of_a_step_are_looked_at_after_the_next_is_dispatched(tmp_path, monkeypatch):
    events = []
    compile_train, check, measure = train.Alone.train, train.check_losses, train.Evaluation.measure

    def recording(self, step):
        compiled = compile_train(self, step)

        def dispatch(state, data, batch):
            events.append(f"dispatch {sum(event.startswith('dispatch') for event in events) + 1}")
            return compiled(state, data, batch)

        return dispatch

    def look(runs, end, losses):
        events.append(f"look at {end}")
        return check(runs, end, losses)

    def evaluate(*args):
        events.append("evaluate")
        return measure(*args)

    monkeypatch.setattr(train.Alone, "train", recording)
    monkeypatch.setattr(train, "check_losses", look)
    monkeypatch.setattr(train.Evaluation, "measure", evaluate)
    train_and_evaluate(small(train_steps=6, eval_every_steps=3), tmp_path)
    assert events == [
        "evaluate", "dispatch 1", "dispatch 2", "look at 1", "dispatch 3", "look at 2", "look at 3",
        "evaluate", "dispatch 4", "dispatch 5", "look at 4", "dispatch 6", "look at 5", "look at 6",
        "evaluate",
    ]  # fmt: skip


def steps_in(folder):
    """The train steps that the one trace below a folder holds."""
    [trace] = folder.rglob("*.trace.json.gz")
    assert [path.stat().st_size > 0 for path in folder.rglob("*.xplane.pb")] == [True]
    events = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    return sorted(int(event["args"]["step_num"]) for event in events if event.get("name") == "train")


def test_a_profile_is_of_the_steps_asked_for_and_changes_nothing(plain, tmp_path, monkeypatch):
    monkeypatch.setattr(train.StopRequest, "at", lambda self, step: step == 7)
    with pytest.raises(PreemptedError):
        train_and_evaluate(small(profile=(4, 9)), tmp_path)
    assert steps_in(tmp_path / "profile") == [4, 5, 6]
    (tmp_path / "profile").rename(tmp_path / "before")
    monkeypatch.undo()
    train_and_evaluate(small(profile=(4, 10)), tmp_path)  # it makes no other run, and goes on at 7
    assert steps_in(tmp_path / "profile") == [7, 8, 9]
    states = (jax.tree.leaves(final_state(folder)) for folder in (tmp_path, plain))
    for profiled, not_profiled in zip(*states, strict=True):
        np.testing.assert_array_equal(profiled, not_profiled)


def test_a_call_of_several_steps_is_profiled_whole(tmp_path):
    train_and_evaluate(small(profile=(7, 8), max_steps_per_call=3), tmp_path)
    assert steps_in(tmp_path / "profile") == [6]  # and 7 and 8


@pytest.mark.parametrize("steps", [(10,), (20, 10), (5, 5), (-1, 3), (10, 13), (1.0, 2), (False, True)])
def test_impossible_profiles(tmp_path, steps):
    with pytest.raises(ConfigError, match=r"profile: must be two steps of the run's 12, as \(10, 20\)"):
        train_and_evaluate(small(profile=steps), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_leaves_no_thread_that_writes_tensorboard_events(tmp_path):
    def writers():
        return [thread for thread in threading.enumerate() if "EventLogger" in type(thread).__name__]

    before = len(writers())
    train_and_evaluate(small(tensorboard=True), tmp_path)
    assert list((tmp_path / "tensorboard").glob("events*"))
    assert len(writers()) == before
