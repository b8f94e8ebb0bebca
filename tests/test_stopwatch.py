"""The times of a run, with a clock that goes when it is told."""

import time
from types import SimpleNamespace

import pytest

from grjax import stopwatch
from grjax.stopwatch import Stopwatch


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def advance(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(stopwatch, "time", SimpleNamespace(monotonic=clock))
    return clock


def test_seconds_count_from_the_start_of_the_process(clock):
    watch = Stopwatch(clock.now - 5)  # made 5 s after the process began
    assert watch.seconds() == 5
    clock.advance(2.5)
    assert watch.seconds() == 7.5


def test_seconds_go_on_from_earlier_starts(clock):
    watch = Stopwatch(clock.now, earlier=100)
    clock.advance(3)
    assert watch.seconds() == 103


def test_the_first_step_is_timed_from_the_start_of_this_process(clock):
    watch = Stopwatch(clock.now, earlier=100)
    assert watch.seconds_to_first_step is None
    clock.advance(4)
    watch.run(0)
    clock.advance(6)
    watch.first_step_done(1)
    assert watch.seconds_to_first_step == 10
    clock.advance(1)
    assert watch.seconds_to_first_step == 10


def test_the_rate_counts_neither_the_first_call_nor_pauses(clock):
    watch = Stopwatch(clock.now)
    watch.run(0)
    clock.advance(30)  # compiling
    watch.first_step_done(10)
    clock.advance(2)
    watch.pause(50)  # 40 steps in 2 s
    clock.advance(100)  # evaluating
    watch.run(50)
    clock.advance(3)
    watch.pause(110)  # 60 steps in 3 s
    clock.advance(100)
    assert watch.lap() == 100 / 5
    assert watch.seconds() == 235


def test_run_does_not_restart_what_runs(clock):
    watch = Stopwatch(clock.now)
    watch.run(0)
    clock.advance(1)
    watch.run(10)
    clock.advance(1)
    watch.pause(16)
    assert watch.lap() == 8


def test_pausing_twice_is_pausing_once(clock):
    watch = Stopwatch(clock.now)
    watch.pause(0)  # nothing runs yet
    watch.run(0)
    clock.advance(2)
    watch.pause(20)
    clock.advance(5)
    watch.pause(20)
    assert watch.lap() == 10


def test_the_live_rate_is_since_training_last_went_on(clock):
    watch = Stopwatch(clock.now)
    assert watch.live_rate(0) == 0
    watch.run(0)
    assert watch.live_rate(0) == 0
    clock.advance(2)
    assert watch.live_rate(10) == 5
    watch.pause(10)
    clock.advance(7)
    assert watch.live_rate(10) == 0
    watch.run(10)
    clock.advance(1)
    assert watch.live_rate(10) == 0
    assert watch.live_rate(30) == 20


def test_a_lap_is_since_the_lap_before(clock):
    watch = Stopwatch(clock.now)
    laps = []
    for steps, seconds in ((10, 1), (10, 2)):
        watch.run(0)
        clock.advance(seconds)
        watch.pause(steps)
        laps.append(watch.lap())
    assert laps == [10, 5]


def test_without_steps_there_is_no_rate(clock):
    watch = Stopwatch(clock.now)
    assert watch.lap() is None
    watch.run(0)
    clock.advance(1)
    watch.first_step_done(4)
    clock.advance(1)
    watch.pause(4)  # the first call was the only one
    assert watch.lap() is None


def test_a_lap_that_is_asked_for_twice_is_none_the_second_time(clock):
    watch = Stopwatch(clock.now)
    watch.run(0)
    clock.advance(1)
    watch.pause(4)
    assert watch.lap() == 4
    assert watch.lap() is None


def test_the_real_clock_is_the_monotonic_one():
    assert Stopwatch(time.monotonic() - 10).seconds() == pytest.approx(10, abs=1)
