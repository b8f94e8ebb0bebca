"""Which training examples of one run help its held-out data, by their p."""

from typing import NamedTuple

import numpy as np

from grjax.analysis.report.runs import Run, UnavailableError
from grjax.analysis.report.style import CLEAN, DOTTED, INK, MISLABELLED, QUIET, Drawing, legend_above, panel
from grjax.workdir import alignments
from grjax.workdir.alignments import Alignment

BINS = 20
LEAST = 10  # examples in a bin that is drawn


class Curve(NamedTuple):
    """The mean alignment of examples over their p; a row for each bin that has enough of them."""

    p: np.ndarray  # [K], mean of the examples in the bin, ascending
    mean: np.ndarray  # [K]
    error: np.ndarray  # [K], standard error
    examples: np.ndarray  # int [K]


def held_out_alignment(run: Run) -> Drawing:
    """The mean alignment over p at up to three checkpoints: the first, the middle one and the last."""
    found = alignments.read(run.workdir, len(run.noise.labels))
    if not found:
        raise UnavailableError("`grjax evaluate --alignment` measures it, where a run holds examples out")
    found = [found[each] for each in sorted({0, (len(found) - 1) // 2, len(found) - 1})]
    wrong = run.noise.mislabelled
    groups = [("all labels", np.ones_like(wrong), INK)]
    if wrong.any():
        groups += [("right labels", ~wrong, CLEAN), ("wrong labels", wrong, MISLABELLED)]
    figure, panels = panel(height=1.8 * len(found) + 0.7, rows=len(found))
    for axes, alignment in zip(panels, found, strict=True):
        axes.axhline(0, color=QUIET, linewidth=0.9)
        for name, members, colour in groups:
            curve = curve_of(alignment, members)
            axes.plot(curve.p, curve.mean, color=colour, label=name, marker=".", markersize=3.5)
            band = curve.mean - 2 * curve.error, curve.mean + 2 * curve.error
            axes.fill_between(curve.p, *band, color=colour, alpha=0.14, linewidth=0)
        zero = sign_change(curve_of(alignment, groups[0][1]))
        if zero is not None:
            axes.axvline(zero, color=QUIET, **DOTTED)
            axes.set_title(f"zero at p = {zero:.2f}", loc="right", color=QUIET)
        axes.locator_params(axis="y", nbins=4)
        axes.yaxis.set_major_formatter("{x:.3g}")  # no factor over the axis, where the title is
        axes.set(xlim=(0, 1))
        axes.set_title(f"epoch {alignment.step / run.steps_per_epoch:.4g}", loc="left")
    legend_above(figure, panels[0])
    panels[-1].set_xlabel("p, probability of the given label")
    panels[len(found) // 2].set_ylabel("mean alignment")
    last = found[-1]
    noisy = last.split == "validation_noisy"
    labels = "corrupted like the training labels" if noisy else "as they are in the data set"
    return Drawing(
        figure,
        f"The alignment says how fast a step on an example lowers the mean of 1 − p on {last.examples:,} "
        f"held-out examples, whose labels are {labels}. The weight of the loss is left out. Bands are two "
        "standard errors.",
        f"{_crossing(run, last)} The mean alignment is {last.alignments.mean():.2g} over all examples"
        + "".join(
            f", {last.alignments[:, members].mean():.2g} over {name}" for name, members, _ in groups[1:]
        )
        + ".",
    )


def curve_of(alignment: Alignment, members: np.ndarray) -> Curve:
    """The mean alignment of some examples in bins of p, of equal width.

    The standard error has two parts, added as squares: the examples of a bin differ from each other, and so
    do the alignments by each part of the held-out examples.

    Args:
      alignment: of all training examples.
      members: which of them, bool [N].
    """
    of_each, by_part = alignment.p[members], alignment.alignments[:, members].astype(np.float64)
    bins = np.minimum((of_each * BINS).astype(int), BINS - 1)
    rows = []
    for number in range(BINS):
        within = bins == number
        size = int(within.sum())
        if size < LEAST:
            continue
        of_examples, of_parts = by_part[:, within].mean(0), by_part[:, within].mean(1)
        error = np.hypot(
            of_examples.std(ddof=1) / np.sqrt(size), of_parts.std(ddof=1) / np.sqrt(len(of_parts))
        )
        rows.append((of_each[within].mean(), of_examples.mean(), error, size))
    p, mean, error, examples = np.array(rows, np.float64).reshape(-1, 4).T
    return Curve(p, mean, error, examples.astype(int))


def sign_change(curve: Curve) -> float | None:
    """The p at which the mean alignment turns from negative to positive, between two bins.

    Of several, that above which the sum of all alignments is largest. None: there is none, or the sum is
    largest over all examples.
    """
    if not len(curve.p):
        return None
    above = np.cumsum((curve.examples * curve.mean)[::-1])[::-1]  # from each bin on
    first = int(np.argmax(above))
    if first == 0 or curve.mean[first] <= 0 or curve.mean[first - 1] >= 0:
        return None
    (low, high), (below, over) = curve.mean[first - 1 : first + 1], curve.p[first - 1 : first + 1]
    return float(below - low * (over - below) / (high - low))


def _crossing(run: Run, alignment: Alignment) -> str:
    zero = sign_change(curve_of(alignment, np.ones(len(alignment.p), bool)))
    when = f"At epoch {alignment.step / run.steps_per_epoch:.4g}"
    if zero is None:
        return f"{when}, the curve does not turn from negative to positive."
    return f"{when}, the curve turns from negative to positive at p = {zero:.2f}."
