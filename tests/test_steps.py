"""The per-device steps, and how `parallelize` spreads them."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import assert_close, laid_over, on_one_device

from grjax import config, devices, experiment, losses
from grjax.data import augment, feed
from grjax.data.mixing import partners
from grjax.errors import ConfigError
from grjax.evaluate import Evaluation, device_data
from grjax.together import Alone

DEVICES = 4


def make(**overrides):
    """The digits experiment, by default with augmentation, in batches of 64."""
    own = {
        "data.augmentation": ("pad_crop", "flip"),
        "model.features": (8,),
        "model.hidden": 16,
        "noise.rate": 0.4,
        "loss.name": "gradient_rescaling",
        "loss.lam": 1.0,
        "loss.beta": 8.0,
        "optimizer.learning_rate": 0.01,
        "batch_size": 64,
    }
    return experiment.create(config.resolve(laid_over(own, overrides)))


def predicted(parts, state, data):
    """What an evaluation finds for the test split."""
    alone = Alone()
    evaluation = Evaluation(alone.evaluate(parts.eval_step()), alone, data, [parts])
    return evaluation.predict(alone.join([state]), "test")[0]


def in_float64(tree):
    def widen(leaf):
        return jnp.asarray(leaf, jnp.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.tree.map(widen, tree)


@pytest.mark.parametrize("normalization", [pytest.param("integral", marks=pytest.mark.slow), "batch"])
def test_four_devices_equal_one(normalization):
    # In float32 the two agree to 1e-7 until a rounding decides a ReLU or a maximum the other way, which
    # happens once in some 100 steps and may move a parameter by 1e-3. In float64 it does not; only the
    # logits are float32 there too.
    with jax.enable_x64(True):
        parts = make(**{"loss.normalization": normalization})
        data, initial = in_float64(device_data(parts)), in_float64(parts.init_state())
        p_step, one_step = devices.parallelize(parts.train_step()), on_one_device(parts.train_step())
        spread, single = devices.replicate(initial), initial
        for step in range(20):
            positions = parts.sampler[step][None]
            # One at a time: virtual devices of a CPU may deadlock over several programs with collectives.
            spread, spread_metrics = jax.block_until_ready(
                p_step(spread, data, feed.Batch(devices.split_over_devices(positions)))
            )
            single, single_metrics = jax.block_until_ready(
                one_step(single, data, feed.Batch(positions[None]))
            )
    assert single.learner.params["Dense_1"]["kernel"].dtype == jnp.float64
    # Dynamics are float32 there, too, and have tests of their own.
    assert_close(spread.replace(dynamics=()), single.replace(dynamics=()), 1e-7)
    assert_close(spread_metrics, single_metrics, 1e-6)
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), single.learner.params, initial.learner.params)
    assert max(jax.tree.leaves(moved)) > 1e-3


def test_nothing_is_left_unsynchronised_between_devices():
    # Under vmap an output that differs over the axis cannot be returned without it; pmap would pass it.
    parts = make()
    data, state = device_data(parts), parts.init_state()
    positions = devices.split_over_devices(parts.sampler[0][None])
    state, metrics = on_one_device(parts.train_step())(state, data, feed.Batch(positions))
    assert int(state.step) == 1
    assert metrics["loss"].shape == (1,)


def test_several_steps_a_call_equal_several_calls():
    parts = make()
    data, state = device_data(parts), parts.init_state()
    step = on_one_device(parts.train_step())
    batches = np.stack([parts.sampler[k] for k in range(3)])
    together, metrics = step(state, data, feed.Batch(batches[None]))
    for k in range(3):
        state, one = step(state, data, feed.Batch(batches[k : k + 1][None]))
        np.testing.assert_allclose(metrics["loss"][k], one["loss"][0], rtol=1e-5)
    assert_close(together.learner.params, state.learner.params, 1e-6)


def test_state_is_donated():
    parts = make()
    data, state = device_data(parts), devices.replicate(parts.init_state())
    p_step = devices.parallelize(parts.train_step(), donate_state=True)
    p_step(state, data, feed.Batch(devices.split_over_devices(parts.sampler[0][None])))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state.learner.params))


@pytest.mark.parametrize("batch_size", [20, 100, 512])
def test_every_example_is_evaluated_once(batch_size):
    parts = make()
    parts = dataclasses.replace(parts, eval_batch_size=batch_size - batch_size % DEVICES)
    data, state = device_data(parts), devices.replicate(parts.init_state())
    labels = parts.dataset.splits["test"].labels
    predictions = predicted(parts, state, data)
    images = data.standardise(jnp.asarray(parts.dataset.splits["test"].images))
    variables = {"params": state.learner.params, "batch_stats": state.learner.batch_stats}
    log_p = jax.nn.log_softmax(parts.parts.model.apply(variables, images, train=False))
    np.testing.assert_array_equal(predictions.classes, log_p.argmax(-1))
    np.testing.assert_allclose(predictions.p, np.exp(log_p[np.arange(len(labels)), labels]), rtol=1e-4)
    np.testing.assert_allclose(predictions.losses, -np.log(predictions.p), rtol=1e-4)


def test_dropout_differs_between_devices_and_steps():
    parts = make(**{"model.dropout": 0.5, "optimizer.learning_rate": 0.0})
    data, state = device_data(parts), parts.init_state()
    step = on_one_device(parts.train_step())
    same = np.broadcast_to(parts.sampler[0][:16], (2, 1, 16))
    losses = [
        float(step(state.replace(step=jnp.int32(k)), data, feed.Batch(same))[1]["loss"][0]) for k in range(2)
    ]
    assert losses[0] != losses[1]


def test_split_over_devices_keeps_order():
    batch = np.arange(24).reshape(2, 12)
    parts = devices.split_over_devices(batch)
    assert parts.shape == (DEVICES, 2, 3)
    np.testing.assert_array_equal(np.concatenate(parts, axis=-1), batch)


SMALL = {"model.features": (4,), "model.hidden": 8, "data.augmentation": ("flip",), "loss": {"name": "gjs"}}


@functools.cache
def start():
    """The small experiment, its data and its initial state, which all its variations share."""
    parts = make(**SMALL)
    return parts, device_data(parts), parts.init_state()


def logits_by_hand(images):
    """Logits of a batch in training mode with the initial state."""
    parts, data, state = start()
    variables = {"params": state.learner.params, "batch_stats": state.learner.batch_stats}

    def apply(images):
        return parts.parts.model.apply(variables, images, train=True, mutable=["batch_stats"])[0]

    return jax.jit(jax.vmap(apply, axis_name=devices.AXIS))(data.standardise(images)[None])[0]


def first_losses(parts, num_steps=1):
    """The losses that a train step reports for the initial parameters, as if at each of so many steps."""
    _, data, state = start()
    step, batch = on_one_device(parts.train_step()), feed.Batch(parts.sampler[0][None, None])
    return [
        float(step(state.replace(step=jnp.int32(k)), data, batch)[1]["loss"][0]) for k in range(num_steps)
    ]


def first_examples():
    parts, *_ = start()
    positions = parts.sampler[0]
    return parts.dataset.splits["train"].images[positions], parts.noise.labels[positions]


def test_the_loss_of_mixtures_is_that_of_both_labels_by_their_shares():
    first = start()[0]
    swapped = dataclasses.replace(
        first,
        parts=dataclasses.replace(
            first.parts,
            augment=augment.create(()),
            mix=lambda images, key: (partners(images), jnp.full(64, 0.25)),
        ),
    )
    images, labels = first_examples()
    logits = logits_by_hand(np.roll(images, 1, axis=0))
    own, other = losses.gjs(logits, labels), losses.gjs(logits, np.roll(labels, 1))
    [found] = first_losses(swapped)
    np.testing.assert_allclose(found, (0.25 * own + 0.75 * other).mean(), rtol=1e-5)
    assert abs(found - other.mean()) > 1e-3


def test_mixing_from_a_config_is_drawn_anew_each_step():
    parts = make(**SMALL | {"data.augmentation": (), "data.mixing": {"name": "mixup", "alpha": 1.0}})
    assert len(set(first_losses(parts, 3))) == 3


@pytest.mark.parametrize("loss", ["gjs", "cross_entropy"])
def test_a_loss_sees_all_views_or_is_averaged_over_them(loss):
    # Both views are flips with keys of their own.
    parts = make(**SMALL | {"data.views": 2, "loss": {"name": loss}})
    images, labels = first_examples()
    keys = jax.random.split(jax.random.split(jax.random.fold_in(jax.random.key(parts.parts.seed), 0))[0], 2)
    views = [parts.parts.augment(images, parts.sampler[0], key) for key in keys]
    assert (views[0] != views[1]).any()
    first, second = jnp.split(logits_by_hand(np.concatenate(views)), 2)
    if loss == "gjs":
        expected = losses.gjs(first, labels, views=second[None]).mean()
        assert abs(expected - losses.gjs(first, labels).mean()) > 1e-4
    else:
        expected = (losses.cross_entropy(first, labels) + losses.cross_entropy(second, labels)).mean() / 2
    np.testing.assert_allclose(first_losses(parts)[0], expected, rtol=1e-5)


def test_evaluation_sees_the_middle_of_images_that_training_crops():
    parts = make(**SMALL | {"data.augmentation": ({"name": "random_crop", "size": 6},)})
    assert parts.parts.image_shape == (6, 6, 1)
    data, state = device_data(parts), devices.replicate(parts.init_state())
    labels = parts.dataset.splits["test"].labels
    found = predicted(parts, state, data)
    middle = data.standardise(jnp.asarray(parts.dataset.splits["test"].images[:, 1:7, 1:7]))
    variables = {"params": state.learner.params, "batch_stats": state.learner.batch_stats}
    logits = parts.parts.model.apply(variables, middle, train=False)
    np.testing.assert_allclose(found.losses, losses.gjs(logits, labels), rtol=1e-4)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ({"data.views": 0}, "data.views: must be at least 1, got 0"),
        ({"data.views": 2, "data.mixing": {"name": "mixup", "alpha": 1.0}}, "data.views=2 and data.mixing"),
        ({"data.views": 2, "loss": {"name": "elr"}}, "data.views=2: loss 'elr' remembers"),
        (
            {"data.mixing": {"name": "cutmix", "alpha": 1.0}, "loss": {"name": "elr"}},
            "data.mixing: loss 'elr'",
        ),
        ({"data.mixing": {"name": "mixup"}}, "data.mixing.alpha"),
        ({"data.mixing": {"name": "mixpu"}}, "data.mixing.name.*did you mean 'mixup'"),
    ],
)
def test_views_and_mixing_that_do_not_go_together(layer, message):
    with pytest.raises(ConfigError, match=message):
        make(**layer)
