"""What a sweep saves: trials at once against one by one, and a sweep against a process for each trial.

  python -m benchmarks.sweep chunks            trials an hour by way of running them, as ratios (see `chunks`)
  python -m benchmarks.sweep digits            configs/digits_sweep.py against separate runs (see `digits`)
  python -m benchmarks.sweep chunks --models resnet20 cnn8 --batch_size 128        on a GPU

Both print their result and store it in docs/results/data/sweep_speed.json.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from grjax import host

host.tune()  # before jax is imported

import jax
import numpy as np
from grjax.configs.digits_sweep import get_sweep

import grjax.config
from benchmarks.environment import environment
from benchmarks.folders import RESULTS
from grjax.sweep.programs import Shared
from grjax.together import Alone, Spread, Together, Vmapped

ROOT = Path(__file__).parent.parent
STORED = RESULTS / "sweep_speed.json"


def chunks(models: list[str], sizes: list[int], batch_size: int, rounds: int, steps: int) -> None:
    """Train steps of trials at once, against those of one trial after another, through the same code.

    Rounds alternate between all ways; a ratio is the median over rounds of (trials an hour of a way) / (of
    one by one). Evaluation and checkpoints are left out. 'digits' is the network of configs/digits.py on its
    data at its batch size; other models see random pixels in CIFAR's shape.
    """
    found = {}
    for model in models:
        shared = Shared()
        with tempfile.TemporaryDirectory() as folder:
            configs = _configs(model, max(sizes), batch_size, Path(folder))
            ways: dict[str, tuple[int, Callable[[], float]]] = {
                "one by one": (1, _at_once(shared, configs, Alone(), steps))
            }
            for size in sizes:
                ways[f"vmapped {size}"] = size, _at_once(shared, configs, Vmapped(size), steps)
            if jax.local_device_count() > 1:
                spread = Spread()
                ways["spread"] = spread.size, _at_once(shared, configs, spread, steps)
            for _, run in ways.values():
                run()  # compiles
            times = [{name: run() / size for name, (size, run) in ways.items()} for _ in range(rounds)]
        ratios = {name: statistics.median(one["one by one"] / one[name] for one in times) for name in ways}
        milliseconds = 1e3 * statistics.median(one["one by one"] for one in times) / steps
        found[model] = {
            "milliseconds_a_step_one_by_one": milliseconds,
            "batch_size": configs[0].batch_size,
            "trials_an_hour_relative_to_one_by_one": ratios,
        }
        cells = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
        print(f"{model}, batch {configs[0].batch_size}, {milliseconds:.1f} ms a step: {cells}", flush=True)
    _store(f"chunks_{jax.local_device_count()}_devices", {"models": found, "rounds": rounds, "steps": steps})


def _configs(model: str, count: int, batch_size: int, folder: Path) -> list[Any]:
    """Configs of one group that differ in seeds, loss and noise rate."""
    sweep = get_sweep()
    configs = sweep.configs()[:: len(sweep.trials) // count][:count]
    if model == "digits":
        return configs
    rng = np.random.default_rng(0)
    examples = 4 * batch_size
    np.savez(
        folder / "pixels.npz",
        images=rng.integers(0, 256, (examples, 32, 32, 3), np.uint8),
        labels=np.arange(examples) % 10,
        test_images=rng.integers(0, 256, (batch_size, 32, 32, 3), np.uint8),
        test_labels=np.arange(batch_size) % 10,
    )
    layer = {
        "data": {"name": "npz", "dir": str(folder / "pixels.npz")},
        "model": {"name": model},
        "batch_size": batch_size,
        "eval_batch_size": batch_size,
    }
    return [grjax.config.resolve(config.to_dict(), layer) for config in configs]


def _at_once(shared: Shared, configs: list[Any], together: Together, steps: int) -> Callable[[], float]:
    """Steps of so many trials as run together; the seconds they take."""
    runs = [shared.run(config, Path()) for config in configs[: together.size]]
    programs = shared.programs(configs[0], together)
    state, inputs = together.join([programs.init_state(run) for run in runs]), programs.inputs(runs)

    def run() -> float:
        nonlocal state
        feeds = [each.experiment.train_batches(0) for each in runs]
        start = time.perf_counter()
        for _ in range(steps):
            batches = together.batches([next(feed) for feed in feeds])
            state, metrics = programs.p_train_step(state, inputs, batches)
            jax.block_until_ready(metrics)
        return time.perf_counter() - start

    return run


def digits(separate: int, workers: int) -> None:
    """The 60 trials of configs/digits_sweep.py in one command, against a run.py for each.

    Half of the separate runs come before the sweep and half after it; they are spread evenly over the trials.
    Each is run twice: as the first of its kind, with nothing compiled before, and again, when the compilation
    cache holds its programs. The sweep itself finds nothing compiled before.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trials = get_sweep().trials
        chosen = [trials[k * len(trials) // separate] for k in range(separate)]
        times = [_separate(folder, number, trial) for number, trial in enumerate(chosen[: separate // 2])]
        sweep, output = _run(
            "--mode=sweep", "--config=configs/digits_sweep.py", f"--workdir={folder / 'sweep'}",
            f"--compilation_cache={folder / 'sweep_cache'}", f"--config.sweep.workers={workers}",
        )  # fmt: skip
        endings = output.strip().splitlines()[-workers:]
        print(f"sweep: {sweep}; {'; '.join(endings)}", flush=True)
        times += [
            _separate(folder, separate + number, trial)
            for number, trial in enumerate(chosen[separate // 2 :])
        ]
    ratios = {
        kind: {
            unit: sweep[unit] / (len(trials) * statistics.mean(one[kind][unit] for one in times))
            for unit in sweep
        }
        for kind in times[0]
    }
    print(f"sweep / as many separate processes one after another: {ratios}")
    stored = {
        "trials": len(trials), "workers": workers, "sweep": sweep, "sweep_says": endings,
        "separate": times, "ratios": ratios,
    }  # fmt: skip
    _store(f"digits_{workers}_workers", stored)


def _separate(folder: Path, number: int, trial: dict[str, Any]) -> dict[str, dict[str, float]]:
    """The seconds of one trial of the sweep in a process of its own."""
    times = {}
    for kind in ("nothing_compiled", "compiled_before"):
        times[kind], _ = _run(
            "--config=configs/digits.py", "--config.tensorboard=false",
            f"--workdir={folder / f'{number}_{kind}'}", f"--compilation_cache={folder / f'cache_{number}'}",
            *(f"--config.{key}={value}" for key, value in trial.items()),
        )  # fmt: skip
    print(f"separate: {times}", flush=True)
    return times


def _run(*arguments: str) -> tuple[dict[str, float], str]:
    """Seconds by the clock and of both cores' work, and what run.py prints."""
    command = [sys.executable, "run.py", *arguments]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    # It would take the place of --compilation_cache.
    environment = {key: value for key, value in os.environ.items() if key != "JAX_COMPILATION_CACHE_DIR"}
    done = subprocess.run(command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, check=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    work = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_seconds": round(wall, 1), "cpu_seconds": round(work, 1)}, done.stdout


def _store(part: str, result: dict[str, Any]) -> None:
    stored = json.loads(STORED.read_text()) if STORED.exists() else {}
    stored[part] = {"environment": environment(), **result}
    STORED.write_text(json.dumps(stored, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["chunks", "digits"])
    parser.add_argument("--models", nargs="+", default=["digits", "cnn8", "resnet20"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[2, 4, 8, 16])
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="of each way in a round")
    parser.add_argument("--separate", type=int, default=6, help="runs of run.py that are measured")
    parser.add_argument("--workers", type=int, default=2, help="of the sweep of digits")
    flags = parser.parse_args()
    if flags.what == "digits":
        digits(flags.separate, flags.workers)
    else:
        chunks(flags.models, flags.sizes, flags.batch_size, flags.rounds, flags.steps)
