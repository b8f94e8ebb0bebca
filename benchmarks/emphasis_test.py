"""The test of the emphasis that sets itself: docs/results/emphasis_test.md says what is asked, and how.

  python -m benchmarks.emphasis_test run --fashion=DIR --mlbench=DIR   runs what is left of it, cell by cell
  python -m benchmarks.emphasis_test report                            stores and prints what is finished

`--fashion` is a folder with the four files of Fashion-MNIST (Debian: /usr/share/datasets), `--mlbench` one
with LetterRecognition.rda and Satellite.rda (Debian's r-cran-mlbench: /usr/lib/R/site-library/mlbench/data;
reading them needs PyPI's rdata). What is finished is in `--workdir`, one file a cell; a restart goes on. The
report goes to docs/results/data/emphasis_test.json. All runs of a cell that share a program are vmapped
through it.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from benchmarks.environment import environment
from benchmarks.folders import RESULTS
from grjax import config, data, experiment, fit, label_wave
from grjax.evaluate import Evaluation
from grjax.metrics import Row
from grjax.sweep.programs import Shared
from grjax.together import Vmapped

SEEDS = range(5)
RATES = (0.01, 0.03, 0.1, 0.3)  # learning rates; which one a data set gets: `learning_rate`
EPOCHS = 40
RECIPE: dict[str, Any] = {
    "model": {"name": "mlp", "hidden": (128, 128)},
    "optimizer": {"name": "momentum", "momentum": 0.9},
    "schedule": {"name": "cosine"},
    "batch_size": 64,
    "eval_batch_size": 2000,
    "eval_every_epochs": 1.0,
    "max_steps_per_call": 10**6,  # an epoch
}
CELLS: dict[str, dict[str, Any]] = {
    "clean": {"noise": {"name": "symmetric", "rate": 0.0}},
    "symmetric .2": {"noise": {"name": "symmetric", "rate": 0.2}},
    "symmetric .4": {"noise": {"name": "symmetric", "rate": 0.4}},
    "symmetric .6": {"noise": {"name": "symmetric", "rate": 0.6}},
    "pair-flip .2": {"noise": {"name": "pair_flip", "rate": 0.2}},
    "pair-flip .4": {"noise": {"name": "pair_flip", "rate": 0.4}},
    "instance .4": {"noise": {"name": "instance_dependent", "rate": 0.4}},
    "long tail": {
        "noise": {"name": "symmetric", "rate": 0.0},
        "imbalance": {"name": "long_tail", "ratio": 10.0},
    },
    "long tail, symmetric .2": {
        "noise": {"name": "symmetric", "rate": 0.2},
        "imbalance": {"name": "long_tail", "ratio": 10.0},
    },
}
# Training examples; all others are the test split.
SIZES = {"fashion_mnist": 1000, "letter": 1000, "satellite": 1000}
CE = {"name": "cross_entropy"}
SELF = {"method": {"name": "posterior_emphasis"}, "loss": CE}
DAL = {"name": "gce", "q": {"name": "linear", "start": 0.6, "end": 1.5}}
# What a user who tunes would try: cross-entropy, and Gradient Rescaling with modes 1/3, 1/2 and 2/3.
GRID: dict[str, dict[str, Any]] = {"CE": CE} | {
    f"GR {lam:g}, {beta:g}": {"name": "gradient_rescaling", "lam": lam, "beta": beta}
    for lam in (0.5, 1.0, 2.0)
    for beta in (8.0, 16.0)
}
OWN, CEILING = "self-setting", "grid, clean (ceiling)"
FULL, EQUAL = "grid, noisy, full compute", "grid, noisy, equal compute"
FEW = ("CE", "GR 0.5, 8", "GR 1, 8", "GR 1, 16")  # candidates at equal compute


def prior(rate: float, num_classes: int) -> dict[str, Any]:
    """GR by a fixed prior of the true rate: the mode of the paper's table 9, and w(1/C) = 0.19 w(mode)."""
    mode = min(1 / 6 + 5 * rate / 6, 2 / 3)
    lam, start = mode / (1 - mode), 1 / max(num_classes, 10)
    beta = -np.log(0.19) / (mode**lam * (1 - mode) - start**lam * (1 - start))
    return {"name": "gradient_rescaling", "lam": lam, "beta": float(beta)}


class Ended(NamedTuple):
    """A run at its end: its last row, those of all evaluations where they were watched, and its path."""

    last: Row
    rows: list[Row]
    path: list[tuple[float, float]]  # rate and slope of each epoch


class Runner:
    """Trains configs that share a program in one vmapped step, without files; one compilation for each."""

    def __init__(self) -> None:
        self._shared = Shared()

    def __call__(
        self,
        configs: Sequence[Mapping[str, Any]],
        *,
        watched: bool = False,
        paths: Sequence[Sequence[tuple[float, float]]] | None = None,
    ) -> list[Ended]:
        """Trains them to their end.

        Args:
          configs: layers over the defaults.
          watched: whether every epoch is measured.
          paths: for each run of `posterior_emphasis` the rate and slope of each epoch, in place of its own.
        """
        resolved = [config.resolve(config.unflatten(layer)) for layer in configs]
        together = Vmapped(len(resolved))
        programs = self._shared.programs(resolved[0], together)
        runs = [self._shared.run(each, Path("unused")) for each in resolved]
        experiments = [run.experiment for run in runs]
        first, method = experiments[0], experiments[0].method()
        assert first.steps_per_call == first.sampler.steps_per_epoch
        state = together.join([programs.init_state(run) for run in runs])
        inputs = programs.inputs(runs)
        evaluation = Evaluation(programs.p_eval_step, together, inputs, experiments)
        batches = map(together.batches, zip(*(each.train_batches(0) for each in experiments), strict=True))
        rows: list[list[Row]] = [[] for _ in runs]
        path: list[list[tuple[float, float]]] = [[] for _ in runs]
        epochs = first.total_steps // first.steps_per_call
        for epoch in range(epochs):
            if watched:
                for kept, (row, _) in zip(rows, evaluation.measure(state), strict=True):
                    kept.append(row)
            if method.begin_epoch is not None:
                predicted = evaluation.predict(state, "train")
                after = []
                for number, (one, of_train) in enumerate(
                    zip(together.separate(state), predicted, strict=True)
                ):
                    learner = method.begin_epoch(one.learner, of_train.records(), epoch)
                    if paths is not None:
                        rate, slope = (np.float32(value) for value in paths[number][epoch])
                        learner = learner._replace(estimate=learner.estimate.replace(rate=rate, slope=slope))
                    path[number].append((float(learner.estimate.rate), float(learner.estimate.slope)))
                    after.append(one.replace(learner=learner))
                state = together.join(after)
            state, _ = programs.p_train_step(state, inputs, next(batches))
        measured = evaluation.measure(state)
        if "validation_noisy" in first.dataset.splits:  # the same examples with the labels before noise
            of = config.resolve(resolved[0], {"data": {"validation_labels": "clean"}})
            clean = experiment.create(of, check_shapes=False).labels("validation")
            for row, predicted_of in measured:
                right = predicted_of["validation_noisy"].classes == clean
                row["validation_accuracy"] = float(right.mean())
        ended = [row for row, _ in measured]
        return [Ended(last, [*kept, last], own) for last, kept, own in zip(ended, rows, path, strict=True)]


def run_cell(runner: Runner, base: dict[str, Any], cell: dict[str, Any], num_classes: int) -> dict[str, Any]:
    """All methods with all seeds in one cell: for each method what each seed came to."""
    base = {
        **base,
        **{f"{section}.{key}": value for section, of in cell.items() for key, value in of.items()},
    }
    seeded = [{**base, "noise.seed": seed, "init_seed": seed, "order_seed": seed} for seed in SEEDS]

    def with_each(layers: Mapping[str, Mapping[str, Any]], **more: Any) -> dict[str, list[Ended]]:
        """Losses or sections by name, each with every seed, through one program."""
        ended = runner([{**one, **more, **layer} for layer in layers.values() for one in seeded])
        return {name: ended[len(SEEDS) * i : len(SEEDS) * (i + 1)] for i, name in enumerate(layers)}

    found: dict[str, list[dict[str, Any]]] = {}

    def keep(name: str, ended: Sequence[Ended], **more: Sequence[Any]) -> None:
        found[name] = [
            {"test_accuracy": one.last["test_accuracy"], "memorisation": one.last["memorisation"]}
            | {key: values[i] for key, values in more.items()}
            for i, one in enumerate(ended)
        ]

    true_rate = cell["noise"]["rate"]
    lam, beta = fit.emphasis(num_classes)
    losses = GRID | {
        "GR by classes": {"name": "gradient_rescaling", "lam": lam, "beta": beta},
        "GR by the true rate": prior(true_rate, num_classes),
        "GCE .7": {"name": "gce", "q": 0.7},
    }
    whole = with_each({name: {"loss": loss} for name, loss in losses.items()})
    for name in ("CE", "GR by classes", "GR by the true rate", "GCE .7"):
        keep(name, whole[name])
    keep("GR (.5, 8)", whole["GR 0.5, 8"])
    keep("DAL", with_each({"DAL": {"loss": DAL}})["DAL"])

    # The grid, on a fifth of the training set that is held out with noisy labels, or with clean ones.
    held_out = {"data.validation_fraction": 0.2, "data.validation_labels": "noisy"}
    tuned = with_each({name: {"loss": loss} for name, loss in GRID.items()}, **held_out)
    for name, metric in (
        (FULL, "validation_noisy_accuracy"),
        (CEILING, "validation_accuracy"),
    ):
        choices = best_of(tuned, metric)
        keep(name, [whole[choice][s] for s, choice in enumerate(choices)], choice=choices)
    eighth, half = base["train_epochs"] / 8, base["train_epochs"] / 2
    short = with_each({name: {"loss": GRID[name]} for name in FEW}, **held_out, train_epochs=eighth)
    choices = best_of(short, "validation_noisy_accuracy")
    again = [{**one, "loss": GRID[c], "train_epochs": half} for one, c in zip(seeded, choices, strict=True)]
    keep(EQUAL, runner(again), choice=choices)

    # Cross-entropy again, measured after every epoch.
    watched = runner([{**one, "loss": CE} for one in seeded], watched=True)
    stops = [
        label_wave.first_minimum([row["train_predictions_changed"] for row in one.rows]) for one in watched
    ]
    stopped = [
        one._replace(last=one.last if stop is None else one.rows[stop])
        for one, stop in zip(watched, stops, strict=True)
    ]
    keep("CE, Label Wave", stopped, epoch=stops)

    own = runner([{**one, **SELF} for one in seeded])
    keep(
        OWN,
        own,
        rate=[one.last["noise_rate_estimated"] for one in own],
        realised=[one.last["noise_rate_realised"] for one in own],
        reason=[one.last["noise_rate_reason"] for one in own],
        confidence=[one.last["noise_rate_confidence"] for one in own],
        mode=[one.last["emphasis_mode"] for one in own],
    )
    others = [own[(s + 1) % len(own)].path for s in range(len(own))]
    keep("another seed's path", runner([{**one, **SELF} for one in seeded], paths=others))
    rng = np.random.default_rng(0)
    shuffled = [[one.path[i] for i in rng.permutation(len(one.path))] for one in own]
    keep("its path, shuffled in time", runner([{**one, **SELF} for one in seeded], paths=shuffled))
    return {"methods": found, "paths": [one.path for one in own]}


def best_of(ended: Mapping[str, Sequence[Ended]], metric: str) -> list[str]:
    """For each seed the name whose run ended with the largest metric, the first of several."""
    scores = [{name: float(runs[seed].last[metric]) for name, runs in ended.items()} for seed in SEEDS]
    return [max(each, key=each.__getitem__) for each in scores]


def learning_rate(runner: Runner, base: dict[str, Any]) -> float:
    """The first of `RATES` at which cross-entropy fits more than half of the wrong labels at symmetric .4.

    Where there is none, the one at which it fits most.
    """
    layer = {**base, "noise.rate": 0.4, "noise.seed": 100, "init_seed": 100, "order_seed": 100, "loss": CE}
    ended = runner([{**layer, "optimizer.learning_rate": rate} for rate in RATES])
    fitted = [one.last["memorisation"] for one in ended]
    print(f"memorisation by learning rate: {dict(zip(RATES, fitted, strict=True))}", flush=True)
    most = RATES[int(np.argmax(fitted))]
    return next((rate for rate, share in zip(RATES, fitted, strict=True) if share > 0.5), most)


def prepare(name: str, fashion: str, mlbench: str, folder: Path) -> Path:
    """An .npz file with a random part of a data set to train on, the same for all seeds."""
    path = folder / f"{name}.npz"
    if path.exists():
        return path
    if name == "fashion_mnist":
        splits = data.load("fashion_mnist", dir=fashion).splits
        pooled = [
            np.asarray(splits[split].images[np.arange(len(splits[split]))])[..., 0]
            .reshape(-1, 14, 2, 14, 2)
            .mean((2, 4))
            .reshape(-1, 196)
            for split in ("train", "test")
        ]
        chosen = np.random.default_rng(0).permutation(len(pooled[0]))[: SIZES[name]]
        arrays = {
            "images": pooled[0][chosen], "labels": splits["train"].labels[chosen],
            "test_images": pooled[1], "test_labels": splits["test"].labels,
        }  # fmt: skip
    else:
        import rdata

        file = {"letter": "LetterRecognition", "satellite": "Satellite"}[name]
        table = next(iter(rdata.read_rda(Path(mlbench) / f"{file}.rda").values()))
        target = {"letter": "lettr", "satellite": "classes"}[name]
        _, labels = np.unique(table[target].astype(str), return_inverse=True)
        x = table.drop(columns=target).to_numpy(np.float32)
        order = np.random.default_rng(0).permutation(len(x))
        chosen, rest = order[: SIZES[name]], order[SIZES[name] :]
        arrays = {
            "images": x[chosen], "labels": labels[chosen],
            "test_images": x[rest], "test_labels": labels[rest],
        }  # fmt: skip
    np.savez(path, **arrays)
    return path


def run(flags: argparse.Namespace) -> None:
    folder, start = Path(flags.workdir), time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    bases: dict[str, tuple[Runner, dict[str, Any], int]] = {}
    for name in flags.data:
        path = prepare(name, flags.fashion, flags.mlbench, folder)
        base = config.flatten(RECIPE) | {"data.name": "npz", "data.dir": str(path)}
        base |= {"train_epochs": float(EPOCHS), "checkpoint_every_epochs": float(EPOCHS)}
        runner, chosen = Runner(), folder / f"{name} learning rate.json"
        if not chosen.exists():
            chosen.write_text(json.dumps(learning_rate(runner, base)) + "\n")
        base["optimizer.learning_rate"] = json.loads(chosen.read_text())
        with np.load(path) as arrays:
            bases[name] = runner, base, len(np.unique(arrays["labels"]))
    for cell, of in CELLS.items():
        for name, (runner, base, num_classes) in bases.items():
            path = folder / f"{name} {cell}.json"
            if path.exists() or time.monotonic() - start > 60 * flags.minutes:
                continue
            found = run_cell(runner, base, of, num_classes)
            path.write_text(json.dumps({"data": name, "cell": cell, **found}) + "\n")
            means = {
                key: round(float(np.mean([one["test_accuracy"] for one in each])), 4)
                for key, each in found["methods"].items()
            }
            print(f"{name} {cell}: {means}", flush=True)


def report(flags: argparse.Namespace) -> None:
    """Stores what is finished, and prints the tables of the page."""
    folder = Path(flags.workdir)
    every = {(cell, name): folder / f"{name} {cell}.json" for cell in CELLS for name in SIZES}
    cells = {key: json.loads(path.read_text())["methods"] for key, path in every.items() if path.exists()}
    accuracy = {
        key: {name: np.array([one["test_accuracy"] for one in runs]) for name, runs in found.items()}
        for key, found in cells.items()
    }
    names = [name for name in next(iter(accuracy.values())) if name != CEILING]
    means = {name: np.array([of[name].mean() for of in accuracy.values()]) for name in (*names, CEILING)}
    regret = {name: 100 * (means[CEILING] - means[name]) for name in names}
    others = [name for name in (*names, CEILING) if name != OWN]
    p_values = holm({name: float(stats.wilcoxon(means[OWN], means[name]).pvalue) for name in others})
    behind = {key: 100 * float(of["GR (.5, 8)"].mean() - of[OWN].mean()) for key, of in accuracy.items()}
    harm = {
        name: 100 * float(of["CE"].mean() - of[OWN].mean())
        for (cell, name), of in accuracy.items() if cell == "clean"
    }  # fmt: skip
    errors = {key: [abs(one["rate"] - one["realised"]) for one in found[OWN]] for key, found in cells.items()}
    success = {
        "mean regret below the grid at equal compute": bool(regret[OWN].mean() < regret[EQUAL].mean()),
        "never more than a point below GR (.5, 8)": max(behind.values()) <= 1,
        "at most a point of harm on clean labels": max(harm.values()) <= 1,
    }
    labels = [f"{name}, {cell}" for cell, name in accuracy]
    stored = {
        "environment": environment(),
        "learning_rates": {
            name: json.loads((folder / f"{name} learning rate.json").read_text())
            for name in {name: None for _, name in cells}
        },
        "cells": {label: cells[key] for label, key in zip(labels, cells, strict=True)},
        "unfinished": [f"{name}, {cell}" for cell, name in every if (cell, name) not in cells],
        "mean_regret": {name: float(each.mean()) for name, each in regret.items()},
        "worst": {name: [labels[each.argmax()], float(each.max())] for name, each in regret.items()},
        "p_values_holm": p_values,
        "behind_fixed": dict(zip(labels, behind.values(), strict=True)),
        "harm_on_clean": harm,
        "rate_error": {
            label: float(np.mean(each)) for label, each in zip(labels, errors.values(), strict=True)
        },
        "success": success,
    }
    (RESULTS / "emphasis_test.json").write_text(json.dumps(stored, indent=1) + "\n")
    print(f"{len(cells)} of {len(every)} cells; learning rates {stored['learning_rates']}\n")
    print("| | mean test accuracy | mean regret | worst regret | cell | p, against the method |")
    print("|---|---|---|---|---|---|")
    for name in sorted((*names, CEILING), key=lambda name: -means[name].mean()):
        of = regret.get(name)
        shown = ["0", "", ""] if of is None else [f"{of.mean():.2f}", f"{of.max():.2f}", labels[of.argmax()]]
        p = "" if name == OWN else f"{p_values[name]:.3g}"
        print(f"| {name} | {100 * means[name].mean():.2f} | {' | '.join(shown)} | {p} |")
    columns = ("CE", "GR (.5, 8)", EQUAL, FULL, CEILING, OWN)
    print(f"\n| cell | {' | '.join(columns)} | rate: real, estimated | rests on |")
    print("|---" * (len(columns) + 3) + "|")
    for label, (key, of) in zip(labels, accuracy.items(), strict=True):
        own = cells[key][OWN]
        rates = [f"{np.mean([one[which] for one in own]):.2f}" for which in ("realised", "rate")]
        reasons = {one["reason"]: sum(other["reason"] == one["reason"] for other in own) for one in own}
        verdicts = ", ".join(f"{reason} {number}" for reason, number in reasons.items())
        shown = [f"{100 * of[name].mean():.1f} ± {100 * of[name].std(ddof=1):.1f}" for name in columns]
        print(f"| {label} | {' | '.join(shown)} | {', '.join(rates)} | {verdicts} |")
    print(f"\nmean |estimated - realised| {np.mean([np.mean(each) for each in errors.values()]):.3f}")
    print(f"behind GR (.5, 8) at most {max(behind.values()):.2f}, harm on clean {harm}\n{success}")


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """p-values corrected for their number by Holm's procedure."""
    corrected, largest = {}, 0.0
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p))
        corrected[name] = largest
    return corrected


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("run", "report"))
    parser.add_argument("--workdir", default="runs/emphasis_test")
    parser.add_argument("--fashion")
    parser.add_argument("--mlbench")
    parser.add_argument("--data", nargs="+", default=list(SIZES), choices=SIZES, help="run these alone")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no cell after so many")
    flags = parser.parse_args()
    run(flags) if flags.what == "run" else report(flags)


if __name__ == "__main__":
    main()
