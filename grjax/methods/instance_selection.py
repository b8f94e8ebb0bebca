"""Which labels are believed, by thresholds that each example has of its own; for DISC.

Reference: Li et al., CVPR 2023; github.com/JackYFL/DISC.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

# What an example is taken for.
LEFT_OUT, CORRECTED, HARD, CLEAN = range(4)


class Predicted(NamedTuple):
    """What the network said of each example when it last came by, in training mode; 0 before that.

    The weak view stands first. It is all that a selection needs of the two vectors of probabilities.
    """

    of_label: jax.Array  # float32 [N, 2]: the probability of the given label in each view
    largest: jax.Array  # float32 [N, 2]: the largest probability in each view
    largest_mean: jax.Array  # float32 [N]: the largest of the mean probabilities over both views
    classes: jax.Array  # int32 [N]: the class that has it


class Selection(NamedTuple):
    """What the examples are taken for."""

    kinds: jax.Array  # int32 [N], one of LEFT_OUT, CORRECTED, HARD, CLEAN
    labels: jax.Array  # int32 [N]: what is mixed, the given label or the predicted class
    thresholds: jax.Array  # float32 [N, 2], of each view


def selected(
    predicted: Predicted, thresholds: jax.Array, labels: jax.Array, *, margin: ArrayLike, cap: ArrayLike
) -> tuple[jax.Array, jax.Array]:
    """What examples are taken for, and the label that each is mixed with: int32 [N] both.

    Args:
      predicted: of the examples.
      thresholds: [N, 2].
      labels: given, int32 [N].
      margin: `correction_margin` of `disc`.
      cap: `correction_cap` of `disc`.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax.methods.instance_selection import Predicted, selected
      >>> of_label = jnp.array([[0.9, 0.8], [0.6, 0.1], [0.01, 0.02], [0.1, 0.2]])
      >>> largest = jnp.array([[0.9, 0.8], [0.6, 0.8], [0.99, 0.95], [0.5, 0.6]])
      >>> predicted = Predicted(of_label, largest, largest.mean(-1), jnp.array([0, 1, 2, 3]))
      >>> kinds, of_mixing = selected(
      ...     predicted, jnp.full((4, 2), 0.4), jnp.zeros(4, int), margin=0.5, cap=0.9)
      >>> kinds.tolist(), of_mixing.tolist()  # clean, hard, corrected, left out
      ([3, 2, 1, 0], [0, 0, 2, 0])
    """
    above = (predicted.of_label > thresholds).sum(-1)
    enough = predicted.largest_mean > jnp.minimum(thresholds.mean(-1) + margin, cap)
    kinds = jnp.select([above == 2, above == 1, enough], [CLEAN, HARD, CORRECTED], LEFT_OUT)
    return kinds.astype(jnp.int32), jnp.where(kinds == CORRECTED, predicted.classes, labels)


def moved(thresholds: jax.Array, largest: jax.Array, momentum: ArrayLike) -> jax.Array:
    """The thresholds [N, 2] after an epoch: momentum t + (1 - momentum) largest probability [N, 2]."""
    return jnp.asarray(momentum * thresholds + (1 - momentum) * largest)


def prediction(weak: jax.Array, strong: jax.Array, labels: jax.Array) -> Predicted:
    """What a selection needs of the logits [B, C] of both views; labels int32 [B]."""
    p = jax.nn.softmax(jnp.stack([weak, strong], axis=1))  # [B, 2, C]
    mean = p.mean(1)
    return Predicted(
        of_label=jnp.take_along_axis(p, labels[:, None, None], axis=-1)[..., 0],
        largest=p.max(-1),
        largest_mean=mean.max(-1),
        classes=mean.argmax(-1).astype(jnp.int32),
    )
