"""The folder of a run: whose it is, and what is written there beside what the loop measures."""

import dataclasses
import datetime
import fcntl
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from grjax import __version__, first_edition, host
from grjax import config as config_lib
from grjax.errors import BusyError, ConfigError, WorkdirError
from grjax.noise import NoisyLabels
from grjax.paths import as_path
from grjax.workdir import layout
from grjax.workdir.files import read_json, write_json, write_text

# What changes no result does not make another run.
NOT_PART_OF_THE_RUN = (
    "data.dir",
    "data.feed",
    "data.workers",
    "evaluate_start",
    "keep_checkpoints",
    "keep_predictions",
    "mlflow",
    "noise.path",
    "open_set.dir",
    "profile",
    "tensorboard",
    "wandb",
)


def open_for(config: ConfigDict, workdir: Path) -> None:
    """Makes the folder the run's own, or checks that it is.

    Raises:
      WorkdirError: it cannot be written, or belongs to a run of another config.
    """
    check_name(workdir)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        probe = workdir / f".write_test_{jax.process_index()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise WorkdirError(f"--workdir={workdir}: cannot be written: {error.strerror}") from error
    asked = json.loads(_as_json(config))
    if (workdir / layout.CONFIG).exists():
        stored, first = _config_and_edition(workdir)
        differing = difference(stored, asked)
        if differing:
            version = _begun_by(workdir / layout.ENVIRONMENT)
            if version not in (None, __version__):
                differing.append(f"grjax {version} began it, this is {__version__}")
            raise WorkdirError(
                f"--workdir={workdir}: holds a run of another config ({'; '.join(differing)}); "
                "take another --workdir, start that run again with its own config, or delete the folder"
            )
        if first and not (workdir / layout.SUMMARY).exists():
            raise WorkdirError(
                f"--workdir={workdir}: grjax 0.1 began the run, and this version does not go on with it; "
                "it can be evaluated, audited and reported; to train, take another --workdir"
            )
    elif jax.process_index() == 0:
        write_text(workdir / layout.CONFIG, _as_json(config))


def check_name(workdir: Path) -> None:
    """Raises `WorkdirError` unless checkpoints can be written below a folder of this name."""
    try:
        os.fspath(workdir.absolute()).encode()
    except UnicodeEncodeError as error:
        shown = os.fsencode(workdir).decode(errors="backslashreplace")
        raise WorkdirError(
            f"--workdir={shown}: its name must be UTF-8, checkpoints cannot be written there; take another"
        ) from error


def read_config(workdir: str | os.PathLike[str]) -> ConfigDict:
    """The config of the run in a folder, whichever version of grjax wrote it; what it lacks is as by default.

    Raises:
      WorkdirError: there is none, or it is damaged or has keys of another version.
    """
    return ConfigDict(_config_and_edition(as_path(workdir))[0]).lock()


def _config_and_edition(workdir: Path) -> tuple[dict[str, Any], bool]:
    """The config of the run in a folder, and whether grjax 0.1 wrote it."""
    try:
        kept = json.loads((workdir / layout.CONFIG).read_text(encoding="utf-8"))
    except OSError as error:
        raise WorkdirError(f"--workdir={workdir}: no run there: config.json: {error}") from error
    except ValueError as error:  # JSON, or UTF-8
        raise WorkdirError(f"--workdir={workdir}: config.json: is damaged: {error}") from error
    return todays_config(kept, workdir / layout.CONFIG, workdir / layout.ENVIRONMENT)


def todays_config(kept: Any, path: Path, environment: Path) -> tuple[dict[str, Any], bool]:
    """A config that was kept, perhaps by an earlier version: a key that it lacks has its default.

    Args:
      kept: the content of a file.
      path: of that file, for errors.
      environment: environment.json of a run of this config; it says which version began it.

    Returns:
      The config as JSON has it, and whether grjax 0.1 wrote it.

    Raises:
      WorkdirError: it is no config, or has a key or a value that this version does not take.
    """
    if not isinstance(kept, dict):
        raise WorkdirError(f"{path}: is damaged: must hold keys and values, got {type(kept).__name__}")
    first = first_edition.began(kept)
    try:
        config = config_lib.resolve(first_edition.today(kept) if first else kept)
    except ConfigError as error:
        version = _begun_by(environment)
        wrote = "another version of grjax" if version is None else f"grjax {version}"
        raise WorkdirError(
            f"{path}: {error}; {wrote} wrote it, this is {__version__}: "
            "install the version that wrote it, or take another --workdir"
        ) from error
    return json.loads(_as_json(config)), first


def _begun_by(environment: Path) -> str | None:
    """The version of grjax that began a run; None: its environment.json does not say."""
    try:
        return str(read_json(environment)[0]["packages"]["grjax"])
    except (WorkdirError, LookupError, TypeError):
        return None


def keep_noise(
    noise: NoisyLabels, class_names: Sequence[str], workdir: Path, *, new: bool, write: bool = True
) -> None:
    """Stores the noise of a new run; checks that one that goes on, or was looked at before, has the same.

    Args:
      noise: of the training split.
      class_names: C.
      workdir: of the run.
      new: whether the run begins, and the noise need not be there.
      write: whether this process writes; of several, one does.

    Raises:
      WorkdirError: other noise is there, or none where there must be.
    """
    if not new or (workdir / layout.NOISE).exists():
        noise.check_equals(workdir / layout.NOISE)
    elif write:
        noise.save(workdir / layout.NOISE)
    if write:
        summary = {**noise.summary(), "class_names": list(class_names)}
        write_json(workdir / layout.NOISE_SUMMARY, summary, indent=None)


def read_summary(workdir: Path) -> dict[str, Any] | None:
    """The summary of a finished run; None if it is not finished."""
    path = workdir / layout.SUMMARY
    return read_json(path) if path.exists() else None


@contextmanager
def locked(workdir: Path) -> Iterator[None]:
    """Within it, no other process trains in the folder; the lock goes with the process, however it ends.

    Raises:
      BusyError: another process is training there.
    """
    with open(workdir / layout.LOCK, "w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BusyError(f"--workdir={workdir}: another process is training there") from error
        yield


def record_start(workdir: Path, step: int) -> dict[str, Any]:
    """Appends to environment.json what this start of the run, from `step`, runs on; returns that."""
    path = workdir / layout.ENVIRONMENT
    starts = read_json(path) if path.exists() else []
    packages = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "tensorflow-datasets")
    tuning = host.tuned()
    starts.append(
        {
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "from_step": step,
            "command": sys.argv,
            "python": platform.python_version(),
            "packages": {"grjax": __version__, **{name: _version(name) for name in packages}},
            "platform": platform.platform(),
            "cpu_count": os.cpu_count(),
            "backend": jax.default_backend(),
            "devices": [device.device_kind for device in jax.devices()],
            "processes": jax.process_count(),
            "xla_flags": os.environ.get("XLA_FLAGS", ""),
            "host": None if tuning is None else dataclasses.asdict(tuning),
        }
    )
    write_json(path, starts)
    return starts[-1]


def _version(package: str) -> str | None:
    """None: not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _as_json(config: ConfigDict) -> str:
    return json.dumps(config.to_dict(), indent=2, sort_keys=True) + "\n"


def difference(stored: dict[str, Any], asked: dict[str, Any]) -> list[str]:
    """Which keys differ, as 'loss.beta: 8.0 there, 12.0 here'."""
    there, here = config_lib.flatten(stored), config_lib.flatten(asked)
    return [
        f"{key}: {there.get(key, 'not set')} there, {here.get(key, 'not set')} here"
        for key in sorted(there.keys() | here.keys())
        if key not in NOT_PART_OF_THE_RUN and there.get(key) != here.get(key)
    ]
