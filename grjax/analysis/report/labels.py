"""Labels of one run class by class: given, true and predicted ones."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from grjax.analysis.report.runs import Run, UnavailableError
from grjax.analysis.report.style import LINE, MISLABELLED, PAPER, SHADE, TEST, Drawing, legend_above, panel

NUMBERED = 12  # classes, up to which a cell has its number in it
NAMED = 20  # classes, up to which each has its name


def confusion(run: Run) -> Drawing:
    """Predicted labels of the training examples of each given label."""
    predicted = run.kept().splits["train"].classes[-1]
    matrix = row_fractions(counts(run.noise.labels, predicted, run.noise.num_classes))
    agree = float(np.mean(predicted == run.noise.labels))
    return Drawing(
        _heat_map(matrix, run.class_names, "given label", "predicted label"),
        f"Training set, rows in per cent. The model contradicts {1 - agree:.3f} of the given labels.",
        f"The prediction equals the given label for {agree:.3f} of the training examples.",
    )


def injected_transition(run: Run) -> Drawing:
    """The transition matrix that the noise has realised."""
    matrix = row_fractions(run.noise.transition_counts)
    return Drawing(
        _heat_map(matrix, run.class_names, "true label", "given label"),
        f"What the noise did, rows in per cent: {run.noise.realised_rate:.3f} of the labels are wrong.",
        f"The realised noise rate is {run.noise.realised_rate:.3f}.",
    )


def estimated_transition(run: Run) -> Drawing:
    """The transition matrix as the predictions tell it, without clean labels."""
    predicted = run.kept().splits["train"].classes[-1]
    matrix = row_fractions(counts(predicted, run.noise.labels, run.noise.num_classes))
    injected = row_fractions(run.noise.transition_counts)
    error = float(np.nanmean(np.abs(matrix - injected)))
    rate = float(np.mean(predicted != run.noise.labels))
    return Drawing(
        _heat_map(matrix, run.class_names, "predicted label", "given label"),
        f"The same, predictions taken for true labels: rate {rate:.3f}, mean distance of an entry "
        f"{error:.3f}. A model that has memorised the noise sees none.",
        f"The estimated noise rate is {rate:.3f}, the injected one {run.noise.realised_rate:.3f}; entries "
        f"differ by {error:.3f} on average.",
    )


def class_accuracy(run: Run) -> Drawing:
    """Accuracy on each class of the test set, beside the noise of its training labels."""
    test, num_classes = run.kept().splits["test"], run.noise.num_classes
    accuracy = np.diag(row_fractions(counts(test.labels, test.classes[-1], num_classes)))
    rates = 1 - np.diag(row_fractions(run.noise.transition_counts))
    if np.isnan(accuracy).all():
        raise UnavailableError("the test set is empty")
    order = np.argsort(accuracy, kind="stable")  # classes that are not there come last
    shown = order[: min(NAMED, np.isfinite(accuracy).sum())]
    figure, (axes,) = panel(height=0.9 + 0.2 * len(shown))
    heights = np.arange(len(shown))[::-1]
    axes.hlines(heights, 0, 1, color=LINE, linewidth=0.6)
    axes.plot(accuracy[shown], heights, "o", color=TEST, markersize=5, label="test accuracy", clip_on=False)
    if run.noise.realised_rate > 0:
        axes.plot(
            rates[shown], heights, "o", color=MISLABELLED, markerfacecolor=PAPER, markersize=4.5,
            label="noise rate in training", clip_on=False,
        )  # fmt: skip
    axes.set(xlim=(0, 1), xlabel="fraction of the class", ylim=(-0.7, len(shown) - 0.3))
    axes.set_yticks(heights, [run.class_names[label] for label in shown])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False)
    legend_above(figure, axes)
    worst, best = shown[0], order[np.isfinite(accuracy).sum() - 1]
    of_them = f"the {len(shown)} lowest of {num_classes}" if len(shown) < num_classes else "lowest first"
    return Drawing(
        figure,
        f"Classes, {of_them}. A high noise rate may be what pulls a class down.",
        f"Test accuracy goes from {accuracy[worst]:.3f} (class {run.class_names[worst]}) to "
        f"{accuracy[best]:.3f} (class {run.class_names[best]}).",
    )


def counts(rows: np.ndarray, columns: np.ndarray, num_classes: int) -> np.ndarray:
    """How many examples have class i in `rows` and j in `columns`: int64 [C, C]."""
    found = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(found, (rows, columns), 1)
    return found


def row_fractions(matrix: np.ndarray) -> np.ndarray:
    """Each row divided by its sum, float64; NaN where that is 0."""
    totals = matrix.sum(axis=1, keepdims=True)
    return np.divide(matrix, totals, out=np.full(matrix.shape, np.nan), where=totals > 0)


def _heat_map(matrix: np.ndarray, names: Sequence[str], rows: str, columns: str) -> Figure:
    """Fractions [C, C] as the opacity of one colour, which serves on paper and in the dark."""
    figure, (axes,) = panel(height=3.7)
    # The square root: off the diagonal, fractions are small. A row without examples has no shade.
    image = np.empty((*matrix.shape, 4))
    image[:] = to_rgba(SHADE)
    image[..., 3] = np.sqrt(np.nan_to_num(matrix))
    if len(matrix) <= NAMED:
        for i, j in np.argwhere(image[..., 3] > 0):
            axes.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor=image[i, j], linewidth=0))
        axes.set_xticks(range(len(names)), names, rotation=0 if max(map(len, names)) <= 2 else 90)
        axes.set_yticks(range(len(names)), names)
    else:
        axes.imshow(image, interpolation="none")
    if len(matrix) <= NUMBERED:
        for i, j in np.argwhere(matrix >= 0.005):
            axes.text(j, i, f"{100 * matrix[i, j]:.0f}", ha="center", va="center", fontsize=8)
    end = len(matrix) - 0.5
    axes.set(xlabel=columns, ylabel=rows, xlim=(-0.5, end), ylim=(end, -0.5), aspect="equal")
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set(visible=True, color=LINE)
    return figure
