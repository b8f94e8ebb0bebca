"""Runs of a second on digits, what they leave behind, and steps on one device: what many tests begin with."""

import json
from pathlib import Path

import jax
import numpy as np

from grjax import config, devices, experiment
from grjax.workdir.checkpoints import Checkpoints
from grjax.workdir.folder import read_config

TIMES = ("examples_per_second", "seconds_to_first_step", "wall_seconds", "seconds")


def small(**overrides):
    """The config of 12 steps of 64 digits, evaluated and saved after every 4; a section replaces its keys."""
    own = {
        "noise.rate": 0.4,
        "optimizer.learning_rate": 0.02,
        **({"model.features": (8,), "model.hidden": 16} if "model.name" not in overrides else {}),
        "batch_size": 64,
        "train_steps": 12,
        "eval_every_steps": 4,
        "checkpoint_every_steps": 4,
        "tensorboard": False,
    }
    return config.resolve(laid_over(own, overrides))


def laid_over(own, overrides):
    """Dotted keys, and over them others, of which a whole section replaces the keys within it: nested."""
    left = {key: value for key, value in own.items() if key.partition(".")[0] not in overrides}
    return config.unflatten(left | overrides)


def final_state(workdir):
    """The state of a run's latest checkpoint."""
    workdir = Path(workdir)
    parts = experiment.create(config.resolve(read_config(workdir).to_dict()))
    checkpoints = Checkpoints(workdir / "checkpoints", 3)
    state = parts.restore(checkpoints, checkpoints.steps()[-1])
    checkpoints.close()
    return state


def untimed(row):
    """A row or a summary without what a clock measured."""
    return {key: value for key, value in row.items() if key not in TIMES}


def rows(workdir):
    """metrics.jsonl without what a clock measured."""
    lines = (Path(workdir) / "metrics.jsonl").read_text().splitlines()
    return [untimed(json.loads(line)) for line in lines]


def on_one_device(step):
    """A step as one device would run it: one part, on a vmapped axis."""
    return jax.jit(jax.vmap(step, axis_name=devices.AXIS, in_axes=(None, None, 0), out_axes=None))


def assert_identical(one, other):
    """Two trees are the same bit for bit."""
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


def assert_close(one, other, tolerance):
    """Two trees differ by at most so much."""
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)
