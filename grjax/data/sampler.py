"""Which examples make the batch of a step: a pure function of (seed, step)."""

import functools

import numpy as np


class Sampler:
    """Batches without replacement within an epoch, in an order drawn anew each epoch.

    `sampler[step]` is the global batch of that step, int32 [batch_size] positions in [0, num_examples),
    without duplicates. An epoch has num_examples // batch_size steps; the rest of its examples are left out,
    others each epoch. Nothing is stored: after a resume, step 1000 is the same batch as ever.
    """

    def __init__(self, num_examples: int, batch_size: int, seed: int):
        self._num_examples = num_examples
        self._batch_size = batch_size
        self._seed = seed
        self.steps_per_epoch = num_examples // batch_size
        self._epoch_order = functools.lru_cache(maxsize=2)(self._draw_order)

    def __getitem__(self, step: int) -> np.ndarray:
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
