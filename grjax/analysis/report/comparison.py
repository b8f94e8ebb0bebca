"""Several runs in one picture, and in one table."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from grjax.analysis.report.agreement import weight_at
from grjax.analysis.report.curves import NOTHING_WRONG
from grjax.analysis.report.runs import Run, UnavailableError
from grjax.analysis.report.style import Drawing, legend_above, panel, series
from grjax.analysis.weights import log_weight
from grjax.config import flatten
from grjax.workdir import folder as workdir_lib

COLUMNS = {
    "test, last": lambda run: run.rows[-1].get("test_accuracy"),
    "test, best": lambda run: run.best("test_accuracy")["test_accuracy"],
    "memorisation": lambda run: run.rows[-1]["memorisation"],
    "train, noisy": lambda run: run.rows[-1]["train_accuracy_noisy"],
    "train, intact": lambda run: run.rows[-1]["train_accuracy_intact"],
    "p, clean": lambda run: run.rows[-1]["mean_p_clean"],
    "p, mislabelled": lambda run: run.rows[-1]["mean_p_mislabelled"],
    "noise rate": lambda run: run.noise.realised_rate,
    "epochs": lambda run: round(run.rows[-1]["epoch"]),
}
# More of them, where the method of a run chooses examples.
OF_CHOOSING = {
    "estimated": lambda run: run.rows[-1].get("noise_rate_estimated"),
    "purity": lambda run: run.rows[-1].get("kept_purity"),
    "recall": lambda run: run.rows[-1].get("kept_recall"),
}


def test_accuracy(runs: Sequence[Run]) -> Drawing:
    """Test accuracy of each run."""
    return _overlaid(
        runs,
        "test_accuracy",
        "test accuracy",
        "The last epoch is the result.",
    )


def memorisation(runs: Sequence[Run]) -> Drawing:
    """Memorisation of each run."""
    return _overlaid(
        runs,
        "memorisation",
        "fraction of wrong labels predicted",
        "The fraction of the mislabelled training examples whose wrong label is predicted.",
    )


def train_accuracy_intact(runs: Sequence[Run]) -> Drawing:
    """Training accuracy of each run against the labels before noise."""
    return _overlaid(
        runs,
        "train_accuracy_intact",
        "train accuracy, intact labels",
        "Against the labels before noise, which no run has seen.",
    )


def mean_p_clean(runs: Sequence[Run]) -> Drawing:
    """Mean p of the clean examples of each run."""
    return _overlaid(
        runs,
        "mean_p_clean",
        "mean p of clean examples",
        "p is the probability of the given label.",
    )


def mean_p_mislabelled(runs: Sequence[Run]) -> Drawing:
    """Mean p of the mislabelled examples of each run."""
    return _overlaid(
        runs,
        "mean_p_mislabelled",
        "mean p of mislabelled examples",
        "p is the probability of the given label, which is wrong here.",
    )


def kept_purity(runs: Sequence[Run]) -> Drawing:
    """Purity of what each run's method keeps of the training set."""
    return _overlaid(
        _choosing(runs),
        "kept_purity",
        "purity of what is kept",
        "The part of the kept examples whose labels are right; of runs whose method chooses examples.",
    )


def kept_recall(runs: Sequence[Run]) -> Drawing:
    """Recall of what each run's method keeps of the training set."""
    return _overlaid(
        _choosing(runs),
        "kept_recall",
        "recall of what is kept",
        "The part of the right labels that is kept; of runs whose method chooses examples.",
    )


def weight(runs: Sequence[Run]) -> Drawing:
    """The weight w(p) of each run whose loss has one."""
    figure, (axes,) = panel()
    grid = np.linspace(0, 1, 257)
    without, seen = [], set()
    for number, run in enumerate(runs):
        try:
            emphasis, log_scale = weight_at(run, run.rows[-1]["step"])
        except UnavailableError:
            without.append(run.name)
            continue
        seen.add(run.name)
        axes.plot(grid, np.exp(log_weight(emphasis, grid) - log_scale), label=run.name, **series(number))
    if not seen:
        raise UnavailableError("no loss of these runs has a weight of p alone, or what it needs was not kept")
    axes.set(xlim=(0, 1), xlabel="p, probability of the given label", ylabel="weight w(p)")
    axes.set_ylim(0, None)
    legend_above(figure, axes)
    missing = f" Not drawn, as it depends on more than p: {', '.join(without)}." if without else ""
    return Drawing(
        figure,
        f"The L1 norm of the gradient that an example sends to the logits, as it was at the end.{missing}",
        f"The weight w(p) of {', '.join(sorted(seen))}.",
    )


def table(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """A row for each run: its name, what its config has that others have not, and its results."""
    differing = differences(runs)
    columns = COLUMNS | (OF_CHOOSING if any(run.chooses for run in runs) else {})
    return [
        {
            "name": run.name,
            "differs": {key: flatten(run.config).get(key) for key in differing},
            "results": {title: value(run) for title, value in columns.items()},
            "finished": run.summary is not None,
        }
        for run in runs
    ]


def differences(runs: Sequence[Run]) -> list[str]:
    """The keys of configs in which the runs differ."""
    configs = [flatten(run.config) for run in runs]
    keys = sorted(set().union(*configs) - set(workdir_lib.NOT_PART_OF_THE_RUN))
    return [key for key in keys if any(config.get(key) != configs[0].get(key) for config in configs)]


def _choosing(runs: Sequence[Run]) -> list[Run]:
    """The runs whose method chooses examples."""
    return [run for run in runs if run.chooses]


def _overlaid(runs: Sequence[Run], key: str, what: str, caption: str) -> Drawing:
    if all(np.isnan(run.values(key)).all() for run in runs):
        raise UnavailableError(NOTHING_WRONG)
    figure, (axes,) = panel(height=3.0)
    for number, run in enumerate(runs):
        axes.plot(run.epochs, run.values(key), label=run.name, **series(number))
    axes.set(xlabel="epoch", ylabel=what, ylim=(0, 1.02), xlim=(0, _last_epoch(runs)))
    legend_above(figure, axes)
    return Drawing(figure, caption, _ends(runs, key, f"The {what} ends at"))


def _ends(runs: Sequence[Run], key: str, what: str) -> str:
    ends = [f"{run.values(key)[-1]:.3f} in {run.name}" for run in runs]
    return f"{what} {', '.join(ends)}."


def _last_epoch(runs: Sequence[Run]) -> float:
    return max(1.0, *(run.epochs[-1] for run in runs))
