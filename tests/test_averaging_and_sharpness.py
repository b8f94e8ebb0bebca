"""What every method has as an option: an average of the network, and minimisation aware of sharpness."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import assert_close, assert_identical, final_state, on_one_device, rows, small

from grjax import config, devices, experiment
from grjax.data import feed
from grjax.errors import ConfigError
from grjax.evaluate import device_data
from grjax.methods import averaging, sharpness
from grjax.train import train_and_evaluate


def batch_at(parts, step):
    return feed.Batch(parts.sampler[step][None, None])


def test_the_average_is_that_of_numpy():
    values = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    for decay in (0.0, 0.5, 0.9):
        average = averaging.begin(jnp.full(3, 99.0), {"mean": jnp.full(3, -99.0)})
        wanted = np.full(3, 99.0)
        for number, value in enumerate(values):
            average = averaging.updated(average, jnp.array(value), {"mean": jnp.array(-value)}, decay)
            d = min(decay, number / (number + 9))
            wanted = d * wanted + (1 - d) * value
            if number == 0 or decay == 0:
                np.testing.assert_array_equal(average.params, value)  # the network itself, bit for bit
        np.testing.assert_allclose(average.params, wanted, atol=1e-6)
        np.testing.assert_allclose(average.batch_stats["mean"], -wanted, atol=1e-6)


def test_the_average_of_a_run_is_evaluated_and_changes_no_step():
    parts, plain = (experiment.create(small(**layer)) for layer in ({"method.average": 0.5}, {}))
    state, of_plain, data = parts.init_state(), plain.init_state(), device_data(parts)
    step, plain_step = on_one_device(parts.train_step()), on_one_device(plain.train_step())
    wanted = None
    for number in range(12):
        state, _ = step(state, data, batch_at(parts, number))
        of_plain, _ = plain_step(of_plain, data, batch_at(parts, number))
        now = jax.tree.map(np.asarray, (state.learner.params, state.learner.batch_stats))
        d = min(0.5, number / (number + 9))
        wanted = now if wanted is None else jax.tree.map(lambda a, b, d=d: d * a + (1 - d) * b, wanted, now)
    average = state.learner.average
    assert_close((average.params, average.batch_stats), wanted, 1e-6)
    assert_identical(state.learner.replace(average=()), of_plain.learner)
    images = data.standardise(jnp.asarray(parts.dataset.splits["test"].images[:50]))
    variables = {"params": average.params, "batch_stats": average.batch_stats}
    shown = parts.parts.model.apply(variables, images, train=False)
    method = parts.method()
    np.testing.assert_allclose(method.logits(state.learner, images), shown, atol=1e-5)
    labels = parts.dataset.splits["test"].labels[:50]
    losses = method.losses(state.learner, images, labels, 0)["losses"]
    log_p = jax.nn.log_softmax(shown)[np.arange(50), labels]
    np.testing.assert_allclose(losses, -log_p, atol=1e-5)
    assert np.abs(shown - plain.method().logits(of_plain.learner, images)).max() > 0.01


def test_with_0_both_are_as_if_they_were_not_there(tmp_path):
    train_and_evaluate(small(**{"method.average": 0, "method.sam": 0.0}), tmp_path / "zero")
    train_and_evaluate(small(), tmp_path / "without")
    assert_identical(final_state(tmp_path / "zero"), final_state(tmp_path / "without"))
    assert rows(tmp_path / "zero") == rows(tmp_path / "without")

    def never(params):
        raise AssertionError("a second gradient was asked for")

    gradients = {"a": jnp.ones(3)}
    assert sharpness.aware({"a": jnp.zeros(3)}, gradients, never, rho=0.0) is gradients


def convolutions(parts):
    """How many a train step has."""
    step = jax.vmap(parts.train_step(), axis_name=devices.AXIS, in_axes=(None, None, 0), out_axes=None)
    traced = jax.make_jaxpr(step)(parts.init_state(), device_data(parts), batch_at(parts, 0))
    return str(traced).count("conv_general_dilated[")


def test_only_above_0_there_is_a_second_pass():
    one = convolutions(experiment.create(small(**{"method.sam": 0.0})))
    assert one == convolutions(experiment.create(small()))
    assert convolutions(experiment.create(small(**{"method.sam": 0.05}))) == 2 * one


def test_both_gradients_are_those_of_numpy_whatever_the_number_of_devices():
    """Softmax regression, whose gradient is X'(p - y) / B."""
    rho, rate = 0.3, 0.5
    layer = {
        "model.name": "mlp", "model.hidden": (), "optimizer.name": "sgd", "optimizer.learning_rate": rate,
        "method.sam": rho,
    }  # fmt: skip
    parts = experiment.create(config.resolve(small(), config.unflatten(layer)))
    state, data = parts.init_state(), device_data(parts)
    positions = parts.sampler[0]
    x = np.asarray(data.standardise(data.images[positions]), np.float64).reshape(len(positions), -1)
    y = np.eye(10)[np.asarray(data.labels[positions])]
    ((name, layer),) = state.learner.params.items()
    w, b = np.float64(layer["kernel"]), np.float64(layer["bias"])

    def gradient(w, b):
        z = x @ w + b
        p = np.exp(z - z.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        return x.T @ (p - y) / len(x), (p - y).mean(0)

    first = gradient(w, b)
    norm = np.sqrt(sum((g**2).sum() for g in first))
    second = gradient(*(v + rho * g / norm for v, g in zip((w, b), first, strict=True)))
    assert np.abs(second[0] - first[0]).max() > 1e-3
    wanted = {"kernel": w - rate * second[0], "bias": b - rate * second[1]}
    one, _ = on_one_device(parts.train_step())(state, data, batch_at(parts, 0))
    four, _ = devices.parallelize(parts.train_step())(
        devices.replicate(state), data, feed.Batch(devices.split_over_devices(positions[None]))
    )
    for after in (one, four):
        assert_close(after.learner.params[name], {key: wanted[key] for key in sorted(wanted)}, 2e-6)


@pytest.mark.parametrize(
    "method", [{}, pytest.param({"method.name": "co_teaching", "method.rate": 0.0}, marks=pytest.mark.slow)]
)
def test_statistics_and_memories_are_of_the_first_pass(method):
    layer = {**method, "loss.name": "elr"}
    after = []
    for rho in (0.0, 0.5):
        parts = experiment.create(small(**{**layer, "method.sam": rho}))
        state, _ = on_one_device(parts.train_step())(
            parts.init_state(), device_data(parts), batch_at(parts, 0)
        )
        after.append(state.learner)
    networks = zip(
        *([learner] if hasattr(learner, "params") else learner.networks for learner in after), strict=True
    )
    for without, aware in networks:
        assert_close(aware.batch_stats, without.batch_stats, 1e-6)
        assert_close(aware.loss_memory, without.loss_memory, 1e-6)
        moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), aware.params, without.params)
        assert max(jax.tree.leaves(moved)) > 1e-4


def test_each_of_two_networks_goes_by_its_own_second_gradient():
    parts = experiment.create(small(**{"method.name": "co_teaching", "method.rate": 0.0, "method.sam": 0.2}))
    begun = parts.init_state()
    pair, _ = on_one_device(parts.train_step())(begun, device_data(parts), batch_at(parts, 0))
    alone = experiment.create(small(**{"method.sam": 0.2}))
    step, data = on_one_device(alone.train_step()), device_data(alone)
    for before, found in zip(begun.learner.networks, pair.learner.networks, strict=True):
        wanted, _ = step(alone.init_state().replace(learner=before), data, batch_at(alone, 0))
        assert_close(found, wanted.learner, 1e-6)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"method.average": 1.0}, r"method.average: must be in \[0, 1\), got 1.0"),
        ({"method.sam": -0.1}, r"method.sam: must be in \[0, inf\), got -0.1"),
        ({"method.average": "0.9"}, r"method.average: 'single' takes a number, got '0.9'"),
    ],
)
def test_a_wrong_value_is_one_clear_error(overrides, message):
    with pytest.raises(ConfigError, match=message):
        experiment.create(small(**overrides))
