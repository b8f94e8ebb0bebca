import math

import numpy as np
import pytest
import scipy.stats

from grjax.errors import ConfigError
from grjax.sweep.statistics import compare, seeds_of, spread

GENERATOR = np.random.default_rng(0)


@pytest.mark.parametrize("n", [2, 3, 5, 12])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_spread_is_that_of_numpy_and_scipy(n, confidence):
    values = GENERATOR.uniform(0.2, 0.9, n)
    result = spread(list(values), confidence)
    assert result.n == n
    np.testing.assert_allclose([result.mean, result.std], [values.mean(), values.std(ddof=1)], rtol=1e-12)
    expected = scipy.stats.t.interval(confidence, n - 1, loc=values.mean(), scale=scipy.stats.sem(values))
    np.testing.assert_allclose([result.low, result.high], expected, rtol=1e-10)


@pytest.mark.parametrize("n", [2, 5, 9])
def test_comparison_is_scipys_paired_test(n):
    baseline = GENERATOR.uniform(0.5, 0.9, n)
    ours = baseline + GENERATOR.normal(0.02, 0.01, n)
    # The same seeds in another order: pairs are found by seed, not by position.
    result = compare(dict(enumerate(ours)), dict(reversed(list(enumerate(baseline)))))
    expected = scipy.stats.ttest_rel(ours, baseline)
    np.testing.assert_allclose(result.p_value, expected.pvalue, rtol=1e-9)
    interval = expected.confidence_interval(0.95)
    np.testing.assert_allclose([result.difference.low, result.difference.high], interval, rtol=1e-9)
    np.testing.assert_allclose(result.difference.mean, (ours - baseline).mean(), rtol=1e-12)
    assert result.difference.n == n


def test_pairing_finds_a_difference_that_the_spread_over_seeds_hides():
    baseline = {seed: 0.5 + 0.1 * seed for seed in range(5)}
    ours = {seed: value + 0.01 + 0.001 * seed for seed, value in baseline.items()}
    assert compare(ours, baseline).p_value < 0.001
    assert scipy.stats.ttest_ind(list(ours.values()), list(baseline.values())).pvalue > 0.8


def test_one_value_has_no_spread():
    one = spread([0.5])
    assert (one.mean, one.n, one.std, one.low, one.high) == (0.5, 1, None, None, None)
    assert compare({0: 0.5}, {0: 0.4}).p_value is None


def test_equal_differences_need_no_division_by_zero():
    assert compare({0: 0.5, 1: 0.75}, {0: 0.5, 1: 0.75}).p_value == 1
    assert compare({0: 0.75, 1: 1.0}, {0: 0.5, 1: 0.75}).p_value == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: spread([]), "one or more, got none"),
        (lambda: spread([0.5, math.nan]), "must be finite, got"),
        (lambda: spread([0.5, 0.6], confidence=95), r"confidence: must be in \(0, 1\), got 95"),
        (lambda: compare({0: 0.5, 1: 0.5}, {0: 0.5, 2: 0.5}), "seeds: must be the same .* got 1, 2 on one"),
        (lambda: compare({}, {}), "got none"),
    ],
)
def test_what_cannot_be_said_is_refused(call, message):
    with pytest.raises(ConfigError, match=message):
        call()


def test_seeds_of_noise_initialisation_and_order_make_a_pair():
    flat = {"noise.seed": 3, "init_seed": 4, "order_seed": 5, "loss.beta": 8}
    assert seeds_of(flat) == (3, 4, 5, None, None)  # those of imbalance and open set are not given
    assert seeds_of({**flat, "imbalance.seed": 6}) != seeds_of(flat)
    assert seeds_of({**flat, "noise.seed": 6}) != seeds_of(flat)
