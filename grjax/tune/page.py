"""A verdict as people and programs read it: printed, tune.md and tune.json."""

from typing import Any

from grjax.tune.choice import Against, Verdict, finite
from grjax.tune.resolution import DEVIATIONS, interval
from grjax.tune.space import described

_RULES = {
    "best": "the best of them is taken",
    "least_fitted": (
        "the one is taken whose accuracy on the labels that it was trained on exceeds that on held-out ones "
        "least"
    ),
    "own": "the config's own loss is taken if it is among them, or else the best",
}
_SHOWN = 10  # of equal candidates in print; tune.md has all


def as_json(verdict: Verdict) -> dict[str, Any]:
    """What tune.json holds."""
    rate, best = verdict.rate, verdict.candidates[verdict.best]
    worst = rate.worst
    return {
        "criterion": "accuracy on held-out noisy labels",
        "held_out_examples": verdict.num_examples,
        "trainings_of_each": len(best.workdirs),
        "noise_rate": {
            "estimated": rate.estimated,
            "at_most": rate.at_most,
            "num_classes": rate.num_classes,
            "kappa": rate.kappa,
            "kappa_at_most_rate": rate.least_kappa,
            "kappa_of_worst_pair": worst.kappa,
            "worst_pair": [rate.class_names[worst.right], rate.class_names[worst.predicted]],
            "doubt": rate.doubt,
        },
        "resolution": finite(verdict.resolution),
        "deviations": DEVIATIONS,
        "best": verdict.best,
        "equal": verdict.equal,
        "ties": verdict.ties,
        "taken": verdict.taken,
        "overrides": dict(verdict.candidates[verdict.taken].overrides),
        "candidates": [_candidate(verdict, position) for position in range(len(verdict.candidates))],
    }


def text(verdict: Verdict) -> str:
    """What is printed: the winner, what held-out noisy labels can tell, and what they cannot."""
    rate, winner = verdict.rate, verdict.candidates[verdict.taken]
    number, equal = verdict.num_examples, verdict.equal
    low, high = interval(winner.score, number)
    worst = f"{rate.class_names[rate.worst.right]!r} taken for {rate.class_names[rate.worst.predicted]!r}"
    lines = [
        f"taken: {described(winner.overrides)}; accuracy on {number} held-out noisy labels "
        f"{winner.score:.4f} (95%: {low:.4f} to {high:.4f})",
        f"wrong labels: about {rate.estimated:.1%} by an audit of the best candidate's training, at most "
        f"{rate.at_most:.1%}, for no accuracy on noisy labels exceeds the share of right ones",
        f"a difference on noisy labels is κ = {rate.kappa:.2f} times that on right ones at that rate, "
        f"{max(rate.least_kappa, 0):.2f} times at the highest, if every class is as frequent and mistaken "
        f"for each other one equally often; by the estimated transition matrix {rate.worst.kappa:.2f} times "
        f"for {worst}",
    ]
    if rate.doubt is not None:
        lines.append(rate.doubt)
    resolved = verdict.resolution
    if resolved is not None:
        size = (
            "no difference"
            if finite(resolved) is None
            else f"differences from {100 * resolved:.1f} points on"
        )
        lines.append(
            f"resolution: {number} such labels tell {size} of accuracy on right labels from chance "
            f"({DEVIATIONS:g} standard deviations of a paired difference from the nearest candidates)"
        )
    if verdict.edge is not None:
        lines.append(
            f"the best learning rate is the {verdict.edge} that was tried: another "
            "--config.optimizer.learning_rate may be better"
        )
    of = sum(each.error is None for each in verdict.candidates)
    lines.append(
        f"{len(equal)} of {of} candidates are equal within what noisy labels can tell; "
        f"{_RULES[verdict.ties]}:"
    )
    ranked = sorted(equal, key=lambda position: -verdict.candidates[position].score)
    for position in ranked[:_SHOWN]:
        each = verdict.candidates[position]
        mark = "*" if position == verdict.taken else " "
        lines.append(f"  {mark} {each.score:.4f}  {described(each.overrides)}")
    if len(ranked) > _SHOWN:
        lines.append(f"    and {len(ranked) - _SHOWN} more, see tune.md")
    return "\n".join(lines)


def markdown(verdict: Verdict) -> str:
    """tune.md: the text, and a row for each candidate, the best first."""
    rows = [
        "| | candidate | held-out noisy accuracy | behind the best | more than chance from "
        "| that is, on right labels | predictions that differ | accuracy on its training labels |",
        "|---|---|---|---|---|---|---|---|",
    ]
    done = sorted(verdict.against, key=lambda position: -verdict.candidates[position].score)
    for position in done:
        each, against = verdict.candidates[position], verdict.against[position]
        low, high = interval(each.score, verdict.num_examples)
        mark = "taken" if position == verdict.taken else "equal" if against.equal else ""
        rows.append(
            f"| {mark} | {described(each.overrides)} | {each.score:.4f} ({low:.4f} to {high:.4f}) "
            f"| {against.behind:.4f} | {_chance(position, verdict, against)} | {against.disagreement:.1%} "
            f"| {each.fit:.4f} |"
        )
    lost = [
        f"- {described(each.overrides)}: {each.error}"
        for each in verdict.candidates
        if each.error is not None
    ]
    head = text(verdict).splitlines()
    intro = [f"{line[0].upper()}{line[1:]}." for line in head if not line.startswith(" ") and line[-1] != ":"]
    rule = f"Of equal candidates, {_RULES[verdict.ties]}."
    without = ["", "Without a result:", "", *lost] if lost else []
    return "\n".join(
        ["# Candidates on held-out noisy labels", "", *_spaced([*intro, rule]), *rows, *without, ""]
    )


def _spaced(paragraphs: list[str]) -> list[str]:
    return [line for paragraph in paragraphs for line in (paragraph, "")]


def _chance(position: int, verdict: Verdict, against: Against) -> str:
    if position == verdict.best:
        return "– | –"
    points = "no size" if finite(against.resolution) is None else f"{against.resolution:.4f}"
    return f"{against.chance:.4f} | {points}"


def _candidate(verdict: Verdict, position: int) -> dict[str, Any]:
    each = verdict.candidates[position]
    if each.error is not None:
        return {"overrides": dict(each.overrides), "error": each.error}
    against = verdict.against[position]
    return {
        "overrides": dict(each.overrides),
        "error": None,
        "accuracy": each.score,
        "interval": list(interval(each.score, verdict.num_examples)),
        "behind": against.behind,
        "chance": against.chance,
        "resolution": finite(against.resolution),
        "disagreement": against.disagreement,
        "equal": against.equal,
        "accuracy_on_training_labels": each.fit,
        "workdirs": ["/".join(workdir.parts[-3:]) for workdir in each.workdirs],  # in that of the run
    }
