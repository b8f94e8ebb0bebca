"""Which examples make the batch of a step: a pure function of (seed, step)."""

import functools
from typing import Literal, get_args

import numpy as np

from grjax.errors import ConfigError

Order = Literal["shuffled", "fixed"]


class Sampler:
    """Batches without replacement, in an order drawn anew each epoch or in one that is cycled.

    `sampler[step]` is the global batch of that step, int32 [batch_size] positions in [0, num_examples),
    without duplicates. An epoch has num_examples // batch_size steps. Nothing is stored: after a resume,
    step 1000 is the same batch as ever.

    Args:
      num_examples: N.
      batch_size: at most N.
      seed: of the order.
      order: 'shuffled': each epoch has an order of its own, and the rest of its examples is left out, others
        each epoch. 'fixed': one order is drawn and cycled, as a data layer of Caffe reads a shuffled file
        again and again; a batch at its end goes on at its beginning, and no example is left out.

    Raises:
      ConfigError: another order.

    Example:
      >>> sampler = Sampler(5, 2, seed=0, order="fixed")
      >>> [sampler[step].tolist() for step in range(5)]
      [[4, 2], [0, 1], [3, 4], [2, 0], [1, 3]]
    """

    def __init__(self, num_examples: int, batch_size: int, seed: int, order: Order = "shuffled"):
        if order not in get_args(Order):
            raise ConfigError(f"data.order: must be 'shuffled' or 'fixed', got {order!r}")
        self._fixed = order == "fixed"
        self._num_examples = num_examples
        self._batch_size = batch_size
        self._seed = seed
        self.steps_per_epoch = num_examples // batch_size
        self._epoch_order = functools.lru_cache(maxsize=2)(self._draw_order)

    def __getitem__(self, step: int) -> np.ndarray:
        if self._fixed:
            places = int(step) * self._batch_size + np.arange(self._batch_size)
            return self._epoch_order(0)[places % self._num_examples]
        epoch, position = divmod(step, self.steps_per_epoch)
        start = position * self._batch_size
        return self._epoch_order(epoch)[start : start + self._batch_size].copy()

    def within(self, positions: np.ndarray, group: int) -> "GroupSampler":
        """The batches of a group of examples, as many an epoch and as large as those of all.

        Args:
          positions: of the group's examples, at least one.
          group: its number, from 0; groups have orders of their own.
        """
        return GroupSampler(positions, self._batch_size, self._seed, group)

    def _draw_order(self, epoch: int) -> np.ndarray:
        return _drawn_order(self._num_examples, self._seed, epoch, 0)


class GroupSampler:
    """Batches from some of the examples, without replacement within each pass through them.

    `sampler[step]` is the batch of that step, int32 [batch_size]. A group smaller than a batch is gone
    through several times for each, so its examples appear more than once in it.
    """

    def __init__(self, positions: np.ndarray, batch_size: int, seed: int, group: int):
        if not len(positions):
            raise ValueError(f"positions: group {group} must have at least one example, got none")
        self._positions = np.asarray(positions, np.int32)
        self._batch_size = batch_size
        passes = -(-batch_size // len(self._positions))  # for one batch
        self._per_order = passes * len(self._positions) // batch_size  # batches from one order
        draw = functools.partial(_drawn_order, len(self._positions), seed, stream=group + 1)
        self._order = functools.lru_cache(maxsize=2)(
            lambda number: np.concatenate([draw(number * passes + each) for each in range(passes)])
        )

    def __getitem__(self, step: int) -> np.ndarray:
        number, position = divmod(step, self._per_order)
        start = position * self._batch_size
        return self._positions[self._order(number)[start : start + self._batch_size]]


def _drawn_order(number: int, seed: int, epoch: int, stream: int) -> np.ndarray:
    """A permutation of `number` examples, int32."""
    # Sorting the raw output of a counter-based generator: the same order on every machine and NumPy.
    # The counter keeps its words apart from those that the same seed gives to noise and to validation.
    generator = np.random.Philox(key=[seed, epoch], counter=[0, 0, stream, 1])
    return np.argsort(generator.random_raw(number), kind="stable").astype(np.int32)
