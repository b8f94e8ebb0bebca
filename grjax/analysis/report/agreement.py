"""Where the examples of one run are on p, and how much weight its loss gives them there."""

import inspect
from typing import Any

import jax
import numpy as np
import scipy.special
from matplotlib.axes import Axes

from grjax import config, experiment, losses
from grjax.analysis.report.curves import NOTHING_WRONG, over_epochs
from grjax.analysis.report.runs import Run, UnavailableError
from grjax.analysis.report.style import (
    CLEAN,
    DOTTED,
    INK,
    LINE,
    MISLABELLED,
    QUIET,
    Drawing,
    label_ends,
    legend_above,
    panel,
)
from grjax.analysis.weights import log_weight
from grjax.emphasis import Emphasis, log_integral
from grjax.posterior import Posterior

BINS = 25

_log_integral = jax.jit(log_integral)


def histograms(run: Run) -> Drawing:
    """The distribution of p of clean and of mislabelled examples, early, in the middle and late."""
    stages, p = run.stages(), run.kept().splits["train"].p
    figure, panels = panel(height=1.8 * len(stages) + 0.7, rows=len(stages))
    wrong = run.noise.mislabelled
    groups = [("clean", ~wrong, CLEAN)] + [("mislabelled", wrong, MISLABELLED)] * bool(wrong.any())
    for axes, position in zip(panels, stages, strict=True):
        for name, members, colour in groups:
            heights = fractions(p[position, members])
            axes.stairs(heights, edges(), fill=True, color=colour, alpha=0.22, linewidth=0)
            axes.stairs(heights, edges(), color=colour, linewidth=1.3, label=name)
        axes.locator_params(axis="y", nbins=4)
        axes.set(xlim=(0, 1), ylim=(0, None))
        axes.set_title(f"epoch {run.epoch(position):.4g}", loc="left")
    legend_above(figure, panels[0])
    panels[-1].set_xlabel("p, probability of the given label")
    panels[len(stages) // 2].set_ylabel("fraction of its group")
    above = [f"{np.mean(p[-1, members] > 0.5):.1%} of {name} examples" for name, members, _ in groups]
    return Drawing(
        figure,
        "Bars of a group add up to 1. Right labels at the left are hard, or not learned.",
        f"At the end, p is above one half for {' and '.join(above)}.",
    )


def weight(run: Run) -> Drawing:
    """The weight w(p) of the loss over the histogram of the examples."""
    stages, history = run.stages(), run.kept()
    wrong, grid = run.noise.mislabelled, np.linspace(0, 1, 257)
    weights = [weight_at(run, int(history.steps[position])) for position in stages]
    figure, panels = panel(height=1.8 * len(stages) + 0.7, rows=len(stages))
    for axes, position, (emphasis, log_scale) in zip(panels, stages, weights, strict=True):
        p = history.splits["train"].p[position]
        clean, mislabelled = (np.histogram(p[each], edges())[0] / len(p) for each in (~wrong, wrong))
        axes.stairs(clean, edges(), fill=True, color=CLEAN, alpha=0.32, linewidth=0, label="clean")
        axes.locator_params(axis="y", nbins=4)
        axes.set(xlim=(0, 1))
        axes.set_title(f"epoch {run.epoch(position):.4g}", loc="left")
        if wrong.any():
            axes.stairs(
                clean + mislabelled, edges(), baseline=clean, fill=True, color=MISLABELLED, alpha=0.32,
                linewidth=0, label="mislabelled",
            )  # fmt: skip
            share = weight_on(emphasis, p, wrong)
            words = "no weight" if np.isnan(share) else f"{share:.0%} of the weight"
            axes.set_title(f"{words} on wrong labels", loc="right", color=MISLABELLED)
        axes.plot([], [], color=INK, linewidth=1.4, label="w(p), right scale")
        _over(axes, grid, np.exp(log_weight(emphasis, grid) - log_scale))
    legend_above(figure, panels[0])
    panels[-1].set_xlabel("p, probability of the given label")
    panels[len(stages) // 2].set_ylabel("fraction of all examples")
    peak = grid[np.argmax(log_weight(weights[-1][0], grid))]
    return Drawing(
        figure,
        "w(p) is the L1 norm of the gradient that an example sends to the logits.",
        f"The weight of {_weighing(run)} is largest at p = {peak:.2f}.",
    )


def weight_share(run: Run) -> Drawing:
    """The share of all weight that falls on mislabelled examples, over training."""
    wrong, history = run.noise.mislabelled, run.kept()
    if not wrong.any():
        raise UnavailableError(NOTHING_WRONG)
    emphases = [weight_at(run, int(step))[0] for step in history.steps]
    shares = [weight_on(w, p, wrong) for w, p in zip(emphases, history.splits["train"].p, strict=True)]
    figure, axes = over_epochs(run, "fraction of all weight")
    axes.plot(history.steps / run.steps_per_epoch, shares, color=MISLABELLED)
    rate = run.noise.realised_rate
    axes.axhline(rate, color=QUIET, **DOTTED)
    label_ends(axes, [(shares[-1], f"last {shares[-1]:.3f}", MISLABELLED), (rate, "as many", QUIET)])
    return Drawing(
        figure,
        f"Wrong labels are {rate:.3f} of the examples (dotted). Above that line, a wrong label carries more "
        "weight than a right one on average.",
        f"At the end, mislabelled examples carry {shares[-1]:.3f} of the weight; they are {rate:.3f} of the "
        "examples.",
    )


def edges() -> np.ndarray:
    """The edges of the histograms' bins over p."""
    return np.linspace(0, 1, BINS + 1)


def fractions(p: np.ndarray) -> np.ndarray:
    """The fraction of a group's p in each bin."""
    return np.histogram(p, edges())[0] / max(len(p), 1)


def weight_on(emphasis: Emphasis, p: np.ndarray, members: np.ndarray) -> float:
    """The sum of w(p) over some examples, as a fraction of that over all; NaN where no example has any."""
    log_w = log_weight(emphasis, p)
    if log_w.max() == -np.inf:
        return np.nan
    w = np.exp(log_w - log_w.max())
    return float(w[members].sum() / w.sum())


def weight_at(run: Run, step: int) -> tuple[Emphasis, float]:
    """The weight of the run's loss at a step, and the log of what training divides it by.

    Raises:
      UnavailableError: the loss depends on more than p.
    """
    name = run.config["loss"]["name"]
    if run.sets_emphasis:
        return _set_by_itself(run, step)
    if name not in losses.names_of_p_alone():
        raise UnavailableError(f"the gradient of {name} depends on more than p: there is no w(p) to draw")
    total_steps = config.steps(run.config, "train", run.steps_per_epoch)
    options = experiment.loss_options(run.config["loss"], run.steps_per_epoch, total_steps)
    values: dict[str, Any] = {
        key: float(value(step)) if callable(value) else value for key, value in options.items()
    }
    if any(isinstance(value, list | tuple) for value in values.values()):
        raise UnavailableError("the emphasis differs by class: there is no one w(p) to draw")
    loss = losses.create(name, **values)
    normalization = inspect.signature(loss).parameters["normalization"].default
    of_weight = {
        key: value for key, value in values.items() if key not in ("epsilon", "normalization", "per_class")
    }
    emphasis = losses.weight(name, **of_weight)
    if normalization == "none":
        return emphasis, 0.0
    if normalization == "integral":
        return emphasis, float(_log_integral(emphasis))
    at_step = np.flatnonzero(run.kept().steps == step)
    if not at_step.size:
        raise UnavailableError("the weight is divided by its mean over a batch, which needs predictions")
    of_examples = log_weight(emphasis, run.kept().splits["train"].p[at_step[0]])
    return emphasis, float(scipy.special.logsumexp(of_examples) - np.log(len(of_examples)))


def _weighing(run: Run) -> str:
    """What gives the weight, the loss or a method around it."""
    return run.config["method"]["name"] if run.sets_emphasis else run.config["loss"]["name"]


def _set_by_itself(run: Run, step: int) -> tuple[Emphasis, float]:
    """The weight in the epoch that led to a step, of a method that sets it between epochs."""
    name = run.config["loss"]["name"]
    row = next((row for row in run.rows if row["step"] == step), None)
    if name != "cross_entropy" or row is None:
        raise UnavailableError(f"the weight is a factor on {name} here: there is no w(p) to draw")
    weight = Posterior(row["emphasis_rate"], row["emphasis_slope"])
    return weight, float(weight.log_norm())


def _over(axes: Axes, p: np.ndarray, w: np.ndarray) -> None:
    """Draws w over an axis of its own at the right."""
    right = axes.twinx()
    right.plot(p, w, color=INK, linewidth=1.4)
    right.set_ylim(0, max(w[np.isfinite(w)].max() * 1.08, 1e-9))  # that of some losses has no bound
    right.grid(visible=False)
    right.locator_params(axis="y", nbins=4)
    right.spines["right"].set(visible=True, color=LINE)
