"""Transition matrices: what is refused, and T estimated from anchor points."""

import jax
import numpy as np
import pytest

from grjax import losses

CORRECTIONS = [losses.forward_correction, losses.backward_correction]
LOGITS, LABELS = np.zeros((2, 3), np.float32), np.array([0, 1])
TRANSITION = np.array([[0.7, 0.2, 0.1], [0.0, 0.9, 0.1], [0.3, 0.1, 0.6]])


def posteriors(num_examples=2000, seed=0):
    """Noisy posteriors of examples whose clean ones are given: clean @ T, some of them certain."""
    rng = np.random.default_rng(seed)
    clean = rng.dirichlet([0.5] * 3, num_examples)
    clean[:3] = np.eye(3)
    return clean @ TRANSITION


@pytest.mark.parametrize("correction", CORRECTIONS)
@pytest.mark.parametrize("inside", [lambda function: function, jax.jit], ids=["eager", "jit"])
@pytest.mark.parametrize(
    ("transition", "message"),
    [
        ([[0.5, 0.4, 0.4], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], "sums to 1"),
        ([[1.5, -0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], r"transition: must be in \[0, 1\], got 1.5"),
        (TRANSITION.T, "sums to 1"),
        (np.full((3, 3), np.nan), r"transition: must be in \[0, 1\], got nan"),
        (1.5, r"transition: must be in \[0, 1\], got 1.5"),
        (-0.1, r"transition: must be in \[0, 1\], got -0.1"),
        (np.eye(4), r"\[3, 3\] for 3 classes, got \(4, 4\)"),
        (np.full(3, 1 / 3), r"\[3, 3\] for 3 classes, got \(3,\)"),
    ],
)
def test_unusable(correction, inside, transition, message):
    with pytest.raises(ValueError, match=message):
        inside(lambda logits: correction(logits, LABELS, transition=transition))(LOGITS)


@pytest.mark.parametrize("inside", [lambda function: function, jax.jit], ids=["eager", "jit"])
def test_backward_correction_needs_an_inverse(inside):
    uniform = np.full((3, 3), 1 / 3)
    with pytest.raises(ValueError, match="singular"):
        inside(lambda logits: losses.backward_correction(logits, LABELS, transition=uniform))(LOGITS)
    assert np.isfinite(losses.forward_correction(LOGITS, LABELS, transition=uniform)).all()


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_no_gradient_flows_to_the_transition(correction):
    to_matrix = jax.grad(lambda matrix: correction(LOGITS, LABELS, transition=matrix).sum())
    np.testing.assert_array_equal(to_matrix(np.float32(TRANSITION)), 0)


@pytest.mark.parametrize("inside", [lambda function: function, jax.jit], ids=["number", "traced"])
def test_a_label_that_the_transition_never_gives_has_a_finite_loss_and_no_gradient(inside):
    transition = np.array([[0.0, 0.6, 0.4], [0.0, 1.0, 0.0], [0.0, 0.1, 0.9]], np.float32)
    logits = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)

    def value_and_gradient(transition):
        value, pullback = jax.vjp(
            lambda z: losses.forward_correction(z, LABELS, transition=transition), logits
        )
        return value, pullback(np.ones(2, np.float32))[0]

    value, gradient = inside(value_and_gradient)(transition)
    np.testing.assert_allclose(value[0], -np.log(np.finfo(np.float32).tiny), rtol=1e-6)
    np.testing.assert_array_equal(gradient[0], 0)
    assert np.abs(gradient[1]).max() > 0.01
    np.testing.assert_allclose(np.exp(-value[1]), (jax.nn.softmax(logits) @ transition)[1, 1], rtol=1e-5)


def test_backward_correction_is_unbiased():
    logits = np.random.default_rng(0).normal(size=3).astype(np.float32)
    of_labels = losses.backward_correction(np.tile(logits, (3, 1)), np.arange(3), transition=TRANSITION)
    clean = losses.cross_entropy(np.tile(logits, (3, 1)), np.arange(3))
    np.testing.assert_allclose(TRANSITION @ of_labels, clean, rtol=1e-5)


def test_estimate_from_anchors_is_exact_where_there_are_some():
    found = losses.estimate_transition(posteriors())
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, TRANSITION, rtol=1e-12)


def test_estimate_at_a_percentile_ignores_an_outlier():
    outlier = np.array([[0.0, 0.0, 1.0]])
    predicted = np.concatenate([np.repeat(TRANSITION, 50, axis=0), outlier])
    np.testing.assert_allclose(losses.estimate_transition(predicted)[2], outlier[0])
    np.testing.assert_allclose(losses.estimate_transition(predicted, percentile=97.0), TRANSITION, rtol=1e-12)


def test_estimate_has_rows_that_sum_to_1_for_a_correction():
    predicted = posteriors() * np.float32(1.0005)
    found = losses.estimate_transition(predicted, percentile=99.0)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-12)
    for correction in CORRECTIONS:
        assert np.isfinite(correction(LOGITS, LABELS, transition=found)).all()


@pytest.mark.parametrize(
    ("probabilities", "percentile", "message"),
    [
        (np.zeros((0, 3)), 100.0, r"\[N, C\] with N > 0"),
        (np.ones(3) / 3, 100.0, r"\[N, C\] with N > 0"),
        (np.ones((4, 3)), 100.0, "sums to 1"),
        (np.array([[1.5, -0.5]]), 100.0, "sums to 1"),
        (np.ones((4, 2)) / 2, 101.0, r"percentile must be in \[0, 100\], got 101"),
    ],
)
def test_unusable_posteriors(probabilities, percentile, message):
    with pytest.raises(ValueError, match=message):
        losses.estimate_transition(probabilities, percentile=percentile)
