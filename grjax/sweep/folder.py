"""The folder of a sweep: whose it is.

sweep.json      its definition, and a name of its own
study.sqlite    Optuna's storage of its trials, or study.journal, or a database elsewhere
trials/NNNN/    an ordinary run for each trial, see `grjax.workdir.layout`
results.jsonl   a line for each trial that has ended, see `grjax.sweep.results`
.workers/       a locked file for each worker
worker_N.log    what workers print that another has started, see `grjax.sweep.workers`
"""

import uuid
from pathlib import Path

from grjax.errors import WorkdirError
from grjax.sweep.definition import Sweep, describe
from grjax.sweep.results import exclusive
from grjax.workdir import layout
from grjax.workdir.files import read_json, write_json
from grjax.workdir.folder import check_name, difference, todays_config


def open_for(sweep: Sweep, folder: Path) -> str:
    """Makes the folder the sweep's own, or checks that it is; returns the sweep's name.

    Raises:
      WorkdirError: it cannot be written, or holds another sweep or a run.
    """
    check_name(folder)
    try:
        (folder / layout.TRIALS).mkdir(parents=True, exist_ok=True)
        with exclusive(folder / ".queue.lock"):
            check(sweep, folder)
            path = folder / "sweep.json"
            if not path.exists():
                name = f"{folder.absolute().name}-{uuid.uuid4().hex[:8]}"
                write_json(path, {"name": name, **sweep.as_json()}, indent=1)
            return read_json(path)["name"]
    except OSError as error:
        raise WorkdirError(f"--workdir={folder}: cannot be written: {error.strerror}") from error


def check(sweep: Sweep, folder: Path) -> None:
    """Checks that a folder holds no other sweep, nor a run.

    Raises:
      WorkdirError: it does.
    """
    if (folder / layout.CONFIG).exists():
        raise WorkdirError(f"--workdir={folder}: holds a run; a sweep needs a folder of its own")
    if not (folder / "sweep.json").exists():
        return
    stored, asked = read_json(folder / "sweep.json"), sweep.as_json()
    if not isinstance(stored, dict) or not {"name", "base", "trials"} <= stored.keys():
        raise WorkdirError(f"{folder / 'sweep.json'}: is damaged: must hold name, base and trials")
    environment = workdir_of(folder, 0) / layout.ENVIRONMENT
    base, first = todays_config(stored["base"], folder / "sweep.json", environment)
    if first:
        raise WorkdirError(
            f"--workdir={folder}: grjax 0.1 began the sweep, and this version does not go on with it; "
            "it can be reported; to train, take another --workdir"
        )
    differing = difference(base, asked["base"])
    if len(stored["trials"]) != len(asked["trials"]):
        differing.append(f"trials: {len(stored['trials'])} there, {len(asked['trials'])} here")
    for number, (there, here) in enumerate(zip(stored["trials"], asked["trials"], strict=False)):
        if there != here:
            differing.append(f"trial {number}: {describe(there)} there, {describe(here)} here")
            break
    if differing:
        raise WorkdirError(
            f"--workdir={folder}: holds another sweep ({'; '.join(differing)}); take another --workdir, "
            "start that sweep again as it was, or delete the folder"
        )


def workdir_of(folder: Path, number: int) -> Path:
    """The folder of a trial's run."""
    return folder / layout.TRIALS / f"{number:04d}"
