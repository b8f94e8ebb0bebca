"""DivideMix: division, targets, mixing and loss against NumPy, and the runs it must be equal to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from sklearn.mixture import GaussianMixture
from small_runs import assert_close, on_one_device, small

from grjax import devices, experiment
from grjax.data import feed
from grjax.errors import ConfigError
from grjax.evaluate import device_data
from grjax.methods import mixup
from grjax.methods.divide_mix import clean_posterior, scaled
from grjax.methods.mix_match import mean_of_views, refined, semi_supervised, sharpened

SIMPLE = {"model.name": "mlp", "model.hidden": (16,)}
# With batch norm.
CNN = {"model.name": "cnn", "model.features": (8,), "model.hidden": 16}


def config_of(**overrides):
    options = {"method.warmup_epochs": 1, "train_steps": 40, "eval_every_steps": 40}
    return small(**{"method.name": "divide_mix", **options, **SIMPLE, **overrides})


def test_targets_against_their_formulas():
    rng = np.random.default_rng(0)
    p, labels, w = rng.dirichlet(np.ones(4), 5), np.array([0, 3, 1, 2, 2]), rng.random(5)
    one_hot = np.eye(4)[labels]
    mixed = np.array([[w[i] * (labels[i] == k) + (1 - w[i]) * p[i, k] for k in range(4)] for i in range(5)])
    np.testing.assert_allclose(refined(one_hot, w, p), mixed, rtol=1e-5)
    for temperature in (0.5, 0.3, 1.0):
        powers = mixed ** (1 / temperature)
        found = sharpened(jnp.asarray(mixed), temperature)
        np.testing.assert_allclose(found, powers / powers.sum(1, keepdims=True), rtol=1e-5)
    logits = rng.normal(size=(6, 3))
    halves = [scipy.special.softmax(half, axis=1) for half in np.split(logits, 2)]
    np.testing.assert_allclose(mean_of_views(jnp.asarray(logits)), sum(halves) / 2, rtol=1e-5)


def numpy_loss(logits, targets):
    """The three terms in float64."""
    logits, targets = np.asarray(logits, np.float64), np.asarray(targets, np.float64)
    half, classes = len(logits) // 2, logits.shape[1]
    p = scipy.special.softmax(logits, axis=1)
    on_x = -np.mean([(targets[i] * np.log(p[i])).sum() for i in range(half)])
    on_u = np.mean([(p[i, k] - targets[i, k]) ** 2 for i in range(half, 2 * half) for k in range(classes)])
    mean = p.mean(0)
    return on_x, on_u, sum(np.log((1 / classes) / mean[k]) / classes for k in range(classes))


def test_the_loss_against_its_formula():
    rng = np.random.default_rng(1)
    logits, targets = rng.normal(size=(8, 5)), rng.dirichlet(np.ones(5), 8)
    found = jax.vmap(semi_supervised, axis_name=devices.AXIS)(logits[None], targets[None])
    np.testing.assert_allclose(np.ravel(found), numpy_loss(logits, targets), rtol=1e-5)


def test_the_posterior_is_that_of_another_library():
    rng = np.random.default_rng(2)
    losses = scaled(np.concatenate([rng.exponential(0.3, 700), rng.normal(4, 1, 300)]))
    assert (losses.min(), losses.max()) == (0, 1)
    theirs = GaussianMixture(2, max_iter=10, tol=1e-2, reg_covar=5e-4, random_state=0).fit(losses[:, None])
    wanted = theirs.predict_proba(losses[:, None])[:, theirs.means_.argmin()]
    found = clean_posterior(losses)
    np.testing.assert_allclose(found, wanted, atol=0.02)
    assert found[:700].mean() > 0.9 > 0.1 > found[700:].mean()
    assert np.isfinite(clean_posterior(scaled(np.full(10, 0.3)))).all()


def records(rng, number, wrong):
    """Cross-entropies of two networks which find other examples hard."""
    easy = rng.exponential(0.1, (2, number))
    return {
        f"{name}_cross_entropy": np.where(wrong[i], 3 + easy[i], easy[i]).astype(np.float32)
        for i, name in enumerate(("first", "second"))
    }


def test_each_network_is_given_the_division_of_the_other():
    parts = experiment.create(config_of())
    method, number = parts.method(), len(parts.noise.labels)
    rng = np.random.default_rng(3)
    wrong = np.stack([np.arange(number) % 3 == 0, np.arange(number) % 5 == 0])
    learner = jax.tree.map(np.asarray, parts.init_state().learner)
    found = records(rng, number, wrong)
    same = method.begin_epoch(learner, found, 0)
    assert not same.divided
    assert method.groups(same) is None  # all examples, in the order of any other method
    after = method.begin_epoch(same, found, 1)
    groups = method.groups(after)
    assert sorted(groups) == ["first_labelled", "first_unlabelled", "second_labelled", "second_unlabelled"]
    np.testing.assert_array_equal(groups["first_unlabelled"], np.flatnonzero(wrong[1]))
    np.testing.assert_array_equal(groups["second_unlabelled"], np.flatnonzero(wrong[0]))
    np.testing.assert_array_equal(groups["second_labelled"], np.flatnonzero(~wrong[0]))
    assert method.beliefs(parts.init_state().learner)["noise_rate"] == 0  # nothing was divided yet
    beliefs = method.beliefs(jax.tree.map(jnp.asarray, after))
    np.testing.assert_allclose(beliefs["kept"], (~wrong).mean(0))
    assert beliefs["noise_rate"] == pytest.approx(wrong.mean(), abs=0.02)


def test_a_group_has_a_batch_at_least():
    parts = experiment.create(config_of())
    method, number = parts.method(), len(parts.noise.labels)
    learner = jax.tree.map(np.asarray, parts.init_state().learner)
    wrong = np.stack([np.arange(number) == 7, np.arange(number) == 7])
    groups = method.groups(method.begin_epoch(learner, records(np.random.default_rng(4), number, wrong), 1))
    assert len(groups["first_unlabelled"]) == number // parts.parts.steps_per_epoch >= 64
    assert 7 in groups["first_unlabelled"]
    assert len(groups["first_labelled"]) == number - 1


def test_labels_that_look_all_alike_are_kept_if_so_wished():
    kinds = {}
    for undecided in ("divide", "keep"):
        parts = experiment.create(config_of(**{"method.undecided": undecided}))
        method, number = parts.method(), len(parts.noise.labels)
        learner = jax.tree.map(np.asarray, parts.init_state().learner)
        found = records(np.random.default_rng(8), number, np.zeros((2, number), bool))
        found["second_cross_entropy"] += 3 * (np.arange(number) % 5 == 0)  # two kinds, for the second alone
        after = method.begin_epoch(learner, found, 1)
        kinds[undecided] = method.groups(after)
        of_second = np.flatnonzero(np.arange(number) % 5 == 0)
        np.testing.assert_array_equal(kinds[undecided]["first_unlabelled"], of_second)
    assert len(kinds["divide"]["second_labelled"]) < 0.95 * number
    assert len(kinds["keep"]["second_labelled"]) == number
    # The most doubtful ones are looked at without labels, too.
    doubtful = np.argsort(-found["first_cross_entropy"])[: len(kinds["keep"]["second_unlabelled"])]
    assert np.isin(doubtful, kinds["keep"]["second_unlabelled"]).mean() > 0.9


def test_losses_of_several_epochs_are_averaged():
    parts = experiment.create(config_of(**{"method.loss_epochs": 2}))
    method, number = parts.method(), len(parts.noise.labels)
    learner = jax.tree.map(np.asarray, parts.init_state().learner)
    rng = np.random.default_rng(5)
    # Other examples are hard in each epoch, so the mean has three heaps.
    history = [records(rng, number, np.stack([np.arange(number) % k == 0] * 2)) for k in (2, 3, 4)]
    for epoch, found in enumerate(history):
        learner = method.begin_epoch(learner, found, epoch)
    mean = np.mean([scaled(found["first_cross_entropy"]) for found in history[1:]], axis=0)
    np.testing.assert_allclose(learner.clean[1], clean_posterior(mean), atol=1e-4)


def divided_state(parts, clean=None):
    """A state after the warm-up, at the first step of the second epoch, and its batch."""
    method, number = parts.method(), len(parts.noise.labels)
    learner = jax.tree.map(np.asarray, parts.init_state().learner)
    wrong = np.stack([np.arange(number) % 3 == 0, np.arange(number) % 5 == 0])
    learner = method.begin_epoch(learner, records(np.random.default_rng(6), number, wrong), 1)
    if clean is not None:
        learner = learner.replace(clean=clean(learner.clean))
    step = parts.sampler.steps_per_epoch + 3
    batch = next(parts.train_batches(step, method.groups(learner)))
    batch = jax.tree.map(lambda leaf: np.concatenate(list(leaf), axis=-1)[None], batch)  # on one device
    return parts.init_state().replace(learner=learner, step=np.int32(step)), batch, step


def on_device(function, *arguments):
    batched = jax.vmap(lambda _: function(*arguments), axis_name=devices.AXIS)
    return jax.tree.map(lambda leaf: leaf[0], jax.jit(batched)(jnp.zeros(1)))


def mixed_batch(parts, state, batch, number, step):
    """What a network is to see, made by NumPy from the predictions and the draws: images and targets."""
    data, name = device_data(parts), ("first", "second")[number]
    step_key = jax.random.fold_in(jax.random.fold_in(jax.random.key(parts.parts.seed), step), 3)
    keys = jax.random.split(jax.random.fold_in(step_key, number), 5)

    def probabilities(network, images):
        variables = {"params": network.params, "batch_stats": network.batch_stats}
        logits = jax.jit(lambda images: parts.parts.model.apply(variables, images, train=False))(images)
        return scipy.special.softmax(np.asarray(logits, np.float64), axis=1)

    x, u = (np.ravel(batch[f"{name}_{kind}"].positions) for kind in ("labelled", "unlabelled"))
    # Without augmentation both views are the same.
    of_x, of_u = (data.standardise(data.images[positions]) for positions in (x, u))
    network, other = state.learner.networks[number], state.learner.networks[1 - number]
    w, y = state.learner.clean[number][x][:, None], np.eye(10)[np.asarray(data.labels[x])]
    t_x = (w * y + (1 - w) * probabilities(network, of_x)) ** 2
    t_u = ((probabilities(network, of_u) + probabilities(other, of_u)) / 2) ** 2
    t_x, t_u = (t / t.sum(1, keepdims=True) for t in (t_x, t_u))
    images, targets = np.concatenate([of_x, of_x, of_u, of_u]), np.concatenate([t_x, t_x, t_u, t_u])
    share = float(mixup.own_share(keys[2], 4.0))
    order = np.asarray(jax.random.permutation(keys[3], len(images)))
    return tuple(share * each + (1 - share) * each[order] for each in (images, targets))


def test_a_step_against_its_formula():
    parts = experiment.create(config_of(**{"method.ramp_epochs": 2.0, **CNN}))
    state, batch, step = divided_state(parts)
    after, metrics = on_one_device(parts.train_step())(state, device_data(parts), batch)
    weight = 25 * (step / parts.sampler.steps_per_epoch - 1) / 2
    totals = []
    for number, network in enumerate(state.learner.networks):
        images, targets = mixed_batch(parts, state, batch, number, step)

        def loss(params, network=network, images=images, targets=targets):
            variables = {"params": params, "batch_stats": network.batch_stats}
            logits, updated = parts.parts.model.apply(variables, images, train=True, mutable=["batch_stats"])
            p, half = jax.nn.softmax(logits), len(images) // 2
            total = -(targets[:half] * jnp.log(p[:half])).sum(1).mean()
            total += weight * ((p[half:] - targets[half:]) ** 2).mean()
            return total + (0.1 * jnp.log(0.1 / p.mean(0))).sum(), (logits, updated["batch_stats"])

        (total, (logits, stats)), gradient = on_device(jax.value_and_grad(loss, has_aux=True), network.params)
        on_x, on_u, apart = numpy_loss(logits, targets)
        totals.append(on_x + weight * on_u + apart)
        assert float(total) == pytest.approx(totals[-1], rel=1e-4)
        wanted = network.updated(parts.parts, gradient, stats, network.loss_memory)
        # Statistics, too: those of the mixed images alone.
        assert_close(after.learner.networks[number], wanted, 1e-5)
    assert metrics["loss"][0] == pytest.approx(np.mean(totals), rel=1e-4)


def test_with_every_label_clean_and_no_weight_on_others_it_is_mixup_training():
    quiet = {"method.lam_u": 0.0, "method.prior": 0.0}
    parts = experiment.create(config_of(**quiet))
    state, batch, step = divided_state(parts, clean=np.ones_like)
    after, _ = on_one_device(parts.train_step())(state, device_data(parts), batch)
    for number, network in enumerate(state.learner.networks):
        images, targets = mixed_batch(parts, state, batch, number, step)
        labelled = np.ravel(batch[f"{('first', 'second')[number]}_labelled"].positions)
        own = np.tile(np.asarray(device_data(parts).labels)[labelled], 2)
        assert (targets[: len(own)].argmax(1) == own).all()  # share >= 1/2 of the label as it was given

        def loss(params, network=network, images=images, targets=targets):
            variables = {"params": params, "batch_stats": network.batch_stats}
            logits, _ = parts.parts.model.apply(variables, images, train=True, mutable=["batch_stats"])
            half = len(images) // 2
            return -(targets[:half] * jax.nn.log_softmax(logits[:half])).sum(1).mean()

        gradient = on_device(jax.grad(loss), network.params)
        wanted = network.updated(parts.parts, gradient, network.batch_stats, network.loss_memory)
        assert_close(after.learner.networks[number].params, wanted.params, 2e-6)


def test_its_warm_up_is_two_runs_of_any_loss():
    loss = {"loss.name": "gradient_rescaling", "loss.lam": 1.0, "loss.beta": 8.0}
    parts, alone = experiment.create(config_of(**loss)), experiment.create(small(**SIMPLE, **loss))
    state = parts.init_state()
    batch = feed.Batch(parts.sampler[0][None, None])
    after, _ = on_one_device(parts.train_step())(state, device_data(parts), batch)
    step = on_one_device(alone.train_step())
    for network, found in zip(state.learner.networks, after.learner.networks, strict=True):
        wanted, _ = step(alone.init_state().replace(learner=network), device_data(parts), batch)
        assert_close(found, wanted.learner, 1e-6)


def test_the_confidence_penalty_is_the_negative_entropy():
    found = []
    for weight in (0.0, 0.5):
        parts = experiment.create(config_of(**{"method.confidence_penalty": weight}))
        batch = feed.Batch(parts.sampler[0][None, None])
        _, metrics = on_one_device(parts.train_step())(parts.init_state(), device_data(parts), batch)
        found.append(float(metrics["loss"][0]))
    data, positions, entropies = device_data(parts), parts.sampler[0], []
    for network in parts.init_state().learner.networks:
        variables = {"params": network.params, "batch_stats": network.batch_stats}
        images = data.standardise(data.images[positions])
        logits, _ = on_device(
            lambda images, variables=variables: parts.parts.model.apply(
                variables, images, train=True, mutable=["batch_stats"]
            ),
            images,
        )
        p = scipy.special.softmax(np.asarray(logits, np.float64), axis=1)
        entropies.append(-(p * np.log(p)).sum(1).mean())
    assert found[0] - found[1] == pytest.approx(0.5 * np.mean(entropies), rel=1e-3)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"method.threshold": 1.0}, r"method.threshold: must be in \(0, 1\), got 1.0"),
        ({"method.temperature": 0.0}, r"method.temperature: must be in \(0, inf\), got 0.0"),
        ({"method.warmup_epochs": 0.5}, r"method.warmup_epochs: 'divide_mix' takes a whole number"),
        ({"method.undecided": "drop"}, r"method.undecided: 'divide_mix' takes one of 'divide', 'keep', got"),
        ({"data.views": 2}, "divide_mix' takes neither data.mixing nor data.views"),
    ],
)
def test_impossible_options(overrides, message):
    with pytest.raises(ConfigError, match=message):
        experiment.create(config_of(**overrides))
