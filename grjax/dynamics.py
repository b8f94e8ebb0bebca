"""Training dynamics: what the train step notes about each example as it comes by.

One row for each training example, gathered and scattered with the loss's memory; 32 bytes an example. It is
about the logits that the loss is taken of, so in training mode and of augmented images:
  - of several views of an example, the first;
  - of mixtures, an example counts where at least half of the image is its own, with its own label.

Nothing here depends on clean labels, and training does not depend on anything here.
"""

from pathlib import Path

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from grjax.losses.inputs import at_label, log_softmax
from grjax.workdir import layout
from grjax.workdir.files import write_npz


class Dynamics(flax.struct.PyTreeNode):
    """What has been seen of each example; all arrays are [N of the training split]."""

    count: jax.Array  # int32: how often it came by
    p_sum: jax.Array  # float32: of the probabilities of its given label
    p_last: jax.Array  # float32: the latest of them
    margin_sum: jax.Array  # float32: of the given label's logit minus the largest other
    forgotten: jax.Array  # int32: right at one time and wrong at the next, so often; -1: never right yet
    last_label: jax.Array  # int32: predicted the last time; -1: it never came by
    vote_label: jax.Array  # int32: the candidate of the majority of predictions; -1: it never came by
    votes: jax.Array  # int32: for the candidate, less those against it


def init(num_examples: int) -> Dynamics:
    """Initial rows, for examples not seen yet: [num_examples]."""

    def full(value: int, dtype: type) -> jax.Array:
        return jnp.full(num_examples, value, dtype)

    return Dynamics(
        count=full(0, jnp.int32),
        p_sum=full(0, jnp.float32),
        p_last=full(0, jnp.float32),
        margin_sum=full(0, jnp.float32),
        forgotten=full(-1, jnp.int32),
        last_label=full(-1, jnp.int32),
        vote_label=full(-1, jnp.int32),
        votes=full(0, jnp.int32),
    )


def update(rows: Dynamics, logits: jax.Array, labels: jax.Array, share: jax.Array | None = None) -> Dynamics:
    """The rows [B] of a batch after its logits were seen.

    Forgetting: right, then wrong the next time. The vote is Boyer's and Moore's: a label that more than half
    of the predictions named is the candidate at the end, whatever their order.

    Args:
      rows: of the examples of the batch.
      logits: [B, C], floating.
      labels: given labels, int32 [B].
      share: of the example itself in its image, float [B]; of less than one half the row stays. None: all.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax import dynamics
      >>> rows = dynamics.update(dynamics.init(2), jnp.array([[3.0, 1.0], [0.0, 2.0]]), jnp.array([0, 0]))
      >>> rows.margin_sum.tolist(), rows.last_label.tolist(), rows.forgotten.tolist()
      ([2.0, -2.0], [0, 1], [0, -1])

    Reference: Pleiss et al., NeurIPS 2020 (margins); Toneva et al., ICLR 2019 (forgetting).
    """
    wide = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    _, log_p, labels = log_softmax(wide, labels)
    p, predicted = jnp.exp(log_p), wide.argmax(-1).astype(jnp.int32)
    is_label = jnp.arange(wide.shape[-1])[None] == labels[:, None]
    margin = at_label(wide, labels) - jnp.where(is_label, -jnp.inf, wide).max(-1)
    was_right, right = rows.last_label == labels, predicted == labels
    backed = predicted == rows.vote_label
    unseated = ~backed & (rows.votes == 0)
    new = Dynamics(
        count=rows.count + 1,
        p_sum=rows.p_sum + p,
        p_last=p,
        margin_sum=rows.margin_sum + margin,
        forgotten=jnp.where(right, jnp.maximum(rows.forgotten, 0), rows.forgotten + was_right),
        last_label=predicted,
        vote_label=jnp.where(unseated, predicted, rows.vote_label),
        votes=jnp.where(backed | unseated, rows.votes + 1, rows.votes - 1),
    )
    if share is None:
        return new
    return jax.tree.map(lambda after, before: jnp.where(share >= 0.5, after, before), new, rows)


def summary(dynamics: Dynamics | tuple[()], ids: np.ndarray) -> dict[str, np.ndarray] | None:
    """What dynamics.npz holds: arrays [N] in the order of `ids`.

    ids, count, mean_p, last_p, aum (mean margin), forgetting (-1: never right), last_label, majority_label;
    of an example that never came by NaN, and label -1.

    Args:
      dynamics: of a state; empty if none were collected, and then None is returned.
      ids: of the training examples, int64 [N].
    """
    if not isinstance(dynamics, Dynamics):
        return None
    found = jax.tree.map(np.asarray, dynamics)
    count = np.where(found.count > 0, found.count, np.nan)
    return {
        "ids": ids,
        "count": found.count,
        "mean_p": (found.p_sum / count).astype(np.float32),
        "last_p": np.where(found.count > 0, found.p_last, np.nan).astype(np.float32),
        "aum": (found.margin_sum / count).astype(np.float32),
        "forgetting": found.forgotten,
        "last_label": found.last_label,
        "majority_label": found.vote_label,
    }


def save(workdir: Path, dynamics: Dynamics | tuple[()], ids: np.ndarray) -> None:
    """Writes dynamics.npz, whole or not at all, if any were collected; see `summary`."""
    arrays = summary(dynamics, ids)
    if arrays is not None:
        write_npz(workdir / layout.DYNAMICS, arrays)
