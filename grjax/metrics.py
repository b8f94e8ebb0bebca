"""What a run measures.

An evaluation returns one record per example, each example once; everything else is a mean over them, taken
here in float64, so the numbers do not depend on batch size or device count.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from grjax.noise import NoisyLabels

Row = dict[str, Any]

# What `belief_metrics` measures, which methods without beliefs do not have.
BELIEFS = ("noise_rate_estimated", "kept_share", "kept_purity", "kept_recall")
# What it measures beside, of a method that sets its emphasis itself.
EMPHASIS = (
    "noise_rate_confidence", "emphasis_rate", "emphasis_slope", "emphasis_mode", "emphasis_lam",
    "emphasis_beta",
)  # fmt: skip
# What such an estimate rests on; see `grjax.methods.posterior_emphasis`.
REASONS = ("early", "two kinds", "believed", "cannot tell")


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What a model says about the examples of a split.

    Attributes:
      classes: predicted classes, int32 [N].
      p: softmax probability of the annotated label, float32 [N].
      losses: the loss that the method minimises, on the annotated label, float32 [N].
      more: other records of the method, [N] each, by name.
      kept: how much of each training example the method last chose to train on, in [0, 1], float32 [N]; None:
        it does not choose.
    """

    classes: np.ndarray
    p: np.ndarray
    losses: np.ndarray
    more: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    kept: np.ndarray | None = None

    @classmethod
    def of(cls, records: Mapping[str, np.ndarray]) -> "Predictions":
        """From the records of an evaluation step, [N] each."""
        own = {key: records[key] for key in ("classes", "p", "losses")}
        return cls(**own, more={key: value for key, value in records.items() if key not in own})

    def records(self) -> dict[str, np.ndarray]:
        """The records they were made of."""
        return {"classes": self.classes, "p": self.p, "losses": self.losses, **self.more}


def clean_metrics(split: str, predictions: Predictions, labels: np.ndarray) -> Row:
    """Accuracy and mean loss on a split with clean labels [N]: '{split}_accuracy', '{split}_loss'."""
    return {
        f"{split}_accuracy": _mean(predictions.classes == labels),
        f"{split}_loss": _mean(predictions.losses),
    }


def train_metrics(predictions: Predictions, noise: NoisyLabels) -> Row:
    """How the training set is fitted, against noisy and against intact labels.

    Images of open-set noise have no intact label: they count as mislabelled.

    `memorisation` is the fraction of mislabelled examples whose wrong label is predicted; `mean_p_clean` and
    `mean_p_mislabelled` are the mean probabilities of the annotated label where it is right and where it is
    wrong. A mean over no example, or one that is not finite, is None.
    """
    wrong = noise.mislabelled
    return {
        "train_accuracy_noisy": _mean(predictions.classes == noise.labels),
        "train_accuracy_intact": _mean((predictions.classes == noise.clean)[~noise.open_set]),
        "memorisation": _mean((predictions.classes == noise.labels)[wrong]),
        "mean_p_clean": _mean(predictions.p[~wrong]),
        "mean_p_mislabelled": _mean(predictions.p[wrong]),
        "train_loss": _mean(predictions.losses),
    }


def change_metrics(predictions: Predictions, last_labels: np.ndarray | None) -> Row:
    """How many predictions still change: 'train_predictions_changed', of which `grjax.label_wave` tells.

    Args:
      predictions: for the training split.
      last_labels: of the training dynamics: the class that was predicted when an example last came by, int32
        [N]; -1: it never did, and then it does not count. None: no dynamics are collected.
    """
    if last_labels is None:
        return {"train_predictions_changed": None}
    came = last_labels >= 0
    return {"train_predictions_changed": _mean((predictions.classes != last_labels)[came])}


def belief_metrics(beliefs: Mapping[str, np.ndarray], noise: NoisyLabels) -> Row:
    """What `Method.beliefs` are worth, which the method itself cannot know.

    `kept_share` is the part of the training set that is kept, `kept_purity` the part of it whose labels are
    right, and `kept_recall` the part of the right labels that is kept. `noise_rate_estimated` stands beside
    `noise_rate_realised`. A method that sets its emphasis itself adds `EMPHASIS` and `noise_rate_reason`, one
    of `REASONS`. Nothing of it is measured for a method without such beliefs.
    """
    row: Row = {}
    if "kept" in beliefs:
        kept, clean = beliefs["kept"].astype(np.float64), ~noise.mislabelled
        row["kept_share"] = _mean(kept)
        row["kept_purity"] = float(kept[clean].sum() / kept.sum()) if kept.any() else None
        row["kept_recall"] = _mean(kept[clean])
    if "noise_rate" in beliefs:
        row["noise_rate_estimated"] = float(beliefs["noise_rate"])
        row["noise_rate_realised"] = noise.realised_rate
    row |= {key: float(beliefs[key]) for key in EMPHASIS if key in beliefs}
    if "noise_rate_reason" in beliefs:
        row["noise_rate_reason"] = REASONS[int(beliefs["noise_rate_reason"])]
    return row


def per_class(
    predictions: Predictions,
    labels: np.ndarray,
    class_names: Iterable[str],
    without: np.ndarray | None = None,
) -> list[Row]:
    """Accuracy (recall) of each class, over the split's labels [N] before noise of ours.

    None for a class without examples. `without`: bool [N], examples that do not count.
    """
    counted = np.ones(len(labels), bool) if without is None else ~without
    rows = []
    for label, name in enumerate(class_names):
        correct = predictions.classes[(labels == label) & counted] == label
        accuracy = float(correct.mean()) if len(correct) else None
        rows.append({"class": name, "examples": len(correct), "accuracy": accuracy})
    return rows


def _mean(values: np.ndarray) -> float | None:
    """The mean in float64; None if there are no values, or if it is not finite: JSON has no infinity."""
    mean = float(np.mean(values, dtype=np.float64)) if len(values) else math.nan
    return mean if math.isfinite(mean) else None
