"""Fashion-MNIST with 40% symmetric label noise: cross-entropy against Gradient Rescaling, 3 seeds.

  python -m benchmarks.fashion_mnist --dir=/usr/share/datasets     Debian's package dataset-fashion-mnist

`--dir` is whatever `data.dir` may be: a folder with the four files, TFDS's data folder, or nothing where they
are prepared or can be downloaded. A small CNN, 4 epochs; lam and beta are those of configs/digits.py, chosen
there and not tuned here; both losses have the same settings. Prints the table and stores
docs/results/data/fashion_mnist.json. On two CPU cores: about 10 minutes.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from grjax import host

host.tune()  # before jax is imported

from absl import logging

import grjax.config
from benchmarks.digits import run, spread
from benchmarks.environment import environment
from benchmarks.folders import RESULTS

LOSSES: dict[str, dict[str, Any]] = {
    "cross_entropy": {"loss.name": "cross_entropy"},
    "gradient_rescaling": {"loss.name": "gradient_rescaling", "loss.lam": 1.0, "loss.beta": 16.0},
}
RECIPE: dict[str, Any] = {
    "data.name": "fashion_mnist",
    "data.augmentation": ("flip",),
    "model.features": (8, 16),
    "model.hidden": 64,
    "noise.rate": 0.4,
    "optimizer.learning_rate": 0.02,
    "batch_size": 128,
    "eval_batch_size": 2048,
    "eval_every_epochs": 2.0,
    "checkpoint_every_epochs": 4.0,
}
KEPT = ("test_accuracy_last", "test_accuracy_best", "memorisation", "noise_rate_realised", "wall_seconds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--dir", help="the data set's files; see grjax.data.load")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=float, default=4.0)
    parser.add_argument("--no-store", action="store_true")
    flags = parser.parse_args()
    logging.set_verbosity(logging.ERROR)

    layer = {**RECIPE, "data.dir": flags.dir, "train_epochs": flags.epochs}
    results: list[dict[str, Any]] = []
    for name, loss in LOSSES.items():
        runs = []
        for seed in range(flags.seeds):
            summary = run({**layer, **loss}, seed)
            runs.append({"seed": seed, **{key: summary[key] for key in KEPT}})
            print(f"{name} seed {seed}: {summary['test_accuracy_last']:.4f}", flush=True)
        results.append({"name": name, "runs": runs})
    print("| loss | test accuracy, last epoch | best evaluation, chosen on test | memorisation |")
    print("|---|---|---|---|")
    for result in results:
        cells = [spread([one[key] for one in result["runs"]]) for key in KEPT[:3]]
        print(f"| {result['name']} | {' | '.join(cells)} |")
    if not flags.no_store:
        recipe = grjax.config.unflatten({**RECIPE, "train_epochs": flags.epochs})
        stored = {"environment": environment(), "recipe": recipe, "results": results}
        Path(RESULTS / "fashion_mnist.json").write_text(json.dumps(stored, indent=1) + "\n")


if __name__ == "__main__":
    main()
