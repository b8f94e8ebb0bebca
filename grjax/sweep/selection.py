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
from typing import Any

from grjax.errors import ConfigError
from grjax.metrics import write_whole
from grjax.registry import closest
from grjax.sweep.statistics import SEEDS

Overrides = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Select:
    """What a sweep selects, and on what. Trials that agree in all but seeds and `among` are a choice.

    Attributes:
      among: keys of the trials' overrides whose values are candidates, as `("loss.beta",)`.
      metric: a key of summary.json of a validation split: `validation_accuracy_last`, or of held-out noisy
        labels `validation_noisy_accuracy_last`. Never of the test split.
      fraction: of the training set that is held out while candidates are compared; 0 where the data set has a
        validation split of its own.
      seeds: overrides, one a repetition of each candidate; empty: those of the trials. Others than those of
        the trials are better: what is chosen then owes nothing to the noise that it is judged on.
    """

    among: Sequence[str]
    metric: str = "validation_accuracy_last"
    fraction: float = 0.2
    seeds: Sequence[Overrides] = ()

    def __post_init__(self) -> None:
        if not self.metric.startswith("validation_"):
            raise ConfigError(
                "select.metric: must be of a validation split, as 'validation_accuracy_last', got "
                f"{self.metric!r}; what is chosen on test data cannot be judged on it"
            )
        if not self.among or set(self.among) & set(SEEDS):
            raise ConfigError(f"select.among: must be hyper-parameters, no seeds, got {tuple(self.among)}")
        if not 0 <= self.fraction < 1:
            raise ConfigError(f"select.fraction: must be in [0, 1), got {self.fraction}")
        for seeds in self.seeds:
            if not set(seeds) <= set(SEEDS):
                raise ConfigError(f"select.seeds: must set some of {', '.join(SEEDS)}, got {dict(seeds)}")

    @property
    def noisy(self) -> bool:
        """Whether the held-out labels are corrupted too."""
        return self.metric.startswith("validation_noisy_")


@dataclasses.dataclass(frozen=True)
class Choice:
    """A setting for which hyper-parameters are chosen, and what they are chosen from.

    Attributes:
      setting: the overrides that its trials share.
      candidates: values of the keys that are chosen among, in the order of the trials.
      scores: for each candidate the metric of each repetition that is done; empty before there are any.
      failed: for each candidate how many repetitions ended in an error.
    """

    setting: Overrides
    candidates: Sequence[Overrides]
    scores: Sequence[Sequence[float]] = ()
    failed: Sequence[int] = ()

    @property
    def chosen(self) -> Overrides | None:
        """The candidate with the best mean score, the first of equals.

        One of which a repetition failed is not chosen. None: no candidate is left.
        """
        if len(self.candidates) == 1:
            return self.candidates[0]
        means = [
            statistics.fmean(scores) if scores and not failed else float("-inf")
            for scores, failed in zip(self.scores, self.failed, strict=True)
        ]
        best = max(means, default=float("-inf"))
        return self.candidates[means.index(best)] if best > float("-inf") else None


def choices(select: Select, trials: Sequence[Overrides]) -> list[Choice]:
    """The choices that the trials of a sweep hold, in their order, without scores.

    Raises:
      ConfigError: a key that no trial sets.
    """
    for key in select.among:
        if not any(key in trial for trial in trials):
            raise ConfigError(f"select.among: no trial sets {key!r}, there is nothing to choose")
    settings: dict[str, Overrides] = {}
    candidates: dict[str, dict[str, Overrides]] = {}
    for trial in trials:
        setting = _without(trial, (*SEEDS, *select.among))
        candidate = _only(trial, select.among)
        settings.setdefault(_text(setting), setting)
        candidates.setdefault(_text(setting), {}).setdefault(_text(candidate), candidate)
    return [Choice(setting, list(candidates[text].values())) for text, setting in settings.items()]


def comparing_trials(select: Select, trials: Sequence[Overrides]) -> list[dict[str, Any]]:
    """The first phase: every candidate of every choice that is one, with a part of the data held out."""
    held_out: dict[str, Any] = {"data.validation_fraction": select.fraction} if select.fraction else {}
    held_out |= {"data.validation_labels": "noisy"} if select.noisy else {}
    return [
        {**choice.setting, **candidate, **seeds, **held_out}
        for choice in choices(select, trials)
        if len(choice.candidates) > 1
        for candidate in choice.candidates
        for seeds in select.seeds or _seeds_of(choice, trials)
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
        what = _text(_without(line["overrides"], (*SEEDS, *_HOLDING_OUT)))
        if line["state"] == "complete":
            if select.metric not in line["summary"]:
                raise ConfigError(
                    f"select.metric: {select.metric!r} is not in the summary of trial {line['trial']}; "
                    f"{closest(select.metric, line['summary'])}"
                )
            scores.setdefault(what, []).append(line["summary"][select.metric])
        elif line["state"] == "failed":
            failed[what] = failed.get(what, 0) + 1
    result = []
    for choice in choices(select, trials):
        texts = [_text({**choice.setting, **candidate}) for candidate in choice.candidates]
        result.append(
            dataclasses.replace(
                choice,
                scores=[scores.get(text, []) for text in texts],
                failed=[failed.get(text, 0) for text in texts],
            )
        )
    return result


def final_trials(select: Select, trials: Sequence[Overrides], made: Sequence[Choice]) -> list[Overrides]:
    """The second phase: of the sweep's own trials, seeds and all, those with what was chosen."""
    wanted = {_text({**choice.setting, **choice.chosen}) for choice in made if choice.chosen is not None}
    return [trial for trial in trials if _text(_without(trial, SEEDS)) in wanted]


def report(select: Select, made: Sequence[Choice]) -> dict[str, Any]:
    """What selection.json holds: what was chosen for each setting, and from what, scores and all."""
    return {
        "metric": select.metric,
        "validation_fraction": select.fraction,
        "validation_labels": "noisy" if select.noisy else "clean",
        "among": list(select.among),
        "choices": [
            {
                "setting": dict(choice.setting),
                "chosen": None if choice.chosen is None else dict(choice.chosen),
                "candidates": [
                    {"overrides": dict(candidate), "scores": list(scores), "failed": failed}
                    for candidate, scores, failed in zip(
                        choice.candidates, choice.scores, choice.failed, strict=True
                    )
                ],
            }
            for choice in made
        ],
    }


def write_report(select: Select, made: Sequence[Choice], folder: Path) -> None:
    """Writes selection.json."""
    write_whole(folder / "selection.json", json.dumps(report(select, made), indent=1) + "\n")


_HOLDING_OUT = ("data.validation_fraction", "data.validation_labels")


def _seeds_of(choice: Choice, trials: Sequence[Overrides]) -> list[Overrides]:
    """The different seeds of the trials of a choice."""
    members = [_text({**choice.setting, **candidate}) for candidate in choice.candidates]
    inside = [_only(trial, SEEDS) for trial in trials if _text(_without(trial, SEEDS)) in members]
    return list({_text(seeds): seeds for seeds in inside}.values())


def _without(overrides: Overrides, keys: Collection[str]) -> dict[str, Any]:
    return {key: value for key, value in overrides.items() if key not in keys}


def _only(overrides: Overrides, keys: Collection[str]) -> dict[str, Any]:
    return {key: value for key, value in overrides.items() if key in keys}


def _text(overrides: Overrides) -> str:
    """The same for the same overrides, whatever their order, and whether tuples have become lists."""
    return json.dumps(overrides, sort_keys=True)
