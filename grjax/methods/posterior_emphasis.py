"""Emphasis that sets itself: the weight of an example follows how many labels training finds wrong."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from grjax import mixture, posterior
from grjax.data.feed import Batch, DeviceData
from grjax.errors import ConfigError
from grjax.losses.memory import TrainingLoss
from grjax.losses.rescaling import log_odds
from grjax.methods.method import Method, Parts, Seen
from grjax.methods.network import Network, evaluated
from grjax.methods.noise_rate import EDGE, log_odds_of
from grjax.methods.single import single
from grjax.posterior import Posterior

# All were fixed on digits, seeds 100 to 102: see docs/results/emphasis_test.md.
_FIRST_EPOCH = 2  # that may be other than plain cross-entropy's: before it the network has seen little
# Nor does the weight change before an epoch in which the labels that are not predicted grow fewer by less.
_SETTLED = 0.1
_MOMENTUM = 0.7  # of the averages over epochs, as of other estimates of the rate
_HELD = 0.98  # an estimate falls by at most so much an epoch: wrong labels that are learned would lower it
_LARGEST = 0.5  # rate in the weight: no label is taken for more likely wrong than right before p is seen
_STEEPEST = 2.0  # slope at the end of a run in which right and wrong labels could always be told apart
_FEW = 0.05  # rate below which labels pass for right

# What the estimate rests on: positions in `grjax.metrics.REASONS`.
EARLY, TWO_KINDS, BELIEVED, CANNOT_TELL = range(4)


class Estimate(flax.struct.PyTreeNode):
    """What training has observed of its labels, and the weight that follows; all from `begin_epoch`."""

    mean_p: jax.Array  # float32 [N]: average over epochs of the probability of the given label
    latest: jax.Array  # float32 []: the share of labels that are not predicted
    disagreement: jax.Array  # float32 []: its average over the epochs since it settled
    rate: jax.Array  # float32 []: of wrong labels, estimated; 0: not settled, or all are predicted
    slope: jax.Array  # float32 []
    reason: jax.Array  # int32 []: one of EARLY, ...
    confidence: jax.Array  # float32 [] in [0, 1]
    mode: jax.Array  # float32 []: the p with the largest weight
    lam: jax.Array  # float32 []
    beta: jax.Array  # float32 []

    def weight(self) -> Posterior:
        """The weight of the epoch."""
        return Posterior(rate=jnp.minimum(self.rate, _LARGEST), slope=self.slope)


class Emphasised(NamedTuple):
    """The learner: a network, and what its labels are thought to be worth."""

    network: Network
    estimate: Estimate
    labels: jax.Array  # int32 [N], given


def posterior_emphasis(parts: Parts) -> Method:
    """One network whose emphasis follows the share of labels that it does not believe.

    Each example's loss is multiplied by P(right | p) of `grjax.posterior`, over a norm, so that with
    cross-entropy the weight is

        w(p) = 2 (1 - p) P(right | p) / (its integral over p)

    No rate is given and no clean label is used. Training begins as plain cross-entropy's, for two epochs and
    until an epoch in which the training labels that are not the predicted class grow fewer by less than a
    tenth: until then labels are not predicted because they are not learned. From there on their share,
    averaged over the epochs (0.7 of the old, 0.3 of the new), and falling by at most 2% an epoch, is the
    estimated rate. Half is the largest that the weight uses. While every label is predicted the weight stays
    cross-entropy's.

    The slope begins at 1, where p is taken for the probability that it says it is. It rises by 1 / (epochs
    of the run - 2) in each epoch in which the log-odds of the averaged p are clearly of two kinds (see
    `grjax.mixture.two_kinds`), and stays where it is while they are not: without such evidence the weight
    never becomes steeper than p itself says. `reason` says which it was, and `confidence` how sure it is:

      'two kinds'    mean over the examples of the larger of P(right) and P(wrong) by the mixture.
      'believed'     one kind, and fewer than 5% of the labels are not predicted: 1 - rate.
      'cannot tell'  one kind, and more labels are not predicted, which may be wrong or hard: 0.
      'early'        nothing yet, the network has not learned enough: 0.

    Args:
      parts: model, loss, optimiser and augmentation; without mixing. The loss is cross-entropy for the weight
        above; of another loss each example's is multiplied by the same factor.

    Returns:
      The method; its learner is an `Emphasised`. It believes that P(right | averaged p) of each example is
      kept.

    Raises:
      ConfigError: a config with mixing.
    """
    if parts.mix is not None:
        raise ConfigError("method.name: 'posterior_emphasis' does not take data.mixing; leave it out")
    plain = single(parts)
    epochs = parts.total_steps / parts.steps_per_epoch

    def init(seed: ArrayLike, labels: ArrayLike) -> Emphasised:
        labels = jnp.asarray(labels, jnp.int32)
        return Emphasised(plain.init(seed, labels), no_estimate(len(labels)), labels)

    def step(learner: Emphasised, step: jax.Array, data: DeviceData, batch: Batch) -> tuple[Emphasised, Seen]:
        loss = weighted(parts.loss, learner.estimate.weight())
        weighing = single(dataclasses.replace(parts, loss=loss))
        network, seen = weighing.step(learner.network, step, data, batch)
        return learner._replace(network=network), seen

    def logits(learner: Emphasised, images: jax.Array) -> jax.Array:
        return evaluated(parts, learner.network, images)

    def losses(
        learner: Emphasised, images: jax.Array, labels: jax.Array, step: jax.Array
    ) -> dict[str, jax.Array]:
        return plain.losses(learner.network, images, labels, step)

    def begin_epoch(learner: Emphasised, records: Mapping[str, np.ndarray], epoch: int) -> Emphasised:
        wrong = np.mean(records["classes"] != learner.labels)
        after = estimated(learner.estimate, records["p"], float(wrong), epoch=epoch, epochs=epochs)
        return learner._replace(estimate=after)

    def beliefs(learner: Emphasised) -> dict[str, jax.Array]:
        now = learner.estimate
        inside = jnp.clip(now.mean_p, EDGE, 1 - EDGE)
        return {
            "kept": jnp.exp(now.weight().log_right(jnp.log(inside) - jnp.log1p(-inside))),
            "noise_rate": now.rate,
            "noise_rate_confidence": now.confidence,
            "noise_rate_reason": now.reason,
            "emphasis_rate": jnp.asarray(now.weight().rate),
            "emphasis_slope": now.slope,
            "emphasis_mode": now.mode,
            "emphasis_lam": now.lam,
            "emphasis_beta": now.beta,
        }

    return Method(init, step, logits, losses, begin_epoch, beliefs=beliefs)


def weighted(loss: TrainingLoss, weight: Posterior) -> TrainingLoss:
    """A loss, each example's times P(right | p) over the integral of the weight; that factor is constant."""

    def apply(
        logits: jax.Array, labels: jax.Array, rows: Any, step: jax.Array, **views: jax.Array
    ) -> tuple[jax.Array, Any]:
        values, rows = loss.apply(logits, labels, rows, step, **views)
        of_labels = log_odds(logits, labels)
        factor = jnp.exp(weight.log_right(of_labels) - weight.log_norm(of_labels.dtype))
        return factor.astype(values.dtype) * values, rows

    return loss._replace(apply=apply)


def no_estimate(number: int) -> Estimate:
    """The estimate before training, of that many examples: the weight is cross-entropy's."""
    zero = jnp.zeros((), jnp.float32)
    of_ce = posterior.shape(0.0, 1.0)
    return Estimate(
        mean_p=jnp.zeros(number, jnp.float32),
        latest=jnp.ones((), jnp.float32),
        disagreement=zero,
        rate=zero,
        slope=jnp.ones((), jnp.float32),
        reason=jnp.full((), EARLY, jnp.int32),
        confidence=zero,
        mode=jnp.float32(of_ce.mode),
        lam=jnp.float32(of_ce.lam),
        beta=jnp.float32(of_ce.beta),
    )


def estimated(before: Estimate, p: np.ndarray, disagreement: float, *, epoch: int, epochs: float) -> Estimate:
    """The estimate at the beginning of an epoch; see `posterior_emphasis`.

    Args:
      before: that of the epoch before.
      p: probabilities of the given labels of the training examples [N].
      disagreement: the share of these labels that are not predicted.
      epoch: that begins, from 0.
      epochs: of the run.

    Returns:
      The new estimate, NumPy arrays.
    """
    if epoch == 0:  # the network is not trained
        return before
    old = _MOMENTUM if epoch > 1 else 0.0
    mean_p = old * np.asarray(before.mean_p, np.float64) + (1 - old) * np.asarray(p, np.float64)
    latest, last_rate = float(before.latest), float(before.rate)
    after = before.replace(mean_p=mean_p.astype(np.float32), latest=_number(disagreement))
    share = disagreement
    if last_rate > 0:
        share = _MOMENTUM * float(before.disagreement) + (1 - _MOMENTUM) * disagreement
    elif epoch < _FIRST_EPOCH or latest - disagreement > _SETTLED * latest:
        return after  # the network is still learning what it predicts easily
    rate, slope = max(share, _HELD * last_rate), float(before.slope)
    kinds = mixture.two_kinds(log_odds_of(mean_p))
    if kinds is not None:
        wrong = kinds.low_posterior(log_odds_of(mean_p))
        reason, confidence = TWO_KINDS, float(np.maximum(wrong, 1 - wrong).mean())
        slope = min(slope + (_STEEPEST - 1) / max(epochs - _FIRST_EPOCH, 1), _STEEPEST)
    elif rate < _FEW:
        reason, confidence = BELIEVED, 1 - rate
    else:
        reason, confidence = CANNOT_TELL, 0.0
    of_weight = posterior.shape(min(rate, _LARGEST), slope)
    return after.replace(
        disagreement=_number(share),
        rate=_number(rate),
        slope=_number(slope),
        reason=np.asarray(reason, np.int32),
        confidence=_number(confidence),
        mode=_number(of_weight.mode),
        lam=_number(of_weight.lam),
        beta=_number(of_weight.beta),
    )


def _number(value: float) -> Any:
    return np.asarray(value, np.float32)
