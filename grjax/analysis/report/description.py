"""What the page says in words, numbers and tables."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import markdown_it

from grjax import config as config_lib
from grjax.analysis.report import comparison, trials, verdict
from grjax.analysis.report.runs import Run
from grjax.analysis.report.trials import Sweep


def cell(value: Any) -> str:
    """A measured fraction in a table: three decimals, and a dash for what does not apply."""
    return f"{value:.3f}" if isinstance(value, float) else exact(value)


def short(value: Any) -> str:
    """A measured value of any size: four digits."""
    return f"{value:.4g}" if isinstance(value, float) else exact(value)


def exact(value: Any) -> str:
    """A value that was given, as it was."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ", ".join(map(exact, value)) or "none"
    return "–" if value is None else str(value)


def of_runs(found: Sequence[Run]) -> dict[str, Any]:
    """What the template is given of one run or several, except the figures."""
    return {
        "title": _title(found),
        "verdict": verdict.of_run(found[0]) if len(found) == 1 else verdict.of_runs(found),
        "notices": [
            f"{run.name} is not finished: measured up to step {run.rows[-1]['step']} of "
            f"{config_lib.steps(run.config, 'train', run.steps_per_epoch)}."
            for run in found
            if run.summary is None
        ],
        "facts": list(_facts(found[0])) if len(found) == 1 else [],
        "comparison": comparison.table(found) if len(found) > 1 else None,
        "sweep": None,
        "provenance": [_provenance(run) for run in found],
    }


def of_sweep(sweep: Sweep) -> dict[str, Any]:
    """What the template is given of a sweep, except the figures."""
    complete = sum(len(setting.complete) for setting in sweep.settings)
    failed = len(sweep.results) - complete
    config = trials.shared_config(sweep)
    starts = [result["environment"] for result in sweep.results if result["environment"]]
    columns, rows = trials.table(sweep)
    written = sweep.folder / "table.md"
    return {
        "title": {
            "heading": f"Sweep {sweep.folder.resolve().name}",
            "subtitle": f"{complete} complete runs of {len(sweep.settings)} settings on "
            f"{config.get('data.name', 'several data sets')}",
        },
        "notices": [f"{failed} of {len(sweep.results)} trials failed; {sweep.first_error()}"]
        if failed
        else [],
        "verdict": None,
        "facts": [],
        "comparison": None,
        "sweep": {
            "columns": columns,
            "rows": rows,
            "tables": _markdown(written.read_text(encoding="utf-8")) if written.exists() else None,
        },
        "provenance": [
            {
                "name": sweep.folder.name,
                "config": config,
                "changed": _changed(config),
                "noise": {},
                "seeds": {},
                "starts": list({json.dumps(_machine(start)): _machine(start) for start in starts}.values()),
                "rows": [],
            }
        ],
    }


def _provenance(run: Run) -> dict[str, Any]:
    config = config_lib.flatten(run.config)
    return {
        "name": run.name,
        "config": dict(sorted(config.items())),
        "changed": _changed(config),
        "noise": _noise_facts(run.provenance),
        "seeds": {key: value for key, value in sorted(config.items()) if key.split(".")[-1].endswith("seed")},
        "starts": [_start(start) for start in run.starts],
        "rows": run.rows,
    }


def _changed(config: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a flat config that differ from the defaults."""
    defaults = json.loads(json.dumps(config_lib.flatten(config_lib.defaults().to_dict())))
    return {
        key: value for key, value in sorted(config.items()) if key not in defaults or defaults[key] != value
    }


def _markdown(text: str) -> str:
    """The tables of table.md as HTML, in which only its own line breaks are markup."""
    html = markdown_it.MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    html = html.replace("&lt;br&gt;", "<br>").replace("<h2>", "<h3>").replace("</h2>", "</h3>")
    opening = '<div class="scroll" role="region" tabindex="0" aria-label="Table"><table>'
    return html.replace("<table>", opening).replace("</table>", "</table></div>")


def _title(found: Sequence[Run]) -> dict[str, str]:
    """What the runs are, in two lines: what they have in common."""

    def of(section: str) -> str:
        names = dict.fromkeys(run.config[section]["name"] for run in found)
        if len(names) > 3:
            return f"{len(names)} kinds of {section}"
        *others, last = names
        return f"{', '.join(others)} and {last}" if others else last

    rates = sorted(run.noise.realised_rate for run in found)
    rate = f"{rates[0]:.3f}" if rates[-1] - rates[0] < 5e-4 else f"{rates[0]:.3f} to {rates[-1]:.3f}"
    count = "" if len(found) == 1 else f"{len(found)} runs; "
    return {
        "heading": f"{of('loss')} on {of('data')}",
        "subtitle": f"{count}{of('noise')} noise, realised rate {rate}; {of('model')}, {of('optimizer')}",
    }


def _noise_facts(noise: Mapping[str, Any]) -> dict[str, Any]:
    """noise.json without what is drawn."""
    convention = {("model" if key == "name" else key): value for key, value in noise["convention"].items()}
    drawn = ("convention", "class_rates", "transition_counts")
    rest = {
        key.replace("_", " "): round(value, 6) if isinstance(value, float) else value
        for key, value in noise.items()
        if key not in drawn
    }
    return {**convention, **{key: value for key, value in rest.items() if value is not None}}


def _machine(start: Mapping[str, Any]) -> dict[str, Any]:
    """What starts on the same machine with the same versions have in common."""
    return {key: value for key, value in _start(start).items() if key not in ("time", "command", "from step")}


def _start(start: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of environment.json, flat."""
    time = start["time"].replace("T", " ")
    flat = {**start, "time": time, "command": " ".join(start["command"]), **start["packages"]}
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
        "label": "train accuracy, intact",
        "value": cell(last["train_accuracy_intact"]),
        "note": f"{cell(last['train_accuracy_noisy'])} on noisy labels",
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
