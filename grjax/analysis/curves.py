"""Learning curves of several runs in one picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from grjax.errors import WorkdirError
from grjax.workdir import layout
from grjax.workdir.metrics_file import read_rows

PANELS = {"test_accuracy": "test accuracy", "memorisation": "memorisation: wrong labels fitted"}


def draw(
    runs: Mapping[str, Sequence[Path]],
    path: Path,
    title: str = "",
    *,
    panels: Mapping[str, str] = PANELS,
    top: float = 1.0,
) -> None:
    """Draws metrics over epochs, a bold mean over a thin line for each run.

    Args:
      runs: for each name in the legend, the workdirs of runs that differ in their seeds only.
      path: of the picture; its ending says which format (.png, .svg, .pdf).
      title: over the picture.
      panels: the metrics, and what stands above each.
      top: of the axes, which begin at 0.

    Raises:
      WorkdirError: a workdir without metrics, or runs of one name that were evaluated at different steps.
    """
    import matplotlib
    from matplotlib.figure import Figure  # without pyplot: no global state, no window

    figure = Figure(figsize=(4 * len(panels), 3), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for panel, (key, label) in zip(axes, panels.items(), strict=True):
        for number, (name, workdirs) in enumerate(runs.items()):
            epochs, values = read(workdirs, key)
            panel.plot(epochs, values.T, color=f"C{number}", alpha=0.3, linewidth=0.7)
            panel.plot(epochs, values.mean(0), color=f"C{number}", linewidth=2, label=name)
        panel.set(xlabel="epoch", title=label, ylim=(0, top))
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    axes[0].legend(loc="best", frameon=False)
    figure.suptitle(title, fontsize="medium")
    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context({"svg.hashsalt": "grjax"}):  # the same runs give the same file
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)


def read(workdirs: Sequence[Path], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Epochs [T], and the values of a metric [runs, T]; NaN where it does not apply."""
    tables = [read_rows(workdir / layout.METRICS) for workdir in workdirs]
    for workdir, table in zip(workdirs, tables, strict=True):
        if not table:
            raise WorkdirError(f"{workdir}: no metrics.jsonl there, or an empty one")
        if [row["epoch"] for row in table] != [row["epoch"] for row in tables[0]]:
            raise WorkdirError(f"{workdir}: evaluated at other epochs than {workdirs[0]}")
    values = [[np.nan if row[key] is None else row[key] for row in table] for table in tables]
    return np.array([row["epoch"] for row in tables[0]]), np.array(values, np.float64)
