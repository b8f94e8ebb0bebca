"""The page: which figures it has, in which order, and what stands beside them."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import matplotlib

from grjax import config as config_lib
from grjax.analysis.report import agreement, comparison, curves, labels, runs, style, svg
from grjax.analysis.report.runs import Run, Unavailable
from grjax.analysis.report.style import Drawing
from grjax.errors import WorkdirError
from grjax.metrics import write_whole


class Entry(NamedTuple):
    """A figure of the page: where it stands, how its files are called, and what draws it."""

    section: str
    name: str
    title: str
    draw: Callable[[Any], Drawing]  # of a Run, or of several; raises Unavailable where there is nothing


OF_A_RUN = (
    Entry("Learning curves", "test_accuracy", "Test accuracy", curves.test_accuracy),
    Entry("Learning curves", "train_accuracy", "Training accuracy", curves.train_accuracy),
    Entry("Learning curves", "memorisation", "Memorisation", curves.memorisation),
    Entry("Agreement with the labels", "mean_p", "Mean p", curves.mean_p),
    Entry("Agreement with the labels", "p_histograms", "Distribution of p", agreement.histograms),
    Entry("Agreement with the labels", "weight", "Weight of the loss", agreement.weight),
    Entry("Agreement with the labels", "weight_share", "Weight on wrong labels", agreement.weight_share),
    Entry("Classes", "injected_transition", "Injected transition matrix", labels.injected_transition),
    Entry("Classes", "estimated_transition", "Estimated transition matrix", labels.estimated_transition),
    Entry("Classes", "confusion", "Given and predicted labels", labels.confusion),
    Entry("Classes", "class_accuracy", "Accuracy on each class", labels.class_accuracy),
)

OF_SEVERAL = (
    Entry("Learning curves", "test_accuracy", "Test accuracy", comparison.test_accuracy),
    Entry("Learning curves", "train_accuracy", "Training accuracy", comparison.train_accuracy_intact),
    Entry("Learning curves", "memorisation", "Memorisation", comparison.memorisation),
    Entry("Agreement with the labels", "mean_p", "Mean p", comparison.mean_p),
    Entry("Agreement with the labels", "weight", "Weight of the loss", comparison.weight),
)


def write(workdirs: Sequence[Path], output: Path | None) -> Path:
    """See `grjax.analysis.report.write_report`."""
    found = runs.read(workdirs)
    if output is None:
        output = workdirs[0] if len(workdirs) == 1 else runs.shared_folder(workdirs)
    entries, subject = (OF_A_RUN, found[0]) if len(found) == 1 else (OF_SEVERAL, found)
    files: dict[str, bytes] = {}
    sections: dict[str, list[dict[str, str]]] = {}
    with matplotlib.rc_context(dict(style.RC)):
        for entry in entries:
            sections.setdefault(entry.section, []).append(_figure(entry, subject, files))
    page = _environment().get_template("report.html").render(
        title=_title(found),
        theme=style.THEME,
        series=[svg.variable(colour) for colour in style.SERIES],
        sections=sections,
        runs=[_description(run) for run in found],
        comparison=comparison.table(found) if len(found) > 1 else None,
    )
    try:
        _write_figures(output / "report", entries, files)
        write_whole(output / "report.html", page)
    except OSError as error:
        raise WorkdirError(f"--workdir={output}: the report cannot be written: {error.strerror}") from error
    return output / "report.html"


def _figure(entry: Entry, subject: Run | Sequence[Run], files: dict[str, bytes]) -> dict[str, str]:
    """A figure for the template; its files are added to `files`."""
    try:
        drawing = entry.draw(subject)
    except Unavailable as reason:
        return {"name": entry.name, "title": entry.title, "unavailable": str(reason)}
    for ending in ("svg", "png"):
        files[f"{entry.name}.{ending}"] = svg.render(drawing.figure, ending)
    image = svg.inline(files[f"{entry.name}.svg"], entry.name, drawing.alt)
    return {"name": entry.name, "title": entry.title, "svg": image, "caption": drawing.caption}


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
    environment.filters["cell"] = cell
    return environment


def cell(value: Any) -> str:
    """A value of a table: three decimals, and a dash for what does not apply."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}" if value == 0 or abs(value) >= 10 or abs(value) < 1e-3 else f"{value:.3f}"
    if isinstance(value, list | tuple):
        return ", ".join(map(cell, value)) or "none"
    return "–" if value is None else str(value)


def _description(run: Run) -> dict[str, Any]:
    """What the page says of a run in words and tables."""
    config = config_lib.flatten(run.config)
    defaults = config_lib.flatten(config_lib.defaults().to_dict())
    changed = {key: value for key, value in config.items() if key not in defaults or defaults[key] != value}
    return {
        "name": run.name,
        "facts": list(_facts(run)),
        "finished": run.summary is not None,
        "step": run.rows[-1]["step"],
        "total_steps": config_lib.steps(run.config, "train", run.steps_per_epoch),
        "config": {key: (value, key in changed) for key, value in sorted(config.items())},
        "noise_facts": _noise_facts(run.provenance),
        "seeds": {key: value for key, value in sorted(config.items()) if key.split(".")[-1].endswith("seed")},
        "starts": [_start(start) for start in run.starts],
        "rows": run.rows,
    }


def _title(found: Sequence[Run]) -> dict[str, str]:
    """What the runs are, in two lines: what they have in common."""

    def of(section: str) -> str:
        names = dict.fromkeys(run.config[section]["name"] for run in found)
        return " and ".join(names) if len(names) <= 3 else f"{len(names)} kinds of {section}"

    rates = sorted(run.noise.realised_rate for run in found)
    rate = f"{rates[0]:.3f}" if rates[-1] - rates[0] < 5e-4 else f"{rates[0]:.3f} to {rates[-1]:.3f}"
    count = "" if len(found) == 1 else f"{len(found)} runs; "
    return {
        "heading": f"{of('loss')} on {of('data')}",
        "subtitle": f"{count}{of('noise')} noise, realised rate {rate}; {of('model')}, {of('optimizer')}",
    }


def _noise_facts(noise: Mapping[str, Any]) -> dict[str, Any]:
    """noise.json but for what is drawn."""
    convention = {("model" if key == "name" else key): value for key, value in noise["convention"].items()}
    drawn = ("convention", "class_rates", "transition_counts")
    rest = {key.replace("_", " "): value for key, value in noise.items() if key not in drawn}
    return {**convention, **{key: value for key, value in rest.items() if value is not None}}


def _start(start: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of environment.json, flat."""
    flat = {**start, "command": " ".join(start["command"]), **start["packages"]}
    return {key.replace("_", " "): value for key, value in flat.items() if key != "packages"}


def _facts(run: Run) -> Iterator[dict[str, str]]:
    """The numbers at the top of the page, each with what it must not be read without."""
    last = run.rows[-1]
    for split in run.splits:
        key = f"{split}_accuracy"
        best = run.best(key)
        note = f"best {best[key]:.3f} at epoch {best['epoch']:.4g}, chosen on {split}"
        yield {"label": f"{split} accuracy, last", "value": cell(last[key]), "note": note}
    yield {
        "label": "memorisation",
        "value": cell(last["memorisation"]),
        "note": f"of {int(run.noise.mislabelled.sum()):,} wrong labels",
    }
    yield {
        "label": "train accuracy, intact labels",
        "value": cell(last["train_accuracy_intact"]),
        "note": f"{cell(last['train_accuracy_noisy'])} against the noisy labels",
    }
    yield {
        "label": "mean p, clean",
        "value": cell(last["mean_p_clean"]),
        "note": f"{cell(last['mean_p_mislabelled'])} of mislabelled examples",
    }
    yield {
        "label": "noise rate",
        "value": cell(run.noise.realised_rate),
        "note": f"{len(run.noise.labels):,} examples, {run.noise.num_classes} classes",
    }
    speed = run.summary["examples_per_second"] if run.summary else None
    yield {
        "label": "time",
        "value": _duration(last["seconds"]),
        "note": f"{speed:,.0f} examples/s" if speed else "with start-up and evaluation",
    }


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
