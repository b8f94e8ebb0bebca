"""Progressive early stopping: its phases, what begins anew, what it selects, and with which weights."""

import dataclasses

import jax
import numpy as np
import pytest
from small_runs import assert_close, assert_identical, final_state, on_one_device, small

from grjax import experiment, models
from grjax.data import feed
from grjax.errors import ConfigError
from grjax.evaluate import device_data
from grjax.methods.late_layers import late_layers, layers_in_order
from grjax.train import train_and_evaluate

EPOCH = 2  # steps
OPTIONS = {
    "method.name": "pes", "method.early_epochs": 2, "method.late_epochs": 1, "method.head_epochs": 1,
    "method.late_learning_rate": 1e-2, "batch_size": 600,
}  # fmt: skip
HEAD, LATE = ["Dense_1"], ["Dense_0", "BatchNorm_2", "Dense_1"]


@pytest.mark.parametrize("name", ["cnn", "resnet34_cifar", "preact_resnet_gjs", "mlp", "cnn9", "vit"])
def test_late_layers_of_models(name):
    shape = models.input_shape(name)
    layers = layers_in_order(models.create(name, num_classes=10), (1, 1, *shape)[-3:])
    wanted = {
        "cnn": ["Dense_0", "BatchNorm_4", "Dense_1"],
        "resnet34_cifar": ["layer4_0", "layer4_1", "layer4_2", "fc"],
        "preact_resnet_gjs": [*(f"layer3_{i}" for i in range(5)), "bn", "fc"], "mlp": ["fc1", "fc"],
        "cnn9": ["c9", "bn9", "fc"], "vit": ["block_rest", "norm", "fc"],
    }  # fmt: skip
    assert late_layers(layers, None) == wanted[name]
    assert late_layers(layers, layers[-1]) == layers[-1:]


def moved(before, after):
    """The layers whose parameters differ."""
    return {
        name
        for name in before
        if any(
            (np.asarray(a) != np.asarray(b)).any()
            for a, b in zip(jax.tree.leaves(before[name]), jax.tree.leaves(after[name]), strict=True)
        )
    }


def test_each_phase_trains_its_layers_and_each_begins_anew_once():
    parts = experiment.create(small(**{**OPTIONS, "method.average": 0.9}))
    assert parts.sampler.steps_per_epoch == EPOCH
    state, data, method = parts.init_state(), device_data(parts), parts.method()
    step = on_one_device(parts.train_step())
    rng, number = np.random.default_rng(0), len(data.labels)
    labels = np.asarray(data.labels)
    everything, trained = set(state.learner.network.params), []
    for epoch in range(5):
        agrees = rng.random(number) < 0.5
        records = {"classes": np.where(agrees, labels, (labels + 1) % 10)}
        learner = jax.tree.map(np.asarray, state.learner)
        begun = method.begin_epoch(learner, records, epoch)
        assert jax.tree.structure(begun) == jax.tree.structure(learner)
        assert [leaf.dtype for leaf in jax.tree.leaves(begun)] == [
            leaf.dtype for leaf in jax.tree.leaves(learner)
        ]
        assert_identical(begun, method.begin_epoch(learner, records, epoch))  # as a stopped run does
        anew = moved(learner.network.params, begun.network.params)
        assert anew == {2: set(LATE), 3: set(HEAD)}.get(epoch, set())
        if anew:
            assert begun.network.average.steps == 0
            assert all((leaf == 0).all() for leaf in jax.tree.leaves(begun.network.opt_state.late[0]))
        assert begun.kept.all() == (epoch < 4)
        state = state.replace(learner=begun)
        for _ in range(EPOCH):
            before = state.learner.network.params
            state, _ = step(state, data, feed.Batch(parts.sampler[int(state.step)][None, None]))
            trained.append(moved(before, state.learner.network.params))
    assert trained[:4] == [everything] * 4
    assert trained[4:6] == [set(LATE)] * 2
    assert trained[6:8] == [set(HEAD)] * 2
    assert trained[8:] == [everything] * 2
    np.testing.assert_array_equal(state.learner.kept, agrees)
    counts = np.array([(agrees & (labels == label)).sum() for label in range(10)])
    np.testing.assert_allclose(state.learner.class_weights, counts.mean() / counts, rtol=1e-6)


def test_a_class_without_kept_examples_weighs_nothing():
    parts = experiment.create(small(**OPTIONS))
    labels = np.asarray(parts.noise.labels)
    learner = jax.tree.map(np.asarray, parts.init_state().learner)
    kept = (labels == 3) | (labels == 5)
    begun = parts.method().begin_epoch(learner, {"classes": np.where(kept, labels, -1)}, 4)
    counts = np.array([(labels == 3).sum(), (labels == 5).sum()])
    np.testing.assert_allclose(begun.class_weights[[3, 5]], counts.mean() / counts, rtol=1e-6)
    assert begun.class_weights.sum() == pytest.approx(begun.class_weights[[3, 5]].sum())
    nobody = parts.method().begin_epoch(learner, {"classes": (labels + 1) % 10}, 4)
    assert not nobody.class_weights.any()


def test_a_step_minimises_the_weighted_mean_over_the_kept_examples():
    """Against a step of `single` whose loss NumPy has weighted."""
    parts, alone = experiment.create(small(**OPTIONS)), experiment.create(small(batch_size=600))
    state, data, rng = parts.init_state(), device_data(parts), np.random.default_rng(3)
    kept, weights = rng.random(len(data.labels)) < 0.3, np.float32(rng.uniform(0.5, 2, 10))
    state = state.replace(
        step=np.int32(4 * EPOCH), learner=state.learner._replace(kept=kept, class_weights=weights)
    )
    positions = parts.sampler[4 * EPOCH]
    each = kept[positions] * weights[np.asarray(data.labels)[positions]]
    loss = alone.parts.loss
    weighted = loss._replace(
        apply=lambda logits, labels, rows, step: (
            loss.apply(logits, labels, rows, step)[0] * each * (600 / each.sum()),
            rows,
        )
    )
    alone = dataclasses.replace(alone, parts=dataclasses.replace(alone.parts, loss=weighted))
    network = state.learner.network.replace(opt_state=state.learner.network.opt_state.whole)
    begun = alone.init_state().replace(step=state.step, learner=network)
    batch = feed.Batch(positions[None, None])
    after, metrics = on_one_device(parts.train_step())(state, data, batch)
    wanted, of_single = on_one_device(alone.train_step())(begun, data, batch)
    assert_close(after.learner.network.params, wanted.learner.params, 1e-6)
    assert metrics["loss"][0] == pytest.approx(float(of_single["loss"][0]), rel=1e-5)
    np.testing.assert_array_equal(parts.method().beliefs(state.learner)["kept"], kept)


def test_before_the_first_phase_ends_it_is_the_network_alone(tmp_path):
    train_and_evaluate(small(**{"method.name": "pes"}), tmp_path / "pes")
    train_and_evaluate(small(), tmp_path / "alone")
    network = final_state(tmp_path / "pes").learner.network
    alone = final_state(tmp_path / "alone").learner
    assert_identical((network.params, network.batch_stats), (alone.params, alone.batch_stats))


MIXED = {"data.mixing.name": "mixup", "data.mixing.alpha": 1.0}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"method.late_from": "layer4"},
            r"method.late_from: no layer 'layer4' in the model; .*Known: BatchN",
        ),
        ({"method.early_epochs": 1.5}, r"method.early_epochs: 'pes' takes a whole number, got 1.5"),
        (
            {"data.mixing.name": "mixup", "data.mixing.alpha": 1.0},
            r"method.name: 'pes' does not take data.mixing",
        ),
    ],
)
def test_what_does_not_fit_is_one_clear_error(overrides, message):
    with pytest.raises(ConfigError, match=message):
        experiment.create(small(**{**OPTIONS, **overrides}))
