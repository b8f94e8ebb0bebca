"""The first 2,000 steps on real CIFAR-100 with 40% symmetric noise: cross-entropy and Gradient Rescaling.

  python -m benchmarks.cifar100_early --dir=cifar-100-python.tar.gz

`--dir` is whatever `data.dir` may be. ResNet-20, batch 128, momentum 0.9, learning rate 0.1, weight decay
1e-4, pad-crop and flip: the GR paper's protocol for CIFAR-100 (arXiv:1905.11233) except for the network
(there ResNet-44) and the batch size (256), and cut off long before the learning rate first decays, at step
15,000 of 30,000. One seed; lam 0.5 and beta 8 are those of the paper's Table 6. A stopped run goes on when it
is started again. Draws docs/figures/cifar100_early.svg and stores cifar100_early.json there.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from grjax import host

host.tune()  # before jax is imported

from absl import logging

import grjax.config
from benchmarks.environment import environment
from benchmarks.folders import FIGURES, RESULTS
from grjax.analysis import curves
from grjax.train import train_and_evaluate
from grjax.workdir.metrics_file import read_rows

LOSSES: dict[str, dict[str, Any]] = {
    "cross-entropy": {"name": "cross_entropy"},
    "Gradient Rescaling": {"name": "gradient_rescaling", "lam": 0.5, "beta": 8.0},
}
RECIPE: dict[str, Any] = {
    "data": {"name": "cifar100", "augmentation": ("pad_crop", "flip")},
    "noise": {"name": "symmetric", "rate": 0.4, "seed": 0},
    "model": {"name": "resnet20"},
    "optimizer": {"name": "momentum", "learning_rate": 0.1, "weight_decay": 1e-4},
    "batch_size": 128,
    "eval_every_steps": 400,
    "checkpoint_every_steps": 200,
}
PANELS = {
    "test_accuracy": "test accuracy",
    "mean_p_clean": "mean p, clean examples",
    "mean_p_mislabelled": "mean p, mislabelled examples",
}
COLUMNS = {
    "step": "step",
    "test_accuracy": "test accuracy",
    "train_accuracy_intact": "train accuracy, intact labels",
    "memorisation": "memorisation",
    "mean_p_clean": "mean p, clean",
    "mean_p_mislabelled": "mean p, mislabelled",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--dir", help="CIFAR-100's archive or folder; see grjax.data.load")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--workdir", type=Path, default=Path("runs/cifar100_early"))
    parser.add_argument("--no-store", action="store_true")
    flags = parser.parse_args()
    logging.set_verbosity(logging.ERROR)

    runs, summaries = {}, {}
    for name, loss in LOSSES.items():
        layer = {"data": {"dir": flags.dir}, "loss": loss, "train_steps": flags.steps}
        runs[name] = flags.workdir / loss["name"]
        summaries[name] = train_and_evaluate(grjax.config.resolve(RECIPE, layer), runs[name])
    rows = {name: read_rows(run / "metrics.jsonl") for name, run in runs.items()}
    print(f"| loss | {' | '.join(COLUMNS.values())} |\n|{'---|' * (len(COLUMNS) + 1)}")
    for name, each in rows.items():
        for row in each:
            numbers = [f"{row[key]:.4f}" for key in list(COLUMNS)[1:]]
            print(f"| {name} | {row['step']} | {' | '.join(numbers)} |")
    if not flags.no_store:
        title = "CIFAR-100, 40% symmetric label noise, ResNet-20, the first steps"
        pictured = {name: [run] for name, run in runs.items()}
        curves.draw(pictured, FIGURES / "cifar100_early.svg", title, panels=PANELS, top=0.3)
        stored = {
            "environment": environment(),
            "recipe": RECIPE,
            "losses": LOSSES,
            "rows": rows,
            "summaries": summaries,
        }
        (RESULTS / "cifar100_early.json").write_text(json.dumps(stored, indent=1) + "\n")


if __name__ == "__main__":
    main()
