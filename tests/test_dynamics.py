"""Training dynamics against a plain reference, over devices, calls, views and mixtures."""

import collections
import itertools
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import on_one_device

from grjax import config, devices, dynamics, experiment
from grjax.data import feed
from grjax.data.mixing import partners
from grjax.evaluate import device_data
from grjax.train import train_and_evaluate


def layer(**overrides):
    return {
        "noise.rate": 0.4,
        "loss.name": "gradient_rescaling",
        "loss.lam": 1.0,
        "loss.beta": 8.0,
        "optimizer.learning_rate": 0.05,
        "model.name": "mlp",
        "batch_size": 240,
        "tensorboard": False,
        **overrides,
    }


def make(**overrides):
    return experiment.create(config.resolve(config.unflatten(layer(**overrides))))


class Reference:
    """One example at a time, from the logits that came by."""

    def __init__(self, num_examples):
        self.p, self.margins, self.predicted, self.right = ([[] for _ in range(num_examples)] for _ in "pmcr")

    def see(self, ids, logits, labels):
        for i, z, y in zip(ids, np.asarray(logits, np.float64), labels, strict=True):
            self.p[i].append(1 / np.exp(z - z[y]).sum())
            self.margins[i].append(z[y] - np.delete(z, y).max())
            self.predicted[i].append(int(z.argmax()))
            self.right[i].append(z.argmax() == y)

    def check(self, found, tolerance=1e-5):
        for i, right in enumerate(self.right):
            assert found["count"][i] == len(right)
            if not right:
                assert np.isnan([found[key][i] for key in ("mean_p", "last_p", "aum")]).all()
                assert (found["last_label"][i], found["majority_label"][i]) == (-1, -1)
                continue
            falls = sum(a and not b for a, b in itertools.pairwise(right))
            assert found["mean_p"][i] == pytest.approx(np.mean(self.p[i]), abs=tolerance)
            assert found["last_p"][i] == pytest.approx(self.p[i][-1], abs=tolerance)
            assert found["aum"][i] == pytest.approx(np.mean(self.margins[i]), abs=10 * tolerance)
            assert found["forgetting"][i] == (falls if any(right) else -1)
            assert found["last_label"][i] == self.predicted[i][-1]
            [(most, times)] = collections.Counter(self.predicted[i]).most_common(1)
            if 2 * times > len(right):
                assert found["majority_label"][i] == most


def test_rows_are_those_of_a_loop_over_examples():
    rng = np.random.default_rng(0)
    labels, reference, state = rng.integers(0, 3, 40), Reference(40), dynamics.init(40)
    update = jax.jit(dynamics.update)
    for _ in range(30):
        ids = rng.choice(38, 12, replace=False)  # two examples never come by
        logits = rng.normal(size=(12, 3), scale=2).astype(np.float32) + 2 * np.eye(3, dtype=np.float32)[0]
        reference.see(ids, logits, labels[ids])
        rows = update(jax.tree.map(lambda leaf, at=ids: leaf[at], state), logits, labels[ids])
        state = jax.tree.map(lambda leaf, row, at=ids: leaf.at[at].set(row), state, rows)
    found = dynamics.summary(state, np.arange(40))
    reference.check(found)
    assert {-1, 0, 1, 2} <= set(found["forgetting"].tolist())
    assert sum(leaf.nbytes for leaf in jax.tree.leaves(state)) == 32 * 40  # what the documentation says


def test_narrow_logits_are_widened_and_the_largest_are_exact():
    logits = jnp.array([[1e4, -1e4, -jnp.inf], [0.5, 0.25, 0.0]], jnp.bfloat16)
    rows = jax.jit(dynamics.update)(dynamics.init(2), logits, jnp.array([0, 1]))
    assert rows.margin_sum.dtype == jnp.float32
    assert rows.margin_sum[1] == -0.25
    assert (rows.p_last[0], rows.last_label[0]) == (1.0, 0)


def logits_by_hand(parts, state, images):
    """Logits in training mode with a state."""
    variables = {"params": state.learner.params, "batch_stats": state.learner.batch_stats}
    apply = jax.vmap(
        lambda images: parts.parts.model.apply(variables, images, train=True, mutable=["batch_stats"])[0],
        axis_name=devices.AXIS,
    )
    return apply(images[None])[0]


def test_the_train_step_notes_the_logits_it_trains_on_on_one_device_and_four():
    # Two steps a call in the spread run, one in the single.
    parts = make(train_steps=6, eval_every_steps=6, checkpoint_every_steps=6)
    data, state, reference = device_data(parts), parts.init_state(), Reference(len(parts.noise.labels))
    images, labels = parts.dataset.splits["train"].images, parts.noise.labels
    step, p_step = on_one_device(parts.train_step()), devices.parallelize(parts.train_step())
    forward = jax.jit(lambda state, images: logits_by_hand(parts, state, data.standardise(images)))
    batches = np.stack([parts.sampler[k] for k in range(6)])
    spread = devices.replicate(state)
    for k in range(6):
        reference.see(batches[k], forward(state, images[batches[k]]), labels[batches[k]])
        state, _ = step(state, data, feed.Batch(batches[k][None, None]))
    for k in (0, 2, 4):
        batch = feed.Batch(devices.split_over_devices(batches[k : k + 2]))
        spread, _ = jax.block_until_ready(p_step(spread, data, batch))
    reference.check(dynamics.summary(state.dynamics, parts.noise.ids), tolerance=1e-4)
    for key, of_one in dynamics.summary(state.dynamics, parts.noise.ids).items():
        of_four = dynamics.summary(spread.dynamics, parts.noise.ids)[key]
        if of_one.dtype.kind == "i":
            assert (of_one != of_four).mean() < 0.01, key  # a tie that rounding decides the other way
        else:
            np.testing.assert_allclose(of_four, of_one, rtol=0, atol=1e-3, err_msg=key)


def test_of_views_the_first_counts_and_of_mixtures_the_larger_part():
    parts = make(**{"data.views": 2, "data.augmentation": ("flip",)})
    data, state, labels = device_data(parts), parts.init_state(), parts.noise.labels
    positions = parts.sampler[0]
    images = parts.dataset.splits["train"].images[positions]
    keys = jax.random.split(jax.random.split(jax.random.fold_in(jax.random.key(parts.parts.seed), 0))[0], 2)
    views = [parts.parts.augment(images, positions, key) for key in keys]
    both = logits_by_hand(parts, state, data.standardise(jnp.concatenate(views)))
    reference = Reference(len(labels))
    reference.see(positions, both[: len(positions)], labels[positions])
    after, _ = on_one_device(parts.train_step())(state, data, feed.Batch(positions[None, None]))
    reference.check(dynamics.summary(after.dynamics, parts.noise.ids), tolerance=1e-4)

    share = jnp.linspace(0, 1, len(positions))
    parts = make()
    object.__setattr__(parts.parts, "mix", lambda images, key: (images + 0.1 * partners(images), share))
    pixels = data.standardise(images)
    mixed = logits_by_hand(parts, state, pixels + 0.1 * partners(pixels))
    own = np.asarray(share) >= 0.5
    reference = Reference(len(labels))
    reference.see(positions[own], mixed[own], labels[positions][own])
    after, _ = on_one_device(parts.train_step())(state, data, feed.Batch(positions[None, None]))
    reference.check(dynamics.summary(after.dynamics, parts.noise.ids), tolerance=1e-4)


def test_a_resumed_run_has_the_same_and_training_is_the_same_without(tmp_path):
    lengths = {"train_steps": 9, "eval_every_steps": 9, "checkpoint_every_steps": 3}
    run_config = config.resolve(config.unflatten(layer(**lengths)))
    train_and_evaluate(run_config, tmp_path / "run")
    whole = (tmp_path / "run" / "dynamics.npz").read_bytes()
    metrics = (tmp_path / "run" / "metrics.jsonl").read_text()
    for name in ("summary.json", "dynamics.npz"):
        (tmp_path / "run" / name).unlink()
    for step in (6, 9):
        shutil.rmtree(tmp_path / "run" / "checkpoints" / str(step))
    train_and_evaluate(run_config, tmp_path / "run")
    assert (tmp_path / "run" / "dynamics.npz").read_bytes() == whole

    train_and_evaluate(config.resolve(run_config, {"dynamics": False}), tmp_path / "without")
    assert not (tmp_path / "without" / "dynamics.npz").exists()
    # Which predictions changed is known from the dynamics.
    clocks = ("seconds", "examples_per_second", "train_predictions_changed")
    one, other = (
        [{k: v for k, v in json.loads(line).items() if k not in clocks} for line in text.splitlines()]
        for text in (metrics, (tmp_path / "without" / "metrics.jsonl").read_text())
    )
    for row, same in zip(one, other, strict=True):  # two programs, which may round otherwise
        assert row == pytest.approx(same, rel=1e-4)
