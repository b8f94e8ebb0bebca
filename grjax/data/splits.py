"""Taking a stratified part out of a split: for validation, and for a test set where none is given."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from grjax.data.dataset import Dataset, Split
from grjax.errors import ConfigError

# The last word of a Philox counter keeps the words of a seed apart from those that it gives to noise, to the
# order, and to the other of these.
_VALIDATION, _TEST = 2, 1000


def hold_out(dataset: Dataset, fraction: float, seed: int) -> Dataset:
    """Moves a stratified fraction of the training split to a split named 'validation', with clean labels.

    Args:
      dataset: a data set without a validation split.
      fraction: of each class, in (0, 1); rounded to whole examples, at least one of each class.
      seed: of the choice, its own, in [0, 2**64).

    Raises:
      ConfigError: a fraction or seed out of range, a class that would have no training example left, or a
        data set that has a validation split.
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"data.validation_fraction: must be in [0, 1), got {fraction}")
    if "validation" in dataset.splits:
        raise ConfigError(
            f"data.validation_fraction: must be 0 for {dataset.name!r}, it has a validation split of its own"
        )
    train = dataset.splits["train"]
    held_out = _choose(train.labels, fraction, seed, _VALIDATION, "validation", dataset.class_names)
    return dataclasses.replace(
        dataset,
        splits={
            "train": train.take(np.flatnonzero(~held_out)),
            "validation": train.take(np.flatnonzero(held_out)),
            **{name: split for name, split in dataset.splits.items() if name != "train"},
        },
    )


def split_off_test(
    examples: Split, fraction: float, seed: int, class_names: Sequence[str]
) -> dict[str, Split]:
    """Splits 'train' and 'test' of examples that come without: stratified as `hold_out` is, ids kept.

    Args:
      examples: all there are.
      fraction: of each class, in (0, 1), that becomes the test split.
      seed: of the choice, its own, in [0, 2**64).
      class_names: of the examples, for an error.

    Raises:
      ConfigError: a fraction or seed out of range, or a class that would have no training example left.
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"data.test_fraction: must be in (0, 1), got {fraction}")
    test = _choose(examples.labels, fraction, seed, _TEST, "test", class_names)
    return {"train": examples.take(np.flatnonzero(~test)), "test": examples.take(np.flatnonzero(test))}


def _choose(
    labels: np.ndarray, fraction: float, seed: int, stream: int, what: str, class_names: Sequence[str]
) -> np.ndarray:
    if not 0 <= seed < 2**64:
        raise ConfigError(f"data.{what}_seed: must be in [0, 2**64), got {seed}")
    generator = np.random.Philox(key=seed, counter=[0, 0, 0, stream])
    order = np.argsort(generator.random_raw(len(labels)), kind="stable")
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        count = max(1, round(fraction * len(members)))
        if count == len(members):
            raise ConfigError(
                f"data.{what}_fraction: {fraction} leaves no training example of class {label} "
                f"({class_names[label]!r}), which has {len(members)}"
            )
        chosen[members[:count]] = True
    return chosen
