"""Epsilon: fitted examples stop contributing, and at 0 everything is as the formula has it, bit for bit."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from grjax import losses
from grjax.emphasis import EPSILON, PowerExponential, log_fade, log_integral, log_normalizer

EPSILONS = [1e-8, 1e-6, 1e-3, 2.0]
BETAS = [-0.52, -0.33, 0.0, 0.9]
# Log-odds from p within 1e-26 of 0 to p within 1e-26 of 1, which no float32 p tells from 1 beyond 17.
LOG_ODDS = np.concatenate([np.linspace(-60, 60, 41), [17.0, 18.0, 80.0]])
WITH_VALUE = sorted(set(losses.names_of_p_alone()) - {"gradient_rescaling", "imae", "combined"})


def logits_of(log_odds):
    """Logits [..., 3] of which the label 0 has these log-odds: the others are equal."""
    label = np.asarray(log_odds) + np.log(2.0)
    return np.stack([label, np.zeros_like(label), np.zeros_like(label)], axis=-1).astype(np.float32)


@functools.partial(jax.jit, static_argnames=("name", "normalization"))
def norms(logits, epsilon, name="gradient_rescaling", normalization="none", **options):
    """L1 norms of the logit gradients, [...], all labels 0."""
    labels = jnp.zeros(logits.shape[:-1], int)

    def total(logits):
        loss = losses.create(name, epsilon=epsilon, normalization=normalization, **options)
        return loss(logits, labels).sum()

    return jnp.abs(jax.grad(total)(logits)).sum(-1)


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_fade_is_the_quotient_of_the_denominators(epsilon):
    not_p = 1 / (1 + np.exp(LOG_ODDS))
    expected = 2 * not_p / (2 * not_p + epsilon)
    single = log_fade(jnp.asarray(LOG_ODDS, jnp.float32), epsilon)
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(np.exp(np.float64(single)), expected, rtol=1e-5)
    with jax.enable_x64(True):
        np.testing.assert_allclose(jnp.exp(log_fade(jnp.asarray(LOG_ODDS), epsilon)), expected, rtol=1e-12)


def test_fade_of_epsilon_0_and_where_p_is_0_or_1():
    ends = jnp.array([-jnp.inf, -1e4, 0.0, 30.0, 1e4, jnp.inf])
    np.testing.assert_array_equal(log_fade(ends, 0.0), 0)
    fade = jnp.exp(log_fade(ends, 1e-6))
    np.testing.assert_allclose(fade, [1, 1, 1, 2 / (2 + 1e-6 * (1 + np.exp(30))), 0, 0], rtol=1e-5)


def test_half_of_the_weight_at_1_minus_p_of_half_of_epsilon():
    np.testing.assert_allclose(jnp.exp(log_fade(jnp.log(1 / 5e-7 - 1), 1e-6)), 0.5, rtol=1e-5)


@pytest.mark.parametrize("epsilon", EPSILONS)
@pytest.mark.parametrize(("lam", "beta"), [(0.0, -0.52), (0.5, 8.0)])
def test_gradient_is_divided_as_in_the_released_layers(epsilon, lam, beta):
    p, not_p = 1 / (1 + np.exp(-LOG_ODDS)), 1 / (1 + np.exp(LOG_ODDS))
    expected = np.exp(beta * p**lam * not_p) * 2 * not_p / (2 * not_p + epsilon)
    found = norms(logits_of(LOG_ODDS), epsilon, lam=lam, beta=beta)
    np.testing.assert_allclose(found, expected, rtol=2e-5)


@pytest.mark.parametrize("normalization", ["none", "integral", "batch"])
@pytest.mark.parametrize(("lam", "beta"), [(0.0, 0.9), (0.5, 8.0), (2.0, -3.0)])
def test_epsilon_0_is_the_formula_bit_for_bit(normalization, lam, beta):
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(64, 3), scale=8), jnp.float32)
    labels = jnp.zeros(64, int)
    largest = logits[:, 1:].max(-1, keepdims=True)
    sum_others = jnp.exp(logits[:, 1:] - largest).sum(-1)
    weight = PowerExponential(lam, beta)
    log_weight = weight.log_weight(logits[:, 0] - largest[:, 0] - jnp.log(sum_others))
    plain = jnp.exp(log_weight - log_normalizer(weight, log_weight, normalization))
    expected = jax.grad(lambda z: losses.rescale(z, labels, plain).sum())(logits)

    def gradient(epsilon):
        loss = functools.partial(losses.gradient_rescaling, lam=lam, beta=beta, normalization=normalization)
        return jax.grad(lambda z: loss(z, labels, epsilon=epsilon).sum())(logits)

    np.testing.assert_array_equal(gradient(0.0), expected)
    np.testing.assert_array_equal(gradient(jnp.float32(0)), expected)
    assert (gradient(1e-2) != expected).any()


@pytest.mark.parametrize("name", WITH_VALUE)
def test_written_losses_keep_their_gradients_unless_they_are_normalised_by_the_batch(name):
    logits = logits_of(LOG_ODDS)
    labels = jnp.zeros(len(logits), int)

    def gradient(**options):
        return jax.jit(jax.grad(lambda z: losses.create(name, **options)(z, labels).sum()))(logits)

    without = {} if name == "cross_entropy" else {"epsilon": 0.0}  # that of optax rounds
    np.testing.assert_array_equal(gradient(), gradient(**without))
    np.testing.assert_array_equal(
        gradient(normalization="batch"), gradient(normalization="batch", epsilon=EPSILON)
    )


def test_weights_in_the_norm_do_not_fade():
    # The integral is that of w; the weight far from p = 1 is what it would be without epsilon.
    at_half = logits_of(np.zeros(4))
    for normalization in ("integral", "batch"):
        found = norms(at_half, 0.1, normalization=normalization, lam=0.0, beta=2.0)
        expected = norms(at_half, 0.0, normalization=normalization, lam=0.0, beta=2.0) / 1.1
        np.testing.assert_allclose(found, expected, rtol=2e-4)
    # It would not tell in float32, either: the integral of the faded weight is smaller by less than 1e-4.
    p = (np.arange(10**6) + 0.5) / 10**6
    faded = (np.exp(0.9 * (1 - p)) * (1 - p) / (1 - p + 5e-7)).mean()
    np.testing.assert_allclose(faded, np.exp(log_integral(PowerExponential(0.0, 0.9))), rtol=1e-4)


@pytest.mark.parametrize("name", ["mae", "cross_entropy", "mse", "gce"])
@pytest.mark.parametrize("epsilon", [0.0, 1e-6])
def test_a_batch_of_fitted_examples(name, epsilon):
    # Weights from 1e-13 to 1e-38 and below, and so is their mean: the quotient is of logs.
    found = np.asarray(norms(logits_of(np.linspace(30, 300, 64)), epsilon, name, "batch"))
    assert np.isfinite(found).all()
    if epsilon:
        assert found.mean() < 1e-6  # nobody is scaled up again
    else:
        np.testing.assert_allclose(found.mean(), 1, rtol=1e-5)


def test_epsilon_may_be_traced_and_gets_no_gradient():
    logits, labels, traces = logits_of(np.linspace(-2, 16, 8)), jnp.zeros(8, int), []

    @jax.jit
    def gradients(logits, epsilon):
        traces.append(epsilon)

        def total(logits, epsilon):
            return losses.gradient_rescaling(logits, labels, lam=0.0, beta=0.9, epsilon=epsilon).sum()

        return jax.grad(total, argnums=(0, 1))(logits, epsilon)

    found = [gradients(logits, epsilon) for epsilon in (0.0, 1e-6, 1e-3)]
    assert len(traces) == 1
    for _, to_epsilon in found:
        np.testing.assert_array_equal(to_epsilon, 0)
    each = jax.vmap(lambda epsilon: gradients(logits, epsilon)[0])(jnp.array([0.0, 1e-6, 1e-3]))
    np.testing.assert_allclose(each, np.stack([of_logits for of_logits, _ in found]), rtol=1e-6)
    by_example = gradients(logits, jnp.array([0.0, 1e-3] * 4))[0]
    np.testing.assert_array_equal(by_example[::2], found[0][0][::2])
    np.testing.assert_array_equal(by_example[1::2], found[2][0][1::2])


def test_epsilon_that_does_not_broadcast():
    with pytest.raises(ValueError, match=r"epsilon must be a scalar or broadcast to .*\(8,\), got \(3,\)"):
        losses.gradient_rescaling(
            logits_of(np.zeros(8)), np.zeros(8, int), lam=0.0, beta=1.0, epsilon=np.ones(3)
        )


def two_separable_classes():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(100, 2))
    side = points.sum(-1, keepdims=True)
    return (points + 0.5 * np.sign(side)).astype(np.float32), (side[:, 0] > 0).astype(np.int32)


@functools.partial(jax.jit, static_argnames="loss")
def train(epsilon, beta, loss):
    """The largest logit after 10,000 steps of momentum with a two-layer network, and the mean loss."""
    points, labels = two_separable_classes()
    first, second = jax.random.split(jax.random.key(0))
    params = jax.random.normal(first, (2, 8)), 0.5 * jax.random.normal(second, (8, 2))

    def logits_of(params):
        return jax.nn.relu(points @ params[0]) @ params[1]

    def step(state, _):
        params, momentum = state
        gradient = jax.grad(lambda params: loss(logits_of(params), labels, beta, epsilon).mean())(params)
        momentum = jax.tree.map(lambda m, g: 0.9 * m + g, momentum, gradient)
        return (jax.tree.map(lambda p, m: p - 0.01 * m, params, momentum), momentum), None

    (params, _), _ = jax.lax.scan(step, (params, jax.tree.map(jnp.zeros_like, params)), length=10_000)
    logits = logits_of(params)
    return jnp.abs(logits).max(), losses.cross_entropy(logits, labels).mean()


def rescaled(normalization):
    def loss(logits, labels, beta, epsilon):
        return losses.gradient_rescaling(
            logits, labels, lam=0.0, beta=beta, epsilon=epsilon, normalization=normalization
        )

    return loss


INTEGRAL, BATCH = rescaled("integral"), rescaled("batch")


@pytest.mark.parametrize("loss", [INTEGRAL, BATCH], ids=["integral", "batch"])
def test_a_network_that_has_fitted_its_examples_stops_growing(loss):
    over_both = jax.vmap(jax.vmap(train, in_axes=(None, 0, None)), in_axes=(0, None, None))
    largest, mean_loss = over_both(jnp.array([0.0, EPSILON]), jnp.array(BETAS), loss)
    assert not np.isfinite(largest[0]).any()  # by the formula it grows without bound
    assert not np.isfinite(mean_loss[0]).any()
    assert (np.asarray(largest[1]) < 100).all()
    assert np.isfinite(mean_loss[1]).all()


def mae_by_the_batch(logits, labels, beta, epsilon):
    del beta, epsilon  # its default
    return losses.mae(logits, labels, normalization="batch")


def test_a_written_loss_normalised_by_the_batch_stops_too():
    largest, mean_loss = train(0.0, 0.0, mae_by_the_batch)
    assert largest < 100
    assert np.isfinite(mean_loss)


@pytest.mark.parametrize("name", ["mae", "mse", "gce"])
def test_a_batch_that_is_fitted_or_given_up_is_not_scaled_up(name):
    # p is e^-300 or 1 - e^-300: no weight is left, and it was divided by its mean before.
    logits, labels = logits_of(np.array([300.0, -300.0] * 8)), jnp.zeros(16, int)
    value = losses.create(name, normalization="batch")(logits, labels)
    assert np.isfinite(value).all()
    np.testing.assert_array_equal(norms(logits, EPSILON, name, "batch"), 0)


def test_the_sum_over_the_batch_has_a_hundredth_of_epsilon_as_in_the_released_layers():
    for log_odds in (-25.0, -21.0, -15.0, 2.0):  # w from 1e-11 to .2
        p = 1 / (1 + np.exp(-log_odds))
        w = np.full(8, 2 * p * (1 - p))
        expected = 8 * w / (w.sum() + 1e-8) * 2 * (1 - p) / (2 * (1 - p) + 1e-6)
        found = norms(logits_of(np.full(8, log_odds)), 1e-6, "mae", "batch")
        np.testing.assert_allclose(found, expected, rtol=1e-4)
    # Of several devices, the sum is over all of them.
    logits = logits_of(np.linspace(-25, -20, 8))
    whole = norms(logits, 1e-6, "mae", "batch")

    def part(logits):
        loss = losses.create("mae", normalization="batch", axis_name="batch")
        return jnp.abs(jax.grad(lambda z: loss(z, jnp.zeros(2, int)).sum())(logits)).sum(-1)

    parts = jax.vmap(part, axis_name="batch")(logits.reshape(4, 2, 3))
    np.testing.assert_allclose(parts.ravel(), whole, rtol=1e-5)
