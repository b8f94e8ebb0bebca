"""Losses with a memory or a schedule inside a run: over devices, over a resume, from a config."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from grjax import config, devices, experiment, losses
from grjax.data import feed
from grjax.errors import ConfigError
from grjax.evaluate import device_data
from grjax.train import train_and_evaluate
from grjax.workdir.checkpoints import Checkpoints

# Each changes its behaviour within the first steps, and remembers something by then.
LOSSES = {
    "elr": {"loss.name": "elr", "loss.lam": 3.0},
    "self_adaptive": {"loss.name": "self_adaptive", "loss.begin_steps": 3},
    "truncated_gce_pruned": {
        "loss.name": "truncated_gce_pruned", "loss.k": 0.1,
        "loss.begin_steps": 2, "loss.every_steps": 5, "loss.window_steps": 2,
    },
    "schedule": {
        "loss.name": "gradient_rescaling", "loss.lam": 1.0,
        "loss.beta": {"name": "linear", "start": 0.0, "end": 16.0, "transition_steps": 8},
    },
}  # fmt: skip


def small(**overrides):
    """A run of a second: 12 steps of 64 digits."""
    layer = {
        "noise.rate": 0.4,
        "optimizer.learning_rate": 0.02,
        "model.features": (8,),
        "model.hidden": 16,
        "batch_size": 64,
        "train_steps": 12,
        "eval_every_steps": 4,
        "checkpoint_every_steps": 4,
        "tensorboard": False,
        **overrides,
    }
    return config.resolve(config.unflatten(layer))


def final_state(workdir, run_config):
    checkpoints = Checkpoints(workdir / "checkpoints", run_config.keep_checkpoints)
    state = checkpoints.restore(checkpoints.steps()[-1], like=experiment.create(run_config).init_state())
    checkpoints.close()
    return state


@pytest.mark.parametrize("loss", LOSSES)
def test_a_resumed_run_ends_the_same(loss, tmp_path):
    run_config = small(**LOSSES[loss])
    train_and_evaluate(run_config, tmp_path / "whole")
    stopped = tmp_path / "stopped"
    shutil.copytree(tmp_path / "whole", stopped)
    (stopped / "summary.json").unlink()
    shutil.rmtree(stopped / "checkpoints" / "12")
    shutil.rmtree(stopped / "checkpoints" / "8")
    train_and_evaluate(run_config, stopped)
    whole, resumed = final_state(tmp_path / "whole", run_config), final_state(stopped, run_config)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(resumed), strict=True):
        np.testing.assert_array_equal(a, b)
    initial = experiment.create(run_config).init_state()
    for before, after in zip(
        jax.tree.leaves(initial.learner.loss_memory), jax.tree.leaves(whole.learner.loss_memory), strict=True
    ):
        assert (np.asarray(before) != np.asarray(after)).any()


@pytest.mark.parametrize("loss", LOSSES)
def test_four_devices_equal_one(loss):
    # In float64, where no rounding decides a ReLU the other way; see test_steps.py.
    with jax.enable_x64(True):
        parts = experiment.create(small(**LOSSES[loss]))

        def widen(leaf):
            return jnp.asarray(leaf, jnp.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

        data, initial = jax.tree.map(widen, (device_data(parts), parts.init_state()))
        p_step = devices.parallelize(parts.train_step())
        one_step = jax.jit(
            jax.vmap(parts.train_step(), axis_name=devices.AXIS, in_axes=(None, None, 0), out_axes=None)
        )
        spread, single = devices.replicate(initial), initial
        for step in range(8):
            positions = parts.sampler[step][None]
            # One at a time: virtual devices of a CPU may deadlock over several programs with collectives.
            spread, _ = jax.block_until_ready(
                p_step(spread, data, feed.Batch(devices.split_over_devices(positions)))
            )
            single, _ = jax.block_until_ready(one_step(single, data, feed.Batch(positions[None])))
    for a, b in zip(jax.tree.leaves(spread), jax.tree.leaves(single), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


def test_the_memory_has_a_row_for_each_training_example_and_batches_change_theirs():
    parts = experiment.create(small(**LOSSES["elr"]))
    state, data = parts.init_state(), device_data(parts)
    assert state.learner.loss_memory.shape == (len(parts.noise.labels), 10)
    positions = parts.sampler[0]
    p_step = devices.parallelize(parts.train_step())
    state, _ = p_step(devices.replicate(state), data, feed.Batch(devices.split_over_devices(positions[None])))
    touched = np.flatnonzero(np.asarray(state.learner.loss_memory).any(axis=1))
    np.testing.assert_array_equal(touched, np.sort(positions))


def test_a_schedule_changes_the_loss_as_training_goes(tmp_path):
    # The emphasis is even at first; were beta 16 from the start, the first step would differ.
    constant = {"loss.name": "gradient_rescaling", "loss.lam": 1.0, "loss.beta": 0.0}
    params = {}
    for name, loss in {"constant": constant, "schedule": LOSSES["schedule"]}.items():
        parts = experiment.create(small(**loss))
        step, data, state = on_one_device(parts), device_data(parts), parts.init_state()
        params[name] = []
        for number in range(3):
            state, _ = step(state, data, feed.Batch(parts.sampler[number][None, None]))
            params[name].append(np.asarray(state.learner.params["Dense_0"]["kernel"]))
    np.testing.assert_array_equal(params["constant"][0], params["schedule"][0])
    assert np.abs(params["constant"][2] - params["schedule"][2]).max() > 1e-5


def on_one_device(parts):
    step = parts.train_step()
    return jax.jit(jax.vmap(step, axis_name=devices.AXIS, in_axes=(None, None, 0), out_axes=None))


def test_epochs_become_steps_of_the_run():
    section = {
        "name": "gradient_rescaling", "lam": 1.0,
        "beta": {"name": "linear", "start": 0.0, "end": 16.0, "begin_epochs": 1.0, "transition_epochs": 2.0},
    }  # fmt: skip
    loss = experiment.create_loss(section, steps_per_epoch=10, total_steps=100)
    logits, labels = jnp.array([[1.0, 0.0, 0.5]]), jnp.array([1])
    for step, beta in ((10, 0.0), (20, 8.0), (30, 16.0)):
        found = jax.grad(lambda z, at=step: loss.apply(z, labels, (), jnp.int32(at))[0].sum())(logits)
        wanted = jax.grad(lambda z, b=beta: losses.gradient_rescaling(z, labels, lam=1.0, beta=b).sum())(
            logits
        )
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_a_single_key_of_a_schedule_is_overridden():
    base = {"loss": {"name": "imae", "beta": {"name": "linear", "start": 0.0, "end": 16.0, "begin_steps": 5}}}
    merged = config.resolve(base, {"loss": {"beta": {"end": 8.0, "begin_epochs": 1.0}}})
    assert merged.loss.beta.to_dict() == {"name": "linear", "start": 0.0, "end": 8.0, "begin_epochs": 1.0}
    other = config.resolve(base, {"loss": {"beta": {"name": "proselflc"}}})
    assert other.loss.beta.to_dict() == {"name": "proselflc"}


def test_published_defaults_come_from_a_config(tmp_path):
    layer = {"loss.name": "sce", "loss.defaults": "cifar100", "loss.beta": 0.5, "train_steps": 4}
    run_config = small(**layer)
    train_and_evaluate(run_config, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["loss"]["defaults"] == "cifar100"
    parts = experiment.create(run_config)
    logits, labels = jnp.array([[1.0, 0.0, 0.5]]), jnp.array([1])
    found, _ = parts.parts.loss.apply(logits, labels, (), jnp.int32(0))
    np.testing.assert_allclose(found, losses.sce(logits, labels, alpha=6.0, beta=0.5), rtol=1e-6)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"loss.name": "elr", "loss.lamda": 1.0}, "did you mean 'lam'"),
        ({"loss.name": "self_adaptive"}, r"loss.begin_steps: 'self_adaptive' needs a value"),
        ({"loss.name": "gce", "loss.q": {"name": "liner"}}, r"loss.q.name: unknown name 'liner'"),
        ({"loss.name": "gce", "loss.q": {"start": 0.0}}, r"loss.q.name: a schedule needs a name"),
        ({"loss.name": "gce", "loss.q": {"name": "linear", "start": 0.0}}, r"loss.q.end: 'linear' needs"),
        ({"loss.name": "gce", "loss.q": {"name": "linear", "start": 0.0, "end": 1.0, "begin_steps": 99}},
         r"loss.q.begin_steps, transition_steps: must leave"),
        ({"loss.name": "focal", "loss.detached": {"name": "linear", "start": 0.0, "end": 1.0}},
         r"loss.detached: 'focal' takes true or false"),
        ({"loss.name": "sce", "loss.defaults": "imagenet"}, r"loss.defaults: 'sce' has no published"),
        ({"loss.name": "forward_correction", "loss.transition": ((0.5, 0.5), (0.5, 0.5))}, r"\[10, 10\]"),
    ],
)  # fmt: skip
def test_mistakes_show_before_training(overrides, message):
    with pytest.raises(ConfigError, match=message):
        experiment.create(small(**overrides))
