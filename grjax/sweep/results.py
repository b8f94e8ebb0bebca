"""results.jsonl: a line for each trial that has ended, with its whole config and what it ran on."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from grjax.paths import as_path
from grjax.workdir import layout
from grjax.workdir.files import read_json, write_text
from grjax.workdir.metrics_file import read_rows

Result = dict[str, Any]


def read(folder: str | os.PathLike[str]) -> list[Result]:
    """The results of a sweep so far, by trial number.

    Each is {'trial': number, 'overrides': what the trial sets, 'config': the whole config, 'state':
    'complete' or 'failed', 'error': of a failed one, else None, 'summary': its summary.json, or None,
    'workdir': of the run, relative to the folder, 'environment': versions and devices of its last start,
    'group': number of the group of trials that share its compiled programs}.
    """
    return read_rows(as_path(folder) / "results.jsonl")


def add(folder: Path, results: Mapping[int, Result]) -> None:
    """Adds results, or replaces those of the same trials; safe among several workers on one folder."""
    with exclusive(folder / ".results.lock"):
        every = {result["trial"]: result for result in read(folder)} | dict(results)
        lines = [json.dumps(every[number]) + "\n" for number in sorted(every)]
        write_text(folder / "results.jsonl", "".join(lines))


def collect(
    number: int, overrides: Mapping[str, Any], workdir: Path, *, group: int, error: str | None
) -> Result:
    """The result of a trial, from its run's folder.

    Args:
      number: of the trial.
      overrides: of the trial.
      workdir: its run's folder, 'trials/NNNN' in the sweep's.
      group: its number.
      error: that ended it; None: it is complete.
    """
    config, summary, environment = (
        read_json(workdir / name) if (workdir / name).exists() else None
        for name in (layout.CONFIG, layout.SUMMARY, layout.ENVIRONMENT)
    )
    return {
        "trial": number,
        "overrides": dict(overrides),
        "config": config,
        "state": "complete" if error is None else "failed",
        "error": error,
        "summary": summary,
        "workdir": f"trials/{workdir.name}",
        "environment": environment[-1] if environment else None,
        "group": group,
    }


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Within it no other process is within it for the same file; waits until that is so."""
    with open(path, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
