"""What came out of a run, or of several, in a few sentences: how the page begins.

Each sentence follows from numbers of the run and from the thresholds below, which docs/guide/report.md
explains.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np

from grjax.analysis import suspects
from grjax.analysis.report.comparison import differences
from grjax.analysis.report.runs import Run
from grjax.errors import ConfigError

# The share of the way from guessing, 1 / C, to 1: with less test accuracy a network has not learned its task.
LEARNED = 0.1
# Memorisation, the fraction of the wrong labels that is predicted, from which on they are partly, and mostly
# memorised.
PARTLY_MEMORISED = 0.2
MEMORISED = 0.5
# Test accuracy by which the best evaluation lies above the last: below, it is the noise of the curve.
FELL = 0.02
# Test accuracy that the last fifth of the epochs has added, from which on the run was too short.
RISING = 0.01
# By which the training accuracy lies above the test accuracy where labels have been learned by heart.
OVERFITTED = 0.1
# Test accuracy by which two runs of one seed each must differ before the difference is worth a word.
CLOSE = 0.01

Kind = Literal["good", "warning", "neutral"]


class Statement(NamedTuple):
    """A part of the verdict: whether it is good news, a headline, and what it rests on."""

    kind: Kind
    headline: str
    text: str


class Advice(NamedTuple):
    """What to try next, and the flags or the command for it, where there are some."""

    text: str
    command: str | None = None


class Verdict(NamedTuple):
    """The statements, and what to try next, most useful first."""

    statements: list[Statement]
    advice: list[Advice]


def of_run(run: Run) -> Verdict:
    """The verdict on one run, finished or not."""
    split = run.splits[0]
    chance = 1 / run.noise.num_classes
    last = run.rows[-1][f"{split}_accuracy"]
    if last < chance + LEARNED * (1 - chance):
        statement = Statement(
            "warning",
            "The network has not learned its task.",
            f"The {split} accuracy ends at {last:.3f}, and guessing gives {chance:.3f}.",
        )
        return Verdict([statement], list(_advice_on_learning(run)))
    audit = _audit(run)
    statements = [_memorised(run, split), _last_against_best(run, split), _suspected(run, split, audit)]
    return Verdict(statements, list(_advice(run, split, audit)))


def of_runs(runs: Sequence[Run]) -> Verdict:
    """The verdict on several runs that are compared."""
    key = f"{runs[0].splits[0]}_accuracy"
    ends = [(run.rows[-1].get(key), run) for run in runs]
    ranked = sorted(((end, run) for end, run in ends if end is not None), key=lambda pair: -pair[0])
    if len(ranked) < 2:
        text = "The runs measure different splits; the table has each of them."
        return Verdict([Statement("neutral", "The runs cannot be ranked.", text)], [])
    (best, first), (second, runner_up), *_ = ranked
    what = key.replace("_", " ")
    only_seeds = all(each.rpartition(".")[2].endswith("seed") for each in differences(runs))
    if only_seeds:
        values = np.array([end for end, _ in ranked])
        text = f"The {what} ends at {values.mean():.3f} ± {values.std(ddof=1):.3f} over {len(values)} runs."
        statements = [Statement("neutral", "The runs differ in their seeds alone.", text)]
    elif best - second < CLOSE:
        text = (
            f"{first.name} ends at a {what} of {best:.3f} and {runner_up.name} at {second:.3f}: a difference "
            f"below {CLOSE} is within what another seed may change."
        )
        statements = [Statement("neutral", "The best two are close to each other.", text)]
    else:
        worst, last = ranked[-1]
        others = f"{runner_up.name} at {second:.3f}"
        others += f", and the lowest, {last.name}, at {worst:.3f}" if len(ranked) > 2 else ""
        text = f"Its {what} ends at {best:.3f}, {others}."
        statements = [Statement("good", f"{first.name} ends highest.", text)]
    statements += _memorised_most(runs)
    advice = []
    if not only_seeds:
        advice.append(Advice("Repeat the runs with other seeds before you believe a difference."))
    advice.append(Advice("Look at a run by itself.", f"grjax report --workdir={first.workdir}"))
    return Verdict(statements, advice)


def _memorised(run: Run, split: str) -> Statement:
    memorised = run.rows[-1]["memorisation"]
    if memorised is None:
        noisy, measured = run.rows[-1]["train_accuracy_noisy"], run.rows[-1][f"{split}_accuracy"]
        text = (
            f"No training label is known to be wrong. The training accuracy is {noisy:.3f}, and the {split} "
            f"accuracy {measured:.3f}"
        )
        if _fits_wrong_labels(run, split):
            text += ": the network has learned labels by heart, and wrong ones among them, too."
            return Statement("warning", "Wrong labels may be memorised.", text)
        return Statement(
            "neutral",
            "There is no sign that wrong labels are memorised.",
            f"{text}: they are close to each other.",
        )
    wrong = int(run.noise.mislabelled.sum())
    text = f"The network predicts the wrong label for {memorised:.0%} of the {wrong:,} mislabelled examples."
    if memorised >= MEMORISED:
        return Statement("warning", "The wrong labels are memorised.", text)
    if memorised >= PARTLY_MEMORISED:
        return Statement("warning", "The wrong labels are partly memorised.", text)
    return Statement("good", "The wrong labels are not memorised.", text)


def _last_against_best(run: Run, split: str) -> Statement:
    key = f"{split}_accuracy"
    last, best = run.rows[-1][key], run.best(key)
    text = f"It ends at {last:.3f}; the best was {best[key]:.3f}, at epoch {best['epoch']:.4g}"
    if best[key] - last >= FELL:
        text += f", and {best[key] - last:.3f} of that is lost."
        return Statement("warning", f"The {split} accuracy has fallen from its best.", text)
    rise = _rise(run, split)
    if rise >= RISING:
        text = f"It ends at {last:.3f}, and {rise:.3f} of that came in the last fifth of the epochs."
        return Statement("neutral", f"The {split} accuracy is still rising.", text)
    return Statement("good", f"The {split} accuracy stays close to its best.", f"{text}.")


def _rise(run: Run, split: str) -> float:
    """By how much the accuracy has grown in the last fifth of the epochs; below 0 where it fell."""
    values, epochs = run.values(f"{split}_accuracy"), run.epochs
    before = values[epochs <= 0.8 * epochs[-1]]
    return float(values[-1] - np.nanmax(before)) if len(values) > 4 and len(before) else 0.0


def _audit(run: Run) -> suspects.Audit | None:
    """Which labels are suspected; None where nothing was kept that could say so."""
    if run.history is None:
        return None
    try:
        return suspects.find(run.history, run.class_names)
    except ConfigError:  # not evaluated after step 0
        return None


def _fits_wrong_labels(run: Run, split: str) -> bool:
    """Whether wrong labels are memorised, at least partly, as far as that can be told."""
    last = run.rows[-1]
    if last["memorisation"] is None:
        return bool(last["train_accuracy_noisy"] - last[f"{split}_accuracy"] >= OVERFITTED)
    return bool(last["memorisation"] >= PARTLY_MEMORISED)


def _suspected(run: Run, split: str, audit: suspects.Audit | None) -> Statement:
    if audit is None:
        text = "They are found from the predictions at each evaluation, which this run has not kept."
        return Statement("neutral", "Suspected labels are not known.", text)
    count, number = int(audit.suspected.sum()), len(audit.ids)
    headline = f"{count:,} of {number:,} labels are suspected to be wrong."
    text = f"The estimated noise rate is {audit.noise_rate:.3f}"
    if run.noise.mislabelled.any():
        text += f", the realised one {run.noise.realised_rate:.3f}"
        if count:
            right = run.noise.mislabelled[audit.suspected].mean()
            text += f"; {right:.0%} of the suspected labels are wrong"
    if audit.doubt is not None:
        return Statement("warning", headline, f"{text}. More than half is more than can be believed.")
    if _fits_wrong_labels(run, split):
        text += ". A network that has memorised wrong labels does not suspect them"
        return Statement("warning", headline, f"{text}.")
    return Statement("neutral", headline, f"{text}.")


def _memorised_most(runs: Sequence[Run]) -> Iterator[Statement]:
    known = [(run.rows[-1]["memorisation"], run) for run in runs]
    known = sorted(((each, run) for each, run in known if each is not None), key=lambda pair: pair[0])
    if len(known) < 2:
        return
    (least, first), (most, last) = known[0], known[-1]
    text = f"{first.name} predicts {least:.0%} of them, {last.name} {most:.0%}."
    if least >= MEMORISED:
        yield Statement("warning", "Every run has memorised the wrong labels.", text)
    elif most < PARTLY_MEMORISED:
        yield Statement("good", "No run has memorised the wrong labels.", text)
    else:
        yield Statement("neutral", f"{first.name} has memorised the fewest wrong labels.", text)


def _advice_on_learning(run: Run) -> Iterator[Advice]:
    flags = "--config.train_epochs, --config.optimizer.learning_rate"
    yield Advice("Train longer, or with a higher learning rate.", flags)
    if "beta" in run.config["loss"]:
        text = "Take a smaller beta: a large one gives examples up that are not learned yet."
        yield Advice(text, "--config.loss.beta")


def _advice(run: Run, split: str, audit: suspects.Audit | None) -> Iterator[Advice]:
    key = f"{split}_accuracy"
    last, best = run.rows[-1], run.best(key)
    fitted = _fits_wrong_labels(run, split)
    if fitted:
        yield _more_robust(run)
    if best[key] - last[key] >= FELL:
        text = (
            f"Train for fewer epochs: the best was at epoch {best['epoch']:.4g} of {last['epoch']:.4g}. "
            "Choose the number on a validation split, not on test data."
        )
        yield Advice(text, "--config.train_epochs, --config.data.validation_fraction")
    elif _rise(run, split) >= RISING:
        yield Advice("Train longer.", "--config.train_epochs")
    if audit is not None and audit.doubt is not None:
        text = "Do not trust the suspected labels: train longer, or with a smaller beta, and look again."
        yield Advice(text, "--config.train_epochs, --config.loss.beta")
    elif audit is not None and audit.suspected.any() and not fitted:
        text = "Look at the suspected labels, and export cleaned ones to train on."
        yield Advice(text, f"grjax audit --workdir={run.workdir} --export")
    text = "Repeat the run with other seeds: a single run has no error bar."
    yield Advice(text, "--config.init_seed, --config.order_seed, --config.noise.seed")


def _more_robust(run: Run) -> Advice:
    """What resists wrong labels better than this run's loss."""
    name = run.config["loss"]["name"]
    if name == "gradient_rescaling":
        text = (
            "Give less weight to examples whose label the network finds unlikely, by a larger beta or "
            "lambda, or lower the learning rate."
        )
        return Advice(text, "--config.loss.beta, --config.loss.lam, --config.optimizer.learning_rate")
    return Advice(
        f"Take a loss that resists wrong labels better than {name}.",
        "--config.loss.name=gradient_rescaling --config.loss.lam=1 --config.loss.beta=8",
    )
