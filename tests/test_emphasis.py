"""The emphasis density function and its integral, against the formula of the paper in NumPy float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special

from grjax.emphasis import PowerExponential, log_integral


def paper_weight(p, lam, beta):
    return np.exp(beta * p**lam * (1 - p))


def paper_integral(lam, beta):
    """Of the weight over p from 0 to 1, by adaptive quadrature that is told where to look."""
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
