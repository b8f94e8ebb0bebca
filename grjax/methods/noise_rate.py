"""The noise rate as a method knows it: a number that somebody gave, or an estimate from its predictions."""

from collections.abc import Mapping
from typing import Annotated, Literal

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from grjax import mixture
from grjax.ranges import In

Rate = Annotated[float, In("[0, 1)")] | Literal["estimated"]

_MOMENTUM = 0.7  # of the average of p: one epoch's predictions are noisy
_FIRST_EPOCH = 2  # before it the predictions are those of a network that has seen little
EDGE = 1e-4  # p is kept this far inside (0, 1): log-odds of 9.2


class Estimate(flax.struct.PyTreeNode):
    """What is estimated, and what from; a part of the learner."""

    rate: jax.Array  # float32 []
    mean_p: jax.Array  # float32 [N]: average over epochs of the probability of the given label


def no_estimate(labels: ArrayLike) -> Estimate:
    """The estimate before training: 0."""
    return Estimate(jnp.zeros((), jnp.float32), jnp.zeros(jnp.shape(labels)[0], jnp.float32))


def estimated(before: Estimate, records: Mapping[str, np.ndarray], epoch: int, *, until: float) -> Estimate:
    """The estimate at the beginning of an epoch.

    The log-odds of the averaged p are taken for a mixture of two normal distributions, and the rate is the
    share of the lower one: of the labels that the network does not believe. While one distribution does as
    well, or the lower one's mean is not below 0, the rate is 0: nothing is left out before the data speak for
    it. From epoch `until` on an estimate
    that is not 0 stays: wrong labels that are learned later would lower it.

    Args:
      before: that of the epoch before.
      records: of the training examples; 'p' [N].
      epoch: that begins, from 0.
      until: the epoch after which an estimate stays.

    Returns:
      The new estimate, NumPy arrays.
    """
    p = np.asarray(records["p"], np.float64)
    if epoch == 0 or (epoch > until and before.rate > 0):  # at 0 the network is not trained
        return before
    mean_p = p if epoch == 1 else _MOMENTUM * np.asarray(before.mean_p, np.float64) + (1 - _MOMENTUM) * p
    rate = wrong_share(mean_p) if epoch >= _FIRST_EPOCH else 0.0
    return Estimate(rate=np.asarray(rate, np.float32), mean_p=mean_p.astype(np.float32))  # type: ignore[arg-type]


def wrong_share(p: np.ndarray) -> float:
    """The share of labels that are not believed, from probabilities of the given labels [N]; 0: cannot tell.

    Log-odds of p are two kinds, and the mean of the lower one is below 0.

    Example:
      >>> import numpy as np
      >>> from grjax.methods.noise_rate import wrong_share
      >>> rng = np.random.default_rng(0)
      >>> p = np.concatenate([rng.beta(2, 30, 200), rng.beta(30, 2, 800)])
      >>> round(wrong_share(p), 2), wrong_share(p[200:])
      (0.2, 0.0)
      >>> wrong_share(np.concatenate([rng.beta(2, 1, 800), rng.beta(900, 1, 200)]))  # all are believed
      0.0
    """
    found = mixture.two_kinds(log_odds_of(p))
    # With clean labels the easiest examples may stand out: then the others are the lower kind, and believed.
    return 0.0 if found is None or found.low[0] >= 0 else found.low_weight


def log_odds_of(p: np.ndarray) -> np.ndarray:
    """log(p / (1 - p)) of probabilities [N], those at the ends kept inside: float64, at most 9.2 in size."""
    inside = np.clip(np.asarray(p, np.float64), EDGE, 1 - EDGE)
    return np.log(inside) - np.log1p(-inside)
