"""JoCoR and Co-teaching+: a step against NumPy's choice and loss, and the runs it must be equal to."""

import dataclasses

import jax
import numpy as np
import pytest
import scipy.special
from small_runs import assert_close, on_one_device, small

from grjax import devices, experiment
from grjax.data import feed
from grjax.errors import ConfigError
from grjax.evaluate import device_data


def config_of(name, **overrides):
    return small(**{"method.name": name, "method.rate": 0.4, "method.ramp_epochs": 1e-9, **overrides})


def second_epoch(parts):
    """The state at the beginning of the second epoch, and its step."""
    step = parts.sampler.steps_per_epoch
    return parts.init_state().replace(step=np.int32(step)), step


def one_step(parts, state, step):
    batch = feed.Batch(parts.sampler[step][None, None])
    return on_one_device(parts.train_step())(state, device_data(parts), batch)


def seen_by(parts, step):
    """The images and labels of a batch."""
    data, positions = device_data(parts), parts.sampler[step]
    return data.standardise(data.images[positions]), np.asarray(data.labels[positions])


def alone(function):
    """A function of one device's images, run where there is one device."""
    return lambda images: jax.tree.map(
        lambda leaf: leaf[0], jax.jit(jax.vmap(function, axis_name=devices.AXIS))(images[None])
    )


def logits_at(parts, network, params, images):
    """In training mode, on one device."""
    variables = {"params": params, "batch_stats": network.batch_stats}
    return parts.parts.model.apply(variables, images, train=True, mutable=["batch_stats"])[0]


def logits_of(parts, network, images):
    return alone(lambda images: logits_at(parts, network, network.params, images))(images)


def numpy_jocor(first, second, labels, lam):
    """The loss of each example in float64, as the paper writes it."""
    total = np.zeros(len(labels))
    logs = [scipy.special.log_softmax(np.asarray(z, np.float64), axis=-1) for z in (first, second)]
    for log_p, log_q in (logs, logs[::-1]):
        total += (1 - lam) * -log_p[np.arange(len(labels)), labels]
        total += lam * (np.exp(log_p) * (log_p - log_q)).sum(-1)
    return total


@pytest.mark.parametrize("lam", [0.0, 0.6])
def test_jocor_minimises_the_joint_loss_over_the_examples_where_it_is_smallest(lam):
    parts = experiment.create(config_of("jocor", **{"method.lam": lam}))
    state, step = second_epoch(parts)
    after, metrics = one_step(parts, state, step)
    images, labels = seen_by(parts, step)
    logits = [logits_of(parts, network, images) for network in state.learner.networks]
    joint = numpy_jocor(*logits, labels, lam)
    kept = int(64 * 0.6)
    chosen = np.zeros(64, bool)
    chosen[np.argsort(joint, kind="stable")[:kept]] = True
    np.testing.assert_array_equal(after.learner.kept[parts.sampler[step]], chosen)
    assert metrics["loss"][0] == pytest.approx(joint[chosen].mean(), rel=1e-5)

    def loss(both, images):
        logs = [
            jax.nn.log_softmax(logits_at(parts, network, params, images))
            for network, params in zip(state.learner.networks, both, strict=True)
        ]
        entropy = [-log[np.arange(64), labels] for log in logs]
        apart = [(np.e**p * (p - q)).sum(-1) for p, q in (logs, logs[::-1])]
        return (((1 - lam) * sum(entropy) + lam * sum(apart)) * chosen).sum() / kept

    params = [network.params for network in state.learner.networks]
    gradients = alone(lambda images: jax.grad(loss)(params, images))(images)
    for network, gradient, found in zip(
        state.learner.networks, gradients, after.learner.networks, strict=True
    ):
        wanted = network.updated(parts.parts, gradient, network.batch_stats, network.loss_memory)
        assert_close(found.params, wanted.params, 1e-6)


def test_jocor_without_agreement_and_rate_is_two_runs_of_cross_entropy():
    parts = experiment.create(config_of("jocor", **{"method.lam": 0.0, "method.rate": 0.0}))
    state, alone = parts.init_state(), experiment.create(small())
    others = [alone.init_state().replace(learner=network) for network in state.learner.networks]
    p_step, p_alone = (devices.parallelize(each.train_step()) for each in (parts, alone))
    data = device_data(parts)
    for batch in parts.train_batches(0):
        state, _ = jax.block_until_ready(p_step(state, data, devices.spread(batch)))
        others = [jax.block_until_ready(p_alone(other, data, devices.spread(batch))[0]) for other in others]
    for found, other in zip(state.learner.networks, others, strict=True):
        assert_close(found, other.learner, 1e-6)


def test_co_teaching_plus_chooses_among_the_examples_the_networks_disagree_about():
    parts = experiment.create(config_of("co_teaching_plus", **{"method.agreeing_epochs": 1.0}))
    state, step = second_epoch(parts)
    after, _ = one_step(parts, state, step)
    images, labels = seen_by(parts, step)
    logits = [np.asarray(logits_of(parts, network, images)) for network in state.learner.networks]
    differ = logits[0].argmax(1) != logits[1].argmax(1)
    assert 0 < differ.sum() < 64
    kept, masks = int(np.floor(np.round(differ.sum() * 0.6, 3))), []
    for z in logits:
        losses = -scipy.special.log_softmax(z, axis=-1)[np.arange(64), labels]
        order = [i for i in np.argsort(losses, kind="stable") if differ[i]]
        mask = np.zeros(64, bool)
        mask[order[:kept]] = True
        masks.append(mask)
    np.testing.assert_array_equal(after.learner.kept[parts.sampler[step]], np.mean(masks, axis=0))


def test_where_no_predictions_differ_co_teaching_plus_has_no_gradient():
    parts = experiment.create(config_of("co_teaching_plus", **{"method.agreeing_epochs": 0.0}))
    state, step = second_epoch(parts)
    first = state.learner.networks.first
    same = state.replace(learner=state.learner.replace(networks=type(state.learner.networks)(first, first)))
    after, metrics = one_step(parts, same, step)
    assert_close(after.learner.networks.first.params, first.params, 0)
    assert metrics["kept"][0] == 0
    assert metrics["loss"][0] == 0


def test_before_that_it_is_co_teaching():
    plus = experiment.create(config_of("co_teaching_plus", **{"method.agreeing_epochs": 2.0}))
    parts = dataclasses.replace(
        plus, method_name="co_teaching", method_options={"rate": 0.4, "ramp_epochs": 1e-9}
    )
    state, step = second_epoch(plus)
    assert_close(one_step(plus, state, step)[0].learner, one_step(parts, state, step)[0].learner, 0)


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("jocor", {"method.lam": 1.1}, r"method.lam: must be in \[0, 1\], got 1.1"),
        ("jocor", {"data.views": 2}, "jocor' takes neither data.mixing nor data.views"),
        (
            "co_teaching_plus",
            {"method.agreeing_epochs": -1.0},
            r"method.agreeing_epochs: must be in \[0, inf",
        ),
        ("co_teaching_plus", {"data.views": 2}, "co_teaching_plus' takes neither data.mixing"),
    ],
)
def test_impossible_options(name, overrides, message):
    with pytest.raises(ConfigError, match=message):
        experiment.create(config_of(name, **overrides))
