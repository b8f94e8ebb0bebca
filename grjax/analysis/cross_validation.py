"""Several runs, each with another part of the examples held out, as the history of one.

A run may memorise a wrong label that it is trained on, and a hard example that it never saw looks wrong to
it. So p of an example is the mean of two: of that by the runs that were trained on it, and of that by those
that were not. The first is a mean of networks, which depends less on the chance of one initialisation.
"""

import numbers
from collections.abc import Sequence

import numpy as np

from grjax.errors import ConfigError
from grjax.workdir.predictions import History, SplitHistory

Dynamics = dict[str, np.ndarray]  # `grjax.dynamics.summary`


def held_out_parts(labels: np.ndarray, folds: int, seed: int) -> list[np.ndarray]:
    """For each fold the positions of the examples that its run is not trained on, ascending.

    Each class is spread evenly. All parts have the same size, and so all runs the same steps: where the folds
    do not divide the examples, a few of them are held out twice.

    Args:
      labels: integers [N].
      folds: K, from 2 to N.
      seed: of the choice.

    Raises:
      ConfigError: folds out of range.

    Example:
      >>> import numpy as np
      >>> from grjax.analysis import cross_validation
      >>> parts = cross_validation.held_out_parts(np.array([0, 0, 0, 1, 1, 1]), 3, seed=0)
      >>> [np.array([0, 0, 0, 1, 1, 1])[part].tolist() for part in parts]
      [[0, 1], [0, 1], [0, 1]]
    """
    if isinstance(folds, bool) or not isinstance(folds, numbers.Integral) or not 2 <= folds <= len(labels):
        raise ConfigError(f"folds: must be None or an integer from 2 to {len(labels)}, got {folds!r}")
    order = np.lexsort((np.random.default_rng(seed).random(len(labels)), labels))
    dealt = np.resize(order, (-(-len(order) // folds), folds))  # the last row begins again at the first
    return [np.sort(part) for part in dealt.T]


def combine(runs: Sequence[History], held_out: Sequence[np.ndarray], num_classes: int) -> History:
    """The history of all examples: p as in the module, and the class that most of the runs predicted.

    Args:
      runs: their ids are positions, and 'test' are the examples held out.
      held_out: of each run, ascending positions; each example is in one at least.
      num_classes: C.
    """
    number = 1 + max(int(part.max()) for part in held_out)
    shape = len(runs[0].steps), number
    labels = np.zeros(number, runs[0].splits["train"].labels.dtype)
    seen, unseen = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    times_seen = np.zeros(number)
    for run, part in zip(runs, held_out, strict=True):
        seen[:, run.ids] += run.splits["train"].p
        unseen[:, part] += run.splits["test"].p
        times_seen[run.ids] += 1
        labels[run.ids] = run.splits["train"].labels
        labels[part] = run.splits["test"].labels
    unseen /= len(runs) - times_seen
    p = np.where(times_seen > 0, (seen / np.maximum(times_seen, 1) + unseen) / 2, unseen)
    split = SplitHistory(p.astype(np.float16), _most(runs, held_out, number, num_classes), labels)
    return History(runs[0].steps, np.arange(number), {"train": split})


def _most(
    runs: Sequence[History], held_out: Sequence[np.ndarray], number: int, num_classes: int
) -> np.ndarray:
    """The class that most runs predicted at each evaluation, the first of several: [T, N]."""
    found = []
    for time in range(len(runs[0].steps)):
        votes = np.zeros((number, num_classes), np.int32)
        for run, part in zip(runs, held_out, strict=True):
            votes[run.ids, run.splits["train"].classes[time]] += 1
            votes[part, run.splits["test"].classes[time]] += 1
        found.append(votes.argmax(1))
    return np.stack(found).astype(np.min_scalar_type(num_classes - 1))


def combine_dynamics(runs: Sequence[Dynamics | None], number: int) -> Dynamics | None:
    """Of `grjax.dynamics.summary` what an audit takes, over the runs that were trained on the example.

    Args:
      runs: their ids are positions; None: of a run that has not collected any.
      number: N.

    Returns:
      count and forgetting summed, -1 if it was never right in any; aum as the mean over all training steps.
    """
    count, margins, forgetting = np.zeros(number), np.zeros(number), np.full(number, -1)
    for run in runs:
        if run is None:
            return None
        ids, met = run["ids"], run["count"] > 0
        count[ids] += run["count"]
        margins[ids] += np.where(met, run["count"] * run["aum"], 0)
        both = np.maximum(forgetting[ids], 0) + np.maximum(run["forgetting"], 0)
        forgetting[ids] = np.where(np.maximum(forgetting[ids], run["forgetting"]) < 0, -1, both)
    aum = np.where(count > 0, margins / np.maximum(count, 1), np.nan)
    return {"count": count, "aum": aum, "forgetting": forgetting}
