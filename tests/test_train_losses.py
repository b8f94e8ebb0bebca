"""Losses with a memory or a schedule inside a run: over devices, over a resume, from a config."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import final_state, on_one_device
from small_runs import small as small_run

from grjax import devices, experiment
from grjax.data import feed
from grjax.evaluate import device_data
from grjax.train import train_and_evaluate


def small(**overrides):
    """A small run whose network compiles quickly: what a loss remembers does not depend on it."""
    return small_run(**{"model.name": "mlp", "model.hidden": (16,), **overrides})


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


# A rule that reads the step and one that fills its memory at once; the others are slow tests.
some_losses = pytest.mark.parametrize(
    "loss",
    [
        each if each in ("elr", "truncated_gce_pruned") else pytest.param(each, marks=pytest.mark.slow)
        for each in LOSSES
    ],
)


@some_losses
def test_a_resumed_run_ends_the_same(loss, tmp_path):
    run_config = small(**LOSSES[loss])
    train_and_evaluate(run_config, tmp_path / "whole")
    stopped = tmp_path / "stopped"
    shutil.copytree(tmp_path / "whole", stopped)
    (stopped / "summary.json").unlink()
    shutil.rmtree(stopped / "checkpoints" / "12")
    shutil.rmtree(stopped / "checkpoints" / "8")
    train_and_evaluate(run_config, stopped)
    whole, resumed = final_state(tmp_path / "whole"), final_state(stopped)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(resumed), strict=True):
        np.testing.assert_array_equal(a, b)
    initial = experiment.create(run_config).init_state()
    for before, after in zip(
        jax.tree.leaves(initial.learner.loss_memory), jax.tree.leaves(whole.learner.loss_memory), strict=True
    ):
        assert (np.asarray(before) != np.asarray(after)).any()


@some_losses
def test_four_devices_equal_one(loss):
    # In float64, where no rounding decides a ReLU the other way; see test_steps.py.
    with jax.enable_x64(True):
        parts = experiment.create(small(**LOSSES[loss]))

        def widen(leaf):
            return jnp.asarray(leaf, jnp.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

        data, initial = jax.tree.map(widen, (device_data(parts), parts.init_state()))
        p_step = devices.parallelize(parts.train_step())
        one_step = on_one_device(parts.train_step())
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
        step, data, state = on_one_device(parts.train_step()), device_data(parts), parts.init_state()
        params[name] = []
        for number in range(3):
            state, _ = step(state, data, feed.Batch(parts.sampler[number][None, None]))
            params[name].append(np.asarray(state.learner.params["fc1"]["kernel"]))
    np.testing.assert_array_equal(params["constant"][0], params["schedule"][0])
    assert np.abs(params["constant"][2] - params["schedule"][2]).max() > 1e-5
