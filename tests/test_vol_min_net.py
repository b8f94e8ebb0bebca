"""VolMinNet: its matrix, its loss and both gradients against NumPy, and what it finds on digits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import on_one_device, small

from grjax import config, devices, experiment, losses
from grjax.data import feed
from grjax.evaluate import device_data
from grjax.methods.vol_min_net import noisy, transition
from grjax.train import train_and_evaluate


def matrix_of(weights):
    """T in NumPy, row by row."""
    rows = np.eye(len(weights))
    for i, row in enumerate(weights):
        for j, weight in enumerate(row):
            if i != j:
                rows[i, j] = 1 / (1 + np.exp(-weight))
    return rows / rows.sum(1, keepdims=True)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_matrix_volume_and_its_gradient_are_those_of_numpy():
    weights = np.random.default_rng(0).normal(size=(5, 5)) - 2
    np.testing.assert_allclose(transition(jnp.asarray(weights, jnp.float32)), matrix_of(weights), rtol=1e-5)

    def log_volume(weights):
        return jnp.linalg.slogdet(transition(weights)).logabsdet

    value, gradient = jax.value_and_grad(log_volume)(jnp.asarray(weights, jnp.float32))
    matrix, open_rows = matrix_of(weights), 1 / (1 + np.exp(-weights)) * (1 - np.eye(5)) + np.eye(5)
    assert value == pytest.approx(np.log(abs(np.linalg.det(matrix))), rel=1e-5)
    # d log|det T| / dT is the inverse transposed; then through the sum of each row, and the sigmoid.
    of_matrix = np.linalg.inv(matrix).T
    sums = open_rows.sum(1, keepdims=True)
    of_rows = (of_matrix - (of_matrix * matrix).sum(1, keepdims=True)) / sums
    wanted = of_rows * open_rows * (1 - open_rows)  # 0 on the diagonal
    np.testing.assert_allclose(gradient, wanted, atol=1e-5)


def test_a_step_moves_network_and_matrix_as_numpy_does():
    """Softmax regression with a matrix behind it."""
    rate, of_matrix, lam = 0.5, 5.0, 0.1
    layer = {
        "model.name": "mlp", "model.hidden": (), "optimizer.name": "sgd", "optimizer.learning_rate": rate,
        "method.name": "vol_min_net", "method.lam": lam, "method.transition_optimizer": "sgd",
        "method.transition_learning_rate": of_matrix,
    }  # fmt: skip
    parts = experiment.create(config.resolve(small(), config.unflatten(layer)))
    state, data = parts.init_state(), device_data(parts)
    weights = np.random.default_rng(1).normal(size=(10, 10)) - 2
    state = state.replace(learner=state.learner._replace(weights=np.float32(weights)))
    positions = parts.sampler[0]
    x = np.float64(data.standardise(data.images[positions])).reshape(64, -1)
    labels = np.asarray(data.labels[positions])
    ((name, dense),) = state.learner.network.params.items()
    kernel, bias = np.float64(dense["kernel"]), np.float64(dense["bias"])
    matrix = matrix_of(weights)
    p = softmax(x @ kernel + bias)
    noisy_p = (p @ matrix)[np.arange(64), labels]
    # -log (p T)_y, by p: -T[:, y] / (p T)_y; through softmax; and by T: -p_i / (p T)_y in column y.
    of_p = -matrix[:, labels].T / noisy_p[:, None]
    of_z = p * (of_p - (p * of_p).sum(-1, keepdims=True)) / 64
    of_t = np.zeros((10, 10))
    for k in range(64):
        of_t[:, labels[k]] -= p[k] / noisy_p[k] / 64
    of_t += lam * np.linalg.inv(matrix).T
    open_rows = 1 / (1 + np.exp(-weights)) * (1 - np.eye(10)) + np.eye(10)
    of_rows = (of_t - (of_t * matrix).sum(1, keepdims=True)) / open_rows.sum(1, keepdims=True)
    of_weights = of_rows * open_rows * (1 - open_rows)
    wanted_loss = -np.log(noisy_p).mean() + lam * np.log(abs(np.linalg.det(matrix)))

    one = on_one_device(parts.train_step())(state, data, feed.Batch(positions[None, None]))
    four = devices.parallelize(parts.train_step())(
        devices.replicate(state), data, feed.Batch(devices.split_over_devices(positions[None]))
    )
    for after, metrics in (one, four):
        found = after.learner.network.params[name]
        np.testing.assert_allclose(found["kernel"], kernel - rate * x.T @ of_z, atol=2e-6)
        np.testing.assert_allclose(found["bias"], bias - rate * of_z.sum(0), atol=2e-6)
        np.testing.assert_allclose(after.learner.weights, weights - of_matrix * of_weights, atol=2e-5)
        assert metrics["loss"][0] == pytest.approx(wanted_loss, rel=1e-5)
    believed = parts.method().beliefs(state.learner)["noise_rate"]
    assert believed == pytest.approx(1 - np.diagonal(matrix).mean(), rel=1e-5)
    assert np.abs(of_matrix * of_weights).max() > 1e-3


def test_with_the_identity_it_is_the_loss_itself():
    rng = np.random.default_rng(2)
    logits, labels = jnp.asarray(rng.normal(size=(8, 5)), jnp.float32), jnp.asarray(rng.integers(0, 5, 8))
    gr = losses.for_training("gradient_rescaling", lam=1.0, beta=8.0)
    for loss in (losses.for_training("cross_entropy"), gr):
        through = noisy(loss, jnp.eye(5))

        def total(z, loss=loss):
            return loss.apply(z, labels, (), jnp.int32(0))[0].sum()

        def total_through(z, through=through):
            return through.apply(z, labels, (), jnp.int32(0))[0].sum()

        np.testing.assert_allclose(total_through(logits), total(logits), rtol=1e-5)
        np.testing.assert_allclose(jax.grad(total_through)(logits), jax.grad(total)(logits), atol=1e-5)


def test_an_unlikely_label_keeps_its_loss_finite():
    loss = noisy(losses.for_training("cross_entropy"), transition(jnp.full((3, 3), -200.0)))
    logits = jnp.array([[1e4, 0.0, 0.0]])
    value, gradient = jax.value_and_grad(lambda z: loss.apply(z, jnp.array([1]), (), jnp.int32(0))[0].sum())(
        logits
    )
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_evaluation_goes_by_the_clean_prediction_and_the_run_reports_the_matrix(tmp_path):
    run_config = small(**{"method.name": "vol_min_net"})
    train_and_evaluate(run_config, tmp_path)
    parts = experiment.create(run_config)
    learner = parts.init_state().learner
    images = np.float32(np.random.default_rng(0).normal(size=(4, 8, 8, 1)))
    variables = {"params": learner.network.params, "batch_stats": learner.network.batch_stats}
    shown = parts.parts.model.apply(variables, images, train=False)
    np.testing.assert_allclose(parts.method().logits(learner, images), shown, atol=1e-5)
    last = (tmp_path / "metrics.jsonl").read_text().splitlines()[-1]
    assert '"noise_rate_estimated": 0.' in last
    assert '"method_log_volume": -' in last
