"""Which labels of a training set are probably wrong, from what a run predicted as it went.

The score of an example is 1 - p, with p the probability of its given label, averaged over the second half of
the run's evaluations. A method that resists wrong labels, as Gradient Rescaling, keeps p low where the label
is wrong; in the first half right labels are not learned yet either. docs/results/audit.md has other scores
that were tried.

An example is suspected if both hold:
  - its p rather belongs to the lower of two beta distributions fitted to all p: the data say where the border
    is, as the point at which both kinds are equally likely. Where the density of the upper one falls towards
    p = 1, no group of labels is nearly certain, as with half of a class taken for another, and the two need
    not be right and wrong ones: the border is then p = 1/2;
  - the label predicted most often in that time is another. Where all labels are right and learned, none is
    suspected, though a mixture finds two components in anything.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from grjax import mixture as mixtures
from grjax.analysis import relabel
from grjax.analysis.relabel import Relabelling
from grjax.errors import ConfigError
from grjax.noise import NoisyLabels
from grjax.workdir.predictions import History


@dataclasses.dataclass(frozen=True)
class Audit:
    """A training set's labels with how much each is to be doubted; arrays in the order of `ids`.

    Attributes:
      ids: example ids, int64 [N].
      given: the labels of the training set, integer [N].
      suggested: the label predicted most often, of suspects another than the given one: integer [N].
      score: in [0, 1], the higher the more suspect: float64 [N].
      p_wrong: probability that the label is wrong, by the mixture; 0 or 1 where that is not used: [N].
      suspected: bool [N].
      mean_p, last_p: probability of the given label over the whole run and at its end, float64 [N].
      aum: area under the margin, the mean over training of its logit less the largest other; NaN if the run
        has not collected dynamics, or not met the example: float64 [N].
      forgetting: how often it was right and wrong the next time, -1: never right; NaN as in aum: float64 [N].
      kept: how much of the example the run's method trained on, averaged over the second half of the
        evaluations; NaN if it does not choose: float64 [N].
      steps: of the run's evaluations, int64 [T].
      curves: p of the given label at each, float16 [T, N].
      class_names: C.
    """

    ids: np.ndarray
    given: np.ndarray
    suggested: np.ndarray
    score: np.ndarray
    p_wrong: np.ndarray
    suspected: np.ndarray
    mean_p: np.ndarray
    last_p: np.ndarray
    aum: np.ndarray
    forgetting: np.ndarray
    kept: np.ndarray
    steps: np.ndarray
    curves: np.ndarray
    class_names: tuple[str, ...]

    @property
    def ranking(self) -> np.ndarray:
        """Positions of the examples, the most suspect first: suspected ones, then the others, by score."""
        return np.lexsort((self.ids, -self.score, ~self.suspected))

    @property
    def corrected(self) -> np.ndarray:
        """The labels with the suggestions for all suspected examples: int32 [N]. See `cleaned_labels`."""
        return np.where(self.suspected, self.suggested, self.given).astype(np.int32)

    @property
    def relabelling(self) -> Relabelling:
        """Which suggestions are better than the given labels, as far as the audit can know, and why not."""
        return relabel.decide(self.given, self.suggested, self.suspected, self.score, self.class_names)

    @property
    def cleaned_labels(self) -> np.ndarray:
        """The labels to train on, those that `--export` writes: int32 [N].

        `corrected`, except that a given label stays where `relabelling` refuses the suggestion.
        """
        return np.where(self.relabelling.relabelled, self.suggested, self.given).astype(np.int32)

    @property
    def noise_rate(self) -> float:
        """Estimate of the fraction of wrong labels: that of suspected ones."""
        return float(self.suspected.mean())

    @property
    def doubt(self) -> str | None:
        """Why the audit itself is to be doubted; None where nothing speaks against it."""
        if self.noise_rate <= 0.5:
            return None
        return (
            f"audit: {self.noise_rate:.0%} of the labels are suspected, more than half: the network has "
            "rather not learned its task; look at its accuracy, train longer (train_epochs), in smaller "
            "batches (batch_size) where examples are few, or take another model or loss"
        )

    @property
    def transition_matrix(self) -> np.ndarray:
        """Estimate of T[i, j] = P(given label j | true label i), the corrected labels taken for true: [C, C].

        A class with no corrected example gets an identity row.
        """
        number = len(self.class_names)
        counts = np.zeros((number, number))
        np.add.at(counts, (self.corrected, self.given), 1)
        totals = counts.sum(1, keepdims=True)
        return np.where(totals > 0, counts / np.maximum(totals, 1), np.eye(number))

    def summary(self) -> dict[str, Any]:
        """The estimates, as plain values."""
        relabelling = self.relabelling
        return {
            "num_examples": len(self.ids),
            "num_suspected": int(self.suspected.sum()),
            "num_relabelled": int(relabelling.relabelled.sum()),
            "kept_as_given": list(relabelling.reasons),
            "estimated_noise_rate": self.noise_rate,
            "estimated_transition_matrix": self.transition_matrix.tolist(),
            "evaluations": len(self.steps),
            "last_step": int(self.steps[-1]),
        }


def find(
    history: History, class_names: tuple[str, ...], dynamics: Mapping[str, np.ndarray] | None = None
) -> Audit:
    """Audits the labels of the training split; see the module.

    Args:
      history: of a run, with an evaluation after step 0.
      class_names: C.
      dynamics: `grjax.dynamics.summary` of the run, of the same examples in the same order; None: without.

    Raises:
      ConfigError: the run was not evaluated after step 0.
    """
    train, number = history.splits["train"], len(class_names)
    trained = history.steps > 0
    if not trained.any():
        raise ConfigError(
            "audit: the run must have been evaluated after step 0; train on, or evaluate sooner"
        )
    p, classes, given = train.p[trained].astype(np.float64), train.classes[trained], train.labels
    late = slice(len(p) // 2, None)
    late_p, late_votes = p[late].mean(0), _votes(classes[late], number)
    most, rows = late_votes.argmax(1), np.arange(len(given))
    most = np.where(late_votes[rows, given] == late_votes[rows, most], given, most)  # a tie is no doubt
    # An example whose given label won is rarely suspected, but its second choice is worth a look.
    all_votes = _votes(classes, number)
    np.put_along_axis(all_votes, given[:, None].astype(np.int64), 0, axis=1)
    mixture = mixtures.fit_beta(late_p)
    if mixture is None or mixture.high[1] > 1:  # b > 1: see the module
        p_wrong = (late_p < 0.5).astype(np.float64)
    else:
        p_wrong = mixture.low_posterior(late_p)
    suspected = (p_wrong > 0.5) & (most != given)
    unknown = np.full(len(given), np.nan)
    return Audit(
        ids=history.ids,
        given=given,
        suggested=np.where(most != given, most, np.where(all_votes.any(1), all_votes.argmax(1), given)),
        score=1 - late_p,
        p_wrong=p_wrong,
        suspected=suspected,
        mean_p=p.mean(0),
        last_p=p[-1],
        aum=unknown if dynamics is None else dynamics["aum"].astype(np.float64),
        forgetting=unknown
        if dynamics is None
        else np.where(dynamics["count"] > 0, dynamics["forgetting"], np.nan),
        kept=unknown if train.kept is None else train.kept[trained][late].mean(0, dtype=np.float64),
        steps=history.steps,
        curves=train.p,
        class_names=class_names,
    )


def _votes(classes: np.ndarray, number: int) -> np.ndarray:
    """How often each class was predicted for each example: [T, N] -> [N, C]."""
    votes = np.zeros((classes.shape[1], number), np.int32)
    for predicted in classes:
        votes[np.arange(len(predicted)), predicted] += 1
    return votes


def against_truth(audit: Audit, noise: NoisyLabels) -> dict[str, Any]:
    """How good an audit is where the noise was injected and the right labels are known.

    Of a run whose method chooses its examples, the choice itself is measured beside it: 'kept_auroc' with
    1 - kept as the score, and purity and recall of those that were kept at least half of the time.

    Open-set examples, whose image is of no class, count as wrong; no suggestion can be right for them.

    Args:
      audit: of the labels of `noise`, in its order.
      noise: with some wrong labels, not all.
    """
    from sklearn import metrics as sk_metrics  # its import takes seconds, and an audit does not need it

    wrong = noise.mislabelled
    most = np.argsort(-audit.score, kind="stable")[: wrong.sum()]
    found = audit.suspected & wrong
    right = (audit.suggested == noise.clean) & ~noise.open_set
    counts = noise.transition_counts
    transition = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    chosen = audit.kept >= 0.5
    of_method = (
        {}
        if np.isnan(audit.kept).any()
        else {
            "kept_auroc": float(sk_metrics.roc_auc_score(wrong, 1 - audit.kept)),
            "kept_purity": float((chosen & ~wrong).sum() / max(chosen.sum(), 1)),
            "kept_recall": float((chosen & ~wrong).sum() / (~wrong).sum()),
        }
    )
    return {
        "noise_rate": float(wrong.mean()),
        "auroc": float(sk_metrics.roc_auc_score(wrong, audit.score)),
        "average_precision": float(sk_metrics.average_precision_score(wrong, audit.score)),
        "precision_at_noise_rate": float(wrong[most].mean()),
        "suspected_precision": float(found.sum() / max(audit.suspected.sum(), 1)),
        "suspected_recall": float(found.sum() / wrong.sum()),
        "suggestion_accuracy_of_wrong": float(right[wrong].mean()),
        "suggestion_accuracy_of_found": float(right[found].mean()) if found.any() else None,
        "corrected_accuracy": float(((audit.corrected == noise.clean) & ~noise.open_set).mean()),
        "cleaned_accuracy": float(((audit.cleaned_labels == noise.clean) & ~noise.open_set).mean()),
        "given_accuracy": float((~wrong).mean()),
        "transition_mean_absolute_error": float(np.abs(audit.transition_matrix - transition).mean()),
        **of_method,
    }
