"""SOP: its corrected prediction, its loss and all gradients against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import assert_close, on_one_device, small

from grjax import config, devices, experiment
from grjax.data import feed
from grjax.errors import ConfigError
from grjax.evaluate import device_data
from grjax.methods.sop import Noise, corrected, divergence


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def reference(z, labels, u, v):
    """q, the loss of each example, and its gradients to z, u and v."""
    p, rows = softmax(z), np.arange(len(z))
    y, h = np.eye(z.shape[1])[labels], np.eye(z.shape[1])[z.argmax(-1)]
    to_label, from_others = np.minimum(u[:, None] ** 2 * y, 1), np.minimum(v**2 * (1 - y), 1)
    c = p + to_label - from_others
    above, c = c > 1e-4, np.maximum(c, 1e-4)
    q = c / c.sum(-1, keepdims=True)
    apart = h + to_label - from_others - y
    losses = -np.log(q[rows, labels]) + (apart**2).sum(-1)
    # -log(c_y / sum c): to c, and where it is above the least to p and U, not to V; then |...|^2 to U and V.
    of_c = (1 / c.sum(-1, keepdims=True) - y / c) * above
    of_z = p * (of_c - (p * of_c).sum(-1, keepdims=True))
    of_u = (of_c + 2 * apart)[rows, labels] * 2 * u * (u**2 < 1)
    of_v = -2 * apart * (1 - y) * 2 * v * (v**2 < 1)
    return q, losses, of_z, of_u, of_v


def random_noise(rng, number, num_classes):
    u, v = rng.uniform(-1, 1, number), rng.uniform(-0.7, 0.7, (number, num_classes))
    u[0], v[1] = 1.5, 1.5  # clipped
    return u, v


def test_prediction_loss_and_gradients_are_those_of_numpy():
    rng = np.random.default_rng(0)
    z, labels = rng.normal(size=(12, 5)) * 3, rng.integers(0, 5, 12)
    u, v = random_noise(rng, 12, 5)

    def losses(z, noise):
        log_q, distance = corrected(z, jnp.asarray(labels), noise)
        each = -jax.nn.log_softmax(log_q)[np.arange(12), labels] + distance
        return each.sum(), (jax.nn.softmax(log_q), each)

    noise = Noise(jnp.asarray(u, jnp.float32), jnp.asarray(v, jnp.float32))
    (of_z, of_noise), (q, each) = jax.grad(losses, argnums=(0, 1), has_aux=True)(
        jnp.asarray(z, jnp.float32), noise
    )
    wanted = reference(z, labels, u, v)
    assert (wanted[0] < 2e-4).any()  # some are at the least
    for found, right in zip((q, each, of_z, of_noise.u, of_noise.v), wanted, strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-4, atol=1e-5)


def test_divergence_is_that_of_numpy_and_the_first_view_is_held():
    rng = np.random.default_rng(1)
    one, other = rng.normal(size=(6, 4)), rng.normal(size=(6, 4))
    p, q = softmax(one), softmax(other)
    found = divergence(jnp.asarray(one, jnp.float32), jnp.asarray(other, jnp.float32))
    np.testing.assert_allclose(found, (p * np.log(p / q)).sum(-1), rtol=1e-4)
    to_one, to_other = jax.grad(lambda a, b: divergence(a, b).sum(), argnums=(0, 1))(
        jnp.asarray(one, jnp.float32), jnp.asarray(other, jnp.float32)
    )
    np.testing.assert_array_equal(to_one, 0)
    np.testing.assert_allclose(to_other, q - p, atol=1e-5)


@pytest.mark.parametrize("balance", [0.0, 0.5])
def test_a_step_moves_network_and_noise_as_numpy_does(balance):
    """Softmax regression; on four devices the mean over the batch is the same."""
    rate, rate_u, rate_v = 0.5, 3.0, 7.0
    layer = {
        "model.name": "mlp", "model.hidden": (), "optimizer.name": "sgd", "optimizer.learning_rate": rate,
        "method.name": "sop", "method.learning_rate_u": rate_u, "method.learning_rate_v": rate_v,
        "method.balance": balance,
    }  # fmt: skip
    parts = experiment.create(config.resolve(small(), config.unflatten(layer)))
    state, data, rng = parts.init_state(), device_data(parts), np.random.default_rng(2)
    assert 0 < np.abs(state.learner.noise.u).max() < 1e-7
    u, v = random_noise(rng, len(data.labels), 10)
    state = state.replace(learner=state.learner._replace(noise=Noise(np.float32(u), np.float32(v))))
    positions = parts.sampler[0]
    x = np.float64(data.standardise(data.images[positions])).reshape(64, -1)
    labels = np.asarray(data.labels[positions])
    ((name, dense),) = state.learner.network.params.items()
    kernel, bias = np.float64(dense["kernel"]), np.float64(dense["bias"])
    z = x @ kernel + bias
    q, losses, of_z, of_u, of_v = reference(z, labels, u[positions], v[positions])
    mean = q.mean(0)
    wanted_loss = losses.mean() - balance * np.log(mean).mean()
    # -balance mean_k log m_k, by q: -balance / (10 m_k 64); by c through its sum; by p and U, not V.
    y, p = np.eye(10)[labels], softmax(z)
    c = p + np.minimum(u[positions, None] ** 2 * y, 1) - np.minimum(v[positions] ** 2 * (1 - y), 1)
    above, c = c > 1e-4, np.maximum(c, 1e-4)
    of_q = np.broadcast_to(-balance / (10 * mean), q.shape)  # of 64 times the mean
    of_c = (of_q - (of_q * q).sum(-1, keepdims=True)) / c.sum(-1, keepdims=True) * above
    of_z = (of_z + p * (of_c - (p * of_c).sum(-1, keepdims=True))) / 64
    own_u = u[positions]
    of_u = (of_u + (of_c * y).sum(-1) * 2 * own_u * (own_u**2 < 1)) / 64
    after_u, after_v = u.copy(), v.copy()
    after_u[positions] -= rate_u * of_u
    after_v[positions] -= rate_v * of_v / 64

    one = on_one_device(parts.train_step())(state, data, feed.Batch(positions[None, None]))
    four = devices.parallelize(parts.train_step())(
        devices.replicate(state), data, feed.Batch(devices.split_over_devices(positions[None]))
    )
    for after, metrics in (one, four):
        found = after.learner.network.params[name]
        np.testing.assert_allclose(found["kernel"], kernel - rate * x.T @ of_z, atol=3e-6)
        np.testing.assert_allclose(found["bias"], bias - rate * of_z.sum(0), atol=3e-6)
        assert_close(after.learner.noise, (after_u, after_v), 1e-5)
        assert metrics["loss"][0] == pytest.approx(wanted_loss, rel=1e-4)
        believed = parts.method().beliefs(after.learner)
        np.testing.assert_allclose(believed["kept"], 1 - np.minimum(after_u**2, 1), atol=1e-4)
        assert believed["noise_rate"] == pytest.approx(np.mean(after_u**2 > 0.5), abs=1e-3)
    assert np.abs(after_u - u).max() > 1e-2
    assert np.abs(after_v - v).max() > 1e-2


def test_without_noise_parameters_that_move_it_is_cross_entropy_and_a_constant():
    """u and v stay at 1e-8, h does not depend on the parameters, and no p of the batch is below 1e-4."""
    still = {"method.name": "sop", "method.learning_rate_u": 0.0, "method.learning_rate_v": 0.0}
    sop, alone = experiment.create(small(**still)), experiment.create(small())
    state, data = sop.init_state(), device_data(sop)
    batch = feed.Batch(sop.sampler[0][None, None])
    after, _ = on_one_device(sop.train_step())(state, data, batch)
    begun = alone.init_state().replace(learner=state.learner.network)
    wanted, _ = on_one_device(alone.train_step())(begun, data, batch)
    assert_close(after.learner.network, wanted.learner, 1e-6)
    assert_close(after.learner.noise, state.learner.noise, 0)


MIXED = {"data.mixing.name": "mixup", "data.mixing.alpha": 1.0}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"method.consistency": 0.9}, r"data.views: must be 2 for 'sop' with method.consistency=0.9, got 1"),
        ({"data.views": 2}, r"data.views: must be 1 for 'sop' with method.consistency=0.0, got 2"),
        (
            {"data.mixing.name": "mixup", "data.mixing.alpha": 1.0},
            r"method.name: 'sop' does not take data.mixing",
        ),
        ({"method.learning_rate_u": -1.0}, r"method.learning_rate_u: must be in \[0, inf\), got -1.0"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(overrides, message):
    with pytest.raises(ConfigError, match=message):
        experiment.create(small(**{"method.name": "sop", **overrides}))
