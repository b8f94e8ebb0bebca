"""Options as grid searches give them: scalars of NumPy, of jax, and arrays without a dimension."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from grjax import losses, methods, models, noise, optimizers
from grjax.config import resolve, unflatten
from grjax.data import augment, mixing
from grjax.estimator import GRClassifier
from grjax.noise import imbalance

SCALARS = [np.int64, np.array, jnp.array]


@pytest.mark.parametrize("scalar", SCALARS)
def test_a_config_keeps_numbers_of_python(scalar):
    layer = {
        "train_epochs": scalar(4), "init_seed": scalar(3), "batch_size": scalar(16), "loss.name": "gce",
        "loss.q": np.float64(0.5), "dynamics": np.bool_(False), "profile": (scalar(1), scalar(2)),
    }  # fmt: skip
    config = resolve(unflatten(layer))
    found = config.train_epochs, config.init_seed, config.batch_size, config.profile, config.loss.q
    assert found == (4, 3, 16, (1, 2), 0.5)
    assert [type(value) for value in (*found[:3], *found[3], found[4])] == [int] * 5 + [float]
    assert config.dynamics is False
    assert config.to_json_best_effort() == resolve(config).to_json_best_effort()


@pytest.mark.parametrize("scalar", SCALARS)
def test_whole_numbers_of_any_kind_are_options(scalar):
    model = models.create("mlp", num_classes=2, hidden=(scalar(3),))
    assert model == models.create("mlp", num_classes=2, hidden=(3,))
    assert hash(model) is not None
    labels, ids = np.arange(40) % 2, np.arange(40)
    kept = [imbalance.create("long_tail", ratio=4.0, seed=seed)(labels, 2, ids) for seed in (scalar(3), 3)]
    np.testing.assert_array_equal(*kept)
    drawn = [noise.create("symmetric", rate=0.5, seed=seed)(labels, 2).labels for seed in (scalar(3), 3)]
    np.testing.assert_array_equal(*drawn)
    matrices = [noise.transition("symmetric", 4, rate=0.5, seed=seed) for seed in (scalar(3), 3)]
    np.testing.assert_array_equal(*matrices)
    schedule = optimizers.create_schedule("constant", total_steps=8, warmup_steps=scalar(4))
    assert float(schedule(2)) == 0.5
    images = np.zeros((1, 8, 8, 1), np.uint8)
    cut = augment.create([{"name": "cutout", "size": scalar(4)}])
    assert cut(images, np.arange(1), jax.random.key(0)).shape == images.shape
    with pytest.raises(ValueError, match=r"model.hidden: .*got \(2.5,\)"):
        models.create("mlp", num_classes=2, hidden=(np.float32(2.5),))


@pytest.mark.parametrize("scalar", [np.float32, np.float64, np.array, jnp.array])
def test_numbers_of_any_kind_are_options(scalar):
    logits, labels = np.eye(3, dtype=np.float32), np.array([0, 1, 1])
    made = [losses.create("gradient_rescaling", lam=one(1.0), beta=one(8.0)) for one in (scalar, float)]
    gradients = [jax.grad(lambda z, loss=loss: loss(z, labels).sum())(logits) for loss in made]
    np.testing.assert_array_equal(*gradients)
    assert mixing.create({"name": "mixup", "alpha": scalar(0.5)}).keywords == {"alpha": 0.5}
    assert methods.check("co_teaching", rate=scalar(0.5))["rate"] == 0.5
    optimizers.create("momentum", schedule=lambda step: 1.0, learning_rate=scalar(0.1))


def test_a_traced_hyper_parameter_stays_traced():
    def value(beta):
        loss = losses.create("gradient_rescaling", lam=1.0, beta=beta)
        return jax.grad(lambda z: loss(z, np.array([0])).sum())(jnp.eye(1, 3)).sum()

    assert np.isfinite(jax.jit(value)(jnp.array(8.0)))


@pytest.mark.parametrize("scalar", SCALARS)
def test_the_estimator_takes_them(scalar):
    X = np.linspace(-1, 1, 40)[:, None]  # noqa: N806
    small = {"model.hidden": (4,), "eval_every_epochs": 2.0}
    model = GRClassifier(beta=scalar(8), epochs=scalar(2), config=small, random_state=scalar(3))
    other = GRClassifier(beta=8, epochs=2, config=small, random_state=3)
    y = (X[:, 0] > 0).astype(int)
    np.testing.assert_array_equal(model.fit(X, y).predict_proba(X), other.fit(X, y).predict_proba(X))
