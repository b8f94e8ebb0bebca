"""Seconds from `python run.py` to the first step, with an empty and with a filled compilation cache.

  python -m benchmarks.startup     digits and ResNet-44; stores docs/results/data/startup_cpu.json
  python -m benchmarks.startup --rounds 1 --no-store

Rounds alternate; in each, a run of one step with a cache of its own that is empty, then another with that
cache. What comes before the first step counts: the interpreter's start, imports, reading the data, making the
model, the compilations, and for digits the evaluation of the first parameters. Digits are the run of
`python run.py`, prepared once before; ResNet-44 has 50,000 made-up images of CIFAR's shape, which each run
evaluates after its step. On two CPU cores: twelve minutes for three rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.environment import environment
from benchmarks.folders import RESULTS
from benchmarks.train import made_up

ROOT = Path(__file__).parent.parent
GOALS = {"digits": (6, 3), "resnet44": (20, 10)}  # seconds on two cores, with an empty and a filled cache


def flags_of(name: str, folder: Path) -> list[str]:
    """What of run.py's flags makes the experiment; the data are those of `folder`."""
    common = ["--config.train_steps=1", "--config.tensorboard=False"]
    if name == "digits":
        return common
    return [
        *common,
        "--config.data.name=npz",
        f"--config.data.dir={made_up(folder, (32, 32, 3), 50_000)}",
        "--config.data.augmentation=('pad_crop','flip')",
        f"--config.model.name={name}",
    ]


def run(arguments: list[str], workdir: Path, cache: Path) -> dict[str, float]:
    """Seconds to the first step and to the end of the process."""
    command = [sys.executable, "run.py", f"--workdir={workdir}", f"--compilation_cache={cache}", *arguments]
    without = {key: value for key, value in os.environ.items() if key != "JAX_COMPILATION_CACHE_DIR"}
    start = time.monotonic()
    subprocess.run(command, cwd=ROOT, env=without, check=True, stdout=subprocess.DEVNULL)
    total = time.monotonic() - start
    summary: dict[str, float] = json.loads((workdir / "summary.json").read_text())
    return {"first_step": summary["seconds_to_first_step"], "end": total}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(GOALS), choices=GOALS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-store", action="store_true")
    flags = parser.parse_args()

    results: dict[str, Any] = {"environment": environment(), "load": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        experiments = {network: flags_of(network, folder) for network in flags.networks}
        for network, arguments in experiments.items():
            run(arguments, folder / f"{network}_before", folder / "before")  # prepares the data
            results[network] = {"cold": [], "warm": []}
        for number in range(flags.rounds):
            results["load"].append(os.getloadavg()[0])
            for network, arguments in experiments.items():
                cache = folder / f"cache_{network}_{number}"
                for state in ("cold", "warm"):
                    found = run(arguments, folder / f"{network}_{number}_{state}", cache)
                    results[network][state].append(found)
    print("\n| | empty cache | filled cache | goals |\n|---|---|---|---|")
    for network in experiments:
        cold, warm = (
            statistics.median(found["first_step"] for found in results[network][state])
            for state in ("cold", "warm")
        )
        print(f"| {network} | {cold:.1f} s | {warm:.1f} s | {GOALS[network][0]} s, {GOALS[network][1]} s |")
    if not flags.no_store:
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / "startup_cpu.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
