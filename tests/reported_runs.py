"""Workdirs as runs leave them, without training: what they write is made up and goes through their own code."""

import numpy as np

from grjax import config, metrics, noise, predictions, workdir
from grjax.metrics import MetricsFile, Predictions

CLASSES = 4


def write_run(
    path, *, loss=None, noise_section=None, keep=True, finished=True, epochs=4, examples=96, seed=0, data="digits"
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
    workdir.open_for(settings, path)
    workdir.keep_noise(noisy, path, new=True)
    workdir.record_start(path, 0)
    file = MetricsFile(path, 0, tensorboard=False)
    test_labels = rng.integers(0, CLASSES, 40)
    for epoch in range(epochs + 1 if finished else epochs):
        made_up = {
            "train": _made_up(rng, noisy.clean, noisy.labels, skill=epoch / epochs),
            "test": _made_up(rng, test_labels, test_labels, skill=epoch / epochs),
        }
        row = {"step": 3 * epoch, "epoch": float(epoch), "learning_rate": 0.1, "examples_per_second": None}
        row |= metrics.clean_metrics("test", made_up["test"], test_labels)
        file.write({**row, **metrics.train_metrics(made_up["train"], noisy), "seconds": 1.5 * epoch})
        if keep:
            predictions.keep(path, 3 * epoch, made_up, {"train": noisy.labels, "test": test_labels}, CLASSES)
    if finished:
        metrics.write_whole(path / "summary.json", '{"examples_per_second": 1000.0}\n')
    return path


def _made_up(rng, true, given, skill):
    """Predictions that are more often right and more certain the larger the skill in [0, 1]."""
    wrong = rng.random(len(true)) > 0.2 + 0.7 * skill
    classes = np.where(wrong, rng.integers(0, CLASSES, len(true)), true).astype(np.int32)
    p = np.where(classes == given, 0.3 + 0.6 * skill, 0.3 - 0.2 * skill)
    p = np.clip(p + rng.uniform(-0.09, 0.09, len(true)), 0, 1).astype(np.float32)
    return Predictions(classes=classes, p=p, losses=-np.log(p))
