"""Every loss on digits with 40% symmetric label noise: the table of docs/results/digits.md.

  python -m benchmarks.digits_losses                  about 40 minutes on two CPU cores
  python -m benchmarks.digits_losses --names gce elr  only these

The recipe is that of configs/digits.py, learning rate included: chosen for Gradient Rescaling, not for
each loss. Hyper-parameters are those published for CIFAR-10, else the defaults of each loss; what has neither
or others is in `OPTIONS`: Gradient Rescaling and IMAE with lam and beta of configs/digits.py, and both
corrections with the true noise rate. Runs are stored one by one in docs/results/data/digits_losses.json, and
stored ones are not repeated; the table is printed last.
"""

import argparse
import json
from typing import Any

from grjax import host

host.tune()  # before jax is imported

from absl import logging

from benchmarks.digits import run, spread
from benchmarks.environment import environment
from benchmarks.folders import RESULTS
from grjax import losses

SEEDS = (0, 1, 2)

# What has no default. Durations are those of the sources as parts of the whole training, of 40 epochs here.
OPTIONS: dict[str, dict[str, Any]] = {
    # Published for CIFAR-10, where the signature has the plain loss.
    **{name: losses.defaults(name, "cifar10") for name in ("focal", "gjs", "js", "logit_clip")},
    "gradient_rescaling": losses.defaults("gradient_rescaling", "digits"),
    "imae": losses.defaults("imae", "digits"),
    "proselflc": {"trust": {"name": "proselflc"}},
    "forward_correction": {"transition": 0.4},  # the true one, which in practice is estimated
    "backward_correction": {"transition": 0.4},
    "self_adaptive": {"begin_epochs": 10.0},
    "truncated_gce_pruned": {"begin_epochs": 13.0, "every_epochs": 3.0, "window_epochs": 1.0},
}
KEPT = ("test_accuracy_last", "test_accuracy_best", "memorisation")


def table(results: dict[str, Any]) -> str:
    """The stored runs as a Markdown table, the best last epoch first."""
    rows = sorted(
        results.items(),
        key=lambda row: -sum(one["test_accuracy_last"] for one in row[1]["runs"]) / len(SEEDS),
    )
    lines = [
        "| loss | test accuracy, last epoch | best epoch, chosen on test | memorisation |",
        "|---|---|---|---|",
    ]
    for name, row in rows:
        cells = [spread([one[key] for one in row["runs"]]) for key in KEPT]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--names", nargs="+", default=losses.names() + losses.names_with_memory())
    names = parser.parse_args().names
    logging.set_verbosity(logging.ERROR)

    file = RESULTS / "digits_losses.json"
    stored = json.loads(file.read_text())["results"] if file.exists() else {}
    for name in names:
        options = OPTIONS.get(name, {})
        row = stored.get(name, {"options": options, "runs": []})
        for seed in SEEDS[len(row["runs"]) :]:
            overrides = {"loss.name": name, **{f"loss.{key}": value for key, value in options.items()}}
            summary = run({**overrides, "checkpoint_every_epochs": 40.0}, seed)
            row["runs"].append({"seed": seed, **{key: summary[key] for key in KEPT}})
            stored[name] = row
            file.write_text(json.dumps({"environment": environment(), "results": stored}, indent=1) + "\n")
        print(f"{spread([one['test_accuracy_last'] for one in row['runs']])}  {name}", flush=True)
    print("\n" + table(stored))


if __name__ == "__main__":
    main()
