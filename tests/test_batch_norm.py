"""Batch norm against Flax's, alone and over an axis of devices; and the pooling without overlap."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from grjax.models.batch_norm import BatchNorm
from grjax.models.layers import max_pool

AXIS = "batch"


def loss_and_gradients(module, dtype, train):
    """Those of a function of the output; batch [4 devices, 6, 3, 2, 5 channels], far from mean 0."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(3 + 2 * rng.normal(size=(4, 6, 3, 2, 5)), dtype)
    variables = {
        "params": {"scale": jnp.asarray(rng.uniform(0.5, 1.5, 5)), "bias": jnp.asarray(rng.normal(size=5))},
        "batch_stats": {"mean": jnp.full(5, 2.0), "var": jnp.full(5, 3.0)},
    }
    weight = jnp.asarray(rng.normal(size=x.shape))
    layer = module(use_running_average=not train, axis_name=AXIS, momentum=0.8, epsilon=1e-3)

    def loss(params, x, weight):
        y, updated = layer.apply({**variables, "params": params}, x, mutable=["batch_stats"])
        return (jnp.sin(y) * weight).sum(), (y, updated)

    each = jax.vmap(
        jax.value_and_grad(loss, argnums=(0, 1), has_aux=True), axis_name=AXIS, in_axes=(None, 0, 0)
    )
    return jax.jit(each)(variables["params"], x, weight)


@pytest.mark.parametrize("train", [True, False])
def test_outputs_statistics_and_gradients_are_those_of_flax(train):
    with jax.enable_x64(True):
        ours = loss_and_gradients(BatchNorm, "float64", train)
        theirs = loss_and_gradients(nn.BatchNorm, "float64", train)
    for (path, a), b in zip(jax.tree.leaves_with_path(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9, err_msg=jax.tree_util.keystr(path))


def test_bfloat16_has_statistics_and_parameters_in_float32():
    (_, (y, updated)), (params, x) = loss_and_gradients(BatchNorm, "bfloat16", True)
    assert y.dtype == x.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves((updated, params))} == {jnp.dtype("float32")}
    (_, (wide, _)), _ = loss_and_gradients(BatchNorm, "float32", True)
    np.testing.assert_allclose(y.astype(jnp.float32), wide, atol=0.03)


def test_variables_begin_and_are_named_as_those_of_flax():
    x = jnp.ones((2, 3))
    ours, theirs = (
        module(use_running_average=False, axis_name=AXIS).init(jax.random.key(0), x)
        for module in (BatchNorm, nn.BatchNorm)
    )
    assert jax.tree.map(np.array_equal, ours, theirs) == jax.tree.map(lambda _: True, theirs)


def test_pooling_without_overlap_is_flaxs():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 4, 3)))

    def value_and_gradient(pool):
        return jax.value_and_grad(lambda x: jnp.sin(pool(x)).sum())(x)

    ours = value_and_gradient(lambda x: max_pool(x, 2, 2))
    theirs = value_and_gradient(lambda x: nn.max_pool(x, (2, 2), (2, 2)))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    odd = jnp.ones((1, 5, 5, 1))
    assert max_pool(odd, 2, 2).shape == (1, 2, 2, 1)
    assert max_pool(odd, 2, 2, ceil=True).shape == (1, 3, 3, 1)
