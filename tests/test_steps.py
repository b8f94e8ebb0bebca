"""The per-device steps, and how `parallelize` spreads them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from grjax import config, experiment, steps
from grjax.evaluate import device_data, predict

DEVICES = 4


def make(**overrides):
    """The digits experiment, by default with augmentation, in batches of 64."""
    layer = {
        "data.augmentation": ("pad_crop", "flip"),
        "noise.rate": 0.4,
        "loss.name": "gradient_rescaling",
        "loss.lam": 1.0,
        "loss.beta": 8.0,
        "optimizer.learning_rate": 0.01,
        "batch_size": 64,
        **overrides,
    }
    return experiment.create(config.resolve(config.unflatten(layer)))


def on_one_device(step):
    """The step as one device would run it: one part, on a vmapped axis."""
    return jax.jit(jax.vmap(step, axis_name=steps.AXIS, in_axes=(None, None, 0), out_axes=None))


def assert_trees_close(one, other, tolerance):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


def in_float64(tree):
    def widen(leaf):
        return jnp.asarray(leaf, jnp.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.tree.map(widen, tree)


@pytest.mark.parametrize("normalization", ["integral", "batch"])
def test_four_devices_equal_one(normalization):
    # In float32 the two agree to 1e-7 until a rounding decides a ReLU or a maximum the other way, which
    # happens once in some 100 steps and may move a parameter by 1e-3. In float64 it does not; only the
    # logits are float32 there too.
    with jax.enable_x64(True):
        parts = make(**{"loss.normalization": normalization})
        data, initial = in_float64(device_data(parts)), in_float64(parts.init_state())
        p_step, one_step = steps.parallelize(parts.train_step()), on_one_device(parts.train_step())
        spread, single = steps.replicate(initial), initial
        for step in range(20):
            positions = parts.sampler[step][None]
            # One at a time: virtual devices of a CPU may deadlock over several programs with collectives.
            spread, spread_metrics = jax.block_until_ready(
                p_step(spread, data, steps.Batch(steps.split_over_devices(positions)))
            )
            single, single_metrics = jax.block_until_ready(
                one_step(single, data, steps.Batch(positions[None]))
            )
    assert single.params["Dense_1"]["kernel"].dtype == jnp.float64
    assert_trees_close(spread, single, 1e-7)
    assert_trees_close(spread_metrics, single_metrics, 1e-6)
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), single.params, initial.params)
    assert max(jax.tree.leaves(moved)) > 1e-3


def test_nothing_is_left_unsynchronised_between_devices():
    # Under vmap an output that differs over the axis cannot be returned without it; pmap would pass it.
    parts = make()
    data, state = device_data(parts), parts.init_state()
    positions = steps.split_over_devices(parts.sampler[0][None])
    state, metrics = on_one_device(parts.train_step())(state, data, steps.Batch(positions))
    assert int(state.step) == 1
    assert metrics["loss"].shape == (1,)


def test_several_steps_a_call_equal_several_calls():
    parts = make()
    data, state = device_data(parts), parts.init_state()
    step = on_one_device(parts.train_step())
    batches = np.stack([parts.sampler[k] for k in range(3)])
    together, metrics = step(state, data, steps.Batch(batches[None]))
    for k in range(3):
        state, one = step(state, data, steps.Batch(batches[k : k + 1][None]))
        np.testing.assert_allclose(metrics["loss"][k], one["loss"][0], rtol=1e-5)
    assert_trees_close(together.params, state.params, 1e-6)


def test_state_is_donated():
    parts = make()
    data, state = device_data(parts), steps.replicate(parts.init_state())
    p_step = steps.parallelize(parts.train_step(), donate_state=True)
    p_step(state, data, steps.Batch(steps.split_over_devices(parts.sampler[0][None])))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state.params))


@pytest.mark.parametrize("batch_size", [20, 100, 512])
def test_every_example_is_evaluated_once(batch_size):
    parts = make()
    data, state = device_data(parts), steps.replicate(parts.init_state())
    labels = parts.dataset.splits["test"].labels
    eval_step, batch_size = steps.parallelize(parts.eval_step()), batch_size - batch_size % DEVICES
    predictions = predict(eval_step, state, data, parts.feed, "test", labels, batch_size)
    images = data.standardise(jnp.asarray(parts.dataset.splits["test"].images))
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    log_p = jax.nn.log_softmax(parts.model.apply(variables, images, train=False))
    np.testing.assert_array_equal(predictions.classes, log_p.argmax(-1))
    np.testing.assert_allclose(predictions.p, np.exp(log_p[np.arange(len(labels)), labels]), rtol=1e-4)
    np.testing.assert_allclose(predictions.losses, -np.log(predictions.p), rtol=1e-4)


def test_dropout_differs_between_devices_and_steps():
    parts = make(**{"model.dropout": 0.5, "optimizer.learning_rate": 0.0})
    data, state = device_data(parts), parts.init_state()
    step = on_one_device(parts.train_step())
    same = np.broadcast_to(parts.sampler[0][:16], (2, 1, 16))
    losses = [
        float(step(state.replace(step=jnp.int32(k)), data, steps.Batch(same))[1]["loss"][0]) for k in range(2)
    ]
    assert losses[0] != losses[1]


def test_split_over_devices_keeps_order():
    batch = np.arange(24).reshape(2, 12)
    parts = steps.split_over_devices(batch)
    assert parts.shape == (DEVICES, 2, 3)
    np.testing.assert_array_equal(np.concatenate(parts, axis=-1), batch)
