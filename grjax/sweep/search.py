"""The first phase of a selection whose candidates an Optuna sampler draws, pruned on held-out data."""

import dataclasses
import hashlib
import json
import math
import statistics
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grjax import config as config_lib
from grjax.errors import BusyError, PreemptedError, WorkdirError
from grjax.metrics import Row
from grjax.progress import Display
from grjax.sweep.definition import Sweep, describe
from grjax.sweep.programs import Shared
from grjax.sweep.results import exclusive
from grjax.sweep.selection import Candidate, Choice, Overrides, Search, Select, as_text, choices, score
from grjax.together import Alone
from grjax.train import train_together
from grjax.workdir.files import read_json, write_json

if TYPE_CHECKING:
    import optuna


def search(sweep: Sweep, select: Select, folder: Path) -> list[Choice]:
    """Searches the space of each choice of a sweep, or goes on with it; returns the choices with scores.

    Each choice is an Optuna study in the folder's storage, each of its trials as many runs as there are
    seeds. Several processes may search at a time. A trial that was stopped is taken up again with the
    same values, from its checkpoints; one whose process was killed only once its heartbeat is missed, and
    in a journal, which has none, never: another one is drawn.

    Args:
      sweep: with spaces in its trials.
      select: with a `search`.
      folder: of the search.

    Raises:
      ConfigError: see `selection.choices`.
      WorkdirError: the folder holds another search.
      PreemptedError, CtrlCError: SIGTERM or Ctrl-C came; the state is saved.
    """
    shared, planned = Shared(), choices(select, sweep.trials)
    name = _open_for(sweep, select, planned, folder)
    return [
        _searched(sweep, select, choice, folder=folder, name=name, shared=shared)
        if choice.candidates[0].overrides
        else choice
        for choice in planned
    ]


def example(trial: Overrides) -> dict[str, Any]:
    """A trial with a value of each space in its place, to see whether it is possible."""

    def value(of: Any) -> Any:
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        match of:
            case CategoricalDistribution():
                return of.choices[0]
            case FloatDistribution() | IntDistribution():
                return of.low
        return of

    return {key: value(of) for key, of in trial.items()}


def workdir_of(folder: Path, overrides: Overrides) -> Path:
    """The folder of a run: by content, so that a trial that is taken up again finds its checkpoints.

    Args:
      folder: of the search.
      overrides: of the run, those that hold data out among them.
    """
    return folder / "runs" / hashlib.sha256(as_text(overrides).encode()).hexdigest()[:16]


def _open_for(sweep: Sweep, select: Select, planned: Sequence[Choice], folder: Path) -> str:
    """Makes the folder the search's own, or checks that it is; returns a name that no other search has."""
    spaces = [[as_text(each.setting), as_text(each.candidates[0].overrides)] for each in planned]
    asked: dict[str, Any] = {
        "metric": select.metric, "held_out": select.held_out(), "spaces": spaces,
    }  # fmt: skip
    asked |= dataclasses.asdict(select)["search"]
    asked |= {
        "base": config_lib.resolve(sweep.base).to_dict(),
        "seeds": [dict(each) for each in select.seeds],
    }
    asked = json.loads(json.dumps(asked))  # tuples are lists there
    path = folder / "search.json"
    with exclusive(folder / ".search.lock"):
        if not path.exists():
            content = {"name": f"{folder.absolute().parent.name}-{uuid.uuid4().hex[:8]}", **asked}
            write_json(path, content, indent=1)
    stored = read_json(path)
    differing = [key for key, value in asked.items() if stored.get(key) != value]
    if differing:
        raise WorkdirError(
            f"{folder}: holds another search ({', '.join(differing)} differ); take another --workdir"
        )
    return stored["name"]


def _searched(
    sweep: Sweep, select: Select, choice: Choice, *, folder: Path, name: str, shared: Shared
) -> Choice:
    """The choice with what was drawn as its candidates."""
    import optuna

    from grjax.sweep.queue import open_storage  # Optuna takes a second

    plan = select.search
    assert plan is not None
    space = choice.candidates[0].overrides
    study = optuna.create_study(
        storage=open_storage(folder, sweep),
        study_name=f"{name}: {describe(choice.setting)}",
        sampler=_sampler(plan.sampler, plan.seed),
        pruner=_pruner(plan),
        direction="maximize",
        load_if_exists=True,
    )

    def objective(trial: "optuna.Trial") -> float:
        # A draw depends on the trial's number: no process and no restart draws what another one drew.
        study.sampler = _sampler(plan.sampler, plan.seed + 1 + trial.number)
        values = {key: _suggest(trial, key, distribution) for key, distribution in space.items()}
        try:
            scores = [
                _score(
                    sweep,
                    select,
                    {**choice.setting, **values, **seeds},
                    trial=trial if k == 0 else None,  # Optuna prunes by one course of values
                    folder=folder,
                    shared=shared,
                )
                for k, seeds in enumerate(select.seeds or choice.seeds)
            ]
        except optuna.TrialPruned:
            raise
        except (PreemptedError, KeyboardInterrupt):
            study.enqueue_trial(values)
            raise
        except Exception as error:
            trial.set_user_attr("error", f"{type(error).__name__}: {error}")
            return math.nan  # to Optuna a failed trial; the others go on
        trial.set_user_attr("scores", scores)
        return statistics.fmean(scores)

    def stop_if_done(study: "optuna.Study", trial: Any) -> None:
        if len(_ended(study)) >= plan.num_trials:
            study.stop()

    if len(_ended(study)) < plan.num_trials:
        study.optimize(objective, callbacks=[stop_if_done])
    return Choice(choice.setting, [_candidate(t) for t in _ended(study)[: plan.num_trials]], choice.seeds)


def _score(
    sweep: Sweep,
    select: Select,
    overrides: Overrides,
    *,
    trial: "optuna.Trial | None",
    folder: Path,
    shared: Shared,
) -> float:
    """Trains a candidate on the part that is not held out, and returns its metric.

    Args:
      sweep: that selects.
      select: its selection.
      overrides: of the run, seeds and candidate.
      trial: that may be pruned meanwhile; None: it runs to its end.
      folder: of the search.
      shared: compiled programs.
    """
    import optuna

    overrides = {**overrides, **select.held_out()}
    config = config_lib.resolve(sweep.base, config_lib.unflatten(overrides))
    column = select.metric.removesuffix("_last").removesuffix("_best")

    def on_row(row: Row) -> None:
        if trial is not None and row["step"] > 0:
            trial.report(row[column], row["step"])
            if trial.should_prune():
                raise optuna.TrialPruned

    workdir = workdir_of(folder, overrides)
    programs = shared.programs(config, Alone())
    while True:
        try:
            [outcome] = train_together([shared.run(config, workdir, on_row)], programs, Display(quiet=True))
            break
        except BusyError:  # another worker has drawn the same values: its result is found here
            time.sleep(1)
    if isinstance(outcome, Exception):
        raise outcome
    return score(select, outcome, workdir.name)


def _ended(study: "optuna.Study") -> list["optuna.trial.FrozenTrial"]:
    """The trials that have come to an end of their own; those of a process that was killed have not."""
    from optuna.trial import TrialState

    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or "error" in trial.user_attrs
    ]


def _candidate(trial: "optuna.trial.FrozenTrial") -> Candidate:
    from optuna.trial import TrialState

    return Candidate(
        trial.params,
        scores=trial.user_attrs.get("scores", []),
        failed=int("error" in trial.user_attrs),
        pruned=int(trial.state == TrialState.PRUNED),
    )


def _suggest(trial: "optuna.Trial", key: str, space: Any) -> Any:
    """A value of a key from an Optuna distribution."""
    from optuna import distributions

    match space:
        case distributions.FloatDistribution():
            return trial.suggest_float(key, space.low, space.high, step=space.step, log=space.log)
        case distributions.IntDistribution():
            return trial.suggest_int(key, space.low, space.high, step=space.step, log=space.log)
        case _:
            return trial.suggest_categorical(key, space.choices)


def _sampler(name: str, seed: int) -> "optuna.samplers.BaseSampler":
    from optuna import samplers

    return samplers.TPESampler(seed=seed) if name == "tpe" else samplers.RandomSampler(seed=seed)


def _pruner(plan: Search) -> "optuna.pruners.BasePruner":
    from optuna import pruners

    if plan.pruner == "none":
        return pruners.NopPruner()
    return pruners.MedianPruner(n_warmup_steps=plan.warmup_steps)
