"""What a method of training is: a few pure functions around a learner.

A learner is a pytree that holds everything the method changes: networks, optimiser states, memories, splits.
It is checkpointed whole, so a run goes on bit for bit. Nothing random is kept: keys follow from seed and
step.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import flax.struct
import jax
import numpy as np
import optax
from jax.typing import ArrayLike, DTypeLike

from grjax.data.augment import BatchAugmentation
from grjax.data.feed import DeviceData
from grjax.data.mixing import Mixing
from grjax.devices import PyTree
from grjax.losses.memory import TrainingLoss
from grjax.losses.schedules import Schedule

Learner = Any  # a pytree


class Seen(flax.struct.PyTreeNode):
    """What a step reports of the examples of its device's batch, for metrics and training dynamics."""

    positions: jax.Array  # int32 [B], of the examples
    labels: jax.Array  # int32 [B], given
    logits: jax.Array  # [B, C], in training mode
    losses: jax.Array  # [B]: what is minimised
    share: jax.Array | None = None  # [B], of the example itself in its image; None: all
    metrics: Mapping[str, jax.Array] = flax.struct.field(default_factory=dict)  # more, [] each


class Method(NamedTuple):
    """An algorithm that trains a learner. All functions are pure; those of a learner may be jitted.

    Attributes:
      init: (seed, noisy labels int32 [N]) -> learner.
      step: (learner, step int32 [], data, batch) -> (learner, seen), on one device of several; means over
        `grjax.devices.AXIS` make the learner the same on all of them. With `groups` the batch is a dict of
        one batch for each group.
      logits: (learner, images float32 [B, height, width, channels], standardised) -> [B, C]. For evaluation,
        audit and estimator; several networks give their mean.
      losses: (learner, images, labels [B], step) -> {name: [B]}: records of an evaluation for each example.
        'losses', the loss that the method minimises, must be among them.
      begin_epoch: (learner, records of the training split {name: [N]}, epoch) -> learner, between epochs, on
        the host: mixtures, splits, schedules. The records are those of an evaluation with the learner given:
        'p', 'classes' and what `losses` returns. None: nothing happens between epochs.
      groups: (learner) -> {name: int positions}: which training examples each group has, as labelled and
        unlabelled ones; a function of the learner that only `begin_epoch` may change. None, or what it
        returns: one batch of all.
      beliefs: (learner) -> {name: array}: what the method holds of the training labels, for metrics and
        audit alone. 'kept', float32 [N] in [0, 1]: how much of each example it trains on, as it last chose;
        'noise_rate', float32 []: its estimate. None: it chooses and estimates nothing.
    """

    init: Callable[[ArrayLike, ArrayLike], Learner]
    step: Callable[[Learner, jax.Array, DeviceData, Any], tuple[Learner, Seen]]
    logits: Callable[[Learner, jax.Array], jax.Array]
    losses: Callable[[Learner, jax.Array, jax.Array, jax.Array], dict[str, jax.Array]]
    begin_epoch: Callable[[Learner, Mapping[str, np.ndarray], int], Learner] | None = None
    groups: Callable[[Learner], dict[str, np.ndarray] | None] | None = None
    beliefs: Callable[[Learner], dict[str, jax.Array]] | None = None


@dataclasses.dataclass(frozen=True)
class Parts:
    """What a config gives a method to work with.

    Attributes:
      model: with batch norm synchronised over `AXIS`.
      loss: a loss with a memory has a row for each training example.
      optimizer: an optax chain.
      schedule: step -> factor of the learning rate in `optimizer`; for optimisers of a method's own.
      augment: (images [B, ...], positions [B], key) -> images.
      mix: (images [B, ...], key) -> (images, each mixed with the one before it, share of its own [B]), and
        the loss is that of both labels by their shares; None: no mixing. For a loss without memory.
      views: of each example, augmented independently: V >= 1, and 1 for a loss with memory.
      image_shape: (height, width, channels) that the model sees.
      num_classes: C.
      pretrain: fresh variables of the model -> those to begin with.
      seed: of augmentation, mixing and dropout; may be traced.
      steps_per_epoch: of the run.
      total_steps: of the run.
      image_dtype: of the images that `augment` takes; uint8, or floating for features.
      average: decay of the average of a network; 0: none. See `grjax.methods.network.with_options`.
      sam: rho of sharpness-aware minimisation; 0: none.
    """

    model: nn.Module
    loss: TrainingLoss
    optimizer: optax.GradientTransformation
    schedule: Schedule
    augment: BatchAugmentation
    mix: Mixing | None
    views: int
    image_shape: tuple[int, ...]
    num_classes: int
    pretrain: Callable[[PyTree], PyTree]
    seed: ArrayLike
    steps_per_epoch: int
    total_steps: int
    image_dtype: DTypeLike = np.uint8
    average: float = 0.0
    sam: float = 0.0
