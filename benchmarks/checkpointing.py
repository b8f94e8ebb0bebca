"""What saving a checkpoint costs the train loop: the wait for it, and slower steps while it is written.

  python -m benchmarks.checkpointing                           stores docs/results/data/checkpointing_cpu.json
  python -m benchmarks.checkpointing --networks digits --seconds 0.5 --no-store

Rounds alternate between some seconds of steps with a checkpoint before them and as many steps without. The
cost is the median difference of the two in the same round; the share of training is that at the default
interval, ten epochs in batches of 128, of digits 110 steps, of CIFAR 3,900. On two CPU cores: some minutes.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from grjax import host

host.tune()  # before jax is imported

import jax

import grjax.config
from benchmarks.environment import environment
from benchmarks.folders import RESULTS
from benchmarks.train import NETWORKS, made_up
from grjax import experiment
from grjax.devices import parallelize, replicate, spread
from grjax.evaluate import device_data
from grjax.workdir.checkpoints import Checkpoints

BATCH = 128
IMAGES = {"digits": 1442}  # of the training split; the others' are CIFAR's


def measure(network: str, seconds: float, rounds: int, folder: Path) -> dict[str, Any]:
    """Seconds of the steps, with and without a checkpoint before them, and of the wait for it alone."""
    model, shape, augmentation = NETWORKS[network]
    layer = {
        "data": {"name": "npz", "dir": str(made_up(folder, shape, 2000)), "augmentation": augmentation},
        "model": {"name": model},
        "optimizer": {"name": "momentum", "learning_rate": 0.01},
        "batch_size": BATCH,
        "train_steps": 2**20,
    }
    parts = experiment.create(grjax.config.resolve(layer))
    state, data = replicate(parts.init_state()), device_data(parts)
    p_step, batches = parallelize(parts.train_step(), donate_state=True), parts.train_batches(0)
    checkpoints = Checkpoints(folder / network, keep=3)
    found: dict[str, Any] = {"saving": [], "plain": [], "wait": []}
    steps = 2
    for number in range(-1, rounds):
        for kind in ("saving", "plain"):
            start = time.perf_counter()
            if kind == "saving":
                checkpoints.save(number + 1, state)
                wait = time.perf_counter() - start
            for _ in range(steps):
                state, metrics = p_step(state, data, spread(next(batches)))
                jax.block_until_ready(metrics)
            taken = time.perf_counter() - start
            checkpoints.wait()
            if number >= 0:
                found[kind].append(taken)
                found["wait"] += [wait] if kind == "saving" else []
        if number < 0:  # this round has compiled, and says how long a step takes
            steps = max(2, round(seconds * steps / taken))
    checkpoints.close()
    cost = statistics.median(a - b for a, b in zip(found["saving"], found["plain"], strict=True))
    step = statistics.median(found["plain"]) / steps
    interval = 10 * (IMAGES.get(network, 50_000) // BATCH)
    bytes_saved = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    return {
        **found,
        "cost": cost,
        "step": step,
        "bytes": bytes_saved,
        "steps": steps,
        "share": cost / (interval * step),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["digits", "resnet20", "resnet44"], choices=NETWORKS)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-store", action="store_true")
    flags = parser.parse_args()
    results: dict[str, Any] = {"environment": environment()}
    with tempfile.TemporaryDirectory() as folder:
        for network in flags.networks:
            results[network] = measure(network, flags.seconds, flags.rounds, Path(folder))
    print("\n| | state | wait | cost in all | a step | share of training |\n|---|---|---|---|---|---|")
    for network in flags.networks:
        found = results[network]
        times = (statistics.median(found["wait"]), found["cost"], found["step"])
        cells = [f"{found['bytes'] / 1e6:.1f} MB", *(f"{1000 * each:.0f} ms" for each in times)]
        print(f"| {network} | {' | '.join(cells)} | {found['share']:.3%} |")
    if not flags.no_store:
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / "checkpointing_cpu.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
