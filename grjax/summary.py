"""The rows of metrics.jsonl, and the summary at the end of a run."""

import statistics
from collections.abc import Iterable
from typing import Any

from grjax import label_wave
from grjax.experiment import Experiment
from grjax.metrics import BELIEFS, EMPHASIS, Row
from grjax.stopwatch import Stopwatch


def make_row(step: int, measured: Row, experiment: Experiment, stopwatch: Stopwatch) -> Row:
    """A row of metrics.jsonl."""
    rate = stopwatch.lap()
    return {
        "step": step,
        "epoch": step / experiment.sampler.steps_per_epoch,
        **measured,
        "learning_rate": experiment.learning_rate_at(step),
        "examples_per_second": None if rate is None else rate * experiment.batch_size,
        "seconds": stopwatch.seconds(),
    }


def summary_metrics(splits: Iterable[str]) -> list[str]:
    """The numbers in the summary of a run that measures these splits beside train."""
    kinds, splits = ("last", "best", "best_step"), tuple(splits)
    return [
        *(f"{split}_accuracy_{kind}" for split in splits for kind in kinds),
        "train_accuracy_noisy", "train_accuracy_intact", "memorisation", "mean_p_clean", "mean_p_mislabelled",
        "noise_rate_nominal", "noise_rate_realised", *BELIEFS, "label_wave_step",
        *(f"label_wave_{split}_accuracy" for split in splits), "num_steps", "examples_per_second",
        "seconds_to_first_step", "wall_seconds",
    ]  # fmt: skip


def make_summary(rows: list[Row], experiment: Experiment, stopwatch: Stopwatch) -> dict[str, Any]:
    """The end of a run. The last evaluation is its result; 'best' is chosen on the data it is measured on."""
    last, summary = rows[-1], {}
    rates = [row["examples_per_second"] for row in rows if row["examples_per_second"] is not None]
    for split in experiment.dataset.splits:
        if split != "train":
            key = f"{split}_accuracy"
            best = max(rows, key=lambda row: row[key])
            summary[f"{key}_last"] = last[key]
            summary[f"{key}_best"] = best[key]
            summary[f"{key}_best_step"] = best["step"]
    # Where that rule would have stopped: a report, the run goes on to its end.
    stop = label_wave.first_minimum([row.get("train_predictions_changed") for row in rows])
    summary["label_wave_step"] = None if stop is None else rows[stop]["step"]
    for split in experiment.dataset.splits:
        if split != "train":
            at_stop = None if stop is None else rows[stop][f"{split}_accuracy"]
            summary[f"label_wave_{split}_accuracy"] = at_stop
    for key in ("train_accuracy_noisy", "train_accuracy_intact", "memorisation"):
        summary[key] = last[key]
    return {
        **summary,
        "mean_p_clean": last["mean_p_clean"],
        "mean_p_mislabelled": last["mean_p_mislabelled"],
        "noise_rate_nominal": experiment.noise.nominal_rate,
        "noise_rate_realised": experiment.noise.realised_rate,
        # None where the method estimates or chooses nothing.
        **{key: last.get(key) for key in BELIEFS},
        **{key: last[key] for key in (*EMPHASIS, "noise_rate_reason") if key in last},
        "noise_sha256": experiment.noise.sha256,
        "num_steps": last["step"],
        "examples_per_second": statistics.median(rates) if rates else None,
        "seconds_to_first_step": stopwatch.seconds_to_first_step,
        "wall_seconds": stopwatch.seconds(),
    }
