"""The lam x beta grid of configs/digits_lambda_beta.py, kept as a result.

  python -m benchmarks.digits_lambda_beta --workdir=runs/digits_lambda_beta

runs the sweep, or takes the finished one that is there; writes docs/results/data/digits_lambda_beta.json with
every run, draws the best mode against the noise rate, and the learning curves of the grid at one noise
rate; prints the table that docs/results/digits_lambda_beta.md has.
"""

import argparse
import dataclasses
import json
from pathlib import Path

from grjax import host

host.tune()  # before jax is imported

import matplotlib
from absl import logging
from grjax.configs.digits_lambda_beta import get_sweep

from benchmarks.environment import environment
from benchmarks.folders import FIGURES, RESULTS
from grjax.analysis import mode_against_noise
from grjax.analysis.report import multiples, page, style, svg, trials
from grjax.sweep import phases, results

KEPT = (
    "test_accuracy_last",
    "test_accuracy_best",
    "memorisation",
    "train_accuracy_noisy",
    "train_accuracy_intact",
)
CURVES = {"validation_accuracy": ("held out", style.INK)} | {
    key: line for key, line in multiples.LINES.items() if key.startswith("train_")
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


def draw(workdir: Path, rate: float = 0.6) -> None:
    """The figures of the report: of the sweep, and the curves of every candidate at one noise rate."""
    for name, title in (("accuracy_by_mode", "accuracy"), ("best_mode", "mode")):
        page.draw(name, [workdir], FIGURES / f"digits_lambda_beta_{title}.svg")
    candidates = trials.read(workdir / "selection")
    at_rate = [each for each in candidates.settings if each.overrides["noise.rate"] == rate]
    keys = ["loss.lam", "loss.beta"]
    shown = dataclasses.replace(candidates, settings=at_rate, keys=keys)
    with matplotlib.rc_context(style.RC):
        drawn = svg.render(multiples.learning_curves(shown, CURVES).figure, "svg")
    (FIGURES / "digits_lambda_beta_curves.svg").write_bytes(drawn)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--workdir", type=Path, default=Path("runs/digits_lambda_beta"))
    workdir = parser.parse_args().workdir
    logging.set_verbosity(logging.ERROR)
    phases.run(get_sweep(), workdir)
    store(workdir)
    draw(workdir)
    print(mode_against_noise.table(mode_against_noise.read(workdir)))


if __name__ == "__main__":
    main()
