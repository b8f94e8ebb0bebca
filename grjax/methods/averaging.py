"""An average of a network over the steps of training, which is evaluated in its place."""

import flax.struct
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grjax.devices import PyTree


class Average(flax.struct.PyTreeNode):
    """A running mean of a network's parameters and batch-norm statistics.

    The statistics are averaged like the parameters. They change with these, a little at each step, so their
    mean belongs to the mean of the parameters; to measure them anew would take a pass over the training set
    before every evaluation, and arrays that a fitted estimator does not have.
    """

    steps: jax.Array  # int32 []: how many it has seen
    params: PyTree
    batch_stats: PyTree


def begin(params: PyTree, batch_stats: PyTree) -> Average:
    """The average before the first step; nothing of what it holds is left after that."""
    # Copies: a step donates the state, and no buffer twice.
    return Average(jnp.zeros((), jnp.int32), *jax.tree.map(jnp.copy, (params, batch_stats)))


def updated(average: Average, params: PyTree, batch_stats: PyTree, decay: ArrayLike) -> Average:
    """The average after a step: d average + (1 - d) network.

    d = min(decay, t / (t + 9)), where t steps came before: the first average is the network after the first
    step, and the average grows as long as `decay` says while training goes on. So early averages lag by a
    tenth of the steps so far, and hold nothing of the initial network.

    Args:
      average: before the step.
      params: of the network, after the step.
      batch_stats: of the network, after the step.
      decay: in [0, 1); 0 is the network itself.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax.methods import averaging
      >>> average = averaging.begin(jnp.array(5.0), {})
      >>> for value in (1.0, 2.0, 3.0):
      ...     average = averaging.updated(average, jnp.array(value), {}, decay=0.9)
      >>> round(float(average.params), 3)  # of 1 and 2 with d = 0.1, of that and 3 with d = 2/11
      2.8
    """
    d = jnp.minimum(decay, average.steps / (average.steps + 9))

    def mean(before: jax.Array, now: jax.Array) -> jax.Array:
        return (d * before + (1 - d) * now).astype(now.dtype)

    return Average(
        steps=average.steps + 1,
        params=jax.tree.map(mean, average.params, params),
        batch_stats=jax.tree.map(mean, average.batch_stats, batch_stats),
    )
