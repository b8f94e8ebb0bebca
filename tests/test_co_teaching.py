"""Co-teaching: its selection against NumPy, and the runs it must be equal to."""

import dataclasses

import jax
import numpy as np
import pytest
from small_runs import assert_close, final_state, on_one_device, small

from grjax import devices, experiment
from grjax.data import feed
from grjax.errors import ConfigError
from grjax.evaluate import device_data
from grjax.losses import cross_entropy
from grjax.methods.small_loss import forgotten, num_kept, smallest
from grjax.train import train_and_evaluate


def pair_config(**overrides):
    return small(**{"method.name": "co_teaching", "method.rate": 0.4, **overrides})


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_how_many_are_kept(exponent):
    for rate in (0.0, 0.2, 0.45, 0.6, 0.8):
        for epoch in range(0, 20, 3):
            forget = rate * min(epoch / 10, 1) ** exponent
            of_rate = forgotten(epoch, rate=rate, ramp_epochs=10.0, exponent=exponent)
            for number in (128, 200):  # of 200 and 0.6, float32 would make 79
                wanted = max(int(np.floor(np.round(number * (1 - forget), 3))), 1)
                assert int(num_kept(number, of_rate)) == wanted, (rate, epoch, number)


def test_the_smallest_of_all_devices_with_ties_by_place():
    losses = np.array([3, 1, 2, 1, 0, 1, 5, 4], np.float32)
    chosen = jax.pmap(lambda part: smallest(part, 3), axis_name=devices.AXIS)(losses.reshape(4, 2))
    assert np.flatnonzero(np.ravel(chosen)).tolist() == [1, 3, 4]


def one_step(parts, state, step=0):
    batch = feed.Batch(parts.sampler[step][None, None])
    after, metrics = on_one_device(parts.train_step())(state, device_data(parts), batch)
    return after, metrics


def test_each_network_is_trained_on_what_the_other_finds_easy():
    """The step against one of `single` whose loss counts the examples that NumPy has chosen."""
    parts = experiment.create(pair_config(**{"method.ramp_epochs": 1e-9}))
    state = parts.init_state().replace(step=np.int32(parts.sampler.steps_per_epoch))  # the second epoch
    step = parts.sampler.steps_per_epoch
    after, metrics = one_step(parts, state, step)
    kept = int(64 * 0.6)
    positions = parts.sampler[step]
    assert metrics["kept"][0] == pytest.approx(kept / 64)
    reported = metrics["loss"][0]

    data = device_data(parts)
    images = data.standardise(data.images[positions])
    labels = np.asarray(data.labels[positions])

    def logits_of(network):
        variables = {"params": network.params, "batch_stats": network.batch_stats}
        apply = jax.vmap(
            lambda images: parts.parts.model.apply(variables, images, train=True, mutable=["batch_stats"])[0],
            axis_name=devices.AXIS,
        )
        return apply(images[None])[0]

    easy = []
    for network in state.learner.networks:
        losses = np.asarray(cross_entropy(logits_of(network), labels))
        mask = np.zeros(64, bool)
        mask[np.argsort(losses, kind="stable")[:kept]] = True
        easy.append(mask)
    assert (easy[0] != easy[1]).any()
    np.testing.assert_array_equal(after.learner.kept[positions], np.mean(easy, axis=0))
    others = np.setdiff1d(np.arange(len(parts.noise.labels)), positions)
    assert (np.asarray(after.learner.kept)[others] == 1).all()  # never seen: nothing was left out yet
    chosen_losses = [
        np.asarray(cross_entropy(logits_of(network), labels))[chosen].mean()
        for network, chosen in zip(state.learner.networks, reversed(easy), strict=True)
    ]
    assert reported == pytest.approx(np.mean(chosen_losses), rel=1e-4)
    alone = experiment.create(small())
    loss = alone.parts.loss
    for network, chosen, found in zip(
        state.learner.networks, reversed(easy), after.learner.networks, strict=True
    ):
        only_chosen = loss._replace(
            apply=lambda logits, labels, rows, step, chosen=chosen: (
                loss.apply(logits, labels, rows, step)[0] * chosen * 64 / kept,
                rows,
            )
        )
        one = dataclasses.replace(alone, parts=dataclasses.replace(alone.parts, loss=only_chosen))
        wanted, _ = one_step(one, alone.init_state().replace(learner=network, step=state.step), step)
        assert_close(found, wanted.learner, 1e-6)


def test_with_rate_0_it_is_two_independent_runs(tmp_path):
    train_and_evaluate(pair_config(**{"method.rate": 0.0}), tmp_path / "pair")
    begin = experiment.create(pair_config(**{"method.rate": 0.0})).init_state().learner.networks
    for network, found in zip(begin, final_state(tmp_path / "pair").learner.networks, strict=True):
        alone = experiment.create(small())
        state, data = alone.init_state().replace(learner=network), device_data(alone)
        p_step = devices.parallelize(alone.train_step())
        for batch in alone.train_batches(0):
            state, _ = jax.block_until_ready(p_step(state, data, devices.spread(batch)))
        assert_close(found, state.learner, 1e-6)
    first, second = (network.params["Dense_0"]["kernel"] for network in begin)
    assert np.abs(first - second).max() > 0.01


def test_any_loss_may_be_minimised_inside(tmp_path):
    loss = {"loss.name": "gradient_rescaling", "loss.lam": 1.0, "loss.beta": 8.0}
    summary = train_and_evaluate(pair_config(**loss), tmp_path / "gr")
    assert np.isfinite(summary["test_accuracy_last"])
    memory = train_and_evaluate(pair_config(**{"loss.name": "elr"}), tmp_path / "elr")
    assert np.isfinite(memory["test_accuracy_last"])
    memories = [network.loss_memory for network in final_state(tmp_path / "elr").learner.networks]
    assert (memories[0] != memories[1]).any()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"method.rate": 1.0}, r"method.rate: must be in \[0, 1\), got 1.0"),
        ({"method.rate": "0.4"}, r"method.rate: 'co_teaching' takes a number or one of 'estimated', got"),
        ({"method.ramp_epochs": 0.0}, r"method.ramp_epochs: must be in \(0, inf\), got 0.0"),
        ({"method.exponent": -1.0}, r"method.exponent: must be in \(0, inf\), got -1.0"),
        ({"data.views": 2}, "co_teaching' takes neither data.mixing nor data.views"),
        ({"data.mixing": {"name": "mixup", "alpha": 1.0}}, "co_teaching' takes neither data.mixing"),
    ],
)
def test_impossible_options(overrides, message):
    with pytest.raises(ConfigError, match=message):
        experiment.create(pair_config(**overrides))
