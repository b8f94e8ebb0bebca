"""Workdirs as runs and sweeps leave them, without training: their own code writes what is made up here."""

import itertools
import json

import numpy as np

from grjax import config, metrics, noise
from grjax.data import from_arrays
from grjax.metrics import Predictions
from grjax.sweep import results
from grjax.workdir import files, folder, predictions
from grjax.workdir.metrics_file import MetricsFile

CLASSES = 4
NAMES = tuple(f"class {label}" for label in range(CLASSES))


def write_run(
    path,
    *,
    loss=None,
    noise_section=None,
    keep=True,
    finished=True,
    epochs=4,
    examples=96,
    seed=0,
    data="digits",
):
    """A run of `epochs` evaluations and the one at step 0, 3 steps an epoch."""
    rng = np.random.default_rng(seed)
    settings = config.resolve(
        {
            "data": {"name": data},
            "loss": loss or {"name": "cross_entropy"},
            "noise": noise_section or {"name": "symmetric", "rate": 0.4},
            "batch_size": examples // 3,
            "train_epochs": float(epochs),
        }
    )
    labels = rng.integers(0, CLASSES, examples)
    noisy = noise.create(**settings.noise)(labels, CLASSES)
    folder.open_for(settings, path)
    folder.keep_noise(noisy, NAMES, path, new=True)
    folder.record_start(path, 0)
    file = MetricsFile(path, 0)
    test_labels = rng.integers(0, CLASSES, 40)
    pixels = np.zeros((examples, 1, 1, 1), np.uint8)
    dataset = from_arrays(pixels, noisy.clean, test=(pixels[:40], test_labels), class_names=NAMES)
    for epoch in range(epochs + 1 if finished else epochs):
        made_up = {
            "train": _made_up(rng, noisy.clean, noisy.labels, skill=epoch / epochs),
            "test": _made_up(rng, test_labels, test_labels, skill=epoch / epochs),
        }
        row = {"step": 3 * epoch, "epoch": float(epoch), "learning_rate": 0.1, "examples_per_second": None}
        row |= metrics.clean_metrics("test", made_up["test"], test_labels)
        row |= metrics.train_metrics(made_up["train"], noisy) | {"seconds": 1.5 * epoch}
        file.write(row)
        if keep:
            predictions.keep(path, 3 * epoch, made_up, dataset)
    if finished:
        accuracies = [each["test_accuracy"] for each in file.rows]
        summary = {key: row[key] for key in ("memorisation", "train_accuracy_noisy", "train_accuracy_intact")}
        summary |= {"test_accuracy_last": accuracies[-1], "test_accuracy_best": max(accuracies)}
        files.write_json(path / "summary.json", {**summary, "examples_per_second": 1000.0})
    return path


def write_sweep(folder, *, lams=(0.0, 1.0), rates=(0.2, 0.6), seeds=2):
    """A sweep over lam and noise rate that has selected beta; of its last setting one trial has failed."""
    trials, choices = {}, []
    for lam, rate in itertools.product(lams, rates):
        setting = {"loss.lam": lam, "noise.rate": rate}
        for seed in range(seeds):
            number = len(trials)
            path = folder / "trials" / f"{number:04d}"
            path.mkdir(parents=True)
            loss = {"name": "gradient_rescaling", "lam": lam, "beta": 8.0}
            noise_section = {"name": "symmetric", "rate": rate, "seed": seed}
            write_run(path, loss=loss, noise_section=noise_section, keep=False, epochs=2, seed=number)
            failed = number == len(lams) * len(rates) * seeds - 1
            overrides = {
                **setting,
                "loss.beta": 8.0,
                "noise.seed": seed,
                "init_seed": seed,
                "order_seed": seed,
            }
            error = "NonFiniteError: the loss is nan" if failed else None
            trials[number] = results.collect(number, overrides, path, group=0, error=error)
        candidates = [
            {"overrides": {"loss.beta": beta}, "scores": [1 - abs(lam - rate) - beta / 100] * seeds}
            for beta in (8.0, 16.0)
        ]
        choices.append({"setting": setting, "candidates": candidates, "chosen": {"loss.beta": 8.0}})
    results.add(folder, trials)
    (folder / "selection.json").write_text(json.dumps({"choices": choices}))
    (folder / "table.md").write_text(
        "## Digits\n\n| | r = 0.2 |\n|---|---|\n| λ=0 | 0.9 ± 0.1 (2)<br>0.8: above |\n\n<script>\n"
    )
    return folder


def _made_up(rng, true, given, skill):
    """Predictions that are more often right and more certain the larger the skill in [0, 1]."""
    wrong = rng.random(len(true)) > 0.2 + 0.7 * skill
    classes = np.where(wrong, rng.integers(0, CLASSES, len(true)), true).astype(np.int32)
    p = np.where(classes == given, 0.3 + 0.6 * skill, 0.3 - 0.2 * skill)
    p = np.clip(p + rng.uniform(-0.09, 0.09, len(true)), 0, 1).astype(np.float32)
    return Predictions(classes=classes, p=p, losses=-np.log(p))
