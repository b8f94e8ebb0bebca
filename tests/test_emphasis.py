"""The emphasis density function and its integral, against the formula of the paper in NumPy float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

from grjax import losses
from grjax.emphasis import (
    Beta,
    Combined,
    Exponential,
    Normal,
    PowerExponential,
    WeightFunction,
    at,
    log_integral,
    mean,
    mode,
    variance,
)
from grjax.errors import ConfigError


def paper_weight(p, lam, beta):
    return np.exp(beta * p**lam * (1 - p))


def paper_integral(lam, beta):
    """The integral of the weight over p from 0 to 1, by adaptive quadrature that is told where to look."""
    breaks = sorted({1e-6, 1e-3, 0.05, max(lam, 1e-6) / (lam + 1), 0.95, 0.999})
    return scipy.integrate.quad(
        paper_weight, 0, 1, args=(lam, beta), points=breaks, epsabs=0, epsrel=1e-12, limit=500
    )[0]


def log_odds(p):
    return jnp.asarray(scipy.special.logit(p))


@pytest.mark.parametrize("lam", [0.0, 0.25, 0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("beta", [-30.0, -0.5, 0.0, 8.0, 30.0])
def test_weight_is_the_papers(lam, beta):
    p = np.linspace(0, 1, 101)[1:-1]
    log_weight = PowerExponential(lam, beta).log_weight(log_odds(p))
    assert log_weight.dtype == jnp.float32
    np.testing.assert_allclose(np.exp(np.float64(log_weight)), paper_weight(p, lam, beta), rtol=1e-5)


@pytest.mark.parametrize("lam", [0.0, 0.25, 0.5, 1.0, 2.0, 4.0])
def test_weight_keeps_its_digits_where_p_rounds_to_0_or_1(lam):
    d = np.linspace(-20, 80, 101)
    expected = 8.0 * scipy.special.expit(d) ** lam * scipy.special.expit(-d)
    np.testing.assert_allclose(PowerExponential(lam, 8.0).log_weight(jnp.asarray(d)), expected, rtol=1e-5)


@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("beta", [-0.5, 0.0, 8.0, 24.0])
@pytest.mark.parametrize("infinity", [1e4, np.finfo(np.float32).max, np.inf])
def test_weight_where_p_is_0_or_1(lam, beta, infinity):
    at_0, at_1 = PowerExponential(lam, beta).log_weight(jnp.array([-infinity, infinity]))
    assert at_0 == (beta if lam == 0 else 0)
    assert at_1 == 0


@pytest.mark.parametrize("lam", [0.0, 0.25, 0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("beta", [0.5, 8.0, 30.0])
def test_weight_peaks_at_the_mode(lam, beta):
    p = np.linspace(0, 1, 10_001)[1:-1]
    with jax.enable_x64(True):
        log_weight = PowerExponential(lam, beta).log_weight(log_odds(p))
    np.testing.assert_allclose(p[np.argmax(log_weight)], lam / (lam + 1), atol=1.01e-4)


def test_weight_with_parameters_of_each_example():
    p, lam, beta = np.array([0.1, 0.5, 0.9]), np.array([0.0, 0.5, 2.0]), np.array([2.0, -1.0, 24.0])
    log_weight = PowerExponential(lam, beta).log_weight(log_odds(p))
    np.testing.assert_allclose(np.exp(log_weight), paper_weight(p, lam, beta), rtol=1e-5)


@pytest.mark.parametrize("lam", [0.0, 0.25, 0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("beta", [-30.0, -5.0, -0.5, 0.0, 8.0, 16.0, 24.0, 30.0])
def test_integral_against_quadrature(lam, beta):
    expected = np.log(paper_integral(lam, beta))
    single = log_integral(PowerExponential(lam, beta))
    with jax.enable_x64(True):
        double = log_integral(PowerExponential(lam, beta), jnp.float64)
    assert (single.dtype, double.dtype) == (jnp.float32, jnp.float64)
    # The logarithm, up to 27 here, is itself rounded to float32: one unit in its last place on top of 1e-6.
    np.testing.assert_allclose(single, expected, rtol=np.finfo(np.float32).eps, atol=1e-6)
    np.testing.assert_allclose(double, expected, rtol=0, atol=1e-9)


def test_integral_of_array_parameters_has_their_broadcast_shape():
    lam, beta = np.array([[0.0], [0.5], [2.0]]), np.array([[-0.5, 0.0, 8.0, 24.0]])
    expected = np.log(np.vectorize(paper_integral)(lam, beta))
    actual = jax.jit(log_integral)(PowerExponential(lam, beta))
    np.testing.assert_allclose(actual, expected, rtol=np.finfo(np.float32).eps, atol=1e-6)


def test_integral_of_traced_parameters():
    traced = jax.jit(log_integral)(PowerExponential(0.5, 8.0))
    assert traced.shape == ()
    np.testing.assert_allclose(traced, np.log(paper_integral(0.5, 8.0)), rtol=1e-6)


def test_emphasis_is_a_pytree():
    emphasis = PowerExponential(jnp.array([0.0, 0.5]), jnp.array([2.0, 8.0]))
    assert len(jax.tree.leaves(emphasis)) == 2
    doubled = jax.tree.map(lambda leaf: 2 * leaf, emphasis)
    np.testing.assert_array_equal(doubled.lam, [0, 1])
    np.testing.assert_array_equal(doubled.beta, [4, 16])


def test_vmap_over_an_emphasis():
    lam, beta = np.array([0.0, 0.5, 2.0]), np.array([2.0, 8.0, 24.0])
    emphasis = PowerExponential(jnp.asarray(lam), jnp.asarray(beta))
    expected = [np.log(paper_integral(*parameters)) for parameters in zip(lam, beta, strict=True)]
    np.testing.assert_allclose(jax.jit(jax.vmap(log_integral))(emphasis), expected, rtol=1e-6, atol=1e-6)
    p = np.array([0.1, 0.5, 0.7, 0.9])
    log_weight = jax.jit(jax.vmap(PowerExponential.log_weight, in_axes=(0, None)))(emphasis, log_odds(p))
    np.testing.assert_allclose(
        np.exp(log_weight), paper_weight(p[None], lam[:, None], beta[:, None]), rtol=1e-5
    )


# Each family with its density as it is written.
FAMILIES = {
    "power_exponential": (PowerExponential(0.5, 8.0), lambda p: np.exp(8 * p**0.5 * (1 - p))),
    "normal": (Normal(0.3, 20.0), lambda p: np.exp(-20 * p * (p - 0.6))),
    "exponential": (Exponential(-4.0), lambda p: np.exp(-4 * (1 - p))),
    "beta": (Beta(2.5, 4.0), lambda p: p**1.5 * (1 - p) ** 3),
    "beta with a pole": (Beta(0.5, 1.0), lambda p: p**-0.5),
    "combined": (
        Combined(0.7, 2.0, 0.5, 6.0, -1.5),
        lambda p: np.exp(-1.5) * p**0.7 * (1 - p) ** 2 * np.exp(6 * p**0.5 * (1 - p)),
    ),
    "of one's own": (WeightFunction(lambda p: p**4 * (2 - p)), lambda p: p**4 * (2 - p)),
    "with a break": (
        losses.weight("truncated_gce", q=0.7, k=0.37), lambda p: 2 * p**0.7 * (1 - p) * (p > 0.37)
    ),
}  # fmt: skip


def integrate(function):
    points = [1e-9, 1e-6, 1e-3, 0.05, 0.3, 0.37, 0.6, 0.95, 0.999]
    return scipy.integrate.quad(function, 0, 1, points=points, epsabs=0, epsrel=1e-12, limit=500)[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_family(family):
    found, density = FAMILIES[family]
    p = np.linspace(0, 1, 102)[1:-1]
    np.testing.assert_allclose(np.exp(found.log_weight(log_odds(p))), density(p), rtol=1e-5)
    total = integrate(density)
    first = integrate(lambda p: p * density(p)) / total
    second = integrate(lambda p: (p - first) ** 2 * density(p)) / total
    np.testing.assert_allclose(log_integral(found), np.log(total), rtol=1e-6, atol=2e-6)
    np.testing.assert_allclose(mean(found), first, rtol=1e-5)
    np.testing.assert_allclose(variance(found), second, rtol=1e-5)
    with jax.enable_x64(True):
        np.testing.assert_allclose(log_integral(found, jnp.float64), np.log(total), rtol=0, atol=1e-6)
        np.testing.assert_allclose(mean(found, jnp.float64), first, rtol=1e-6)
        np.testing.assert_allclose(variance(found, jnp.float64), second, rtol=1e-6)
        grid = np.linspace(1e-6, 1 - 1e-6, 100_001)
        np.testing.assert_allclose(mode(found, jnp.float64), grid[np.argmax(density(grid))], atol=2e-5)


def test_mean_and_variance_of_a_beta_density():
    alpha, eta = np.array([1.0, 2.0, 2.0, 1.7, 30.0]), np.array([1.0, 2.0, 3.0, 2.0, 2.0])
    expected = scipy.stats.beta(alpha, eta)
    np.testing.assert_allclose(mean(Beta(alpha, eta)), expected.mean(), rtol=1e-5)
    np.testing.assert_allclose(variance(Beta(alpha, eta)), expected.var(), rtol=1e-5)
    np.testing.assert_allclose(variance(Beta(1.0, 1.0)), 1 / 12, rtol=1e-5)


def test_mean_and_variance_of_a_normal_density():
    psi, beta = 0.3, 20.0
    scale = np.sqrt(1 / (2 * beta))
    expected = scipy.stats.truncnorm(-psi / scale, (1 - psi) / scale, loc=psi, scale=scale)
    np.testing.assert_allclose(mean(Normal(psi, beta)), expected.mean(), rtol=1e-5)
    np.testing.assert_allclose(variance(Normal(psi, beta)), expected.var(), rtol=1e-5)


def test_mean_and_variance_of_an_exponential_density():
    expected = scipy.stats.truncexpon(6.0, scale=1 / 6.0)
    np.testing.assert_allclose(mean(Exponential(6.0)), expected.mean(), rtol=1e-5)
    np.testing.assert_allclose(variance(Exponential(6.0)), expected.var(), rtol=1e-5)


@pytest.mark.parametrize(
    ("emphasis", "expected"),
    [
        (PowerExponential(np.array([0.0, 0.5, 1.0, 2.0]), 8.0), [0, 1 / 3, 1 / 2, 2 / 3]),
        (Normal(np.array([0.0, 0.3, 1.0]), 5.0), [0, 0.3, 1]),
        (Exponential(np.array([3.0, -3.0])), [0, 1]),
        (Beta(np.array([2.0, 1.7, 1.0]), np.array([3.0, 2.0, 2.0])), [1 / 3, 0.7 / 1.7, 0]),
    ],
)
def test_mode_of_a_family(emphasis, expected):
    np.testing.assert_allclose(mode(emphasis), expected, atol=1e-3)
    with jax.enable_x64(True):
        np.testing.assert_allclose(mode(emphasis, jnp.float64), expected, atol=1e-6)


def test_a_larger_beta_narrows_the_emphasis():
    variances = variance(PowerExponential(1.0, np.array([0.0, 2.0, 8.0, 24.0])))
    np.testing.assert_allclose(variances[0], 1 / 12, rtol=1e-5)
    assert (np.diff(variances) < 0).all()


def test_combined_contains_the_other_families():
    d = log_odds(np.linspace(0, 1, 101)[1:-1])
    for member, same in (
        (PowerExponential(0.5, 8.0), Combined(lam=0.5, beta=8.0)),
        (Normal(0.5, 8.0), Combined(lam=1.0, beta=8.0)),
        (Exponential(-3.0), Combined(lam=0.0, beta=-3.0)),
        (Beta(1.7, 3.0), Combined(a=0.7, b=2.0)),
    ):
        np.testing.assert_allclose(same.log_weight(d), member.log_weight(d), rtol=1e-5, atol=1e-6)


def test_class_wise_emphasis():
    lam, beta = np.array([0.0, 0.5, 2.0], np.float32), np.array([2.0, 8.0, -1.0], np.float32)
    labels = np.array([[2, 0], [1, 1]])
    own = at(PowerExponential(lam, beta), jnp.asarray(labels))
    np.testing.assert_array_equal(own.lam, lam[labels])
    np.testing.assert_array_equal(own.beta, beta[labels])
    assert at(PowerExponential(0.5, beta), jnp.asarray(labels)).lam == 0.5

    logits = np.random.default_rng(0).normal(size=(2, 2, 3)).astype(np.float32)

    def gradient(**options):
        return jax.grad(lambda z: losses.gradient_rescaling(z, labels, **options).sum())(logits)

    by_class = gradient(lam=lam, beta=beta, per_class=True)
    by_example = gradient(lam=lam[labels], beta=beta[labels])
    np.testing.assert_allclose(by_class, by_example, rtol=1e-5)
    with pytest.raises(ValueError, match=r"lam must be a scalar or have the shape \(3,\)"):
        gradient(lam=lam[:2], beta=beta, per_class=True)


def test_weight_function_where_it_is_0():
    step = WeightFunction(lambda p: jnp.where(p > 0.5, 1.0, 0.0))
    np.testing.assert_array_equal(step.log_weight(jnp.array([-1.0, 1.0])), [-np.inf, 0])
    logits, labels = np.array([[3.0, 0.0], [0.0, 3.0]], np.float32), np.array([0, 0])
    gradient = jax.grad(lambda z: losses.from_emphasis(z, labels, step, epsilon=0.0).sum())(logits)
    np.testing.assert_allclose(gradient, [[-0.5, 0.5], [0, 0]])


def test_options_that_are_none_of_the_weights():
    for name, options in {
        "gce": {"normalization": "integral"},
        "gradient_rescaling": {"lam": 1.0, "beta": 1.0, "per_class": True},
        "mae": {"q": 0.7},
        "nce": {},
    }.items():
        with pytest.raises(ConfigError, match=r"no such option|unknown name 'nce'"):
            losses.weight(name, **options)


@pytest.mark.parametrize("at", [0.03, 0.5, 0.9, 0.97])
def test_a_weight_that_jumps_where_it_says_is_integrated_exactly(at):
    def cut(p):
        return jnp.where(p > at, p, 0.0)

    expected = (1 - at**2) / 2
    np.testing.assert_allclose(jnp.exp(log_integral(WeightFunction(cut, (at,)))), expected, rtol=1e-5)
