"""The page: which figures it has, in which order, and what stands beside them."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import matplotlib

from grjax.analysis.report import (
    agreement,
    alignment,
    comparison,
    curves,
    description,
    labels,
    multiples,
    runs,
    style,
    svg,
    trials,
)
from grjax.analysis.report.runs import Run, UnavailableError
from grjax.analysis.report.style import WIDTH, Drawing
from grjax.analysis.report.trials import Sweep
from grjax.errors import ConfigError, WorkdirError
from grjax.registry import closest
from grjax.workdir import alignments
from grjax.workdir.files import write_text


class Entry(NamedTuple):
    """A figure of the page: where it stands, how its files are called, what to look for, what draws it."""

    section: str
    name: str
    title: str
    look_for: str  # a sentence
    draw: Callable[[Any], Drawing]  # of a Run, or of several; raises UnavailableError where there is nothing


OF_A_RUN = (
    Entry(
        "Learning curves",
        "test_accuracy",
        "Test accuracy",
        "Look for a fall after an early peak: from there on, the network fits wrong labels.",
        curves.test_accuracy,
    ),
    Entry(
        "Learning curves",
        "train_accuracy",
        "Training accuracy",
        "Look for the curve of the noisy labels above the dotted line: there, noise is being fitted.",
        curves.train_accuracy,
    ),
    Entry(
        "Learning curves",
        "memorisation",
        "Memorisation",
        "Look for a rise: it shows wrong labels that the network learns by heart.",
        curves.memorisation,
    ),
    Entry(
        "Agreement with the labels",
        "mean_p",
        "Mean p",
        "Look for the gap between the curves: the wider, the better p tells wrong labels from right ones.",
        curves.mean_p,
    ),
    Entry(
        "Agreement with the labels",
        "p_histograms",
        "Distribution of p",
        "Look for mislabelled examples at the right: the network has memorised their labels.",
        agreement.histograms,
    ),
    Entry(
        "Agreement with the labels",
        "weight",
        "Weight of the loss",
        "Look for the examples under the high part of the line: the network learns from those.",
        agreement.weight,
    ),
    Entry(
        "Agreement with the labels",
        "weight_share",
        "Weight on wrong labels",
        "Look for the curve below the dotted line: there, the loss gives wrong labels less weight.",
        agreement.weight_share,
    ),
    Entry(
        "Emphasis",
        "emphasis_over_training",
        "Emphasis that sets itself",
        "Look for an estimate above the dotted line: there, hard labels are taken for wrong ones.",
        curves.emphasis,
    ),
    Entry(
        "Held-out data",
        "held_out_alignment",
        "Help for held-out data",
        "Look for where the curve crosses zero: a step on an example left of it works against held-out data.",
        alignment.held_out_alignment,
    ),
    Entry(
        "Selection",
        "selection",
        "What the method keeps",
        "Look for purity above the dotted line: the method leaves out wrong labels more than right ones.",
        curves.selection,
    ),
    Entry(
        "Classes",
        "injected_transition",
        "Injected transition matrix",
        "Look for the strong cells off the diagonal: those confusions are the noise.",
        labels.injected_transition,
    ),
    Entry(
        "Classes",
        "estimated_transition",
        "Estimated transition matrix",
        "Look for the same strong cells as in the injected matrix: the network then sees through the noise.",
        labels.estimated_transition,
    ),
    Entry(
        "Classes",
        "confusion",
        "Given and predicted labels",
        "Look for strong cells off the diagonal: the network contradicts many of those labels.",
        labels.confusion,
    ),
    Entry(
        "Classes",
        "class_accuracy",
        "Accuracy on each class",
        "Look for a class far below the others: the mean accuracy hides it.",
        labels.class_accuracy,
    ),
)

OF_SEVERAL = (
    Entry(
        "Learning curves",
        "test_accuracy",
        "Test accuracy",
        "Look for where the curves part after a common rise: the lower runs have begun to fit wrong labels.",
        comparison.test_accuracy,
    ),
    Entry(
        "Learning curves",
        "train_accuracy",
        "Training accuracy",
        "Look for the highest curve at the end: that run predicts the most true labels of its training set.",
        comparison.train_accuracy_intact,
    ),
    Entry(
        "Learning curves",
        "memorisation",
        "Memorisation",
        "Look for the lowest curve: that run learns the fewest wrong labels by heart.",
        comparison.memorisation,
    ),
    Entry(
        "Agreement with the labels",
        "mean_p_clean",
        "Mean p, clean examples",
        "Look for curves near 1: those runs have learned the right labels.",
        comparison.mean_p_clean,
    ),
    Entry(
        "Agreement with the labels",
        "mean_p_mislabelled",
        "Mean p, mislabelled",
        "Look for curves far below those of the clean examples: there, p tells wrong labels from right ones.",
        comparison.mean_p_mislabelled,
    ),
    Entry(
        "Agreement with the labels",
        "weight",
        "Weight of the loss",
        "Look for the p at which each line is highest: a run learns most from examples with that p.",
        comparison.weight,
    ),
    Entry(
        "Selection",
        "kept_purity",
        "Purity of what is kept",
        "Look for the highest curve: that method leaves out the most wrong labels.",
        comparison.kept_purity,
    ),
    Entry(
        "Selection",
        "kept_recall",
        "Recall of what is kept",
        "Look for a low curve: that method leaves out many right labels, too.",
        comparison.kept_recall,
    ),
)


OF_A_SWEEP = (
    Entry(
        "Learning curves",
        "learning_curves",
        "Each setting",
        "Look for panels in which the test accuracy falls while the noisy labels are fitted.",
        multiples.learning_curves,
    ),
    Entry(
        "Emphasis mode",
        "accuracy_by_mode",
        "Accuracy by emphasis mode",
        "Look for the line that is highest at a noise rate: its emphasis mode suits that rate.",
        multiples.accuracy_by_mode,
    ),
    Entry(
        "Emphasis mode",
        "best_mode",
        "Best mode",
        "Look for whether the best mode moves as the noise rate grows.",
        multiples.best_mode,
    ),
)


def write(workdirs: Sequence[Path], output: Path | None) -> Path:
    """See `grjax.analysis.report.write_report`."""
    subject, entries = _read(workdirs)
    if isinstance(subject, Sweep):
        described = description.of_sweep(subject)
    else:
        described = description.of_runs([subject] if isinstance(subject, Run) else subject)
    if output is None:
        output = workdirs[0] if len(workdirs) == 1 else runs.shared_folder(workdirs)
    files: dict[str, bytes] = {}
    sections: dict[str, list[dict[str, Any]]] = {}
    with matplotlib.rc_context(style.RC):
        for entry in entries:
            sections.setdefault(entry.section, []).append(_figure(entry, subject, files))
    page = (
        _environment()
        .get_template("report.html")
        .render(
            theme=style.THEME,
            series=[svg.variable(colour) for colour in style.SERIES],
            sections=sections,
            **described,
        )
    )
    try:
        _write_figures(output / "report", entries, files)
        write_text(output / "report.html", page)
    except OSError as error:
        raise WorkdirError(f"--workdir={output}: the report cannot be written: {error.strerror}") from error
    return output / "report.html"


def draw(name: str, workdirs: Sequence[Path], path: Path) -> None:
    """Writes one of the figures of a report.

    Args:
      name: of the figure, one of `titles()`.
      workdirs: of runs, or the folder of one sweep.
      path: of the picture; its ending says which format (.png, .svg, .pdf).

    Raises:
      ConfigError: another ending, or the report of these folders has no figure of that name.
      WorkdirError: no run there, a damaged one, or one that lacks what the figure shows.
    """
    ending = path.suffix.removeprefix(".")
    if ending not in ("pdf", "png", "svg"):
        raise ConfigError(f"--output={path}: must end in .pdf, .png or .svg")
    subject, entries = _read(workdirs)
    draws = {entry.name: entry.draw for entry in entries}
    if name not in draws:
        raise ConfigError(f"{name}: no figure of these folders; {closest(name, draws)}")
    with matplotlib.rc_context(style.RC):
        try:
            file = svg.render(draws[name](subject).figure, ending)
        except UnavailableError as reason:
            raise WorkdirError(f"{workdirs[0]}: no {name}: {reason}") from reason
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file)


def titles() -> dict[str, str]:
    """The title of each figure by its name."""
    return {entry.name: entry.title for entry in (*OF_A_RUN, *OF_SEVERAL, *OF_A_SWEEP)}


def _read(workdirs: Sequence[Path]) -> tuple[Run | Sequence[Run] | Sweep, Sequence[Entry]]:
    """What folders hold, and the figures that there are of it."""
    sweeps = [workdir for workdir in workdirs if trials.is_sweep(workdir)]
    if sweeps and len(workdirs) > 1:
        raise WorkdirError(f"--workdir={sweeps[0]}: is a sweep, which has a report of its own; take it alone")
    if sweeps:
        return trials.read(sweeps[0]), OF_A_SWEEP
    found = runs.read(workdirs)
    entries: Sequence[Entry] = OF_A_RUN if len(found) == 1 else OF_SEVERAL
    if not any(run.chooses for run in found):
        entries = tuple(entry for entry in entries if entry.section != "Selection")
    if not any(run.sets_emphasis for run in found):
        entries = tuple(entry for entry in entries if entry.section != "Emphasis")
    if not any(alignments.kept_steps(run.workdir) for run in found):
        entries = tuple(entry for entry in entries if entry.section != "Held-out data")
    return found[0] if len(found) == 1 else found, entries


def _figure(entry: Entry, subject: Run | Sequence[Run] | Sweep, files: dict[str, bytes]) -> dict[str, Any]:
    """A figure for the template; its files are added to `files`."""
    try:
        drawing = entry.draw(subject)
    except UnavailableError as reason:
        shape = {"wide": False, "tall": False}
        return {"name": entry.name, "title": entry.title, "unavailable": str(reason), **shape}
    for ending in ("svg", "png"):
        files[f"{entry.name}.{ending}"] = svg.render(drawing.figure, ending)
    width, height = drawing.figure.get_size_inches()
    image = svg.inline(files[f"{entry.name}.svg"], entry.name, drawing.alt)
    return {
        "name": entry.name,
        "title": entry.title,
        "svg": image,
        "look_for": entry.look_for,
        "caption": drawing.caption,
        "wide": bool(width > WIDTH),
        "tall": bool(width <= WIDTH < height),
    }


def _write_figures(folder: Path, entries: Sequence[Entry], files: Mapping[str, bytes]) -> None:
    """Each file whole; a figure that is there no more is removed, so that none is of an earlier report."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        temporary = folder / f"{name}.tmp"
        temporary.write_bytes(content)
        os.replace(temporary, folder / name)
    for entry in entries:
        for ending in ("svg", "png"):
            if f"{entry.name}.{ending}" not in files:
                (folder / f"{entry.name}.{ending}").unlink(missing_ok=True)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("grjax.analysis.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(cell=description.cell, exact=description.exact, short=description.short)
    return environment
