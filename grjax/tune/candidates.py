"""Training the candidates with a part of the noisy labels held out, and what they predict for that part."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from grjax import config as config_lib
from grjax import experiment as experiment_lib
from grjax.errors import ConfigError
from grjax.sweep import folder as folder_lib
from grjax.sweep import phases, results, search, selection
from grjax.sweep.definition import Sweep
from grjax.sweep.selection import Search, Select
from grjax.sweep.statistics import SEEDS
from grjax.tune import space
from grjax.tune.definition import Tune
from grjax.workdir import layout, predictions
from grjax.workdir.files import read_json

_METRIC = "validation_noisy_accuracy_last"
_SPLIT = "validation_noisy"
# Keys that candidates have in common, or their held-out labels would be others.
_DATA = ("data.name", "data.dir", "data.test_", "data.validation_", "imbalance", "noise", "open_set")
# What candidates keep: what they predict, of which the comparison is made, and little else.
_KEPT = {"keep_predictions": True, "keep_checkpoints": 1, "dynamics": False, "tensorboard": False}


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is compared, and how.

    Attributes:
      base: the config that the candidates differ from.
      sweep: with a trial for each candidate, or for each space of them.
      select: on noisy labels that are held out.
    """

    base: ConfigDict
    sweep: Sweep
    select: Select


@dataclasses.dataclass(frozen=True)
class Candidate:
    """What was tried.

    Attributes:
      overrides: of the config.
      error: why it has no result, None: it has one.
      workdirs: of its R trainings.
      classes: predicted for the held-out examples at the end, [R, N]; of one without a result [0, 0].
      labels: given to them, [R, N].
      fit: accuracy on the labels that it was trained on, the mean of the trainings.
    """

    overrides: Mapping[str, Any]
    error: str | None
    workdirs: tuple[Path, ...] = ()
    classes: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 0), int))
    labels: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 0), int))
    fit: float = 0.0

    @property
    def score(self) -> float:
        """Accuracy on the held-out noisy labels, the mean of the trainings."""
        return float((self.classes == self.labels).mean())


def plan(base: ConfigDict, tune: Tune, sweep: Sweep | None, options: Mapping[str, Any]) -> Plan:
    """What `--mode=tune` compares.

    Args:
      base: from `grjax.config.resolve`.
      tune: its options.
      sweep: a config file's own candidates, its trials; None: those of `grjax.tune.space`.
      options: of the sweep that trains them, as `{'workers': 2}`.

    Raises:
      ConfigError: an impossible config, held-out data in it, other data in the trials, or a single candidate.
    """
    if base.data.validation_fraction or base.data.validation_labels != "clean":
        raise ConfigError(
            "data.validation_fraction: must be left out, tune holds out a part of the noisy labels itself: "
            f"tune.fraction={tune.fraction}"
        )
    experiment_lib.check(base)
    if sweep is None:
        sweep = Sweep(base, space.spaces(base) if tune.trials else space.grid(base))
    trials = sweep.trials
    for number, trial in enumerate(trials):
        for key in trial:
            if key.startswith(_DATA) and key not in SEEDS:
                raise ConfigError(
                    f"trial {number}: {key}: must be left out, all candidates are compared on the same data"
                )
    seeds = [
        {"init_seed": base.init_seed + k, "order_seed": base.order_seed + k} for k in range(tune.repetitions)
    ]
    own_seeds = any(key in trial for trial in trials for key in SEEDS)
    if own_seeds and tune.repetitions > 1:
        raise ConfigError("tune.repetitions: must be 1, the trials of the config file set their seeds")
    drawn = any(not _plain(value) for trial in trials for value in trial.values())
    search_plan, among = None, tuple({key: None for trial in trials for key in trial if key not in SEEDS})
    if drawn:
        of_file = None if sweep.select is None else sweep.select.search
        search_plan, among = of_file or Search(num_trials=tune.trials or 20), ()
    select = Select(
        among, search_plan, metric=_METRIC, fraction=tune.fraction, seeds=() if own_seeds else seeds
    )
    compared = Sweep(config_lib.resolve(base, _KEPT), list(trials), **options)
    if not drawn and len(selection.choices(select, trials)[0].candidates) < 2:
        raise ConfigError("tune: there must be two candidates or more to choose from, got one")
    return Plan(base, compared, select)


def train(planned: Plan, folder: Path, *, dry_run: bool = False) -> list[Candidate]:
    """Trains the candidates, or goes on with them; returns what they predict for the held-out examples.

    Args:
      planned: what is compared.
      folder: of their runs.
      dry_run: say what would be done, run nothing, and return no candidate.

    Raises:
      ConfigError, WorkdirError, PreemptedError, CtrlCError: see `grjax.sweep.phases.compared`.
    """
    sweep, select = planned.sweep, planned.select
    if not dry_run:
        folder.mkdir(parents=True, exist_ok=True)
    choices = phases.compared(sweep, select, folder, dry_run)
    if dry_run:
        return []
    ran = selection.comparing_trials(select, sweep.trials) if select.search is None else []
    errors = {line["trial"]: line["error"] for line in results.read(folder)}
    found = []
    for choice in choices:
        for each in choice.candidates:
            overrides = {**choice.setting, **each.overrides}
            workdirs, error = [], None
            for seeds in select.seeds or choice.seeds:
                run = {**overrides, **seeds, **select.held_out()}
                if select.search is None:
                    number = ran.index(run)
                    workdirs.append(folder_lib.workdir_of(folder, number))
                    error = error or errors.get(number)
                else:
                    workdirs.append(search.workdir_of(folder, run))
            if each.pruned:
                error = "given up, being behind the others"
            elif each.failed:
                error = error or "failed"
            found.append(Candidate(overrides, error) if error else _read(overrides, workdirs))
    return found


def _read(overrides: Mapping[str, Any], workdirs: list[Path]) -> Candidate:
    """A candidate whose runs are finished, with what they left."""
    held_out = [predictions.read(workdir).splits[_SPLIT] for workdir in workdirs]
    summaries = [read_json(workdir / layout.SUMMARY) for workdir in workdirs]
    return Candidate(
        overrides,
        None,
        tuple(workdirs),
        classes=np.stack([each.classes[-1] for each in held_out]),
        labels=np.stack([each.labels for each in held_out]),
        fit=float(np.mean([each["train_accuracy_noisy"] for each in summaries])),
    )


def _plain(value: Any) -> bool:
    """Whether a trial sets a value, not a distribution to draw one from."""
    return not type(value).__module__.startswith("optuna.")
