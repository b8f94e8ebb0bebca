"""`--mode=tune`: compares candidates on held-out noisy labels, and trains the one that is taken."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from grjax import config as config_lib
from grjax.config.files import ConfigFile
from grjax.errors import ConfigError, WorkdirError
from grjax.paths import as_path
from grjax.progress import plain_console
from grjax.registry import closest
from grjax.sweep import Sweep, workers
from grjax.sweep.definition import OPTIONS
from grjax.tune import candidates, choice, page, space
from grjax.tune.candidates import Plan
from grjax.tune.definition import Tune, options
from grjax.workdir import layout
from grjax.workdir.files import write_json, write_text
from grjax.workdir.folder import check_name


def tune(
    base: ConfigDict,
    workdir: str | os.PathLike[str],
    how: Tune | None = None,
    *,
    sweep: Sweep | None = None,
    running: dict[str, Any] | None = None,
    command: Sequence[str] = (),
    dry_run: bool = False,
) -> dict[str, Any]:
    """Chooses a loss and its hyper-parameters for noisy labels, and trains with them; or goes on with that.

    The candidates are trained without a part of the training examples, whose labels are as noisy as the
    others, and compared on that part: neither test data nor right labels are looked at. Then what is taken
    is trained on everything. The workdir is that of this run; in its folder `tune` are the candidates' runs,
    and beside it tune.json and tune.md. Killed at any time, the same call goes on.

    Args:
      base: a whole config, from `grjax.config.resolve`.
      workdir: of the run in the end.
      how: what is held out and compared; None: the defaults.
      sweep: candidates of one's own, its trials: overrides of `base`, of which some may be Optuna
        distributions. None: those of `grjax.tune.space`.
      running: how the candidates are trained: `execution`, `chunk`, `workers` … of `grjax.sweep.Sweep`.
      command: that starts another worker, where there are several.
      dry_run: say what would be done, and run nothing.

    Returns:
      What tune.json holds; of a dry run nothing.

    Raises:
      ConfigError: an impossible config or option.
      WorkdirError: the folder holds another run, or other candidates.
      SweepFailedError: no candidate has a result.
      PreemptedError, CtrlCError: SIGTERM or Ctrl-C came; the state is saved.
    """
    from grjax.train import train_and_evaluate

    workdir, how = as_path(workdir), how or Tune()
    planned = candidates.plan(base, how, sweep, running or {})
    folder = workdir / layout.TUNE
    check_name(workdir)
    if (workdir / layout.CONFIG).exists() and not folder.exists():
        raise WorkdirError(f"--workdir={workdir}: holds a run that tune did not begin; take another folder")
    if dry_run:
        candidates.train(planned, folder, dry_run=True)
        return {}
    with _helped(planned, folder, command):
        tried = candidates.train(planned, folder)
    verdict = choice.decide(tried, how.ties, space.own(base))
    found = page.as_json(verdict)
    write_json(workdir / layout.TUNED, found, indent=1)
    write_text(workdir / layout.TUNED_PAGE, page.markdown(verdict))
    plain_console(soft_wrap=True).print(page.text(verdict))
    if how.train:
        config = config_lib.resolve(base, config_lib.unflatten(found["overrides"]))
        train_and_evaluate(config, workdir)  # its times are its own
    return found


def tune_file(
    file: ConfigFile,
    overrides: Mapping[str, Any],
    workdir: Path,
    command: Sequence[str],
    *,
    dry_run: bool,
) -> None:
    """What `--mode=tune` does with a config file and --config.KEY=VALUE.

    Args:
      file: with `get_config`, or with `get_sweep`, whose trials are then the candidates.
      overrides: dotted keys; 'tune.KEY' are those of `Tune`, 'sweep.KEY' say how the candidates are trained.
      workdir: see `tune`.
      command: see `tune`.
      dry_run: see `tune`.

    Raises:
      ConfigError: an unknown key, or what `tune` refuses.
    """
    own = {"tune": options(), "sweep": OPTIONS}
    parts: dict[str, dict[str, Any]] = {"tune": {}, "sweep": {}, "": {}}
    for key, value in overrides.items():
        section, _, rest = key.partition(".")
        if section not in own:
            parts[""][key] = value
        elif rest in own[section]:
            parts[section][rest] = value
        else:
            raise ConfigError(f"{key}: unknown key; {closest(rest, own[section])}")
    sweep = file.sweep.with_overrides(parts[""]) if file.has_sweep else None
    base = sweep.base if sweep is not None else file.config
    tune(
        config_lib.resolve(base, config_lib.unflatten({} if sweep else parts[""])),
        workdir,
        Tune(**parts["tune"]),
        sweep=sweep,
        running=({key: getattr(sweep, key) for key in OPTIONS} if sweep else {}) | parts["sweep"],
        command=command,
        dry_run=dry_run,
    )


def _helped(planned: Plan, folder: Path, command: Sequence[str]) -> AbstractContextManager[None]:
    """Other workers beside this process, if the sweep has more than one."""
    if planned.sweep.workers == 1:
        return nullcontext()
    # Where a sweep selects, `workers` does not take the folder for that of its trials.
    return workers.others(dataclasses.replace(planned.sweep, select=planned.select), folder, command)
