"""Choosing hyper-parameters on validation data, then training on everything with what was chosen.

The protocol of the Gradient Rescaling paper: a fifth of the training set is held out with clean labels, the
rest is corrupted and trained on with every candidate; the best on the held-out part is trained again on all
of it. A stricter one corrupts the held-out labels too, since nobody has clean ones: `validation_noisy_…`.
"""

import dataclasses
import json
import statistics
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from grjax.errors import ConfigError
from grjax.registry import closest
from grjax.sweep.statistics import SEEDS
from grjax.sweep.table import Overrides
from grjax.workdir.files import read_json, write_json

_HOLDING_OUT = ("data.validation_fraction", "data.validation_labels")


@dataclasses.dataclass(frozen=True)
class Search:
    """Candidates that an Optuna sampler draws, of which those that are behind are given up.

    Attributes:
      num_trials: how many candidates of each choice, those that were pruned or failed among them.
      sampler: 'tpe' learns from the scores so far, 'random' does not.
      pruner: 'median' gives up what is below the median of the others at the same step, 'none' nothing.
      warmup_steps: training steps before which nothing is given up.
      seed: of the sampler; a draw depends on it and on the number of the trial.
    """

    num_trials: int
    sampler: Literal["tpe", "random"] = "tpe"
    pruner: Literal["median", "none"] = "median"
    warmup_steps: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_trials < 1:
            raise ConfigError(f"select.search.num_trials: must be at least 1, got {self.num_trials}")
        for key, known in (("sampler", ("tpe", "random")), ("pruner", ("median", "none"))):
            if getattr(self, key) not in known:
                raise ConfigError(
                    f"select.search.{key}: must be one of {', '.join(known)}, got {getattr(self, key)!r}"
                )


@dataclasses.dataclass(frozen=True)
class Select:
    """What a sweep selects, and on what. Trials that agree in all but seeds and `among` are a choice.

    Attributes:
      among: keys of the trials' overrides whose values are the candidates, as `("loss.beta",)`.
      search: instead of `among`: candidates are drawn by an Optuna sampler, for the keys for which trials
        have an Optuna distribution in place of a value.
      metric: a key of summary.json of a validation split: `validation_accuracy_last`, or of held-out noisy
        labels `validation_noisy_accuracy_last`. Never of the test split.
      fraction: of the training set that is held out while candidates are compared; 0 where the data set has a
        validation split of its own.
      seeds: overrides, one a repetition of each candidate; empty: those of the trials. Others than those of
        the trials are better: what is chosen then owes nothing to the noise that it is judged on.
    """

    among: Sequence[str] = ()
    search: Search | None = None
    metric: str = "validation_accuracy_last"
    fraction: float = 0.2
    seeds: Sequence[Overrides] = ()

    def __post_init__(self) -> None:
        if not self.metric.startswith("validation_"):
            raise ConfigError(
                "select.metric: must be of a validation split, as 'validation_accuracy_last', got "
                f"{self.metric!r}; what is chosen on test data cannot be judged on it"
            )
        known = [
            f"{split}_accuracy_{kind}"
            for split in ("validation", "validation_noisy")
            for kind in ("last", "best")
        ]
        if self.metric not in known:
            raise ConfigError(f"select.metric: unknown metric {self.metric!r}; {closest(self.metric, known)}")
        if bool(self.among) == (self.search is not None):
            raise ConfigError(
                "select: must have candidates, among keys of the trials or by a search, one of both"
            )
        if set(self.among) & set(SEEDS):
            raise ConfigError(f"select.among: must be hyper-parameters, no seeds, got {tuple(self.among)}")
        if not 0 <= self.fraction < 1:
            raise ConfigError(f"select.fraction: must be in [0, 1), got {self.fraction}")
        for seeds in self.seeds:
            if not set(seeds) <= set(SEEDS):
                raise ConfigError(f"select.seeds: must set some of {', '.join(SEEDS)}, got {dict(seeds)}")

    def keys(self, trial: Overrides) -> set[str]:
        """The keys of a trial whose values are chosen."""
        if self.search is None:
            return set(self.among) & trial.keys()
        from optuna.distributions import BaseDistribution

        return {key for key, value in trial.items() if isinstance(value, BaseDistribution)}

    def held_out(self) -> dict[str, Any]:
        """The overrides that hold data out of training."""
        noisy = {"data.validation_labels": "noisy"} if self.metric.startswith("validation_noisy_") else {}
        return noisy | ({"data.validation_fraction": self.fraction} if self.fraction else {})


@dataclasses.dataclass(frozen=True)
class Candidate:
    """What may be chosen.

    Attributes:
      overrides: values of the keys that are chosen among.
      scores: the metric of each repetition that is complete.
      failed: how many repetitions ended in an error.
      pruned: how many were given up, being behind the others.
    """

    overrides: Overrides
    scores: Sequence[float] = ()
    failed: int = 0
    pruned: int = 0


@dataclasses.dataclass(frozen=True)
class Choice:
    """A setting for which hyper-parameters are chosen.

    Attributes:
      setting: the overrides that its trials share.
      candidates: what they are chosen from, in the order of the trials.
      seeds: of its trials.
    """

    setting: Overrides
    candidates: Sequence[Candidate]
    seeds: Sequence[Overrides]

    @property
    def chosen(self) -> Overrides | None:
        """The candidate with the best mean score, the first of equals; the only one there is without a score.

        One of which a repetition failed or was pruned is not chosen. None: no candidate is left.
        """
        if len(self.candidates) == 1:
            return self.candidates[0].overrides
        left = [each for each in self.candidates if each.scores and not each.failed and not each.pruned]
        return max(left, key=lambda each: statistics.fmean(each.scores)).overrides if left else None


def choices(select: Select, trials: Sequence[Overrides]) -> list[Choice]:
    """The choices that the trials of a sweep hold, in their order, without scores.

    A search has one candidate, the space itself, if there is any.

    Raises:
      ConfigError: a key that no trial sets, or no space for a search.
    """
    for key in select.among:
        if not any(key in trial for trial in trials):
            raise ConfigError(f"select.among: no trial sets {key!r}, there is nothing to choose")
    if not any(select.keys(trial) for trial in trials):
        raise ConfigError("select.search: no trial has an Optuna distribution, there is nothing to search")
    found: dict[str, tuple[Overrides, dict[str, Candidate], dict[str, Overrides]]] = {}
    for trial in trials:
        setting = _without(trial, {*SEEDS, *select.keys(trial)})
        _, candidates, seeds = found.setdefault(as_text(setting), (setting, {}, {}))
        values, seed = _only(trial, select.keys(trial)), _only(trial, SEEDS)
        candidates.setdefault(as_text(values), Candidate(values))
        seeds.setdefault(as_text(seed), seed)
    result = [
        Choice(setting, list(candidates.values()), list(seeds.values()))
        for setting, candidates, seeds in found.values()
    ]
    for choice in result:
        if select.search is not None and len(choice.candidates) > 1:
            raise ConfigError(
                f"select.search: there must be one space for {dict(choice.setting)}, got several"
            )
    return result


def comparing_trials(select: Select, trials: Sequence[Overrides]) -> list[dict[str, Any]]:
    """The first phase: every candidate of every choice that is one, with a part of the data held out."""
    return [
        {**choice.setting, **candidate.overrides, **seeds, **select.held_out()}
        for choice in choices(select, trials)
        if len(choice.candidates) > 1
        for candidate in choice.candidates
        for seeds in select.seeds or choice.seeds
    ]


def choose(select: Select, trials: Sequence[Overrides], lines: Sequence[Mapping[str, Any]]) -> list[Choice]:
    """The choices with the scores of the first phase.

    Args:
      select: of the sweep.
      trials: of the sweep, with every candidate.
      lines: of the first phase's results.jsonl.

    Raises:
      ConfigError: the runs have no such metric.
    """
    scores: dict[str, list[float]] = {}
    failed: dict[str, int] = {}
    for line in lines:
        what = as_text(_without(line["overrides"], {*SEEDS, *_HOLDING_OUT}))
        if line["state"] == "complete":
            scores.setdefault(what, []).append(score(select, line["summary"], line["trial"]))
        else:
            failed[what] = failed.get(what, 0) + 1

    def scored(setting: Overrides, candidate: Candidate) -> Candidate:
        what = as_text({**setting, **candidate.overrides})
        return Candidate(candidate.overrides, scores.get(what, []), failed.get(what, 0))

    return [
        dataclasses.replace(choice, candidates=[scored(choice.setting, each) for each in choice.candidates])
        for choice in choices(select, trials)
    ]


def score(select: Select, summary: Mapping[str, Any], trial: Any) -> float:
    """The metric that is selected on, from a run's summary.

    Raises:
      ConfigError: there is none of that name.
    """
    if select.metric not in summary:
        raise ConfigError(
            f"select.metric: {select.metric!r} is not in the summary of trial {trial}; "
            f"{closest(select.metric, summary)}"
        )
    return summary[select.metric]


def final_trials(made: Sequence[Choice]) -> list[dict[str, Any]]:
    """The second phase: each setting with what was chosen for it and with its seeds, on everything."""
    return [
        {**choice.setting, **choice.chosen, **seeds}
        for choice in made
        if choice.chosen is not None
        for seeds in choice.seeds
    ]


def write(select: Select, made: Sequence[Choice], path: Path) -> None:
    """Writes selection.json: what was chosen for each setting, and from what, scores and all."""
    content = {
        "metric": select.metric,
        "held_out": select.held_out(),
        "search": None if select.search is None else dataclasses.asdict(select.search),
        "choices": [
            {
                "setting": choice.setting,
                "chosen": choice.chosen,
                "seeds": choice.seeds,
                "candidates": [dataclasses.asdict(each) for each in choice.candidates],
            }
            for choice in made
        ],
    }
    write_json(path, content, indent=1)


def read(path: Path) -> list[Choice]:
    """The choices of a selection.json."""
    stored = read_json(path)["choices"]
    return [
        Choice(each["setting"], [Candidate(**candidate) for candidate in each["candidates"]], each["seeds"])
        for each in stored
    ]


def _without(overrides: Overrides, keys: Collection[str]) -> dict[str, Any]:
    return {key: value for key, value in overrides.items() if key not in keys}


def _only(overrides: Overrides, keys: Collection[str]) -> dict[str, Any]:
    return {key: value for key, value in overrides.items() if key in keys}


def as_text(overrides: Overrides) -> str:
    """The same for the same overrides, whatever their order, and whether tuples have become lists."""
    return json.dumps(overrides, sort_keys=True, default=repr)
