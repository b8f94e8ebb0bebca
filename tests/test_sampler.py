"""The order of examples: a pure function of (seed, step)."""

import numpy as np
import pytest

from grjax.data.sampler import Sampler
from grjax.errors import ConfigError


def epoch_of(sampler, epoch):
    first = epoch * sampler.steps_per_epoch
    return np.concatenate([sampler[first + k] for k in range(sampler.steps_per_epoch)])


@pytest.mark.parametrize(
    ("num_examples", "batch_size", "steps"),
    [(1442, 128, 11), (100, 10, 10), (10, 3, 3), (7, 7, 1), (7, 1, 7)],
)
def test_an_epoch_is_whole_batches_without_duplicates(num_examples, batch_size, steps):
    sampler = Sampler(num_examples, batch_size, seed=0)
    assert sampler.steps_per_epoch == steps
    for epoch in range(3):
        positions = epoch_of(sampler, epoch)
        assert len(np.unique(positions)) == len(positions) == steps * batch_size
        assert positions.min() >= 0
        assert positions.max() < num_examples


def test_a_batch_is_int32_positions():
    batch = Sampler(100, 8, seed=0)[5]
    assert (batch.dtype, batch.shape) == (np.int32, (8,))


def test_every_epoch_has_an_order_of_its_own():
    sampler = Sampler(100, 10, seed=0)
    assert len({tuple(epoch_of(sampler, epoch)) for epoch in range(20)}) == 20


def test_the_examples_left_out_differ_between_epochs():
    sampler = Sampler(10, 4, seed=0)
    left_out = {tuple(np.setdiff1d(np.arange(10), epoch_of(sampler, epoch))) for epoch in range(20)}
    assert len(left_out) > 10


def test_every_place_in_an_epoch_is_equally_likely():
    epochs, num_examples = 2000, 8
    sampler = Sampler(num_examples, num_examples, seed=0)
    orders = np.stack([epoch_of(sampler, epoch) for epoch in range(epochs)])
    p = 1 / num_examples
    tolerance = 4.5 * np.sqrt(p * (1 - p) / epochs)  # 64 frequencies at once
    for place in range(num_examples):
        frequencies = np.bincount(orders[:, place], minlength=num_examples) / epochs
        np.testing.assert_allclose(frequencies, p, atol=tolerance)


def test_a_batch_does_not_depend_on_the_batches_before():
    sampler = Sampler(50, 7, seed=3)
    in_order = [sampler[step].copy() for step in range(40)]
    for step in np.random.default_rng(0).permutation(40).tolist():
        np.testing.assert_array_equal(sampler[step], in_order[step])
        np.testing.assert_array_equal(Sampler(50, 7, seed=3)[step], in_order[step])


def test_another_seed_is_another_order():
    orders = {tuple(Sampler(100, 100, seed)[0]) for seed in range(20)}
    assert len(orders) == 20


def test_seed_and_epoch_do_not_mix():
    # As they would if the epoch were added to the seed.
    assert tuple(Sampler(100, 100, seed=0)[1]) != tuple(Sampler(100, 100, seed=1)[0])


def test_the_batch_size_does_not_change_the_order():
    small, large = Sampler(60, 10, seed=0), Sampler(60, 30, seed=0)
    for epoch in range(2):
        np.testing.assert_array_equal(epoch_of(small, epoch), epoch_of(large, epoch))


@pytest.mark.parametrize("step", [10**9, 10**12, 2**40])
def test_steps_may_be_huge(step):
    batch = Sampler(10, 3, seed=0)[step]
    assert len(np.unique(batch)) == 3


def test_numpys_integers_are_steps():
    sampler = Sampler(10, 3, seed=0)
    np.testing.assert_array_equal(sampler[np.int64(7)], sampler[7])


def test_batches_never_change_between_versions():
    np.testing.assert_array_equal(Sampler(1442, 8, seed=0)[0], [422, 1398, 382, 660, 603, 1184, 208, 1021])
    np.testing.assert_array_equal(Sampler(1442, 8, seed=1)[1000], [1063, 941, 872, 917, 73, 987, 745, 855])


def test_writing_to_a_batch_does_not_change_it_for_others():
    sampler = Sampler(10, 5, seed=0)
    expected = sampler[0].copy()
    sampler[0][:] = -1
    np.testing.assert_array_equal(sampler[0], expected)


@pytest.mark.parametrize(("num_examples", "batch_size"), [(100, 10), (10, 3), (7, 7), (11, 4)])
def test_a_fixed_order_is_cycled_and_leaves_nothing_out(num_examples, batch_size):
    sampler = Sampler(num_examples, batch_size, seed=3, order="fixed")
    stream = np.concatenate([sampler[step] for step in range(3 * num_examples)])
    cycles = stream.reshape(-1, num_examples)
    np.testing.assert_array_equal(np.sort(cycles[0]), np.arange(num_examples))
    np.testing.assert_array_equal(cycles, np.broadcast_to(cycles[0], cycles.shape))
    for step in range(num_examples):
        assert len(np.unique(sampler[step])) == batch_size


def test_a_fixed_order_is_the_shuffled_one_of_the_first_epoch_and_has_its_seed():
    fixed, shuffled = (Sampler(60, 10, 5, order) for order in ("fixed", "shuffled"))
    np.testing.assert_array_equal(epoch_of(fixed, 0), epoch_of(shuffled, 0))
    np.testing.assert_array_equal(epoch_of(fixed, 7), epoch_of(fixed, 0))
    assert tuple(Sampler(60, 10, 6, "fixed")[0]) != tuple(fixed[0])


@pytest.mark.parametrize("step", [0, 2**40, np.int64(2**40)])
def test_a_batch_of_a_fixed_order_is_int32_and_a_function_of_the_step(step):
    sampler = Sampler(10, 4, seed=0, order="fixed")
    batch = sampler[step]
    assert batch.dtype == np.int32
    np.testing.assert_array_equal(batch, sampler[int(step) % 5])  # 5 batches of 4 are 2 cycles of 10


def test_an_unknown_order_is_refused():
    with pytest.raises(ConfigError, match=r"data\.order: must be 'shuffled' or 'fixed', got 'sorted'"):
        Sampler(10, 2, 0, "sorted")
