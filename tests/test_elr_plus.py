"""ELR+: targets, ramps and a step against their formulas, mixing over devices, and a run it must equal."""

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
from grjax.methods.elr_plus import pull, rising

SIMPLE = {"model.name": "mlp", "model.hidden": (16,)}


def config_of(**overrides):
    return small(**{"method.name": "elr_plus", **SIMPLE, **overrides})


def test_ramps_and_pull_against_their_formulas():
    for step in (0, 7, 20, 33):
        wanted = np.exp(-5 * (1 - min(step, 20) / 20) ** 2)
        assert float(rising(step, 20)) == pytest.approx(wanted, rel=1e-6)
    assert float(rising(0, 0)) == 1
    rng = np.random.default_rng(0)
    logits, targets = 3 * rng.normal(size=(6, 4)).astype(np.float32), rng.dirichlet(np.ones(4), 6)
    p = np.clip(scipy.special.softmax(logits.astype(np.float64), axis=1), 1e-4, 1 - 1e-4)
    wanted = [
        np.log(1 - sum(t * q for t, q in zip(*rows, strict=True))) for rows in zip(targets, p, strict=True)
    ]
    np.testing.assert_allclose(pull(logits, targets.astype(np.float32)), wanted, rtol=1e-4)


@pytest.mark.parametrize("groups", [1, 2])
def test_partners_come_from_all_devices_and_do_not_depend_on_their_number(groups):
    key = jax.random.key(0)
    # Row 100 g + i is the i-th example of group g.
    rows = np.stack([100 * g + np.arange(8) for g in range(groups)])

    def run(number):
        parts = rows.reshape(groups, number, 8 // number).swapaxes(0, 1).reshape(number, -1)
        both = jax.vmap(
            lambda own: mixup.partners(key, (own, own[:, None] * 2.0), groups=groups), axis_name=devices.AXIS
        )(parts)
        back = [
            np.asarray(leaf).reshape(number, groups, 8 // number).swapaxes(0, 1).reshape(groups, 8)
            for leaf in both
        ]
        return back

    one, four = run(1), run(4)
    np.testing.assert_array_equal(one[0], four[0])
    np.testing.assert_array_equal(2 * four[0], four[1])  # an example and its label stay together
    assert sorted(np.ravel(four[0])) == sorted(np.ravel(rows))
    assert (four[0] != rows).any()
    if groups == 2:
        assert (four[0][0] >= 100).any()  # of any group


def test_the_own_share_is_the_larger():
    shares = [float(mixup.own_share(jax.random.key(seed), 1.0)) for seed in range(50)]
    assert 0.5 <= min(shares) < 0.6
    assert max(shares) <= 1


def one_step(parts, state, step=0):
    batch = feed.Batch(parts.sampler[step][None, None])
    return on_one_device(parts.train_step())(state, device_data(parts), batch)


def test_a_step_against_its_formula():
    """A step of the second network, whose targets the average of the first gives."""
    options = {"method.lam_ramp_steps": 10, "method.decay_ramp_steps": 4, "method.beta": 0.6}
    parts = experiment.create(config_of(**options))
    started, _ = one_step(parts, parts.init_state())
    after, metrics = one_step(parts, started, 1)
    data, positions = device_data(parts), parts.sampler[1]
    images, labels = data.standardise(data.images[positions]), np.asarray(data.labels[positions])
    step_key = jax.random.fold_in(jax.random.fold_in(jax.random.key(parts.parts.seed), 1), 3)
    losses = []
    for number in range(2):
        network, teacher = started.learner.networks[number], started.learner.networks[1 - number]
        share_key, partner_key = jax.random.split(jax.random.fold_in(step_key, number))
        share = float(mixup.own_share(share_key, 1.0))
        order = np.asarray(jax.random.permutation(partner_key, 64))

        def apply(params, batch_stats, images):
            variables = {"params": params, "batch_stats": batch_stats}
            return parts.parts.model.apply(variables, images, train=True, mutable=["batch_stats"])

        def on_device(function, *arguments):
            batched = jax.vmap(lambda _: function(*arguments), axis_name=devices.AXIS)
            return jax.tree.map(lambda leaf: leaf[0], jax.jit(batched)(jnp.zeros(1)))

        average = started.learner.averages[1 - number].params
        of_teacher, _ = on_device(apply, average, teacher.batch_stats, images)
        p = scipy.special.softmax(np.asarray(of_teacher, np.float64), axis=1)
        before = np.asarray(started.learner.targets[number])
        targets = before.copy()
        targets[positions] = 0.6 * before[positions] + 0.4 * p
        np.testing.assert_allclose(after.learner.targets[number], targets, atol=1e-5)
        seen = share * images + (1 - share) * images[order]
        q = share * targets[positions] + (1 - share) * targets[positions][order]
        soft = share * np.eye(10)[labels] + (1 - share) * np.eye(10)[labels[order]]

        def loss(params, network=network, seen=seen, soft=soft, q=q):
            logits, _ = apply(params, network.batch_stats, seen)
            log_p = jax.nn.log_softmax(logits)
            pulled = jnp.log(1 - (q * jnp.clip(jnp.exp(log_p), 1e-4, 1 - 1e-4)).sum(1))
            return (-(soft * log_p).sum(1) + 3 * np.exp(-5 * 0.9**2) * pulled).mean()

        value, gradient = on_device(jax.value_and_grad(loss), network.params)
        losses.append(float(value))
        wanted = network.updated(parts.parts, gradient, network.batch_stats, network.loss_memory)
        found = after.learner.networks[number]
        assert_close(found.params, wanted.params, 2e-6)
        # 2 steps of the ramp of 4 are over, and no more than t / (t + 9) with t = 1.
        assert 0.997 * np.exp(-5 * 0.5**2) > 1 / 10
        kept = jax.tree.map(
            lambda a, w: 0.1 * a + 0.9 * w, started.learner.averages[number].params, found.params
        )
        assert_close(after.learner.averages[number].params, kept, 1e-6)
    assert metrics["loss"][0] == pytest.approx(np.mean(losses), rel=1e-4)


def test_without_regulariser_and_mixing_it_is_two_runs_of_cross_entropy():
    parts = experiment.create(config_of(**{"method.lam": 0.0, "method.alpha": 0.0}))
    state, alone = parts.init_state(), experiment.create(small(**SIMPLE))
    others = [alone.init_state().replace(learner=network) for network in state.learner.networks]
    p_step, p_alone = (devices.parallelize(each.train_step()) for each in (parts, alone))
    data = device_data(parts)
    for batch in parts.train_batches(0):
        state, _ = jax.block_until_ready(p_step(state, data, devices.spread(batch)))
        others = [jax.block_until_ready(p_alone(other, data, devices.spread(batch))[0]) for other in others]
    for found, other in zip(state.learner.networks, others, strict=True):
        assert_close(found, other.learner, 1e-6)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"method.beta": 1.0}, r"method.beta: must be in \[0, 1\), got 1.0"),
        ({"method.alpha": -1.0}, r"method.alpha: must be in \[0, inf\), got -1.0"),
        ({"method.decay_ramp_steps": 0.5}, r"method.decay_ramp_steps: 'elr_plus' takes a whole number"),
        ({"loss.name": "elr"}, "a loss with a memory cannot be mixed; 'elr_plus' takes one without"),
        ({"data.views": 2}, "elr_plus' takes neither data.mixing nor data.views"),
    ],
)
def test_impossible_options(overrides, message):
    with pytest.raises(ConfigError, match=message):
        experiment.create(config_of(**overrides))
