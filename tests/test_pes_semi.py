"""PES with MixMatch: its phases, who is believed, and a step against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from small_runs import assert_close, assert_identical, final_state, on_one_device, small

from grjax import devices, experiment
from grjax.data import feed
from grjax.errors import ConfigError
from grjax.evaluate import device_data
from grjax.methods import mixup
from grjax.train import train_and_evaluate

# Six steps an epoch: one epoch of everything, one of the head, and then both groups.
OPTIONS = {
    "method.name": "pes_semi", "method.early_epochs": 1, "method.head_epochs": 1, "method.ramp_epochs": 4.0,
    "method.late_learning_rate": 1e-2, "batch_size": 240, "train_steps": 40, "eval_every_steps": 40,
}  # fmt: skip
EPOCH = 6


@pytest.fixture(scope="module")
def parts():
    return experiment.create(small(**OPTIONS))


def believing(parts, agrees, epoch=2):
    """A learner at the beginning of an epoch at which the network predicts these labels."""
    labels = np.asarray(parts.noise.labels)
    p = np.random.default_rng(7).random(len(labels)).astype(np.float32)
    records = {"classes": np.where(agrees, labels, (labels + 1) % 10), "p": p}
    learner = jax.tree.map(np.asarray, parts.init_state().learner)
    return parts.method().begin_epoch(learner, records, epoch), p


def test_labels_that_are_predicted_are_believed(parts):
    method, number = parts.method(), len(parts.noise.labels)
    agrees = np.random.default_rng(0).random(number) < 0.6
    for epoch in (0, 1):
        early, _ = believing(parts, agrees, epoch)
        assert method.groups(early) is None
        assert method.beliefs(jax.tree.map(jnp.asarray, early))["kept"].all()
    learner, _ = believing(parts, agrees)
    groups = method.groups(learner)
    np.testing.assert_array_equal(groups["labelled"], np.flatnonzero(agrees))
    np.testing.assert_array_equal(groups["unlabelled"], np.flatnonzero(~agrees))
    np.testing.assert_array_equal(method.beliefs(learner)["kept"], agrees)


def test_a_group_has_the_examples_of_a_batch_at_least(parts):
    number = len(parts.noise.labels)
    least = number // EPOCH
    for agrees in (np.arange(number) < 3, np.arange(number) >= 3):
        learner, p = believing(parts, agrees)
        few = parts.method().groups(learner)["labelled" if agrees.sum() == 3 else "unlabelled"]
        others = np.argsort(p if agrees.sum() > 3 else -p)
        others = others[others >= 3][: least - 3]
        np.testing.assert_array_equal(few, np.union1d([0, 1, 2], others))


def test_the_head_begins_anew_and_is_trained_alone(parts):
    state, data, step = parts.init_state(), device_data(parts), on_one_device(parts.train_step())
    anew, _ = believing(parts, np.ones(len(parts.noise.labels), bool), epoch=1)

    def moved(before, after):
        equal = jax.tree.map(lambda a, b: bool((np.asarray(a) == np.asarray(b)).all()), before, after)
        return {name for name in before if not all(jax.tree.leaves(equal[name]))}

    params = state.learner.network.params
    assert moved(params, anew.network.params) == {"Dense_1"}
    for at, learner, wanted in ((0, state.learner, set(params)), (EPOCH, anew, {"Dense_1"})):
        before = learner.network.params
        begun = state.replace(learner=learner, step=np.int32(at))
        after, _ = step(begun, data, feed.Batch(parts.sampler[at][None, None]))
        assert moved(before, after.learner.network.params) == wanted


def wanted_loss(parts, network, batch, step):
    """(parameters -> (loss, batch statistics)) by the draws of a step and NumPy's targets; [] float64."""
    data = device_data(parts)
    keys = jax.random.split(
        jax.random.fold_in(jax.random.fold_in(jax.random.key(parts.parts.seed), step), 3), 5
    )
    x, u = (np.ravel(batch[name].positions) for name in ("labelled", "unlabelled"))
    # Without augmentation both views are the same.
    of_x, of_u = (data.standardise(data.images[positions]) for positions in (x, u))
    variables = {"params": network.params, "batch_stats": network.batch_stats}
    logits = jax.jit(lambda images: parts.parts.model.apply(variables, images, train=False))(of_u)
    t_u = scipy.special.softmax(np.asarray(logits, np.float64), axis=1) ** 2  # 1 / T = 2
    t_u /= t_u.sum(1, keepdims=True)
    t_x = np.eye(10)[np.asarray(data.labels)[x]]
    images, targets = np.concatenate([of_x, of_x, of_u, of_u]), np.concatenate([t_x, t_x, t_u, t_u])
    share = float(mixup.own_share(keys[2], 4.0 if step < 20 else 0.75))
    order = np.asarray(jax.random.permutation(keys[3], len(images)))
    images, targets = (share * each + (1 - share) * each[order] for each in (images, targets))
    weight, half = 5.0 * min((step / EPOCH - 2) / 4, 1), len(images) // 2

    def loss(params):
        logits, updated = parts.parts.model.apply(
            {**variables, "params": params}, images, train=True, mutable=["batch_stats"]
        )
        p = jax.nn.softmax(logits)
        on_x = -(targets[:half] * jnp.log(p[:half])).sum(1).mean()
        return on_x + weight * ((p[half:] - targets[half:]) ** 2).mean(), updated["batch_stats"]

    return loss


@pytest.mark.parametrize("step", [13, 33])  # in either half of the run
def test_a_step_against_its_formula(parts, step):
    learner, _ = believing(parts, np.random.default_rng(1).random(len(parts.noise.labels)) < 0.5)
    batch = next(parts.train_batches(step, parts.method().groups(learner)))
    batch = jax.tree.map(lambda leaf: np.concatenate(list(leaf), axis=-1)[None], batch)  # on one device
    state = parts.init_state().replace(learner=learner, step=np.int32(step))
    after, metrics = on_one_device(parts.train_step())(state, device_data(parts), batch)
    loss = jax.value_and_grad(wanted_loss(parts, learner.network, batch, step), has_aux=True)
    batched = jax.vmap(lambda _: loss(learner.network.params), axis_name=devices.AXIS)
    (total, stats), gradient = jax.tree.map(lambda leaf: leaf[0], jax.jit(batched)(jnp.zeros(1)))
    plain = learner.network.replace(opt_state=learner.network.opt_state.whole)
    wanted = plain.updated(parts.parts, gradient, stats, plain.loss_memory)
    assert_close(after.learner.network.params, wanted.params, 1e-5)
    assert_close(after.learner.network.batch_stats, stats, 1e-5)
    assert metrics["loss"][0] == pytest.approx(float(total), rel=1e-4)


def test_before_the_first_phase_ends_it_is_the_network_alone(tmp_path):
    train_and_evaluate(small(**{"method.name": "pes_semi"}), tmp_path / "semi")
    train_and_evaluate(small(), tmp_path / "alone")
    network, alone = final_state(tmp_path / "semi").learner.network, final_state(tmp_path / "alone").learner
    assert_identical((network.params, network.batch_stats), (alone.params, alone.batch_stats))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"method.temperature": 0.0}, r"method.temperature: must be in \(0, inf\), got 0.0"),
        ({"method.head_epochs": 0.5}, r"method.head_epochs: 'pes_semi' takes a whole number, got 0.5"),
        ({"data.views": 2}, "pes_semi' takes neither data.mixing nor data.views"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(overrides, message):
    with pytest.raises(ConfigError, match=message):
        experiment.create(small(**{**OPTIONS, **overrides}))
