"""Where the examples of one run are on p, and how much weight its loss gives them there."""

import inspect

import jax
import numpy as np
from matplotlib.axes import Axes

from grjax import config, experiment, losses
from grjax.analysis.emphasis import log_weight
from grjax.analysis.report.curves import NOTHING_WRONG, over_epochs
from grjax.analysis.report.runs import Run, Unavailable
from grjax.analysis.report.style import CLEAN, INK, LINE, MISLABELLED, QUIET, Drawing, label_ends, panel
from grjax.emphasis import Emphasis, log_integral, mode

BINS = 25


def histograms(run: Run) -> Drawing:
    """The distribution of p of clean and of mislabelled examples, early, in the middle and late."""
    stages = run.stages()
    figure, panels = panel(height=1.25 * len(stages) + 0.5, rows=len(stages))
    wrong = run.noise.mislabelled
    groups = [("clean", ~wrong, CLEAN)] + [("mislabelled", wrong, MISLABELLED)] * bool(wrong.any())
    for axes, step in zip(panels, stages, strict=True):
        p = run.predictions(step)["train_p"]
        for name, members, colour in groups:
            axes.stairs(fractions(p[members]), edges(), fill=True, color=colour, alpha=0.22, linewidth=0)
            axes.stairs(fractions(p[members]), edges(), color=colour, linewidth=1.3, label=name)
        axes.set(xlim=(0, 1), title=f"epoch {step / run.steps_per_epoch:.4g}")
        axes.set_ylim(0, None)
    panels[0].legend(loc="upper right")
    panels[-1].set_xlabel("p, probability of the given label")
    figure.supylabel("fraction of its group", fontsize=9, color=QUIET)
    words = [
        f"{np.mean(p[members] > 0.5):.0%} of {name} examples have p above one half"
        for name, members, _ in groups
    ]
    return Drawing(
        figure,
        "Each group adds up to 1. Wrong labels at the right are memorised; right labels at the left are not "
        "learnt, or hard.",
        f"At the end {' and '.join(words)}.",
    )


def weight(run: Run) -> Drawing:
    """The weight w(p) of the loss over the histogram of the examples."""
    stages = run.stages()
    weight_at(run, stages[-1])  # or there is nothing to draw
    figure, panels = panel(height=1.25 * len(stages) + 0.5, rows=len(stages))
    wrong = run.noise.mislabelled
    grid = np.linspace(0, 1, 257)
    for axes, step in zip(panels, stages, strict=True):
        emphasis, log_scale = weight_at(run, step)
        p = run.predictions(step)["train_p"]
        clean, mislabelled = (np.histogram(p[each], edges())[0] / len(p) for each in (~wrong, wrong))
        axes.stairs(clean, edges(), fill=True, color=CLEAN, alpha=0.3, linewidth=0, label="clean")
        if wrong.any():
            axes.stairs(
                clean + mislabelled, edges(), baseline=clean, fill=True, color=MISLABELLED, alpha=0.3,
                linewidth=0, label="mislabelled",
            )  # fmt: skip
        axes.set(xlim=(0, 1), title=f"epoch {step / run.steps_per_epoch:.4g}")
        if wrong.any():
            share = weight_on(emphasis, p, wrong)
            axes.set_title(f"{share:.0%} of the weight on wrong labels", loc="right", color=MISLABELLED)
        _over(axes, grid, np.exp(log_weight(emphasis, grid) - log_scale))
    panels[0].plot([], [], color=INK, label="w(p), right scale")
    panels[0].legend(loc="upper center", ncols=3, columnspacing=1, handlelength=1.2)
    panels[-1].set_xlabel("p, probability of the given label")
    figure.supylabel("fraction of the examples", fontsize=9, color=QUIET)
    peak = float(mode(emphasis))
    return Drawing(
        figure,
        "w(p) is the L1 norm of the gradient that an example sends to the logits. Examples learn where bars "
        "stand under a high line.",
        f"The weight of {run.config['loss']['name']} is largest at p = {peak:.2f}.",
    )


def weight_share(run: Run) -> Drawing:
    """The share of all weight that falls on mislabelled examples, over training."""
    wrong = run.noise.mislabelled
    if not wrong.any():
        raise Unavailable(NOTHING_WRONG)
    last = run.stages()[-1]
    shares = np.array(
        [
            weight_on(weight_at(run, step)[0], run.predictions(step)["train_p"], wrong)
            for step in run.prediction_steps
        ]
    )
    figure, (axes,) = panel()
    over_epochs(axes, run, "weight on wrong labels, of all")
    axes.plot(np.array(run.prediction_steps) / run.steps_per_epoch, shares, color=MISLABELLED)
    rate = run.noise.realised_rate
    axes.axhline(rate, color=QUIET, linewidth=0.9, linestyle=(0, (1.2, 2)))
    label_ends(axes, [(shares[-1], f"last {shares[-1]:.3f}", MISLABELLED), (rate, "their share", QUIET)])
    return Drawing(
        figure,
        f"Wrong labels are {rate:.3f} of the examples (dotted). Above that, they pull harder than others; "
        "below, the loss passes over them.",
        f"At step {last}, mislabelled examples carry {shares[-1]:.3f} of the weight.",
    )


def edges() -> np.ndarray:
    """Of the histograms' bins over p."""
    return np.linspace(0, 1, BINS + 1)


def fractions(p: np.ndarray) -> np.ndarray:
    """Of the p of a group, the fraction in each bin."""
    return np.histogram(p, edges())[0] / max(len(p), 1)


def weight_on(emphasis: Emphasis, p: np.ndarray, members: np.ndarray) -> float:
    """The sum of w(p) over some examples, as a fraction of that over all."""
    log_w = log_weight(emphasis, p)
    w = np.exp(log_w - log_w.max())
    return float(w[members].sum() / w.sum())


def weight_at(run: Run, step: int) -> tuple[Emphasis, float]:
    """The weight of the run's loss at a step, and the log of what training divides it by.

    Raises:
      Unavailable: the loss depends on more than p.
    """
    name = run.config["loss"]["name"]
    if name not in losses.names_of_p_alone():
        raise Unavailable(f"the gradient of {name} depends on more than p: there is no w(p) to draw")
    total_steps = config.steps(run.config, "train", run.steps_per_epoch)
    options = experiment.loss_options(run.config["loss"], run.steps_per_epoch, total_steps)
    values = {key: float(value(step)) if callable(value) else value for key, value in options.items()}
    if any(isinstance(value, list | tuple) for value in values.values()):
        raise Unavailable("the emphasis differs by class: there is no one w(p) to draw")
    loss = losses.create(name, **values)
    normalization = inspect.signature(loss).parameters["normalization"].default
    emphasis = losses.emphasis(
        name, **{key: value for key, value in values.items() if key not in ("normalization", "per_class")}
    )
    if normalization == "none":
        return emphasis, 0.0
    if normalization == "integral":
        return emphasis, float(log_integral(emphasis))
    of_examples = log_weight(emphasis, run.predictions(step)["train_p"])
    return emphasis, float(jax.nn.logsumexp(of_examples) - np.log(len(of_examples)))


def _over(axes: Axes, p: np.ndarray, w: np.ndarray) -> None:
    """Draws w over an axis of its own at the right."""
    right = axes.twinx()
    right.plot(p, w, color=INK, linewidth=1.4)
    right.set_ylim(0, max(w.max() * 1.08, 1e-9))
    right.grid(visible=False)
    right.spines["right"].set(visible=True, color=LINE)
