"""Which candidate is taken, and which others noisy labels cannot tell from the best."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grjax.analysis import suspects
from grjax.errors import SweepFailedError
from grjax.tune.candidates import Candidate
from grjax.tune.definition import Ties
from grjax.tune.resolution import DEVIATIONS, WorstPair, kappa, kappa_of_pairs, paired, resolution
from grjax.workdir import layout, predictions
from grjax.workdir.files import read_json


@dataclasses.dataclass(frozen=True)
class Rate:
    """How many labels are wrong, as far as can be known without right ones.

    Attributes:
      estimated: by an audit of the best candidate's training.
      at_most: 1 - its accuracy on held-out labels: where right labels are the most frequent for examples of
        every kind, no accuracy exceeds their share.
      num_classes: C.
      worst: the pair of classes that the estimated transition matrix tells worst.
      class_names: C.
      doubt: of the audit itself, see `Audit.doubt`.
    """

    estimated: float
    at_most: float
    num_classes: int
    worst: WorstPair
    class_names: tuple[str, ...]
    doubt: str | None

    @property
    def kappa(self) -> float:
        """κ at the estimated rate."""
        return kappa(self.estimated, self.num_classes)

    @property
    def least_kappa(self) -> float:
        """κ at the highest rate that is possible."""
        return kappa(self.at_most, self.num_classes)


@dataclasses.dataclass(frozen=True)
class Against:
    """A candidate beside the best one.

    Attributes:
      behind: by how much on noisy held-out labels, >= 0.
      disagreement: share of examples for which the two predict different classes.
      chance: two standard deviations of that difference; what is behind by less is equal.
      resolution: the same as a difference of accuracies on right labels.
    """

    behind: float
    disagreement: float
    chance: float
    resolution: float

    @property
    def equal(self) -> bool:
        """Whether noisy labels do not tell it from the best."""
        return self.behind <= self.chance


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the comparison says.

    Attributes:
      candidates: all, in the order in which they were tried.
      best: position of the one with the highest accuracy on held-out noisy labels, the first of several.
      taken: position of the one that is taken.
      against: of each candidate with a result its comparison with the best, by position.
      rate: of wrong labels.
      ties: the rule by which one of the equal ones is taken.
    """

    candidates: Sequence[Candidate]
    best: int
    taken: int
    against: Mapping[int, Against]
    rate: Rate
    ties: Ties

    @property
    def equal(self) -> list[int]:
        """Positions of the candidates that noisy labels cannot tell from the best, itself among them."""
        return [position for position, each in self.against.items() if each.equal]

    @property
    def num_examples(self) -> int:
        """Held-out examples."""
        return self.candidates[self.best].labels.shape[1]

    @property
    def resolution(self) -> float | None:
        """The difference of accuracies on right labels that is told from none.

        Between the best and those that are equal to it, the median; where none is, between it and the next.
        It grows with the share of predictions that differ, so candidates far behind say nothing of it.
        """
        others = [self.against[position].resolution for position in self.equal if position != self.best]
        behind = [each for position, each in self.against.items() if position != self.best]
        if not behind:
            return None
        return float(np.median(others)) if others else min(behind, key=lambda each: each.behind).resolution

    @property
    def edge(self) -> str | None:
        """'highest' or 'lowest': what the best learning rate is among those tried; else None."""
        rates = [candidate.overrides.get("optimizer.learning_rate") for candidate in self.candidates]
        known = [rate for rate in rates if rate is not None]
        if len(set(known)) < 2 or rates[self.best] is None:
            return None
        return {max(known): "highest", min(known): "lowest"}.get(rates[self.best])


def decide(candidates: Sequence[Candidate], ties: Ties, own: Mapping[str, Any]) -> Verdict:
    """Compares all candidates with the best, and takes one.

    Args:
      candidates: at least one with a result.
      ties: see `Tune`.
      own: overrides of the candidate that is the config itself.

    Raises:
      SweepFailedError: none has a result.
    """
    done = [position for position, each in enumerate(candidates) if each.error is None]
    if not done:
        raise SweepFailedError(
            f"tune: all {len(candidates)} candidates failed; the first: {candidates[0].error}"
        )
    best = max(done, key=lambda position: candidates[position].score)
    rate = estimate(candidates[best].workdirs[0], candidates[best].score)
    first, against = candidates[best], {}
    for position in done:
        other = candidates[position]
        found = paired(first.classes, other.classes, first.labels)
        number = first.labels.shape[1]
        against[position] = Against(
            found.difference,
            found.disagreement,
            chance=resolution(found.discordant, number, kappa=1.0, deviations=DEVIATIONS),
            resolution=resolution(found.discordant, number, rate.kappa),
        )
    equal = [position for position in done if against[position].equal]
    taken = best
    if ties == "own":
        taken = next((p for p in equal if dict(candidates[p].overrides) == dict(own)), best)
    elif ties == "least_fitted":
        taken = min(equal, key=lambda position: candidates[position].fit - candidates[position].score)
    return Verdict(candidates, best, taken, against, rate, ties)


def estimate(workdir: Path, accuracy: float) -> Rate:
    """The rate of wrong labels, from a run on them.

    Args:
      workdir: of the run, whose predictions for its training examples are audited.
      accuracy: on held-out labels.
    """
    names = tuple(read_json(workdir / layout.NOISE_SUMMARY)["class_names"])
    audit = suspects.find(predictions.read(workdir), names)
    return Rate(
        estimated=min(audit.noise_rate, 1 - accuracy),
        at_most=1 - accuracy,
        num_classes=len(names),
        worst=kappa_of_pairs(audit.transition_matrix),
        class_names=names,
        doubt=audit.doubt,
    )


def finite(value: float | None) -> float | None:
    """A number as JSON has it: None for infinity."""
    return value if value is not None and math.isfinite(value) else None
