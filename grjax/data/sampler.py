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

    def _draw_order(self, epoch: int) -> np.ndarray:
        # Sorting the raw output of a counter-based generator: the same order on every machine and NumPy.
        # The counter keeps its words apart from those that the same seed gives to noise and to validation.
        generator = np.random.Philox(key=[self._seed, epoch], counter=[0, 0, 0, 1])
        words = generator.random_raw(self._num_examples)
        return np.argsort(words, kind="stable").astype(np.int32)
