"""CIFAR-100 with 40% symmetric noise: cross-entropy, GCE and Gradient Rescaling beside the paper's Table 1.

  python -m benchmarks.reproduce --data_dir=cifar-100-python.tar.gz --seeds=3
  python -m benchmarks.reproduce --quick    the same in small, on digits: that it works, no figures

The runs are those of configs/gr_cifar100.py: ResNet-44, 30,000 steps of 256, in --workdir/{loss}_{seed}.
Stopped at any time, the same command goes on where it was; finished runs are not repeated, so --seeds can
grow. Prints the table and stores docs/results/data/reproduce_{device}.json.

Published are 53.2, 58.6 and 61.0, each the best of 30 evaluations on the test set (see the card); beside
them stands the last evaluation of the authors' run, where they released it. The paper says weight decay
1e-4, the authors' solver files 5e-4: --weight_decay=5e-4, in another --workdir.

Needs what grjax itself needs and nothing else, and CIFAR-100: --data_dir is whatever `data.dir` may be, an
archive or TFDS's folder. A GPU, or patience: not run in full so far.
"""

import argparse
import contextlib
import io
import json
import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grjax import host

host.tune()  # before jax is imported

import jax
from absl import logging
from grjax.configs.gr_cifar100 import build

import grjax.config
from benchmarks.environment import environment
from benchmarks.folders import RESULTS
from grjax.errors import exit_in_one_line
from grjax.train import train_and_evaluate

# Loss: Table 1 at 40% symmetric noise, and the last evaluation of the authors' run, in %.
PUBLISHED: dict[str, tuple[float, float | None]] = {
    "cross_entropy": (53.2, None),
    "gce": (58.6, 58.4),
    "gradient_rescaling": (61.0, 59.9),
}
KEPT = (
    "test_accuracy_best", "test_accuracy_best_step", "test_accuracy_last", "train_accuracy_noisy",
    "train_accuracy_intact", "memorisation", "noise_rate_realised", "noise_sha256", "num_steps",
    "examples_per_second", "wall_seconds",
)  # fmt: skip


def run(loss: str, seed: int, flags: argparse.Namespace) -> dict[str, Any]:
    """One run, or its summary if it is finished."""
    layer: dict[str, Any] = {"tensorboard": False, "optimizer": {"weight_decay": flags.weight_decay}}
    if not flags.quick:
        layer["data"] = {"dir": flags.data_dir}
        # As many steps in a call as divide the interval of evaluations; see grjax/steps.py.
        layer["max_steps_per_call"] = 1 if jax.default_backend() == "cpu" else 100
    config = grjax.config.resolve(build(loss=loss, rate=0.4, seed=seed, quick=flags.quick), layer)
    with contextlib.redirect_stdout(io.StringIO()):
        return train_and_evaluate(config, flags.workdir / f"{loss}_{seed}")


def percent(fractions: Sequence[float]) -> str:
    """Mean ± standard deviation of a sample, and its size."""
    values = [100 * fraction for fraction in fractions]
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread} (n={len(values)})"


def table(results: dict[str, list[dict[str, Any]]], quick: bool) -> str:
    """Markdown, in %."""
    lines = [
        "| loss | best, chosen on test | Table 1 | last evaluation | the authors' run | memorisation |",
        "|---|---|---|---|---|---|",
    ]
    for loss, runs in results.items():
        best, last, memorised = (
            percent([one[key] for one in runs])
            for key in ("test_accuracy_best", "test_accuracy_last", "memorisation")
        )
        table_1, authors = ("–" if quick or value is None else f"{value:.1f}" for value in PUBLISHED[loss])
        lines.append(f"| `{loss}` | {best} | {table_1} | {last} | {authors} | {memorised} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data_dir", help="CIFAR-100's archive or folder, or TFDS's data folder")
    parser.add_argument("--seeds", type=int, default=1, help="how many, from 0")
    parser.add_argument("--weight_decay", type=float, default=1e-4)
    parser.add_argument("--workdir", type=Path, default=Path("runs/reproduce"))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--no-store", action="store_true")
    flags = parser.parse_args(arguments)
    logging.set_verbosity(logging.ERROR)
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # the runs compile the same programs
        jax.config.update("jax_compilation_cache_dir", str(Path("~/.cache/grjax").expanduser()))

    results: dict[str, list[dict[str, Any]]] = {loss: [] for loss in PUBLISHED}
    with exit_in_one_line():
        for seed in range(flags.seeds):
            for loss, runs in results.items():
                summary = run(loss, seed, flags)
                runs.append({"seed": seed, **{key: summary[key] for key in KEPT}})
                print(
                    f"{loss}, seed {seed}: best {summary['test_accuracy_best']:.4f}, last "
                    f"{summary['test_accuracy_last']:.4f}, {summary['wall_seconds']:.0f} s",
                    flush=True,
                )
    print("\n" + ", ".join(f"{key} {value}" for key, value in environment().items()))
    data = "digits, in small" if flags.quick else "CIFAR-100, ResNet-44, 30,000 steps"
    print(f"{data}; 40% symmetric noise; weight decay {flags.weight_decay:g}; test accuracy, %\n")
    print(table(results, flags.quick))
    if not (flags.no_store or flags.quick):
        stored = {"environment": environment(), "weight_decay": flags.weight_decay, "results": results}
        path = RESULTS / f"reproduce_{jax.default_backend()}.json"
        path.write_text(json.dumps(stored, indent=1) + "\n")


if __name__ == "__main__":
    main()
