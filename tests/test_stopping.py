"""SIGTERM and Ctrl-C in the library: noted, handed on, never kept; tests/test_run.py has real processes."""

import signal
import threading

import numpy as np
import pytest
from small_runs import final_state, rows, small

from grjax import analysis, train
from grjax.errors import CtrlCError, PreemptedError, WorkdirError
from grjax.stopping import StopRequest, watched_signals
from grjax.train import train_and_evaluate

BOTH = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def _handlers_are_as_before():
    before = [signal.getsignal(number) for number in BOTH]
    yield
    assert [signal.getsignal(number) for number in BOTH] == before


@pytest.fixture
def noted():
    """What handlers from before get, instead of the end of this process."""
    before, found = {number: signal.getsignal(number) for number in BOTH}, []
    for number in BOTH:
        signal.signal(number, lambda number, frame: found.append(number))
    yield found
    for number, handler in before.items():
        signal.signal(number, handler)


def stopped_by(*numbers, error=None):
    """What watches signals that come, and ends in an error of its own or in the one for the signal."""
    with watched_signals() as request:
        assert not request.at(0)
        for number in numbers:
            signal.raise_signal(number)
        assert request.at(0)
        raise error or request.error("saved")


@pytest.mark.parametrize(
    ("number", "kind", "text"),
    [
        (signal.SIGTERM, PreemptedError, "SIGTERM: saved; start the same command to go on"),
        (signal.SIGINT, CtrlCError, "Ctrl-C: saved; start the same command to go on"),
    ],
)
def test_a_signal_is_noted_and_becomes_one_error(number, kind, text, noted):
    with pytest.raises(kind) as caught:
        stopped_by(number)
    assert str(caught.value) == text
    assert noted == []  # the error is enough


def test_ctrl_c_is_no_error_that_a_search_would_go_on_after():
    assert not issubclass(CtrlCError, Exception)
    assert issubclass(CtrlCError, KeyboardInterrupt)
    assert (CtrlCError.exit_code, PreemptedError.exit_code) == (130, 75)


def test_a_second_ctrl_c_is_as_without_us_and_a_second_sigterm_waits(noted):
    with pytest.raises(PreemptedError):
        stopped_by(signal.SIGTERM, signal.SIGTERM)
    assert noted == []
    with pytest.raises(CtrlCError):
        stopped_by(signal.SIGINT, signal.SIGINT)
    assert noted == [signal.SIGINT]


@pytest.mark.parametrize("number", BOTH)
def test_who_watched_before_gets_a_signal_that_stopped_nothing(number, noted):
    with watched_signals():
        signal.raise_signal(number)
    assert noted == [number]
    with pytest.raises(ZeroDivisionError):
        stopped_by(number, error=ZeroDivisionError())
    assert noted == [number, number]


def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with watched_signals() as request:
            signal.raise_signal(signal.SIGINT)
            assert not request.at(0)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("compile_quickly")
def test_training_stops_goes_on_and_leaves_no_handler(data_dir, tmp_path, monkeypatch):
    def press(row):
        if row["step"] == 4:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(CtrlCError, match=r"Ctrl-C: saved at step 5 in .*stopped; start the same command"):
        train_and_evaluate(small(), tmp_path / "stopped", on_row=press)
    found = []
    # In a thread there are no handlers to set, and the run goes on without.
    thread = threading.Thread(
        target=lambda: found.append(train_and_evaluate(small(), tmp_path / "stopped")["num_steps"])
    )
    thread.start()
    thread.join()
    assert found == [12]
    train_and_evaluate(small(), tmp_path / "whole")
    assert rows(tmp_path / "stopped") == rows(tmp_path / "whole")


FAST = {"train_epochs": 4, "batch_size": 16, "model.hidden": (4,), "checkpoint_every_epochs": 1}


@pytest.mark.usefixtures("compile_quickly")
def test_an_audit_goes_on_in_its_folder(tmp_path, monkeypatch):
    x, labels = np.random.default_rng(0).normal(size=(48, 2)), np.arange(48) % 2
    x[:, 0] += 4 * labels

    def audit(folder, **changed):
        return analysis.audit(x, changed.pop("labels", labels), FAST | changed, workdir=folder)

    with monkeypatch.context() as patch:
        patch.setattr(StopRequest, "at", lambda self, step: step == 6)
        with pytest.raises(PreemptedError, match="saved at step 6"):
            audit(tmp_path / "stopped")
    again, whole = audit(tmp_path / "stopped"), audit(tmp_path / "whole")
    np.testing.assert_array_equal(again.score, whole.score)
    assert rows(tmp_path / "stopped") == rows(tmp_path / "whole")
    assert final_state(tmp_path / "stopped").step == 12
    with pytest.raises(WorkdirError, match="holds a run on other arrays"):
        audit(tmp_path / "stopped", labels=1 - labels)
    with pytest.raises(WorkdirError, match=r"holds a run of another config \(loss.beta"):
        audit(tmp_path / "stopped", **{"loss.beta": 1.0})

    def press(*_, **__):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(train, "_keep_row", press)
    with pytest.raises(KeyboardInterrupt) as caught:  # from a temporary folder nothing goes on
        audit(None)
    assert not isinstance(caught.value, CtrlCError)
