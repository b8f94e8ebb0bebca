"""`run.py --mode=sweep` as real processes: stopped, killed at counted events, several on one folder."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from small_runs import assert_identical, final_state

from grjax.sweep import results

ROOT = Path(__file__).parent.parent
ONE_DEVICE = {"XLA_FLAGS": "--xla_force_host_platform_device_count=1 --xla_backend_optimization_level=0"}

FILE = """
from ml_collections import ConfigDict
from grjax.sweep import Sweep, seeds

def get_sweep(number):
    return Sweep(ConfigDict({
        "noise": {"name": "symmetric", "rate": 0.4},
        "model": {"name": "cnn", "features": (8,), "hidden": 16},
        "batch_size": 64, "train_steps": 6, "eval_every_steps": 3, "checkpoint_every_steps": 3,
        "tensorboard": False,
    }), seeds(range(int(number))))
"""

# run.py in a process that acts as it touches the sweep's folder for the n-th time, or first touches a path
# with a certain name: the moment is the same on every machine, at any load. A number is a signal that it
# sends itself; 'wait:N' waits until so many trials have begun, here or elsewhere; 'wait:N,M' is both.
WORKER = """
import os, runpy, sys, time
from pathlib import Path
act, moment, folder = sys.argv[1:4]
touched = 0
def watch(event, args):
    global touched, act
    paths = [os.fsdecode(arg) for arg in args[:2] if isinstance(arg, (str, bytes, os.PathLike))]
    if not any(path.startswith(folder) for path in paths):
        return
    touched += 1
    if act and (moment == str(touched) or any(moment in path.removeprefix(folder) for path in paths)):
        wanted, act = act, ""
        for order in wanted.split(","):
            if not order.startswith("wait:"):
                os.kill(os.getpid(), int(order))
                return
            while len(list(Path(folder).glob("trials/*/config.json"))) < int(order[5:]):
                time.sleep(0.01)
sys.addaudithook(watch)
sys.argv = ["run.py", "--mode=sweep", *sys.argv[4:], f"--workdir={folder}"]
sys.path.insert(0, os.getcwd())
runpy.run_path("run.py", run_name="__main__")
"""
NEVER = ("", "")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "small_sweep.py"
    path.write_text(FILE)
    return path


def start(file, folder, number, act, moment, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(act), str(moment), str(folder),
         f"--config={file}:{number}", *arguments],
        cwd=ROOT, env=os.environ | ONE_DEVICE, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def end(process):
    try:
        output, _ = process.communicate(timeout=3000)
    finally:
        process.kill()  # one that waits for ever must not outlive the test
    return process.returncode, output


def starts(folder):
    """The steps from which each trial was started."""
    return [
        [entry["from_step"] for entry in json.loads((path / "environment.json").read_text())]
        for path in sorted(folder.glob("trials/*"))
    ]


def ran(output):
    return int(re.search(r"^(\d+) of \d+ trials in", output, re.MULTILINE).group(1))


def stopped_killed_and_shared(file, folder, *arguments):
    """Five trials: a worker is stopped in the first, one killed in the second, two share what is left."""
    code, output = end(start(file, folder, 5, int(signal.SIGTERM), "0000/metrics.jsonl", *arguments))
    assert code == 75, output
    assert "start the same command to go on" in output
    code, output = end(
        start(file, folder, 5, int(signal.SIGKILL), "0001/checkpoints/6.orbax-checkpoint-tmp", *arguments)
    )
    assert code == -signal.SIGKILL, output
    assert [result["trial"] for result in results.read(folder)] == [0]
    # Each waits within its first trial until the other has begun one too.
    workers = [start(file, folder, 5, "wait:3", "noise.npz", *arguments) for _ in range(2)]
    ends = [end(worker) for worker in workers]
    assert [code for code, _ in ends] == [0, 0], ends
    check_complete(folder, 5)
    shares = [ran(output) for _, output in ends]
    assert min(shares) >= 1
    assert sum(shares) == 4
    # The stopped and the crashed one went on from their checkpoints, and none was done twice.
    assert starts(folder) == [[0, 0], [0, 3], [0], [0], [0]]


def test_a_crashed_workers_trial_is_taken_over_by_another(file, tmp_path):
    """Four trials: a worker is stopped in the first; of two others one is killed in the first that it has."""
    folder = tmp_path / "sweep"
    code, output = end(start(file, folder, 4, int(signal.SIGTERM), "0000/metrics.jsonl"))
    assert code == 75, output
    assert "start the same command to go on" in output
    # Each waits within its first trial until the other has one too.
    killed = start(file, folder, 4, f"wait:2,{int(signal.SIGKILL)}", "checkpoints/6.orbax-checkpoint-tmp")
    survivor = start(file, folder, 4, "wait:2", "noise.npz")
    ends = [end(killed), end(survivor)]
    assert [code for code, _ in ends] == [-signal.SIGKILL, 0], ends
    check_complete(folder, 4)
    assert ran(ends[1][1]) == 4
    # The stopped one went on from its checkpoint at 0, the crashed one from 3, and none was done twice.
    every = starts(folder)
    assert every[0][:2] == [0, 0]
    assert sorted(entry for trial in every for entry in trial) == [0, 0, 0, 0, 0, 3]


def check_complete(folder, number):
    found = results.read(folder)
    assert [(result["trial"], result["state"]) for result in found] == [
        (k, "complete") for k in range(number)
    ]
    assert len((folder / "results.jsonl").read_text().splitlines()) == number
    assert not list((folder / ".workers").iterdir())


BINDS = hasattr(os, "sched_getaffinity")


@pytest.mark.skipif(BINDS and len(os.sched_getaffinity(0)) < 2, reason="each has a core of its own")
def test_workers_of_one_command(file, tmp_path):
    """Stopped, both save and stop; started again, both go on."""
    folder, two = tmp_path / "sweep", "--config.sweep.workers=2"
    # Each waits within its first trial until the other has begun one too.
    code, output = end(start(file, folder, 4, f"wait:2,{int(signal.SIGINT)}", "noise.npz", two))
    assert code == 130, output
    # The two print their last lines in either order.
    assert re.search(r"^(?!worker_1).*Ctrl-C: saved at step", output, re.MULTILINE), output
    assert re.search(r"^worker_1.log: .*SIGTERM.*\(exit status 75\)$", output, re.MULTILINE), output
    assert len(starts(folder)) >= 2  # one of its own, so another of the other's
    code, output = end(start(file, folder, 4, *NEVER, two))
    assert code == 0, output
    check_complete(folder, 4)
    theirs = re.search(r"^worker_1.log: (\d+) of 4 trials in", output, re.MULTILINE)
    assert theirs, output


@pytest.mark.skipif(not BINDS, reason="the system binds nothing to cores")
def test_more_workers_than_cores_are_refused(file, tmp_path):
    code, output = end(start(file, tmp_path / "sweep", 4, *NEVER, "--config.sweep.workers=999"))
    assert code == 2, output
    assert re.fullmatch(r"ConfigError: sweep.workers: must be at most .* cores, \d+, got 999\n", output)
    assert not (tmp_path / "sweep").exists()


@pytest.mark.slow
def test_workers_on_sqlite(file, tmp_path):
    stopped_killed_and_shared(file, tmp_path / "sweep")


@pytest.mark.slow
def test_workers_on_a_journal(file, tmp_path):
    stopped_killed_and_shared(file, tmp_path / "sweep", "--config.sweep.storage=journal")
    assert (tmp_path / "sweep" / "study.journal").exists()
    assert not (tmp_path / "sweep" / "study.sqlite").exists()


@pytest.fixture
def postgresql(tmp_path_factory):
    """The URL of a database of a server of its own, from Debian's package."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        pytest.skip("postgresql is not installed")
    folder = tmp_path_factory.mktemp("postgresql")
    user = {"user": "postgres", "group": "postgres"} if os.getuid() == 0 else {}  # it refuses root
    for path in (folder, *list(folder.parents)[:2]):
        path.chmod(0o777 if path == folder else 0o755)
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    data = folder / "data"
    subprocess.run(
        [programs[-1] / "initdb", "-D", data, "-U", "grjax", "-A", "trust", "--no-sync"],
        check=True, stdout=subprocess.DEVNULL, **user,
    )  # fmt: skip
    options = f"-p {port} -k {folder} -c listen_addresses=localhost -c fsync=off"
    control = [programs[-1] / "pg_ctl", "-D", data, "-w", "-l", folder / "log"]
    subprocess.run([*control, "-o", options, "start"], check=True, stdout=subprocess.DEVNULL, **user)
    yield f"postgresql+psycopg://grjax@localhost:{port}/postgres"
    subprocess.run([*control, "-m", "immediate", "stop"], check=True, stdout=subprocess.DEVNULL, **user)


@pytest.mark.slow
def test_workers_on_postgresql(file, postgresql, tmp_path):
    stopped_killed_and_shared(file, tmp_path / "sweep", f"--config.sweep.storage={postgresql}")
    assert not (tmp_path / "sweep" / "study.sqlite").exists()


TOGETHER = ("--config.sweep.execution=vmapped", "--config.sweep.chunk=3")


@pytest.mark.slow
@pytest.mark.parametrize(("how", "last_moment"), [((), 130), (TOGETHER, 300)])
def test_no_trial_is_lost_or_doubled_over_twenty_kills(file, tmp_path, how, last_moment):
    """And each ends bit for bit as it does undisturbed, whether trials run one by one or together."""
    code, output = end(start(file, tmp_path / "undisturbed", 6, *NEVER, *how))
    assert code == 0, output
    folder, rng, kills = tmp_path / "killed", random.Random(0), 0
    while kills < 20:
        code, output = end(start(file, folder, 6, int(signal.SIGKILL), rng.randint(1, last_moment), *how))
        if code == 0:  # all were done before 20 kills: once more from the beginning
            check_undisturbed(folder, tmp_path / "undisturbed")
            folder = tmp_path / f"killed_{kills}"
        else:
            assert code == -signal.SIGKILL, output
            kills += 1
    code, output = end(start(file, folder, 6, *NEVER, *how))
    assert code == 0, output
    check_undisturbed(folder, tmp_path / "undisturbed")


@pytest.mark.slow
def test_trials_together_go_on_together(file, tmp_path):
    """Killed after the first checkpoint of some of them: they go on at one step, and end as undisturbed."""
    code, output = end(start(file, tmp_path / "undisturbed", 3, *NEVER, *TOGETHER))
    assert code == 0, output
    moment = "0001/checkpoints/6.orbax-checkpoint-tmp"
    code, output = end(start(file, tmp_path / "killed", 3, int(signal.SIGKILL), moment, *TOGETHER))
    assert code == -signal.SIGKILL, output
    code, output = end(start(file, tmp_path / "killed", 3, *NEVER, *TOGETHER))
    assert code == 0, output
    assert starts(tmp_path / "killed") == [[0, 3]] * 3
    check_undisturbed(tmp_path / "killed", tmp_path / "undisturbed", number=3)


def check_undisturbed(folder, undisturbed, number=6):
    timed = {"seconds", "examples_per_second", "seconds_to_first_step", "wall_seconds"}
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    assert [(line["trial"], line["state"]) for line in lines] == [(k, "complete") for k in range(number)]
    for line, other in zip(lines, results.read(undisturbed), strict=True):
        ours, theirs = folder / line["workdir"], undisturbed / other["workdir"]
        assert_identical(final_state(ours).learner, final_state(theirs).learner)
        for key in line["summary"].keys() - timed:
            assert line["summary"][key] == other["summary"][key]
        assert len((ours / "metrics.jsonl").read_text().splitlines()) == 3
