"""DISC: selection, thresholds, mixing and a whole step against NumPy, and the runs it must be equal to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from small_runs import assert_close, on_one_device, small

from grjax import devices, experiment
from grjax.data import feed
from grjax.errors import ConfigError
from grjax.evaluate import device_data
from grjax.methods import mixup
from grjax.methods.instance_selection import (
    CLEAN,
    CORRECTED,
    HARD,
    LEFT_OUT,
    Predicted,
    Selection,
    prediction,
    selected,
)

# Softmax regression by plain gradient descent; the square covers the whole image, wherever it lies.
RATE, Q, LAM_HARD, LAM_MIXUP, MOMENTUM = 0.5, 0.6, 0.4, 0.7, 0.8
REGRESSION = {
    "model.name": "mlp", "model.hidden": (), "optimizer.name": "sgd", "optimizer.learning_rate": RATE,
    "method.name": "disc", "method.warmup_epochs": 2, "method.momentum": MOMENTUM, "method.q": Q,
    "method.lam_hard": LAM_HARD, "method.lam_mixup": LAM_MIXUP, "method.alpha": 2.0,
    "method.strong": ({"name": "cutout", "size": 16},),
}  # fmt: skip


def numpy_selection(p_weak, p_strong, thresholds, labels, margin, cap):
    """Example by example: kind, label to mix with, and what the thresholds become."""
    kinds, of_mixing, after = [], [], []
    for one, two, (t_one, t_two), y in zip(p_weak, p_strong, thresholds, labels, strict=True):
        mean = (one + two) / 2
        in_one, in_two = one[y] > t_one, two[y] > t_two
        if in_one and in_two:
            kinds.append(CLEAN)
        elif in_one or in_two:
            kinds.append(HARD)
        else:
            kinds.append(CORRECTED if mean.max() > min((t_one + t_two) / 2 + margin, cap) else LEFT_OUT)
        of_mixing.append(mean.argmax() if kinds[-1] == CORRECTED else y)
        after.append(
            [MOMENTUM * t_one + (1 - MOMENTUM) * one.max(), MOMENTUM * t_two + (1 - MOMENTUM) * two.max()]
        )
    return np.array(kinds), np.array(of_mixing), np.array(after)


def drawn(seed, number, num_classes=10):
    """Logits of both views that agree more or less, thresholds, and labels."""
    rng = np.random.default_rng(seed)
    weak = rng.normal(size=(number, num_classes)) * rng.uniform(0.5, 4, (number, 1))
    strong = weak + rng.normal(size=weak.shape)
    labels = np.where(rng.random(number) < 0.6, weak.argmax(1), rng.integers(0, num_classes, number))
    return weak, strong, rng.uniform(0, 0.6, (number, 2)), labels


@pytest.mark.parametrize(("margin", "cap"), [(0.5, 0.9), (0.1, 0.4)])
def test_the_selection_is_that_of_numpy(margin, cap):
    weak, strong, thresholds, labels = drawn(0, 400)
    wanted = numpy_selection(
        *(scipy.special.softmax(z, axis=1) for z in (weak, strong)), thresholds, labels, margin, cap
    )
    assert set(wanted[0]) == {CLEAN, HARD, CORRECTED, LEFT_OUT}
    found = prediction(*(jnp.asarray(each, jnp.float32) for each in (weak, strong)), jnp.asarray(labels))
    kinds, of_mixing = selected(found, jnp.asarray(thresholds), jnp.asarray(labels), margin=margin, cap=cap)
    np.testing.assert_array_equal(kinds, wanted[0])
    np.testing.assert_array_equal(of_mixing, wanted[1])


def pairs(key, chosen):
    """The selected rows in their order, and their partners: the k-th by the rank that was drawn."""
    rank = np.asarray(jax.random.permutation(jax.random.split(key)[1], len(chosen)))
    own = [row for row in range(len(chosen)) if chosen[row]]
    return own, sorted(own, key=lambda row: rank[row])


@pytest.mark.parametrize("number", [1, 4])
@pytest.mark.parametrize("count", [0, 1, 5, 8])
def test_selected_rows_are_mixed_with_selected_ones_of_all_devices(count, number):
    key, chosen = jax.random.key(3), np.arange(8) * 5 % 8 < count
    images, labels = np.float32(10.0 ** np.arange(8))[:, None], np.arange(8)
    each = [np.reshape(leaf, (number, 8 // number, *leaf.shape[1:])) for leaf in (chosen, images, labels)]
    mixed = jax.vmap(
        lambda *leaves: mixup.among(key, *leaves, alpha=2.0), axis_name=devices.AXIS, out_axes=0
    )(*map(jnp.asarray, each))
    share = float(mixup.own_share(jax.random.split(key)[0], 2.0))
    np.testing.assert_allclose(mixed.share, share)
    own, others = pairs(key, chosen if count else np.ones(8, bool))
    places = np.arange(8) % len(own)  # the same again, until the batch is full
    np.testing.assert_array_equal(np.ravel(mixed.labels[0]), np.take(own, places))
    np.testing.assert_array_equal(np.ravel(mixed.labels[1]), np.take(others, places))
    wanted = share * images[np.take(own, places)] + (1 - share) * images[np.take(others, places)]
    np.testing.assert_allclose(np.reshape(mixed.images, (8, 1)), wanted, rtol=1e-5)
    weights = np.where(np.arange(8) < count, 8 / max(count, 1), 0)
    np.testing.assert_allclose(np.ravel(mixed.weights), weights)
    if count == 5:
        assert own != others


@pytest.fixture(scope="module")
def regression():
    """The experiment, and its step on one device and on four: (state, positions) -> (state, metrics)."""
    parts = experiment.create(small(**REGRESSION))
    data = device_data(parts)
    alone, spread = on_one_device(parts.train_step()), devices.parallelize(parts.train_step())

    def on_four(state, positions):
        batch = feed.Batch(devices.split_over_devices(positions[None]))
        return jax.block_until_ready(spread(devices.replicate(state), data, batch))

    return parts, (lambda state, positions: alone(state, data, feed.Batch(positions[None, None])), on_four)


def state_at(parts, epoch, *, below=False):
    """The state before the first step of an epoch, with drawn predictions; `below`: under all thresholds."""
    weak, strong, thresholds, _ = drawn(1, len(parts.noise.labels))
    state = parts.init_state()
    assert (np.asarray(state.learner.selection.thresholds) == np.float32(1 / len(weak))).all()
    found = prediction(jnp.float32(weak), jnp.float32(strong), jnp.asarray(parts.noise.labels))
    thresholds = np.ones_like(thresholds) if below else thresholds
    learner = state.learner.replace(
        predicted=found,
        selection=state.learner.selection._replace(thresholds=jnp.asarray(thresholds, jnp.float32)),
    )
    step = epoch * parts.sampler.steps_per_epoch
    return state.replace(learner=learner, step=jnp.int32(step)), (weak, strong, thresholds), step


def numpy_step(parts, state, drawn, step, *, warm):
    """Kernel, bias, loss, predictions and selection after a step."""
    weak, strong, thresholds = drawn
    p = [scipy.special.softmax(z, axis=1) for z in (weak, strong)]
    labels = parts.noise.labels
    kinds, of_mixing, moved = numpy_selection(*p, thresholds, labels, 0.5, 0.9)
    if warm:
        kinds, of_mixing = np.full_like(kinds, CLEAN), labels
    data, positions = device_data(parts), parts.sampler[step]
    pixels = np.asarray(data.images)[positions]
    views = [np.float64(data.standardise(each)).reshape(64, -1) for each in (pixels, 0 * pixels)]
    ((name, dense),) = state.learner.network.params.items()
    kernel, bias = np.float64(dense["kernel"]), np.float64(dense["bias"])
    y, kind, own_labels = np.eye(10)[labels[positions]], kinds[positions], of_mixing[positions]
    step_key = jax.random.fold_in(jax.random.fold_in(jax.random.key(parts.parts.seed), step), 3)
    total, of_kernel, of_bias, seen = 0.0, 0.0, 0.0, []
    for x, key in zip(views, jax.random.split(step_key, 4)[2:], strict=True):
        p = scipy.special.softmax(x @ kernel + bias, axis=1)
        seen.append(p)
        p_y = (p * y).sum(1)
        clean, hard = kind == CLEAN, kind == HARD
        total += (-np.log(p_y)[clean].sum() + LAM_HARD * ((1 - p_y**Q) / Q)[hard].sum()) / 64
        of_z = (p - y) * (clean + LAM_HARD * hard * p_y**Q)[:, None] / 64
        of_kernel, of_bias = of_kernel + x.T @ of_z, of_bias + of_z.sum(0)
        own, others = pairs(key, kind != LEFT_OUT)
        if warm or not own:
            continue
        share = float(mixup.own_share(jax.random.split(key)[0], 2.0))
        one_hot = np.eye(10)[own_labels]
        x, t = (share * each[own] + (1 - share) * each[others] for each in (x, one_hot))
        p = scipy.special.softmax(x @ kernel + bias, axis=1)
        total -= LAM_MIXUP * (t * np.log(p)).sum(1).mean()
        of_z = LAM_MIXUP * (p - t) / len(own)
        of_kernel, of_bias = of_kernel + x.T @ of_z, of_bias + of_z.sum(0)
    dense = {"kernel": kernel - RATE * of_kernel, "bias": bias - RATE * of_bias}
    return {name: dense}, total, seen, (kinds, of_mixing, moved)


@pytest.mark.parametrize("kind_of_epoch", ["warm", "selecting", "nothing selected"])
def test_the_first_step_of_an_epoch_is_that_of_numpy(regression, kind_of_epoch):
    parts, steps = regression
    warm, nothing = kind_of_epoch == "warm", kind_of_epoch == "nothing selected"
    state, given, step = state_at(parts, 1 if warm else 2, below=nothing)
    params, total, seen, (kinds, of_mixing, moved) = numpy_step(parts, state, given, step, warm=warm)
    positions = parts.sampler[step]
    if nothing:  # the mean prediction may be above 0.9 all the same
        positions = np.flatnonzero(kinds == LEFT_OUT)[:64].astype(np.int32)
        params = state.learner.network.params
    elif not warm:
        assert set(kinds[positions]) == {CLEAN, HARD, CORRECTED, LEFT_OUT}
    for run in steps:
        after, metrics = run(state, positions)
        assert_close(after.learner.network.params, params, 3e-6)
        assert metrics["loss"][0] == pytest.approx(0 if nothing else total, rel=1e-5, abs=1e-7)
        assert_close(after.learner.selection, Selection(kinds, of_mixing, moved), 1e-6)
        for name, kind in {"clean": CLEAN, "hard": HARD, "corrected": CORRECTED}.items():
            assert metrics[name][0] == pytest.approx(np.mean(kinds == kind), abs=1e-6)
        beliefs = parts.method().beliefs(after.learner)
        np.testing.assert_array_equal(beliefs["kept"], (kinds == CLEAN) | (kinds == HARD))
        assert beliefs["noise_rate"] == pytest.approx(np.mean(kinds < HARD), abs=1e-6)
        if nothing:
            continue
        rows, mean = np.arange(64), sum(seen) / 2
        y = parts.noise.labels[positions]
        wanted = Predicted(
            np.stack([p[rows, y] for p in seen], 1), np.stack([p.max(1) for p in seen], 1), mean.max(1),
            mean.argmax(1),
        )  # fmt: skip
        found = jax.tree.map(lambda leaf: leaf[positions], after.learner.predicted)
        assert_close(found, wanted, 1e-5)
        # Nothing else has changed.
        before = jax.tree.map(
            lambda leaf, row: np.asarray(leaf.at[positions].set(row)), state.learner.predicted, found
        )
        assert_close(after.learner.predicted, before, 0)


def test_within_an_epoch_the_selection_stays(regression):
    parts, (run, _) = regression
    state, _, step = state_at(parts, 2)
    for into in (1, 21):
        after, _ = run(state.replace(step=jnp.int32(step + into)), parts.sampler[step + into])
        assert_close(after.learner.selection, state.learner.selection, 0)


@pytest.mark.parametrize(
    ("own", "step"),
    [
        # With batch norm, whose statistics the mixed images must leave alone.
        ({"model.name": "cnn", "model.features": (4,), "model.hidden": 8}, 3),
        (
            {
                "model.name": "mlp", "model.hidden": (16,), "method.warmup_epochs": 1,
                "method.lam_hard": 0.0, "method.lam_mixup": 0.0,
            },
            25,
        ),
    ],
    ids=["warm-up", "all clean, nothing mixed"],
)  # fmt: skip
def test_it_is_cross_entropy_of_both_views(own, step):
    """Their sum: the mean over two views of `single` at twice the learning rate."""
    base = {"optimizer.name": "sgd", "optimizer.learning_rate": 0.1}
    disc = experiment.create(small(**{**base, "method.name": "disc", **own}))
    model = {key: value for key, value in own.items() if key.startswith("model.")}
    single = experiment.create(small(**{**base, **model, "data.views": 2, "optimizer.learning_rate": 0.2}))
    batch, data = feed.Batch(disc.sampler[step][None, None]), device_data(disc)
    state = disc.init_state().replace(step=jnp.int32(step))
    after, metrics = on_one_device(disc.train_step())(state, data, batch)
    begun = single.init_state().replace(learner=state.learner.network, step=state.step)
    wanted, alone = on_one_device(single.train_step())(begun, data, batch)
    assert_close(after.learner.network, wanted.learner, 1e-6)
    assert metrics["loss"][0] == pytest.approx(2 * float(alone["loss"][0]), rel=1e-5)
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), after.learner.network.params, begun.learner.params)
    assert max(jax.tree.leaves(moved)) > 1e-3


SHAPE = r"method.strong: must keep the shape of the images, it makes \(6, 6, 1\) of \(8, 8, 1\)"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"method.warmup_epochs": 0}, r"method.warmup_epochs: must be in \[1, inf\), got 0"),
        ({"method.momentum": 1.0}, r"method.momentum: must be in \[0, 1\), got 1.0"),
        ({"method.strong": ("randaugmnt",)}, "method.strong: unknown name 'randaugmnt'; did you mean"),
        ({"method.strong": ({"name": "random_crop", "size": 6},)}, SHAPE),
        ({"method.strong": ({"name": "random_crop", "size": 9},)}, r"method.strong.size: must be at most"),
        ({"method.strong": "flip"}, r"method.strong: 'disc' takes a list, got 'flip'"),
        ({"data.views": 2}, "'disc' takes neither data.mixing nor data.views"),
        ({"loss.name": "elr"}, "loss.name: a loss with a memory cannot be mixed; 'disc' takes one without"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_clear_error(overrides, message):
    with pytest.raises(ConfigError, match=message):
        experiment.create(small(**{"method.name": "disc", **overrides}))


def test_a_strong_view_of_features_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "table.npz", images=rng.normal(size=(200, 5)), labels=rng.integers(0, 3, 200))
    table = {"data": {"name": "npz", "dir": str(tmp_path / "table.npz")}, "model.name": "mlp"}
    with pytest.raises(ConfigError, match=r"method.strong: must be empty here, .* these are float32$"):
        experiment.create(small(**{**table, "method.name": "disc", "method.strong": ("flip",)}))
    experiment.create(small(**{**table, "method.name": "disc"}))
