"""Learning curves of one run: what is learned of the data, and what of the wrong labels."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grjax.analysis.report.runs import Run, UnavailableError
from grjax.analysis.report.style import (
    CLEAN,
    DOTTED,
    MISLABELLED,
    PAPER,
    SERIES,
    TEST,
    WIDTH,
    Drawing,
    label_ends,
)

NOTHING_WRONG = "no training label is known to be wrong"


def test_accuracy(run: Run) -> Drawing:
    """Accuracy on the splits that are not trained on, the last and the best marked."""
    figure, axes = over_epochs(run, "accuracy")
    ends, words = [], []
    for number, split in enumerate(run.splits):
        key = f"{split}_accuracy"
        colour = TEST if split == "test" else SERIES[number + 1]
        axes.plot(run.epochs, run.values(key), color=colour)
        best, last = run.best(key), run.rows[-1]
        axes.plot(best["epoch"], best[key], "o", color=colour, markerfacecolor=PAPER, markersize=5, zorder=3)
        axes.annotate(
            f"best {best[key]:.3f}", (best["epoch"], best[key]), (0, -13 if number else 6),
            textcoords="offset points",
            color=colour, fontsize=8.5, ha="right" if best["epoch"] > run.epochs[-1] / 2 else "left",
        )  # fmt: skip
        name = "" if run.splits == ["test"] else f"{split}\n"
        ends.append((last[key], f"{name}last {last[key]:.3f}", colour))
        words.append(
            f"{split} accuracy ends at {last[key]:.3f} and is best with {best[key]:.3f}, "
            f"at epoch {best['epoch']:.4g}"
        )
    label_ends(axes, ends, gap=0.15)
    return Drawing(
        figure,
        "The last epoch is the result. The best one is chosen on the data that it is measured on.",
        f"Over {run.epochs[-1]:.4g} epochs: {'; '.join(words)}.",
    )


def train_accuracy(run: Run) -> Drawing:
    """How the training set is fitted, against its noisy and against its intact labels."""
    figure, axes = over_epochs(run, "accuracy")
    ends, words = [], []
    for key, name, colour in (
        ("train_accuracy_intact", "intact labels", CLEAN),
        ("train_accuracy_noisy", "noisy labels", MISLABELLED),
    ):
        values = run.values(key)
        axes.plot(run.epochs, values, color=colour)
        ends.append((values[-1], f"{name.split()[0]} {values[-1]:.3f}", colour))
        words.append(f"{values[-1]:.3f} against the {name}")
    rate = run.noise.realised_rate
    if rate > 0:
        axes.axhline(1 - rate, color=MISLABELLED, **DOTTED)
    label_ends(axes, ends)
    return Drawing(
        figure,
        f"A model that predicts every true class agrees with {1 - rate:.3f} of the noisy labels (dotted)."
        if rate > 0
        else "The labels are as they came: noisy and intact ones are the same.",
        f"Training accuracy ends at {' and '.join(words)}.",
    )


def memorisation(run: Run) -> Drawing:
    """The fraction of wrong labels that is predicted."""
    values = run.values("memorisation")
    if np.isnan(values).all():
        raise UnavailableError(NOTHING_WRONG)
    figure, axes = over_epochs(run, "fraction of wrong labels predicted")
    axes.plot(run.epochs, values, color=MISLABELLED)
    axes.axhline(1 / run.noise.num_classes, color=MISLABELLED, **DOTTED)
    label_ends(axes, [(values[-1], f"last {values[-1]:.3f}", MISLABELLED)])
    return Drawing(
        figure,
        f"Of {int(run.noise.mislabelled.sum()):,} mislabelled training examples, the fraction whose wrong "
        f"label is predicted. Guessing gives 1/{run.noise.num_classes} (dotted).",
        f"Memorisation ends at {values[-1]:.3f}; its largest value is {np.nanmax(values):.3f}.",
    )


def mean_p(run: Run) -> Drawing:
    """Mean p of clean and of mislabelled examples over training: Figure 2 of the GR paper."""
    figure, axes = over_epochs(run, "mean p of the given label")
    wrong = run.noise.mislabelled
    ends, words = [], []
    for key, name, colour, members in (
        ("mean_p_clean", "clean", CLEAN, ~wrong),
        ("mean_p_mislabelled", "mislabelled", MISLABELLED, wrong),
    ):
        values = run.values(key)
        if np.isnan(values).all():
            continue
        axes.plot(run.epochs, values, color=colour)
        if run.history is not None:
            p = run.history.splits["train"].p[:, members].astype(np.float32)
            low, high = np.percentile(p, (25, 75), axis=1)
            epochs = run.history.steps / run.steps_per_epoch
            axes.fill_between(epochs, low, high, color=colour, alpha=0.14, linewidth=0)
        ends.append((values[-1], f"{name}\n{values[-1]:.3f}", colour))
        words.append(f"{values[-1]:.3f} of {name} examples")
    label_ends(axes, ends, gap=0.15)
    band = " Bands hold the middle half of the examples." if run.history is not None else ""
    return Drawing(
        figure,
        f"p is the probability of the label that an example was given.{band}",
        f"The mean p of the given label ends at {' and '.join(words)}.",
    )


def selection(run: Run) -> Drawing:
    """Purity, recall and size of what a method keeps of the training set."""
    figure, axes = over_epochs(run, "fraction")
    ends, words = [], []
    for key, name, colour in (
        ("kept_purity", "purity", CLEAN),
        ("kept_recall", "recall", TEST),
        ("kept_share", "kept", SERIES[2]),
    ):
        values = run.values(key)
        axes.plot(run.epochs, values, color=colour)
        ends.append((values[-1], f"{name} {values[-1]:.3f}", colour))
        words.append(f"{name} {values[-1]:.3f}")
    rate = run.noise.realised_rate
    axes.axhline(1 - rate, color=MISLABELLED, **DOTTED)
    label_ends(axes, ends, gap=0.09)
    guessed = run.values("noise_rate_estimated")[-1]
    estimate = "" if np.isnan(guessed) else f" The method estimates a noise rate of {guessed:.3f}."
    return Drawing(
        figure,
        "Purity is the part of the kept examples whose labels are right, recall the part of the right labels "
        f"that is kept. {1 - rate:.3f} of all labels are right (dotted).{estimate}",
        f"At the end: {', '.join(words)}.",
    )


def emphasis(run: Run) -> Drawing:
    """Emphasis mode and estimated noise rate of a method that sets its emphasis itself, over training."""
    figure, axes = over_epochs(run, "p, or fraction of the labels")
    modes, rates = run.values("emphasis_mode"), run.values("noise_rate_estimated")
    axes.plot(run.epochs, modes, color=TEST)
    axes.plot(run.epochs, rates, color=MISLABELLED)
    axes.axhline(run.noise.realised_rate, color=MISLABELLED, **DOTTED)
    ends = [(modes[-1], f"mode {modes[-1]:.3f}", TEST), (rates[-1], f"rate {rates[-1]:.3f}", MISLABELLED)]
    label_ends(axes, ends, gap=0.09)
    last = run.rows[-1]
    lam, beta = last["emphasis_lam"], last["emphasis_beta"]
    return Drawing(
        figure,
        "The mode is the p of the examples that are learnt from most. It follows the estimated share of "
        f"wrong labels. In fact {run.noise.realised_rate:.3f} are wrong (dotted), which no method sees.",
        f"At the end the mode is {modes[-1]:.3f}, that of Gradient Rescaling with λ = {lam:.2f} and "
        f"β = {beta:.1f}. The estimated rate is {rates[-1]:.3f}; it rests on: {last['noise_rate_reason']}.",
    )


def over_epochs(run: Run, what: str) -> tuple[Figure, Axes]:
    """A panel for fractions over the epochs of a run, with room for labels at the right end."""
    figure = Figure(figsize=(WIDTH, 2.6))
    axes = figure.add_axes((0.13, 0.165, 0.645, 0.755))  # the same in each, so that curves compare
    axes.set(xlabel="epoch", ylabel=what, ylim=(0, 1.02), xlim=(0, max(run.epochs[-1], 1)))
    return figure, axes
