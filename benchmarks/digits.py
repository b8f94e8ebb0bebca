"""The recipe of configs/digits.py: how it was chosen, and what it gives.

  python -m benchmarks.digits tune     lam, beta and learning rate on a validation split (see `tune`)
  python -m benchmarks.digits table    GR against cross-entropy on the test set, 5 seeds (see `table`)
  python -m benchmarks.digits figure   learning curves of both, 5 seeds: docs/figures/digits.svg

The first two print a table and store every run under docs/results/. On two CPU cores: about 15, 3 and 2
minutes.
"""

import argparse
import contextlib
import io
import itertools
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from grjax import host

host.tune()  # before jax is imported

from absl import logging
from grjax.configs.digits import get_config

import grjax.config
from benchmarks.environment import environment
from benchmarks.folders import FIGURES, RESULTS
from grjax.analysis import curves
from grjax.train import train_and_evaluate


def run(overrides: dict[str, Any], seed: int, workdir: Path | None = None) -> dict[str, Any]:
    """One run of configs/digits.py; `seed` is that of noise, initialisation and order."""
    seeds = {"noise.seed": seed, "init_seed": seed, "order_seed": seed, "tensorboard": False}
    layer = grjax.config.unflatten({**seeds, **overrides})
    config = grjax.config.resolve(get_config().to_dict(), layer)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        return train_and_evaluate(config, workdir or Path(folder))


def tune(num_seeds: int = 3) -> None:
    """Grid over lam, beta and learning rate, judged by the last epoch's accuracy on held-out clean labels.

    The protocol of the GR paper: a fifth of the training set is kept clean for validation, the rest is
    corrupted. No test label is read. Cross-entropy is given the same split and its own learning rate.
    """
    gr, ce = {"loss.name": "gradient_rescaling"}, {"loss.name": "cross_entropy"}
    grid = itertools.product((0.5, 1.0, 2.0), (12.0, 16.0, 20.0), (0.003, 0.01, 0.03))
    trials: list[dict[str, Any]] = [
        {**gr, "loss.lam": lam, "loss.beta": beta, "optimizer.learning_rate": rate}
        for lam, beta, rate in grid
    ]
    trials += [
        {**ce, "optimizer.learning_rate": rate} for rate in (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
    ]
    common = {"data.validation_fraction": 0.2, "eval_every_epochs": 40.0, "checkpoint_every_epochs": 40.0}
    results = []
    for trial in trials:
        scores = [
            run(common | trial, seed)["validation_accuracy_last"] for seed in range(100, 100 + num_seeds)
        ]
        results.append({**trial, "validation_accuracy_last": scores})
        print(f"{spread(scores)}  {_name(trial)}", flush=True)
    results.sort(key=lambda result: -statistics.mean(result["validation_accuracy_last"]))
    print("\nbest first:")
    for result in results[:10]:
        print(f"{spread(result['validation_accuracy_last'])}  {_name(result)}")
    _store("digits_tune.json", results)


def table(num_seeds: int = 5) -> None:
    """GR as configs/digits.py has it, cross-entropy with the same settings, and each at its own best.

    'Its best' is the best of `tune`, on validation data. The seeds of noise, initialisation and order all
    change from run to run, and are the same for each row; `tune` used others.
    """
    ce_best = {"loss.name": "cross_entropy", "optimizer.learning_rate": 0.001}
    gr_best = {"loss.lam": 2.0, "loss.beta": 20.0}
    rows: dict[str, dict[str, Any]] = {
        "GR, configs/digits.py": {},
        "cross-entropy, same settings": {"loss.name": "cross_entropy"},
        "cross-entropy, its best learning rate (0.001)": ce_best,
        "GR, its best (lam 2, beta 20, learning rate 0.01)": gr_best,
    }
    results: list[dict[str, Any]] = []
    for name, overrides in rows.items():
        runs = [run(overrides, seed) for seed in range(num_seeds)]
        results.append({"name": name, "overrides": overrides, "runs": runs})
    print(
        "| loss | test accuracy, last epoch | best epoch, chosen on test | memorisation |\n|---|---|---|---|"
    )
    for result in results:
        cells = [
            spread([one[key] for one in result["runs"]])
            for key in ("test_accuracy_last", "test_accuracy_best", "memorisation")
        ]
        print(f"| {result['name']} | {' | '.join(cells)} |")
    _store("digits_table.json", results)


def figure(num_seeds: int = 5) -> None:
    """Test accuracy and memorisation over training, GR and cross-entropy with the same settings."""
    losses: dict[str, dict[str, Any]] = {
        "Gradient Rescaling": {},
        "cross-entropy": {"loss.name": "cross_entropy"},
    }
    runs: dict[str, list[Path]] = {name: [] for name in losses}
    with tempfile.TemporaryDirectory() as folder:
        for (name, overrides), seed in itertools.product(losses.items(), range(num_seeds)):
            runs[name].append(Path(folder) / f"{name} {seed}")
            run(overrides, seed, runs[name][-1])
        title = f"digits, 40% symmetric label noise, {num_seeds} seeds"
        curves.draw(runs, FIGURES / "digits.svg", title)


def spread(values: list[float]) -> str:
    """Mean ± standard deviation of a sample, and its size."""
    std = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.4f} ± {std:.4f} (n={len(values)})"


def _name(trial: dict[str, Any]) -> str:
    return "  ".join(f"{key}={value}" for key, value in trial.items() if key != "validation_accuracy_last")


def _store(name: str, results: list[dict[str, Any]]) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"environment": environment(), "results": results}, indent=1)
    (RESULTS / name).write_text(text + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["tune", "table", "figure"])
    logging.set_verbosity(logging.ERROR)
    {"tune": tune, "table": table, "figure": figure}[parser.parse_args().what]()
