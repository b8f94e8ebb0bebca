"""`--mode=noise`: what the labels of a run are like, before anything is trained."""

import os
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from rich.table import Table

from grjax import corruption
from grjax.errors import WorkdirError
from grjax.noise import NoisyLabels
from grjax.paths import as_path
from grjax.progress import plain_console
from grjax.workdir import folder as workdir_lib
from grjax.workdir import layout

_MANY_CLASSES = 20  # of more, tables show the noisiest, and pictures have no names


def report_noise(config: ConfigDict, workdir: str | os.PathLike[str]) -> dict[str, Any]:
    """Prints and draws the noise of a config, and writes the labels to noise.npz, noise.csv and noise.json.

    A run that is started in the workdir afterwards is checked to have the same noise. In the workdir of a run
    that has begun, its noise is checked instead of written; elsewhere what another look left is replaced.

    Args:
      config: from `grjax.config.resolve`.
      workdir: of the run, made if it is not there.

    Returns:
      What noise.json holds.

    Raises:
      ConfigError: the config asks for something impossible.
      WorkdirError: the workdir cannot be written, or holds a run with other noise.
    """
    workdir = as_path(workdir)
    dataset, noise = corruption.corrupted_data(config)
    if jax.process_index() == 0:
        try:
            workdir.mkdir(parents=True, exist_ok=True)
            if not (workdir / layout.CONFIG).exists():
                (workdir / layout.NOISE).unlink(missing_ok=True)
            workdir_lib.keep_noise(noise, dataset.class_names, workdir, new=True)
            noise.save_csv(workdir / "noise.csv")
        except OSError as error:
            raise WorkdirError(f"--workdir={workdir}: cannot be written: {error.strerror}") from error
        print_tables(noise, dataset.class_names)
        for ending in ("png", "svg"):
            draw(noise, dataset.class_names, workdir / f"noise.{ending}")
    return noise.summary()


def print_tables(noise: NoisyLabels, class_names: tuple[str, ...]) -> None:
    """Rates, and for each class where its labels go."""
    summary = noise.summary()
    console = plain_console()
    table = Table("", "value", title="label noise")
    for key, value in summary["convention"].items():
        table.add_row("model" if key == "name" else key, str(value))
    for key in ("num_examples", "nominal_rate", "expected_rate", "realised_rate", "open_set_rate"):
        table.add_row(key.replace("_", " "), _cell(summary[key]))
    console.print(table)
    console.print(f"sha256 {summary['sha256']}", soft_wrap=True)
    console.print(_class_table(noise, class_names))
    if len(class_names) <= _MANY_CLASSES:
        matrix = Table("", *class_names, title="how many of a class (row) carry a label (column)")
        for name, row in zip(class_names, noise.transition_counts, strict=True):
            matrix.add_row(name, *map(str, row))
        console.print(matrix)


def draw(noise: NoisyLabels, class_names: tuple[str, ...], path: str | os.PathLike[str]) -> None:
    """Draws the realised transition matrix as a heat map.

    Args:
      noise: labels.
      class_names: C.
      path: of the picture; its ending says which format (.png, .svg, .pdf).
    """
    import matplotlib
    from matplotlib.figure import Figure  # without pyplot: no global state, no window

    counts = noise.transition_counts
    figure = Figure(figsize=(6, 5), layout="constrained")
    panel = figure.subplots()
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = panel.imshow(fractions, vmin=0, vmax=1, cmap="viridis", interpolation="nearest")
    figure.colorbar(image, label="fraction of the class")
    panel.set(
        xlabel="label after noise",
        ylabel="clean label",
        title=f"{noise.convention.get('name', 'noise')}: {noise.realised_rate:.4f} mislabelled",
    )
    if len(class_names) <= _MANY_CLASSES:
        panel.set_xticks(range(len(class_names)), class_names, rotation=90)
        panel.set_yticks(range(len(class_names)), class_names)
    path = as_path(path)
    temporary = path.with_name(f".{path.name}")
    with matplotlib.rc_context({"svg.hashsalt": "grjax"}):  # the same noise gives the same file
        figure.savefig(
            temporary,
            dpi=150,
            format=path.suffix[1:],
            metadata={"Date": None} if path.suffix == ".svg" else None,
        )
    temporary.replace(path)


def _class_table(noise: NoisyLabels, class_names: tuple[str, ...]) -> Table:
    """The classes, or the noisiest, each with its rate and its most frequent wrong labels."""
    counts = noise.transition_counts
    rates = np.array(noise.summary()["class_rates"])
    shown = np.arange(len(rates))
    title = "labels of each class"
    if len(rates) > _MANY_CLASSES:
        shown = np.argsort(-rates, kind="stable")[:_MANY_CLASSES]
        title = f"the {_MANY_CLASSES} noisiest of {len(rates)} classes; noise.json has all"
    table = Table("class", "examples", "other label", "rate", "most often", title=title)
    for label in shown:
        row = counts[label].copy()
        row[label] = 0
        often = [f"{class_names[j]} {row[j]}" for j in np.argsort(-row, kind="stable")[:3] if row[j]]
        total = counts[label].sum()
        table.add_row(
            class_names[label], str(total), str(row.sum()), _cell(float(rates[label])), ", ".join(often)
        )
    return table


def _cell(value: Any) -> str:
    return "–" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)
