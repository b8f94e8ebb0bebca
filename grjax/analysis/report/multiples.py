"""Figures of a sweep: small multiples of its learning curves, and emphasis mode against noise rate."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from grjax.analysis import mode_against_noise
from grjax.analysis.curves import read as read_curves
from grjax.analysis.mode_against_noise import Modes, mode_of
from grjax.analysis.report.runs import UnavailableError
from grjax.analysis.report.style import CLEAN, INK, MISLABELLED, QUIET, Drawing, legend_above, panel, series
from grjax.analysis.report.trials import Setting, Sweep
from grjax.errors import WorkdirError
from grjax.sweep.statistics import spread

MOST = 64  # panels in a picture
LINES: Mapping[str, tuple[str, str]] = {
    "test_accuracy": ("test", INK),
    "train_accuracy_noisy": ("train, noisy labels", MISLABELLED),
    "train_accuracy_intact": ("train, intact labels", CLEAN),
}


def learning_curves(sweep: Sweep, lines: Mapping[str, tuple[str, str]] = LINES) -> Drawing:
    """A panel for each setting, as the grids of lam and beta in the GR paper (Figures 5 to 9)."""
    columns, rows = sweep.rows()
    if len(sweep.settings) > MOST:
        raise UnavailableError(
            f"{len(sweep.settings)} settings are more than the {MOST} that are legible together"
        )
    width = max(map(len, rows))
    figure = Figure(figsize=(1.55 * width + 0.7, 1.3 * len(rows) + 0.9), layout="constrained")
    panels = figure.subplots(len(rows), width, sharex=True, sharey=True, squeeze=False)
    others = [key for key in sweep.keys if key not in columns]
    for number, (row, line) in enumerate(zip(rows, panels, strict=True)):
        for axes in line[len(row) :]:
            axes.set_axis_off()
        for axes, setting in zip(line, row, strict=False):
            for key, (name, colour) in lines.items():
                if setting.complete:
                    epochs, values = read_curves(sweep.workdirs(setting), key)
                    axes.plot(epochs, values.T, color=colour, alpha=0.25, linewidth=0.6)
                    axes.plot(epochs, values.mean(axis=0), color=colour, linewidth=1.3, label=name)
            axes.set(ylim=(0, 1.02), yticks=(0, 0.5, 1))
            if not columns:
                axes.set_title(setting.name(sweep.keys), fontsize=7.5)
            elif number == 0:
                axes.set_title(setting.name(columns), fontsize=8.5)
        if columns and others:
            line[0].set_ylabel(row[0].name(others).replace(", ", "\n"), fontsize=8, color=INK)
    figure.supxlabel("epoch", fontsize=9, color=QUIET)
    drawn = next((axes for axes in panels.flat if axes.lines), None)
    if drawn is None:
        raise UnavailableError("no trial is complete")
    legend_above(figure, drawn)
    best = max((each for each in sweep.settings if each.complete), key=_last)
    return Drawing(
        figure,
        "A panel for each setting; bold the mean over its runs, thin each run. Where the curve of noisy "
        "labels goes on rising, look whether the test curve falls.",
        f"{len(sweep.settings)} settings. The highest mean test accuracy at the last epoch is "
        f"{_last(best):.3f}, of {best.name(sweep.keys) or 'the only setting'}.",
    )


def accuracy_by_mode(sweep: Sweep) -> Drawing:
    """Test accuracy against noise rate, a line for each emphasis mode."""
    modes = _modes(sweep)
    figure, (axes,) = panel(height=3.0)
    for number, lam in enumerate(modes.lams):
        found = [spread(modes.test[rate, lam]) for rate in modes.rates]
        axes.errorbar(
            modes.rates, [each.mean for each in found], [each.std or 0 for each in found],
            marker="o", markersize=4, elinewidth=1, label=f"ψ = {mode_of(lam):.2f}", **series(number),
        )  # fmt: skip
    axes.set(xlabel="noise rate", ylabel="test accuracy, last epoch", xticks=modes.rates)
    legend_above(figure, axes)
    best = [f"ψ = {mode_of(modes.best(modes.test, rate)):.2f} at rate {rate:g}" for rate in modes.rates]
    return Drawing(
        figure,
        "Gradient Rescaling with emphasis mode ψ = λ/(λ+1), β chosen on validation data; mean and standard "
        "deviation over seeds.",
        f"Highest on test: {', '.join(best)}.",
    )


def best_mode(sweep: Sweep) -> Drawing:
    """The best emphasis mode against the noise rate."""
    modes = _modes(sweep)
    figure, (axes,) = panel(height=3.0)
    for rate in modes.rates:
        alone = modes.best_of_each(rate)
        for lam in sorted(set(alone)):
            axes.scatter(
                rate, mode_of(lam), s=25 * alone.count(lam) ** 2, color=QUIET, alpha=0.25, linewidth=0
            )
    chosen, hindsight = (
        [mode_of(modes.best(scores, rate)) for rate in modes.rates]
        for scores in (modes.validation, modes.test)
    )
    axes.plot(modes.rates, chosen, "o-", color=CLEAN, label="on validation data")
    axes.plot(modes.rates, hindsight, "x--", color=MISLABELLED, label="on test data, in hindsight")
    ticks = [mode_of(lam) for lam in modes.lams]
    axes.set(
        xlabel="noise rate",
        ylabel="best emphasis mode ψ",
        xticks=modes.rates,
        ylim=(-0.08, max(ticks) + 0.08),
    )
    axes.set_yticks(ticks, [f"{each:.2f}" for each in ticks])
    legend_above(figure, axes)
    words = [f"{each:.2f} at rate {rate:g}" for rate, each in zip(modes.rates, chosen, strict=True)]
    return Drawing(
        figure,
        "The paper finds that the best mode rises with the noise rate. Grey: what each repetition alone "
        "would choose, larger where several agree.",
        f"The best mode on validation data is {', '.join(words)}.",
    )


def _modes(sweep: Sweep) -> Modes:
    try:
        return mode_against_noise.read(sweep.folder)
    except WorkdirError as error:
        raise UnavailableError(
            "needs a finished sweep over loss.lam and noise.rate that selects loss.beta on validation data"
        ) from error


def _last(setting: Setting) -> float:
    return spread([result["summary"]["test_accuracy_last"] for result in setting.complete]).mean
