"""Losses that become other losses at the ends of their hyper-parameters: values and gradients, in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from grjax import losses

N, C = 32, 5


def scaled(factor, name, **options):
    return lambda logits, labels: factor * losses.create(name, **options)(logits, labels)


def between(name, other, weight):
    """A mean of two."""
    return lambda logits, labels: weight * name(logits, labels) + (1 - weight) * other(logits, labels)


def plus(constant, loss):
    return lambda logits, labels: loss(logits, labels) + constant


create = losses.create
combined = functools.partial(create, "combined", epsilon=0.0)
CE, MAE, NCE = create("cross_entropy"), create("mae"), create("nce")
# A loss, what it becomes, and how far it is from it still.
LIMITS = {
    "gce q=0 is CE": (create("gce", q=0.0), CE, 0),
    "gce q->0 is CE": (create("gce", q=1e-7), CE, 1e-5),
    "gce q=1 is MAE": (create("gce", q=1.0), MAE, 0),
    "truncated_gce k->0 is gce": (create("truncated_gce", q=0.7, k=1e-12), create("gce", q=0.7), 0),
    "poly_1 of 0 is CE": (create("poly_1", coefficient=0.0), CE, 0),
    "amse q=1, a=1 is 2 MAE / C": (create("amse", a=1.0, q=1.0), scaled(2 / C, "mae"), 0),
    "anl_ce_er without the regulariser is anl_ce": (create("anl_ce_er", lam=0.0), create("anl_ce"), 0),
    "taylor_ce of order 1 is MAE": (create("taylor_ce", order=1), MAE, 0),
    "taylor_ce of order 2 is MAE + MSE / 2": (
        create("taylor_ce", order=2),
        lambda logits, labels: MAE(logits, labels) + losses.mse(logits, labels) / 2,
        0,
    ),
    "taylor_ce of a large order is CE": (create("taylor_ce", order=30_000), CE, 1e-9),
    "js pi->0 is CE": (create("js", pi=1e-6), CE, 1e-3),
    "js pi->1 is MAE": (create("js", pi=1 - 1e-9), MAE, 0.1),
    "js is gjs of one view": (create("js", pi=0.3), create("gjs", pi=0.3), 0),
    "gjs of one view, given twice, is js": (
        lambda logits, labels: losses.gjs(logits, labels, views=jax.lax.stop_gradient(logits)[None], pi=0.3),
        lambda logits, labels: losses.js(logits, labels, pi=0.3),
        "value",
    ),
    "phuber_ce tau->oo is CE": (create("phuber_ce", tau=1e9), CE, 0),
    "phuber_ce tau=1 is MAE": (create("phuber_ce", tau=1.0), MAE, 0),
    "phuber_gce tau->oo is gce": (create("phuber_gce", tau=1e9, q=0.7), create("gce", q=0.7), 0),
    "phuber_gce q->0 is phuber_ce": (
        create("phuber_gce", tau=5.0, q=1e-8), create("phuber_ce", tau=5.0), 1e-6,
    ),
    "focal gamma=0 is CE": (create("focal", gamma=0.0), CE, 0),
    "focal gamma=0, detached, is CE": (create("focal", gamma=0.0, detached=True), CE, 0),
    "rce is -A MAE": (create("rce", log_zero=-4.0), scaled(4, "mae"), 0),
    "sce beta=0 is alpha CE": (create("sce", alpha=0.3, beta=0.0), scaled(0.3, "cross_entropy"), 0),
    "sce alpha=0 is beta RCE": (create("sce", alpha=0.0, beta=0.3), scaled(0.3, "rce"), 0),
    "agce q=1 is MAE": (create("agce", a=2.0, q=1.0), MAE, 0),
    "agce q->0, a->0 is CE": (create("agce", a=1e-9, q=1e-7), CE, 1e-4),
    "aul q=1 is MAE": (create("aul", a=2.0, q=1.0), MAE, 0),
    "aul q=2, a->1 is MSE / 2": (create("aul", a=1 + 1e-9, q=2.0), scaled(0.5, "mse"), 1e-8),
    "a ael at a->oo is MAE + a - 1": (scaled(1e6, "ael", a=1e6), plus(1e6 - 1, MAE), 1e-5),
    "imae is gradient_rescaling lam=1": (
        create("imae", beta=8.0), create("gradient_rescaling", lam=1.0, beta=8.0), 0,
    ),
    "combined is gradient_rescaling": (
        create("combined", lam=0.5, beta=8.0),
        create("gradient_rescaling", lam=0.5, beta=8.0, normalization="none"),
        0,
    ),
    "combined is CE": (combined(b=1.0, log_c=np.log(2)), CE, 0),
    "combined is MAE": (combined(a=1.0, b=1.0, log_c=np.log(2)), MAE, "gradient"),
    "combined is MSE": (combined(a=1.0, b=2.0, log_c=np.log(4)), losses.mse, "gradient"),
    "combined is gce": (combined(a=0.7, b=1.0, log_c=np.log(2)), create("gce", q=0.7), "gradient"),
    "nmae is MAE / (C - 1)": (create("nmae"), scaled(1 / (C - 1), "mae"), 0),
    "nrce is nmae": (create("nrce"), create("nmae"), 0),
    "nfl gamma=0 is nce": (create("nfl", gamma=0.0), NCE, 0),
    "nfl gamma=0, as written, is nce": (create("nfl", gamma=0.0, detached=False), NCE, 0),
    "ngce q->0 is nce": (create("ngce", q=1e-8), NCE, 1e-6),
    "ngce q=1 is nmae": (create("ngce", q=1.0), create("nmae"), 0),
    "nnfl gamma=0 is nnce": (create("nnfl", gamma=0.0), create("nnce"), 0),
    "amse a=1 is brier / C": (create("amse", a=1.0), scaled(1 / C, "brier"), 0),
    "anl_ce beta=0 is alpha nce": (create("anl_ce", alpha=0.3, beta=0.0), scaled(0.3, "nce"), 0),
    "anl_ce alpha=0 is beta nnce": (create("anl_ce", alpha=0.0, beta=0.3), scaled(0.3, "nnce"), 0),
    "anl_fl beta=0 is alpha nfl": (create("anl_fl", alpha=0.3, beta=0.0), scaled(0.3, "nfl"), 0),
    "jal_fl gamma=0 is jal_ce": (create("jal_fl", gamma=0.0), create("jal_ce"), 0),
    "nce_rce is nce_mae": (
        create("nce_rce", beta=0.5, log_zero=-4.0), create("nce_mae", beta=0.5, scale=4.0), 0,
    ),
    "label_smoothing 0 is CE": (create("label_smoothing", epsilon=0.0), CE, 0),
    "confidence_penalty 0 is CE": (create("confidence_penalty", beta=0.0), CE, 0),
    "bootstrap_soft beta=1 is CE": (create("bootstrap_soft", beta=1.0), CE, 0),
    "bootstrap_hard beta=1 is CE": (create("bootstrap_hard", beta=1.0), CE, 0),
    "proselflc without trust is CE": (create("proselflc", trust=0.0), CE, 0),
    "epsilon_softmax m=0 is alpha CE + beta MAE": (
        create("epsilon_softmax", m=0.0, alpha=0.3, beta=0.7, mae_scale=1.0), between(CE, MAE, 0.3), 0,
    ),
    "forward_correction without noise is CE": (create("forward_correction", transition=np.eye(C)), CE, 0),
    "forward_correction of rate 0 is CE": (create("forward_correction", transition=0.0), CE, 0),
    "backward_correction without noise is CE": (create("backward_correction", transition=np.eye(C)), CE, 0),
    "bi_tempered t1=t2=1 is CE": (create("bi_tempered", t1=1.0, t2=1.0), CE, 0),
    "bi_tempered t1, t2->1 is CE": (create("bi_tempered", t1=1 - 1e-5, t2=1 + 1e-5), CE, 1e-3),
    "bi_tempered t1=0, t2=1 is brier / 2": (create("bi_tempered", t1=0.0, t2=1.0), scaled(0.5, "brier"), 0),
    "logit_clip at a large norm is CE": (create("logit_clip", delta=1.0, threshold=1e6), CE, 0),
    "ldr_kl lam=1, margin=0 is CE - log C": (create("ldr_kl", lam=1.0, margin=0.0), plus(-np.log(C), CE), 0),
    "gradient_rescaling of 2 (1 - p) is CE": (
        combined(b=1.0, log_c=np.log(2), normalization="integral"), CE, 1e-6,
    ),
}  # fmt: skip


def value_and_gradient_of_all(logits, labels):
    def both(loss):
        value, pullback = jax.vjp(lambda logits: loss(logits, labels), logits)
        return value, pullback(jnp.ones_like(value))[0]

    return {name: (both(loss), both(limit)) for name, (loss, limit, _) in LIMITS.items()}


# One program for all, without LLVM's optimisation: faster to compile.
compiled = jax.jit(value_and_gradient_of_all, compiler_options={"xla_backend_optimization_level": 0})


@pytest.mark.parametrize("name", LIMITS)
def test_limit(name):
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(N, C), scale=1.5), rng.integers(0, C, N)
    with jax.enable_x64(True):
        (value, gradient), (expected, expected_gradient) = compiled(logits, labels)[name]
    distance = LIMITS[name][2]
    rtol = 1e-10 + (0 if isinstance(distance, str) else distance)
    if distance != "gradient":
        np.testing.assert_allclose(value, expected, rtol=rtol, atol=rtol)
    if distance != "value":
        np.testing.assert_allclose(gradient, expected_gradient, rtol=rtol, atol=rtol)


def test_elr_lam_0_is_cross_entropy():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(N, C)).astype(np.float32), rng.integers(0, C, N)
    loss = losses.for_training("elr", lam=0.0)
    value, _ = loss.apply(logits, labels, loss.init(jnp.asarray(labels), C), 0)
    np.testing.assert_allclose(value, CE(logits, labels), rtol=1e-6)


def test_self_adaptive_with_a_memory_that_stays_is_cross_entropy():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(N, C)).astype(np.float32), rng.integers(0, C, N)
    loss = losses.for_training("self_adaptive", momentum=lambda step: jnp.ones(()), begin_steps=0)
    value, _ = loss.apply(logits, labels, loss.init(jnp.asarray(labels), C), 5)
    np.testing.assert_allclose(value, CE(logits, labels), rtol=1e-6)
