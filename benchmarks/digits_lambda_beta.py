"""The lam x beta grid of configs/digits_lambda_beta.py, kept as a result.

  python -m benchmarks.digits_lambda_beta --workdir=runs/digits_lambda_beta

runs the sweep, or takes the finished one that is there; writes docs/results/digits_lambda_beta.json with
every run, draws the best mode against the noise rate, and the learning curves of the grid at one noise
rate; prints the table that docs/results/digits_lambda_beta.md has.
"""

import argparse
import json
from pathlib import Path

from grjax import host

host.tune()  # before jax is imported

from absl import logging

from benchmarks.digits import RESULTS
from benchmarks.environment import environment
from configs.digits_lambda_beta import get_sweep
from configs.gr_table9 import GRID
from grjax.analysis import grids, mode_against_noise
from grjax.sweep import phases, results

KEPT = (
    "test_accuracy_last",
    "test_accuracy_best",
    "memorisation",
    "train_accuracy_noisy",
    "train_accuracy_intact",
)
CURVES = {
    "validation_accuracy": "held out",
    "train_accuracy_noisy": "train, labels as given",
    "train_accuracy_intact": "train, intact labels",
}


def store(workdir: Path) -> None:
    """Keeps a finished sweep: each score that chose something, and each run on everything."""
    content = {
        "environment": environment(),
        "selection": json.loads((workdir / "selection.json").read_text(encoding="utf-8")),
        "results": [
            {"overrides": result["overrides"], **{key: result["summary"][key] for key in KEPT}}
            for result in results.read(workdir)
        ],
    }
    path = RESULTS / "digits_lambda_beta.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def draw_curves(workdir: Path, rate: float) -> None:
    """The learning curves of every candidate at a noise rate, as the paper's Figures 5 to 9."""
    runs = [
        result for result in results.read(workdir / "selection") if result["overrides"]["noise.rate"] == rate
    ]
    panels = [
        {
            f"λ = {lam:g}, β = {beta:g}": [
                workdir / "selection" / run["workdir"]
                for run in runs
                if (run["overrides"]["loss.lam"], run["overrides"]["loss.beta"]) == (lam, beta)
            ]
            for beta in betas
        }
        for lam, betas in GRID.items()
    ]
    title = f"digits, {rate:.0%} symmetric label noise"
    grids.draw(panels, RESULTS / "digits_lambda_beta_curves.svg", title, CURVES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--workdir", type=Path, default=Path("runs/digits_lambda_beta"))
    workdir = parser.parse_args().workdir
    logging.set_verbosity(logging.ERROR)
    phases.run(get_sweep(), workdir)
    store(workdir)
    modes = mode_against_noise.read(workdir)
    mode_against_noise.draw(modes, RESULTS / "digits_lambda_beta.svg", "digits, symmetric label noise")
    draw_curves(workdir, rate=0.6)
    print(mode_against_noise.table(modes))


if __name__ == "__main__":
    main()
