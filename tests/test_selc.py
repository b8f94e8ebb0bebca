"""Self-ensemble label correction: its loss in NumPy, and a second run on the targets of a first."""

import jax
import jax.numpy as jnp
import numpy as np
from loss_references import log_softmax, softmax
from small_runs import final_state, small

from grjax import config, experiment, losses
from grjax.analysis.audit_run import audit_run
from grjax.train import train_and_evaluate


def test_losses_gradients_and_targets_are_those_of_numpy():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 8)
    loss = losses.for_training("self_adaptive", momentum=0.9, begin_steps=2, weighted=False)
    rows, targets = loss.init(jnp.asarray(labels), 5), np.eye(5)[labels]
    for step in range(5):
        z = rng.normal(size=(8, 5)) * 2

        def total(z, rows=rows, step=step):
            each, after = loss.apply(z, jnp.asarray(labels), rows, jnp.int32(step))
            return each.sum(), (each, after)

        gradient, (each, rows) = jax.grad(total, has_aux=True)(jnp.asarray(z, jnp.float32))
        if step >= 2:
            targets = 0.9 * targets + 0.1 * softmax(z)
        np.testing.assert_allclose(each, -(targets * log_softmax(z)).sum(-1), rtol=1e-5)
        np.testing.assert_allclose(gradient, softmax(z) - targets, atol=1e-6)
        np.testing.assert_allclose(rows, targets, atol=1e-6)
    np.testing.assert_array_equal(loss.targets(rows), rows)


def test_a_second_run_trains_on_the_targets_of_the_first(tmp_path):
    train_and_evaluate(
        small(**{
            "loss.name": "self_adaptive", "loss.begin_steps": 2, "loss.momentum": 0.2, "loss.weighted": False,
            "train_steps": 60, "eval_every_steps": 20, "checkpoint_every_steps": 60,
        }),
        tmp_path,
    )  # fmt: skip
    audit_run(tmp_path, export=True)
    kept = np.load(tmp_path / "target_labels.npz")
    targets = final_state(tmp_path).learner.loss_memory
    np.testing.assert_array_equal(kept["labels"], targets.argmax(-1))
    noise = {"name": "file", "path": str(tmp_path / "target_labels.npz")}
    parts = experiment.create(
        config.resolve(small(), {"noise": noise, "data": {"mixing": {"name": "mixup", "alpha": 1.0}}})
    )
    by_id = dict(zip(kept["ids"].tolist(), kept["labels"].tolist(), strict=True))
    assert [by_id[number] for number in parts.noise.ids.tolist()] == parts.noise.labels.tolist()
    before = np.load(tmp_path / "noise.npz")
    assert (parts.noise.labels != before["noisy_labels"]).mean() > 0.05


def test_a_loss_whose_labels_stay_exports_no_targets(tmp_path):
    train_and_evaluate(small(), tmp_path)
    audit_run(tmp_path, export=True)
    assert (tmp_path / "cleaned_labels.npz").exists()
    assert not (tmp_path / "target_labels.npz").exists()
