"""The paper's thesis: a loss of p alone, an example's weight and a regulariser are one thing.

For every loss with a written value L(p): its gradient is cross-entropy's, rescaled to the L1 norm
w(p) = -2 p (1 - p) dL/dp; and L is the integral of w(t) / (2 t (1 - t)) from p to 1, up to L(1).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from loss_references import REFERENCES, WRITTEN, combined_weight, gr_weight, imae_weight

from grjax import emphasis, losses

P = np.array([1e-4, 0.003, 0.02, 0.11, 0.24, 1 / 3, 0.45, 0.61, 2 / 3, 0.78, 0.9, 0.99, 0.9999])
C = 5
DESIGNED = {"gradient_rescaling": gr_weight, "imae": imae_weight, "combined": combined_weight}


def of_weight(reference):
    """Its sets of hyper-parameters without epsilon, which is not of the weight."""
    return [
        {key: value for key, value in options.items() if key != "epsilon"} for options in reference.options
    ]


CASES = [
    pytest.param(found.loss, dict(options), id=f"{found.loss}-{number}")
    for name, found in REFERENCES.items()
    if name in losses.names_of_p_alone()
    for number, options in enumerate(of_weight(found))
]
WITH_VALUE = [case for case in CASES if case.values[0] in WRITTEN]
# The paper's table: value, L1 norm of the gradient, mode.
TABLE = {
    "cross_entropy": ({}, lambda p: 2 * (1 - p), 0),
    "mae": ({}, lambda p: 2 * p * (1 - p), 1 / 2),
    "mse": ({}, lambda p: 4 * p * (1 - p) ** 2, 1 / 3),
    "gce": ({"q": 0.7}, lambda p: 2 * p**0.7 * (1 - p), 0.7 / 1.7),
}


def logits_of(p, num_classes=C):
    """Logits [..., C] for which label 0 has the probability p."""
    others = np.broadcast_to(np.linspace(-1, 1, num_classes - 1), (*np.shape(p), num_classes - 1))
    label = scipy.special.logit(p) + scipy.special.logsumexp(others, axis=-1)
    return np.concatenate([np.asarray(label)[..., None], others], axis=-1)


def breaks_of(name, options):
    """Where the weight of a loss jumps or bends."""
    at = {
        "truncated_gce": lambda q, k: k,
        "phuber_ce": lambda tau: 1 / tau,
        "phuber_gce": lambda tau, q: tau ** (1 / (q - 1)),
    }
    return [1e-9, 1e-6, 1e-3, 0.05, 0.9, 0.999, 1 - 1e-6] + ([at[name](**options)] if name in at else [])


def integrate(function, low, high, breaks):
    """The integral of a function of arrays, by Gauss' quadrature from one break to the next."""
    inside = sorted({each for each in breaks if low < each < high})
    edges = np.array([low, *inside, high])[:, None]
    nodes, weights = np.polynomial.legendre.leggauss(48)
    width = np.diff(edges, axis=0)
    return (function((edges[:-1] + width * (nodes + 1) / 2).ravel()) * (width * weights / 2).ravel()).sum()


@functools.cache
def compiled(name, static=()):
    """Norms of the logit gradients of a loss, for probabilities p [N] of the label."""

    @jax.jit
    def norms(logits, options):
        loss = losses.create(name, epsilon=0.0, **dict(static), **options)
        labels = jnp.zeros(logits.shape[:-1], int)
        return jnp.abs(jax.grad(lambda logits: loss(logits, labels).sum())(logits)).sum(-1)

    return norms


def weight_of(name, options):
    """w(p) of the library, float64, for numbers p."""
    of_loss = losses.weight(name, **options)

    @jax.jit
    def weight(log_odds):
        return jnp.exp(of_loss.log_weight(log_odds))

    return lambda p: np.asarray(weight(jnp.asarray(scipy.special.logit(p), jnp.float64)))


def as_arrays(options):
    return {key: jnp.asarray(value, jnp.float64) for key, value in options.items()}


def test_every_loss_of_p_alone_is_here():
    assert {case.values[0] for case in CASES} == set(losses.names_of_p_alone())
    assert set(losses.names_of_p_alone()) - set(WRITTEN) == set(DESIGNED)


@jax.jit
def rescaled_gradient(logits, weight):
    labels = jnp.zeros(logits.shape[:-1], int)
    return jax.grad(lambda logits: losses.rescale(logits, labels, weight).sum())(logits)


@pytest.mark.parametrize(("name", "options"), WITH_VALUE)
def test_gradient_of_the_written_loss_is_cross_entropys_rescaled(name, options):
    def of_softmax(logits):
        return WRITTEN[name](jnp, jax.nn.softmax(logits)[:, 0], **options).sum()

    logits = logits_of(P)
    with jax.enable_x64(True):
        written = np.asarray(jax.grad(of_softmax)(jnp.asarray(logits)))
        weight = weight_of(name, options)(P)
        np.testing.assert_allclose(rescaled_gradient(logits, weight), written, rtol=1e-8, atol=1e-13)
    single = rescaled_gradient(jnp.float32(logits), jnp.float32(weight))
    np.testing.assert_allclose(single, written, rtol=1e-5)


@pytest.mark.parametrize(("name", "options"), WITH_VALUE)
def test_weight_is_minus_2_p_1_minus_p_times_the_derivative(name, options):
    # Through the value of the library, by the log-odds: dp = p (1 - p) d(log-odds).
    with jax.enable_x64(True):
        of_loss = losses.weight(name, **options)
        log_odds = jnp.asarray(scipy.special.logit(P))
        value, slope = jax.jvp(of_loss.value, (log_odds,), (jnp.ones_like(log_odds),))
        np.testing.assert_allclose(-2 * slope, weight_of(name, options)(P), rtol=1e-9, atol=1e-13)
        np.testing.assert_allclose(value, WRITTEN[name](np, P, **options), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize(("name", "options"), WITH_VALUE)
def test_value_is_the_integral_of_the_weight(name, options):
    with jax.enable_x64(True):
        weight = weight_of(name, options)
        at_1 = float(WRITTEN[name](np, np.float64(1), **options))
        for p in (0.02, 0.24, 0.61, 0.9):
            found = integrate(lambda t: weight(t) / (2 * t * (1 - t)), p, 1, breaks_of(name, options))
            np.testing.assert_allclose(found + at_1, WRITTEN[name](np, np.float64(p), **options), rtol=1e-8)


@pytest.mark.parametrize(("name", "options"), [case for case in CASES if case.values[0] in DESIGNED])
def test_designed_weights(name, options):
    with jax.enable_x64(True):
        np.testing.assert_allclose(weight_of(name, options)(P), DESIGNED[name](P, **options), rtol=1e-10)
        norms = compiled(name, (("normalization", "none"),))(logits_of(P), as_arrays(options))
        np.testing.assert_allclose(norms, DESIGNED[name](P, **options), rtol=1e-10)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_with_derivative_normalisation_the_weight_integrates_to_1(name, options):
    with jax.enable_x64(True):
        norms = compiled(name, (("normalization", "integral"),))
        arrays = as_arrays(options)
        total = integrate(lambda p: np.asarray(norms(logits_of(p), arrays)), 0, 1, breaks_of(name, options))
        np.testing.assert_allclose(total, 1, rtol=1e-6)


@pytest.mark.parametrize("name", TABLE)
def test_the_papers_table(name):
    options, norm, mode = TABLE[name]
    norms = compiled(name)(jnp.float32(logits_of(P)), options)
    np.testing.assert_allclose(norms, norm(P), rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(emphasis.mode(losses.weight(name, **options)), mode, atol=1e-3)
    with jax.enable_x64(True):
        np.testing.assert_allclose(compiled(name)(logits_of(P), options), norm(P), rtol=1e-10, atol=1e-14)
        found = emphasis.mode(losses.weight(name, **options), jnp.float64)
        np.testing.assert_allclose(found, mode, atol=1e-6)


@pytest.mark.parametrize("q", [0.1, 0.4, 0.9])
def test_mode_of_gce(q):
    with jax.enable_x64(True):
        found = emphasis.mode(losses.weight("gce", q=q), jnp.float64)
    np.testing.assert_allclose(found, q / (q + 1), atol=1e-6)


@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0, 2.0])
def test_mode_of_gradient_rescaling(lam):
    with jax.enable_x64(True):
        found = emphasis.mode(losses.weight("gradient_rescaling", lam=lam, beta=8.0), jnp.float64)
    np.testing.assert_allclose(found, lam / (lam + 1), atol=1e-6)
