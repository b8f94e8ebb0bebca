"""Learning curves of a grid of settings, a panel each. Needs matplotlib, the extra `figures`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from grjax.analysis.curves import read
from grjax.errors import ConfigError, require

METRICS = {
    "test_accuracy": "test",
    "train_accuracy_noisy": "train, labels as given",
    "train_accuracy_intact": "train, intact labels",
}


def draw(
    panels: Sequence[Mapping[str, Sequence[Path]]],
    path: Path,
    title: str = "",
    metrics: Mapping[str, str] = METRICS,
) -> None:
    """Draws small multiples as the Gradient Rescaling paper's grids of lam and beta.

    Args:
      panels: for each row of panels, under the title of each the workdirs of runs that differ in their seeds
        only; rows may differ in length.
      path: of the picture; its ending says which format (.png, .svg, .pdf).
      title: over the picture.
      metrics: columns of metrics.jsonl with their names in the legend.

    Raises:
      ConfigError: no panels.
      WorkdirError: a workdir without metrics, or runs of one panel that were evaluated at different steps.
    """
    require("matplotlib", "figures")
    import matplotlib
    from matplotlib.figure import Figure  # without pyplot: no global state, no window

    if not any(panels):
        raise ConfigError("panels: must be one or more, got none")
    columns = max(map(len, panels))
    figure = Figure(figsize=(2.2 * columns + 0.6, 1.9 * len(panels) + 0.8), layout="constrained")
    axes = figure.subplots(len(panels), columns, sharex=True, sharey=True, squeeze=False)
    for row, line in zip(panels, axes, strict=True):
        for panel in line[len(row) :]:
            panel.set_axis_off()
        for panel, (name, workdirs) in zip(line, row.items(), strict=False):
            for number, (key, label) in enumerate(metrics.items()):
                epochs, values = read(workdirs, key)
                panel.plot(epochs, values.T, color=f"C{number}", alpha=0.3, linewidth=0.6)
                panel.plot(epochs, values.mean(0), color=f"C{number}", linewidth=1.6, label=label)
            panel.set_title(name, fontsize="medium")
            panel.set(ylim=(0, 1))
            panel.grid(alpha=0.3)
            panel.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("epoch", fontsize="medium")
    figure.supylabel("accuracy", fontsize="medium")
    figure.suptitle(title, fontsize="medium")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context({"svg.hashsalt": "grjax"}):  # the same runs give the same file
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
