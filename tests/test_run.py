"""`run.py` as its users run it: real processes, killed, stopped, doubled and misused."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from small_runs import assert_identical, final_state

from grjax import config, experiment
from grjax.workdir.folder import read_config

ROOT = Path(__file__).parent.parent

# Twelve evaluations and twenty-four checkpoints in about two seconds.
SMALL = [
    "--config.model.features=(8,)",
    "--config.model.hidden=16",
    "--config.train_steps=240",
    "--config.eval_every_steps=20",
    "--config.checkpoint_every_steps=10",
    "--config.tensorboard=false",
]


DEVICES = "--xla_backend_optimization_level=0 --xla_force_host_platform_device_count="
ONE_DEVICE = {"XLA_FLAGS": f"{DEVICES}1"}


def start(*arguments, devices=1):
    """A process on CPU with so many virtual devices."""
    environment = os.environ | {"XLA_FLAGS": f"{DEVICES}{devices}"}
    return subprocess.Popen(
        [sys.executable, "run.py", *arguments],
        cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def run(*arguments, devices=1):
    process = start(*arguments, devices=devices)
    output, _ = process.communicate(timeout=1000)
    return process.returncode, output


def results(workdir):
    """metrics.jsonl and summary.json without what a clock measured."""
    timed = {"seconds", "examples_per_second", "seconds_to_first_step", "wall_seconds"}
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    found = [*map(json.loads, lines), json.loads((workdir / "summary.json").read_text())]
    return [{key: value for key, value in row.items() if key not in timed} for row in found]


def assert_same_run(one, other):
    assert results(one) == results(other)
    assert_identical(final_state(one).learner, final_state(other).learner)
    with np.load(one / "noise.npz") as ours, np.load(other / "noise.npz") as theirs:
        assert all(np.array_equal(ours[key], theirs[key]) for key in ours)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, data_dir):
    workdir = tmp_path_factory.mktemp("uninterrupted")
    code, output = run(f"--workdir={workdir}", *SMALL)
    assert code == 0, output
    return workdir


def wait_for(condition, process, seconds=1000):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.002)


# run.py in a process that sends itself a signal as it touches its folder for the n-th time ('n+': from then
# on each time), or first touches a path with a certain name: the moment is the same on every machine, at any
# load.
SIGNALLED = """
import os, runpy, signal, sys
number, moment, workdir = int(sys.argv[1]), sys.argv[2], sys.argv[3]
touched, sent = 0, False
def watch(event, args):
    global touched, sent
    paths = [os.fsdecode(arg) for arg in args[:2] if isinstance(arg, (str, bytes, os.PathLike))]
    if any(path.startswith(workdir) for path in paths):
        touched += 1
        named = any(moment in path.removeprefix(workdir) for path in paths)
        from_then_on = moment.endswith("+") and touched >= int(moment[:-1])
        if moment == str(touched) or (named and not sent) or from_then_on:
            sent = True
            os.kill(os.getpid(), number)
sys.addaudithook(watch)
sys.argv = ["run.py", f"--workdir={workdir}", *sys.argv[4:]]
sys.path.insert(0, os.getcwd())
runpy.run_path("run.py", run_name="__main__")
"""


def run_signalled(number, moment, workdir, *arguments):
    """A run that gets signal `number` at its `moment`th touch of its folder, or as it touches that name."""
    process = subprocess.run(
        [sys.executable, "-c", SIGNALLED, str(int(number)), str(moment), str(workdir), *arguments],
        cwd=ROOT, env=os.environ | ONE_DEVICE, text=True, timeout=1000,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return process.returncode, process.stdout


@pytest.mark.parametrize("times", [3, pytest.param(10, marks=pytest.mark.slow)])
def test_killed_several_times_it_ends_the_same(uninterrupted, tmp_path, times):
    workdir = tmp_path / "killed"
    rng = random.Random(0)
    for _ in range(
        times
    ):  # a run touches its folder some 20 times before the first step, and 30 for each save
        code, output = run_signalled(signal.SIGKILL, rng.randint(1, 60), workdir, *SMALL)
        assert code == -signal.SIGKILL, output
    code, output = run(f"--workdir={workdir}", *SMALL)
    assert code == 0, output
    assert_same_run(workdir, uninterrupted)


def test_killed_in_the_middle_of_a_save_it_ends_the_same(uninterrupted, tmp_path):
    workdir = tmp_path / "killed"
    code, output = run_signalled(signal.SIGKILL, "30.orbax-checkpoint-tmp/state", workdir, *SMALL)
    assert code == -signal.SIGKILL, output
    code, output = run(f"--workdir={workdir}", *SMALL)
    assert code == 0, output
    assert_same_run(workdir, uninterrupted)


def test_sigterm_saves_and_says_so(uninterrupted, tmp_path):
    workdir = tmp_path / "stopped"
    code, output = run_signalled(signal.SIGTERM, 100, workdir, *SMALL)
    assert code == 75, output
    assert "start the same command to go on" in output
    assert not (workdir / "summary.json").exists()
    assert any((workdir / "checkpoints").iterdir())
    code, output = run(f"--workdir={workdir}", *SMALL)
    assert code == 0, output
    assert_same_run(workdir, uninterrupted)


def test_ctrl_c_before_the_first_step_saves_too(uninterrupted, tmp_path):
    workdir = tmp_path / "stopped"
    code, output = run_signalled(signal.SIGINT, "noise.npz", workdir, *SMALL)  # nothing is compiled yet
    assert code == 130, output
    line = output.splitlines()[-1]
    assert line == f"Ctrl-C: saved at step 0 in {workdir}; start the same command to go on"
    code, output = run(f"--workdir={workdir}", *SMALL)
    assert code == 0, output
    assert_same_run(workdir, uninterrupted)


@pytest.mark.parametrize(
    ("number", "moment", "code", "line"),
    [
        (signal.SIGINT, "2", 130, "Ctrl-C: stopped; start the same command to go on"),  # before it is watched
        (signal.SIGTERM, "2", 75, "SIGTERM: stopped; start the same command to go on"),
        (signal.SIGINT, "100+", -signal.SIGINT, None),  # the second one ends it at once, as a kill does
    ],
)
def test_what_a_signal_does_at_other_times(tmp_path, number, moment, code, line):
    found, output = run_signalled(number, moment, tmp_path / "stopped", *SMALL)
    assert found == code, output
    assert "Traceback" not in output
    assert (output.splitlines()[-1] == line) if line else ("the same command" not in output)


def test_a_damaged_checkpoint_is_warned_of(uninterrupted, tmp_path):
    workdir = Path(shutil.copytree(uninterrupted, tmp_path / "damaged"))
    (workdir / "summary.json").unlink()
    for path in (workdir / "checkpoints" / "240" / "state").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-10])
    code, output = run(f"--workdir={workdir}", *SMALL)
    assert code == 0, output
    assert "Damaged checkpoint" in output
    assert_same_run(workdir, uninterrupted)


def test_the_same_command_twice_at_once_is_one_run(uninterrupted, tmp_path):
    workdir = tmp_path / "twice"
    first = start(f"--workdir={workdir}", *SMALL)
    wait_for(lambda: (workdir / "noise.npz").exists(), first)
    code, output = run(f"--workdir={workdir}", *SMALL)
    assert (code, "another process is training there" in output) in ((3, True), (0, False)), output
    first.communicate(timeout=1000)
    assert_same_run(workdir, uninterrupted)


def two_processes(workdir, arguments):
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    return [
        start(
            f"--workdir={workdir}", *arguments, f"--coordinator=localhost:{port}", "--num_processes=2",
            f"--process_id={number}", devices=2,
        )
        for number in range(2)
    ]  # fmt: skip


@pytest.mark.parametrize(
    "method",
    [
        pytest.param({"name": "single"}, id="single", marks=pytest.mark.slow),
        pytest.param({"name": "co_teaching", "rate": 0.4, "ramp_epochs": 0.5}, id="co_teaching"),
        # Whose examples are in groups from step 11 on, and whose division both processes must agree about.
        pytest.param({"name": "divide_mix", "warmup_epochs": 1}, id="divide_mix", marks=pytest.mark.slow),
    ],
)
def test_two_processes_equal_one(method, tmp_path):
    # A learning rate so low that a ReLU decided the other way by rounding moves no parameter by 1e-5, while
    # a batch that is not averaged over the processes does.
    few = [*SMALL, "--config.optimizer.learning_rate=1e-4", "--config.train_steps=20"]
    few += [f"--config.method.{option}={value}" for option, value in method.items()]
    code, output = run(f"--workdir={tmp_path / 'one'}", *few)
    assert code == 0, output
    processes = two_processes(tmp_path / "two", few)
    outputs = [process.communicate(timeout=1000)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    ones, twos = final_state(tmp_path / "one").learner, final_state(tmp_path / "two").learner
    for a, b in zip(jax.tree.leaves(ones), jax.tree.leaves(twos), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)
    initial = experiment.create(config.resolve(read_config(tmp_path / "one").to_dict())).init_state().learner
    leaves = zip(*map(jax.tree.leaves, (ones, initial)), strict=True)
    moved = max(np.abs(np.asarray(a, float) - np.asarray(b, float)).max() for a, b in leaves)
    assert moved > 1e-4
    assert "accuracy" not in outputs[1]  # one process talks


@pytest.mark.slow
def test_ctrl_c_in_one_of_two_processes_stops_both(tmp_path):
    arguments = [*SMALL, "--config.train_steps=20000", "--config.eval_every_steps=20000"]
    processes = two_processes(tmp_path, arguments)
    wait_for(lambda: any(path.name.isdigit() for path in tmp_path.glob("checkpoints/*")), processes[0])
    processes[1].send_signal(signal.SIGINT)
    outputs = [process.communicate(timeout=1000)[0] for process in processes]
    assert [process.returncode for process in processes] == [75, 130], outputs


# Other flags, each ending in the way of one of those below.
SLOW_MISTAKES = [
    (["--config.noise.rate=much"], 1, "could not convert string to float: 'much'"),
    (["--config", "configs/digits.py", "--config.imbalance.name=lng_tail"], 2, "imbalance.name: unknown"),
    (["--num_processes=2", "--process_id=1"], 2, "give all three"),
    (["--step=3"], 1, "--step is for --mode=evaluate"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--config.nosie.rate=0.1"], 2, 'Did you mean "noise"'),
        (["--config.noise.rate=1.1"], 2, "noise.rate: must be in [0, 1], got 1.1"),
        (["--config=configs/nowhere.py"], 2, "configs/nowhere.py"),
        (["--mode=evaluate"], 3, "no run there"),
        (["--config.optimizer.learning_rate=1e30", "--config.loss.beta=0"], 4, "last good checkpoint: none"),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in SLOW_MISTAKES),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(tmp_path, arguments, code, message):
    # The order of flags is absl's: a config file comes before its overrides.
    found, output = run(*arguments, f"--workdir={tmp_path}")
    assert found == code, output
    assert message in output
    assert "Traceback" not in output


def test_debug_shows_the_traceback(tmp_path):
    code, output = run("--config.noise.rate=2", f"--workdir={tmp_path}", "--debug")
    assert code == 1
    assert "Traceback" in output
