"""Losses against closed forms written here from the paper, in NumPy float64."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
from jax.sharding import PartitionSpec

from grjax import losses
from grjax.errors import ConfigError

LAMS = [0.0, 0.5, 1.0, 2.0]
BETAS = [-0.5, 0.0, 8.0, 16.0, 24.0]
NORMALIZATIONS = ["none", "integral", "batch"]
P = np.array([1e-4, 0.01, 0.1, 1 / 3, 0.5, 2 / 3, 0.9, 0.99])


def paper_weight(p, lam, beta, one_minus_p=None):
    return np.exp(beta * p**lam * (1 - p if one_minus_p is None else one_minus_p))


@functools.cache
def paper_integral(lam, beta):
    """The integral of the weight over p from 0 to 1, by adaptive quadrature that is told where to look."""
    breaks = sorted({1e-6, 1e-3, 0.05, max(lam, 1e-6) / (lam + 1), 0.95, 0.999})
    return scipy.integrate.quad(
        paper_weight, 0, 1, args=(lam, beta), points=breaks, epsabs=0, epsrel=1e-12, limit=500
    )[0]


def normalized(weight, lam, beta, normalization):
    if normalization == "integral":
        return weight / np.vectorize(paper_integral, otypes=[float])(lam, beta)
    return weight / weight.mean() if normalization == "batch" else weight


def is_label(logits, labels):
    return np.arange(logits.shape[-1]) == np.asarray(labels)[..., None]


def other_classes(logits, labels):
    """Logits with -inf at the label, their logsumexp [..., 1], and the label's log-odds.

    All less the largest of the other logits, which would take digits from the logsumexp.
    """
    logits = np.asarray(logits, np.float64)
    others = np.where(is_label(logits, labels), -np.inf, logits)
    largest = others.max(axis=-1, keepdims=True)
    shift = np.where(largest == -np.inf, 0, largest)
    logits, others = logits - shift, others - shift
    log_sum = scipy.special.logsumexp(others, axis=-1, keepdims=True)
    label = np.take_along_axis(logits, np.asarray(labels)[..., None], axis=-1)
    return others, log_sum, (label - log_sum)[..., 0]


def expected_direction(logits, labels):
    """(softmax - onehot) / (1 - p): softmax over the other classes - onehot; zero where there are none."""
    others, log_sum, _ = other_classes(logits, labels)
    softmax = np.exp(others - np.where(log_sum == -np.inf, 0, log_sum))
    return np.where(log_sum == -np.inf, 0, softmax - is_label(logits, labels))


def expected_gradient(logits, labels, lam, beta, normalization):
    """w(p) / 2 * direction, through the log-odds: p and 1 - p are both exact to the last digit."""
    _, _, log_odds = other_classes(logits, labels)
    weight = paper_weight(scipy.special.expit(log_odds), lam, beta, scipy.special.expit(-log_odds))
    weight = normalized(weight, lam, beta, normalization)
    return 0.5 * weight[..., None] * expected_direction(logits, labels)


@functools.partial(jax.jit, static_argnames=("normalization", "axis_name"))
def value_and_gradient(logits, labels, lam, beta, normalization="none", axis_name=None):
    def loss(logits):
        return losses.gradient_rescaling(
            logits, labels, lam=lam, beta=beta, epsilon=0.0, normalization=normalization, axis_name=axis_name
        )

    value, pullback = jax.vjp(loss, logits)
    return value, pullback(jnp.ones_like(value))[0]


def gradient(*args, **kwargs):
    return value_and_gradient(*args, **kwargs)[1]


@jax.jit
def reweighted_cross_entropy_gradient(logits, labels, lam, beta):
    """Of w / (2 (1 - p)) * cross-entropy, its weight held constant."""

    def total(logits):
        cross_entropy = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        p = jnp.exp(-cross_entropy)
        weight = jnp.exp(beta * p**lam * (1 - p)) / (2 * (1 - p))
        return (jax.lax.stop_gradient(weight) * cross_entropy).sum()

    return jax.grad(total)(logits)


@jax.jit
def rescaled_value_and_gradient(logits, labels, weight):
    value, pullback = jax.vjp(lambda logits: losses.rescale(logits, labels, weight), logits)
    return value, pullback(jnp.ones_like(value))[0]


def assert_gradients_close(actual, expected, rtol=1e-5):
    # exp(z) below the smallest normal float32 is flushed to 0, before it is multiplied by half the weight.
    floor = np.finfo(np.float32).tiny * max(1, np.abs(expected).max())
    np.testing.assert_allclose(np.asarray(actual, np.float64), expected, rtol=rtol, atol=floor)


def assert_is_cross_entropy(actual, logits, labels):
    logits = jnp.asarray(logits)
    expected = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    # optax takes the label's logit from a logsumexp as large as the logits, and rounds that.
    largest = np.abs(logits[np.isfinite(logits)]).max()
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6 + largest * np.finfo(np.float32).eps)
    np.testing.assert_allclose(actual, np.logaddexp(0, -other_classes(logits, labels)[2]), rtol=1e-5)


def logits_of(p, num_classes=5):
    """Logits [..., C] for which label 0 has the probability p."""
    others = np.broadcast_to(np.linspace(-1, 1, num_classes - 1), (*np.shape(p), num_classes - 1))
    label = scipy.special.logit(p) + scipy.special.logsumexp(others, axis=-1)
    return jnp.asarray(np.concatenate([label[..., None], others], axis=-1), jnp.float32)


def random_case(shape=(64, 10), scale=3.0):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, shape[-1], shape[:-1])
    return rng.normal(size=shape, scale=scale).astype(np.float32), labels


def confident_case():
    """p within 1e-7 of 0 (first half) and of 1 (second half)."""
    logits, labels = random_case(scale=1.0)
    logits[np.arange(64), labels] = np.concatenate([np.linspace(-40, -20, 32), np.linspace(20, 40, 32)])
    return logits, labels


def extreme_case():
    logits, labels = random_case()
    return np.where(logits > 4, 1e4, np.where(logits < 1, -1e4, logits)).astype(np.float32), labels


def masked_case():
    """A third of the other classes masked; in the first 8 the label too, in the next 8 all but the label."""
    logits, labels = random_case()
    masked = np.random.default_rng(1).random(logits.shape) < 1 / 3
    masked[:8], masked[8:16] = False, True
    label = is_label(logits, labels)
    masked = np.where(label, np.arange(64)[:, None] < 8, masked)
    return np.where(masked, -np.inf, logits).astype(np.float32), labels


CASES = {
    "random": random_case(),
    "confident": confident_case(),
    "extreme": extreme_case(),
    "masked": masked_case(),
}
SPREADS = {
    "pmap": lambda function: jax.pmap(function, axis_name="devices"),
    "vmap": lambda function: jax.vmap(function, axis_name="devices"),
    "shard_map": lambda function: jax.shard_map(
        function,
        mesh=jax.sharding.Mesh(jax.devices(), ("devices",)),
        in_specs=PartitionSpec("devices"),
        out_specs=PartitionSpec("devices"),
    ),
}


def test_confident_case_is_within_1e_7_of_0_and_of_1():
    _, _, log_odds = other_classes(*CASES["confident"])
    assert scipy.special.expit(log_odds[:32]).max() < 1e-7
    assert scipy.special.expit(-log_odds[32:]).max() < 1e-7


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("lam", LAMS)
@pytest.mark.parametrize("beta", BETAS)
def test_gradient_against_closed_form(case, normalization, lam, beta):
    logits, labels = CASES[case]
    actual = gradient(logits, labels, lam, beta, normalization)
    assert_gradients_close(actual, expected_gradient(logits, labels, lam, beta, normalization))


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("lam", LAMS)
@pytest.mark.parametrize("beta", BETAS)
def test_l1_norm_of_the_gradient_is_the_weight(normalization, lam, beta):
    norms = np.abs(gradient(logits_of(P), np.zeros(8, int), lam, beta, normalization)).sum(axis=-1)
    expected = normalized(paper_weight(P, lam, beta), lam, beta, normalization)
    np.testing.assert_allclose(norms, expected, rtol=1e-5)
    if normalization == "batch":
        np.testing.assert_allclose(norms.mean(), 1, rtol=1e-5)


@pytest.mark.parametrize("spread", SPREADS)
def test_batch_normalization_over_devices_is_that_of_one_batch(spread):
    logits, labels = random_case((4, 16, 10))
    one_batch = gradient(logits, labels, 1.0, 16.0, "batch")
    per_device = functools.partial(gradient, lam=1.0, beta=16.0, normalization="batch", axis_name="devices")
    assert_gradients_close(SPREADS[spread](per_device)(logits, labels), one_batch)


@pytest.mark.parametrize("lam", LAMS)
@pytest.mark.parametrize("beta", BETAS)
def test_gradient_is_that_of_reweighted_cross_entropy(lam, beta):
    logits, labels = logits_of(P[P <= 0.9]), np.zeros((P <= 0.9).sum(), int)
    expected = reweighted_cross_entropy_gradient(logits, labels, lam, beta)
    assert_gradients_close(gradient(logits, labels, lam, beta), expected)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_gradient_has_the_direction_of_softmax_minus_onehot(normalization):
    logits, labels = random_case(scale=1.0)
    actual = gradient(logits, labels, 0.5, 8.0, normalization)
    softmax_minus_onehot = scipy.special.softmax(np.float64(logits), axis=-1) - is_label(logits, labels)
    norms = np.abs(actual).sum(axis=-1, keepdims=True)
    expected = softmax_minus_onehot / np.abs(softmax_minus_onehot).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(actual / norms, expected, rtol=1e-5)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_gradient_sums_to_0_over_the_classes(case, normalization):
    actual = np.float64(gradient(*CASES[case], 0.5, 8.0, normalization))
    np.testing.assert_array_less(np.abs(actual.sum(axis=-1)), 1e-6 * np.abs(actual).sum(axis=-1) + 1e-30)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_value_is_cross_entropy(case, normalization):
    logits, labels = CASES[case]
    in_backward_pass, _ = value_and_gradient(logits, labels, 0.5, 8.0, normalization)
    assert_is_cross_entropy(in_backward_pass, logits, labels)
    loss = jax.jit(losses.gradient_rescaling, static_argnames="normalization")
    alone = loss(logits, labels, lam=0.5, beta=8.0, normalization=normalization)
    assert_is_cross_entropy(alone, logits, labels)
    assert np.isinf(alone).any() == (case == "masked")


@pytest.mark.parametrize("case", CASES)
def test_cross_entropy_is_optaxs(case):
    logits, labels = CASES[case]
    expected = optax.softmax_cross_entropy_with_integer_labels(jnp.asarray(logits), labels)
    np.testing.assert_array_equal(losses.cross_entropy(logits, labels), expected)


def test_cross_entropy_has_the_weight_of_the_paper():
    gradients = jax.jit(jax.grad(lambda logits: losses.cross_entropy(logits, np.zeros(8, int)).sum()))
    norms = np.abs(gradients(logits_of(P))).sum(axis=-1)
    # Its own gradient subtracts onehot from a rounded softmax.
    np.testing.assert_allclose(norms, 2 * (1 - P), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_lam_0_beta_0_gives_all_examples_unit_weight(case):
    logits, labels = CASES[case]
    norms = np.abs(gradient(logits, labels, 0.0, 0.0)).sum(axis=-1)
    has_others = np.isfinite(logits).sum(axis=-1) > np.isfinite(logits[np.arange(64), labels])
    np.testing.assert_allclose(norms, has_others, rtol=1e-6)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("lam", LAMS)
@pytest.mark.parametrize("label_logit", [-1e4, 0.0, 1e4])
def test_only_class_left_has_no_loss_and_no_gradient(normalization, lam, label_logit):
    logits, labels = jnp.array([[-jnp.inf, label_logit, -jnp.inf]]), jnp.array([1])
    value, actual = value_and_gradient(logits, labels, lam, 8.0, normalization)
    np.testing.assert_array_equal(value, [0])
    np.testing.assert_array_equal(actual, [[0, 0, 0]])


@pytest.mark.parametrize("lam", LAMS)
def test_masked_label_has_the_weight_at_p_0(lam):
    logits, labels = jnp.array([[-jnp.inf, 0.0, 0.0]]), jnp.array([0])
    weight = np.exp(8.0) if lam == 0 else 1.0
    expected = weight * np.array([[-0.5, 0.25, 0.25]])
    np.testing.assert_allclose(gradient(logits, labels, lam, 8.0), expected, rtol=1e-5)


def test_two_classes():
    p = np.array([0.2, 0.7])
    weight = paper_weight(p, 0.5, 8.0)
    expected = 0.5 * weight[:, None] * np.array([-1, 1])
    np.testing.assert_allclose(gradient(logits_of(p, 2), np.array([0, 0]), 0.5, 8.0), expected, rtol=1e-5)


@pytest.mark.parametrize("leading", [(), (1, 3, 2)])
@pytest.mark.parametrize("normalization", ["integral", "batch"])
def test_leading_axes(leading, normalization):
    logits, labels = random_case((*leading, 5))
    value, actual = value_and_gradient(logits, labels, 0.5, 8.0, normalization)
    assert value.shape == leading
    assert_gradients_close(actual, expected_gradient(logits, labels, 0.5, 8.0, normalization))


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize(("lam_shape", "beta_shape"), [((4, 1), (1, 3)), ((), (4, 3))])
def test_lam_and_beta_broadcast_to_the_examples(normalization, lam_shape, beta_shape):
    logits, labels = random_case((4, 3, 5))
    lam = np.linspace(0, 2, np.prod(lam_shape, dtype=int)).reshape(lam_shape)
    beta = np.linspace(-0.5, 16, np.prod(beta_shape, dtype=int)).reshape(beta_shape)
    actual = gradient(logits, labels, lam, beta, normalization)
    assert_gradients_close(actual, expected_gradient(logits, labels, lam, beta, normalization))


@pytest.mark.parametrize(
    ("dtype", "num_classes"), [(np.int8, 100), (np.int8, 200), (np.uint8, 300), (np.int64, 300)]
)
def test_narrow_labels_with_many_classes(dtype, num_classes):
    logits, labels = random_case((8, num_classes))
    labels = (labels % 100).astype(dtype)
    actual = gradient(logits, labels, 0.5, 8.0)
    assert_gradients_close(actual, expected_gradient(logits, labels.astype(int), 0.5, 8.0, "none"))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("normalization", ["integral", "batch"])
def test_narrow_logits_are_widened_to_float32(dtype, case, normalization):
    logits, labels = CASES[case]
    narrow = jnp.asarray(logits, dtype)
    value, actual = value_and_gradient(narrow, labels, 0.5, 8.0, normalization)
    wide_value, expected = value_and_gradient(narrow.astype(jnp.float32), labels, 0.5, 8.0, normalization)
    assert (value.dtype, actual.dtype) == (jnp.float32, dtype)
    np.testing.assert_allclose(value, wide_value, rtol=1e-5)
    # Rounding to nearest: half a unit in the last place, or half the smallest subnormal number.
    info = jnp.finfo(dtype)
    floor = max(0.51 * float(info.smallest_subnormal), float(np.finfo(np.float32).tiny))
    np.testing.assert_allclose(
        np.asarray(actual, np.float64), expected, rtol=0.51 * float(info.eps), atol=floor
    )


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_cross_entropy_widens_narrow_logits_to_float32(dtype):
    logits, labels = CASES["random"]
    narrow = jnp.asarray(logits, dtype)
    value = losses.cross_entropy(narrow, labels)
    assert value.dtype == jnp.float32
    np.testing.assert_array_equal(value, losses.cross_entropy(narrow.astype(jnp.float32), labels))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize(("lam", "beta"), [(0.0, -0.5), (0.0, 24.0), (0.5, 8.0), (2.0, 24.0)])
def test_float64_logits_stay_float64(case, normalization, lam, beta):
    logits, labels = CASES[case]
    with jax.enable_x64(True):
        logits = jnp.asarray(logits, jnp.float64)
        value, actual = value_and_gradient(logits, labels, lam, beta, normalization)
        plain = losses.cross_entropy(logits, labels)
    assert (value.dtype, actual.dtype, plain.dtype) == (jnp.float64, jnp.float64, jnp.float64)
    assert_gradients_close(actual, expected_gradient(logits, labels, lam, beta, normalization), rtol=1e-12)
    np.testing.assert_allclose(value, np.logaddexp(0, -other_classes(logits, labels)[2]), rtol=1e-12)


def test_numbers_give_what_traced_lam_and_beta_give():
    logits, labels = CASES["random"]
    loss = functools.partial(losses.gradient_rescaling, lam=1, beta=8)
    numbers = jax.grad(lambda logits: loss(logits, labels).sum())(logits)
    assert_gradients_close(numbers, gradient(logits, labels, jnp.float32(1), jnp.float32(8), "integral"))


@pytest.mark.parametrize("normalization", ["integral", "batch"])
def test_vmap_over_lam_and_beta_is_a_loop(normalization):
    logits, labels = CASES["random"]
    of_examples = functools.partial(gradient, logits, labels, normalization=normalization)
    over_both = jax.vmap(jax.vmap(of_examples, in_axes=(None, 0)), in_axes=(0, None))
    actual = over_both(jnp.array(LAMS), jnp.array(BETAS))
    loop = np.stack([np.stack([of_examples(lam, beta) for beta in BETAS]) for lam in LAMS])
    assert_gradients_close(actual, loop)


def test_schedule_of_beta_under_scan():
    logits, labels = CASES["random"]
    schedule = optax.linear_schedule(0.0, 16.0, transition_steps=4)

    def step(count, _):
        return count + 1, gradient(logits, labels, 0.5, schedule(count), "integral")

    _, actual = jax.lax.scan(step, 0, length=6)
    for gradients, beta in zip(actual, [0.0, 4.0, 8.0, 12.0, 16.0, 16.0], strict=True):
        assert_gradients_close(gradients, expected_gradient(logits, labels, 0.5, beta, "integral"))


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_one_compilation_serves_all_lam_and_beta(normalization):
    traces = []

    @jax.jit
    def loss(logits, labels, lam, beta):
        traces.append((lam, beta))
        return losses.gradient_rescaling(logits, labels, lam=lam, beta=beta, normalization=normalization)

    for lam, beta in zip(LAMS, BETAS, strict=False):
        loss(*CASES["random"], lam, beta)
    assert len(traces) == 1


@functools.partial(jax.jit, static_argnames=("normalization", "axis_name"))
def gradient_to_lam_and_beta(logits, labels, lam, beta, normalization, axis_name=None):
    def total(lam, beta):
        return losses.gradient_rescaling(
            logits, labels, lam=lam, beta=beta, normalization=normalization, axis_name=axis_name
        ).sum()

    return jnp.stack(jax.grad(total, argnums=(0, 1))(lam, beta))[None]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("lam", [0.0, 0.5])
def test_no_gradient_flows_to_lam_and_beta(case, normalization, lam):
    np.testing.assert_array_equal(gradient_to_lam_and_beta(*CASES[case], lam, 8.0, normalization), 0)


@pytest.mark.parametrize("spread", SPREADS)
def test_no_gradient_flows_to_lam_and_beta_over_devices(spread):
    per_device = functools.partial(
        gradient_to_lam_and_beta, lam=0.5, beta=8.0, normalization="batch", axis_name="devices"
    )
    np.testing.assert_array_equal(SPREADS[spread](per_device)(*random_case((4, 16, 10))), 0)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_gradients_scale_with_the_weights_of_the_examples(normalization):
    logits, labels = CASES["random"]
    weights = np.where(np.arange(64) % 4 == 0, 0, np.linspace(0.5, 3, 64)).astype(np.float32)

    def weighted_mean(logits):
        per_example = losses.gradient_rescaling(
            logits, labels, lam=0.5, beta=8.0, normalization=normalization
        )
        return jnp.average(per_example, weights=weights)

    expected = expected_gradient(logits, labels, 0.5, 8.0, normalization) * (weights / weights.sum())[:, None]
    assert_gradients_close(jax.grad(weighted_mean)(logits), expected)


@pytest.mark.parametrize("case", CASES)
def test_rescale_gives_the_gradient_the_norm_asked_for(case):
    logits, labels = CASES[case]
    weight = np.linspace(0, 3, 64).astype(np.float32)
    value, actual = rescaled_value_and_gradient(logits, labels, weight)
    assert_is_cross_entropy(value, logits, labels)
    assert_gradients_close(actual, 0.5 * weight[:, None] * expected_direction(logits, labels))


@pytest.mark.parametrize("weight", [3, 3.0, np.full((1, 1), 3.0), np.full((4, 1), 3.0), np.full((1, 2), 3.0)])
def test_rescale_broadcasts_the_weight(weight):
    logits, labels = random_case((4, 2, 5))
    _, actual = rescaled_value_and_gradient(logits, labels, weight)
    assert_gradients_close(actual, 1.5 * expected_direction(logits, labels))


@pytest.mark.parametrize("weight", [jnp.cos, jnp.sqrt, lambda p: 2 + jnp.sin(9 * p)])
def test_no_gradient_flows_into_a_weight_of_the_users_own(weight):
    masked_label = jnp.array([[-jnp.inf, 0.0, 0.0, 0.0, 0.0]])
    logits, labels = jnp.concatenate([logits_of(P), masked_label]), np.zeros(9, int)

    def total(logits):
        return losses.rescale(logits, labels, weight(jax.nn.softmax(logits)[:, 0])).sum()

    expected = 0.5 * np.asarray(weight(np.append(P, 0)))[:, None] * expected_direction(logits, labels)
    np.testing.assert_allclose(jax.jit(jax.grad(total))(logits), expected, rtol=1e-5, atol=1e-7)


def test_gradient_to_the_weight_is_0():
    logits, labels = CASES["random"]
    to_weight = jax.grad(lambda weight: losses.rescale(logits, labels, weight).sum())(jnp.ones(64))
    np.testing.assert_array_equal(to_weight, 0)


@pytest.mark.parametrize(
    ("loss", "weight"),
    [
        pytest.param(lambda p: -jnp.log(p), lambda p: 2 * (1 - p), id="CE"),
        pytest.param(lambda p: 1 - p, lambda p: 2 * p * (1 - p), id="MAE"),
        pytest.param(lambda p: (1 - p) ** 2, lambda p: 4 * p * (1 - p) ** 2, id="MSE"),
        pytest.param(lambda p: (1 - p**0.7) / 0.7, lambda p: 2 * p**0.7 * (1 - p), id="GCE"),
    ],
)
def test_losses_of_p_alone_are_cross_entropy_rescaled(loss, weight):
    logits, labels = random_case(scale=1.0)

    def p_of(logits):
        return jax.nn.softmax(logits)[np.arange(64), labels]

    written = jax.grad(lambda logits: loss(p_of(logits)).sum())(logits)
    rescaled = jax.grad(lambda logits: losses.rescale(logits, labels, weight(p_of(logits))).sum())(logits)
    assert_gradients_close(rescaled, written)


@pytest.mark.parametrize(
    "loss",
    [
        losses.cross_entropy,
        functools.partial(losses.gradient_rescaling, lam=0.5, beta=8.0),
        functools.partial(losses.rescale, weight=1.0),
    ],
    ids=["cross_entropy", "gradient_rescaling", "rescale"],
)
@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((4, 3), np.float32), np.zeros(3, int), r"logits \(4, 3\), labels \(3,\)"),
        (np.zeros((4, 3), np.float32), np.zeros((4, 3), int), r"logits \(4, 3\), labels \(4, 3\)"),
        (np.zeros((4, 3), np.float32), 0, r"logits \(4, 3\), labels \(\)"),
        (np.zeros((4, 3), np.float32), np.zeros(4, np.float32), "labels must be integer.*float32"),
        (np.zeros((4, 3), np.float32), np.zeros(4, bool), "labels must be integer.*bool"),
        (np.zeros((4, 3), np.int32), np.zeros(4, int), "logits must be floating.*int32"),
        (np.zeros((4, 3), np.complex64), np.zeros(4, int), "logits must be floating.*complex64"),
        (np.float32(0), 0, "logits must be floating.*C"),
    ],
)
def test_unusable_logits_and_labels(loss, logits, labels, message):
    with pytest.raises(ValueError, match=message):
        loss(logits, labels)


@pytest.mark.parametrize("shape", [(3,), (3, 4), (4, 1)])
@pytest.mark.parametrize("parameter", ["lam", "beta"])
def test_lam_and_beta_that_do_not_broadcast_to_the_examples(parameter, shape):
    parameters = {"lam": 0.5, "beta": 8.0} | {parameter: np.ones(shape)}
    with pytest.raises(ValueError, match=rf"{parameter}.* \(4,\), got {re.escape(str(shape))}"):
        losses.gradient_rescaling(*random_case((4, 5)), **parameters)


@pytest.mark.parametrize("shape", [(3,), (3, 4), (4, 1)])
def test_weight_that_does_not_broadcast_to_the_examples(shape):
    with pytest.raises(ValueError, match=rf"weight.* \(4,\), got {re.escape(str(shape))}"):
        losses.rescale(*random_case((4, 5)), np.ones(shape))


def test_unknown_normalization():
    with pytest.raises(ValueError, match="'none', 'integral' or 'batch', got 'sum'"):
        losses.gradient_rescaling(*random_case((4, 5)), lam=0.5, beta=8.0, normalization="sum")


def test_names_lists_the_losses():
    assert {"cross_entropy", "gradient_rescaling"} <= set(losses.names())


def test_create_binds_the_hyperparameters():
    logits, labels = CASES["random"]
    created = losses.create("gradient_rescaling", lam=0.5, beta=8.0, normalization="batch")
    actual = jax.jit(jax.grad(lambda logits: created(logits, labels).sum()))(logits)
    assert_gradients_close(actual, gradient(logits, labels, 0.5, 8.0, "batch"))
    plain = losses.create("cross_entropy")
    np.testing.assert_array_equal(plain(logits, labels), losses.cross_entropy(logits, labels))


def test_create_accepts_traced_hyperparameters():
    logits, labels = CASES["random"]

    @jax.jit
    def traced(lam, beta):
        loss = losses.create("gradient_rescaling", lam=lam, beta=beta)
        return jax.grad(lambda logits: loss(logits, labels).sum())(logits)

    assert_gradients_close(traced(0.5, 8.0), expected_gradient(logits, labels, 0.5, 8.0, "integral"))


def test_create_accepts_a_list_for_each_example():
    logits, labels = random_case((3, 5))
    loss = losses.create("gradient_rescaling", lam=[0.0, 0.5, 1.0], beta=8.0)
    actual = jax.jit(jax.grad(lambda logits: loss(logits, labels).sum()))(logits)
    expected = expected_gradient(logits, labels, np.array([0.0, 0.5, 1.0]), 8.0, "integral")
    assert_gradients_close(actual, expected)


def test_create_passes_the_axis_name_to_losses_that_take_it():
    logits, labels = random_case((4, 16, 10))
    plain = losses.create("cross_entropy", axis_name="devices")
    np.testing.assert_array_equal(plain(logits, labels), losses.cross_entropy(logits, labels))
    coupled = losses.create(
        "gradient_rescaling", lam=0.5, beta=8.0, normalization="batch", axis_name="devices"
    )
    per_device = jax.grad(lambda logits, labels: coupled(logits, labels).sum())
    actual = jax.jit(jax.vmap(per_device, axis_name="devices"))(logits, labels)
    assert_gradients_close(actual, gradient(logits, labels, 0.5, 8.0, "batch"))


@pytest.mark.parametrize(
    ("name", "hyperparameters", "message"),
    [
        ("gradient_rescalin", {}, "gradient_rescalin'.*did you mean 'gradient_rescaling'"),
        ("cross_entorpy", {}, "cross_entorpy'.*did you mean 'cross_entropy'"),
        ("gradient_rescaling", {"lam": 0.5, "beta": 8.0, "lamb": 1.0}, "lamb.*did you mean 'lam'"),
        ("cross_entropy", {"lam": 0.5}, "lam.*'cross_entropy' has no such option"),
        ("gradient_rescaling", {"lam": 0.5}, "beta.*needs a value"),
        ("gradient_rescaling", {"beta": 8.0}, "lam.*needs a value"),
        ("gradient_rescaling", {"lam": "0.5", "beta": 8.0}, "lam.*number.*'0.5'"),
        ("gradient_rescaling", {"lam": ["0.5", "1"], "beta": 8.0}, "lam.*number.*'0.5'"),
        ("gradient_rescaling", {"lam": 0.5, "beta": None}, "beta.*number.*None"),
        ("gradient_rescaling", {"lam": 0.5, "beta": 8.0, "normalization": "sum"}, "'integral'.*'sum'"),
        ("gradient_rescaling", {"lam": 0.5, "beta": 8.0, "logits": 0.0}, "no such option"),
    ],
)
def test_create_names_what_is_wrong(name, hyperparameters, message):
    with pytest.raises(ConfigError, match=message):
        losses.create(name, **hyperparameters)


def test_the_class_of_nlnl_is_uniform_over_the_others():
    """And another one for each example and step; which it was, its loss tells."""
    p = np.array([0.1, 0.15, 0.2, 0.25, 0.3])
    labels = np.repeat(np.arange(5), 2000)
    loss = losses.for_training("nlnl", seed=1)
    rows, logits = loss.init(jnp.asarray(labels), 5), jnp.broadcast_to(jnp.log(p), (len(labels), 5))
    apply = jax.jit(loss.apply)

    def drawn(step):
        values = np.asarray(apply(logits, jnp.asarray(labels), rows, jnp.int32(step))[0])
        return np.abs(values[:, None] + np.log(1 - p)).argmin(1)

    first, second = drawn(7), drawn(8)
    counts = np.zeros((5, 5))
    np.add.at(counts, (labels, first), 1)
    assert not counts.diagonal().any()
    others = counts[~np.eye(5, dtype=bool)].reshape(5, 4)
    assert scipy.stats.chisquare(others, axis=1).pvalue.min() > 1e-4
    assert abs((first == second).mean() - 0.25) < 0.02
    assert abs((first[1:] == first[:-1]).mean() - 0.25) < 0.03
