"""The emphasis that sets itself: weight and estimate against NumPy, its limit, and what a run says of it."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate
from small_runs import assert_identical, on_one_device, rows, small

from grjax import emphasis, experiment, label_wave, losses, metrics, posterior
from grjax.analysis.report import write_report
from grjax.data import feed
from grjax.errors import ConfigError
from grjax.evaluate import device_data
from grjax.losses.memory import without_memory
from grjax.methods.posterior_emphasis import (
    BELIEVED,
    CANNOT_TELL,
    EARLY,
    TWO_KINDS,
    estimated,
    no_estimate,
    weighted,
)
from grjax.metrics import Predictions
from grjax.posterior import Posterior
from grjax.train import train_and_evaluate


def weight(p, rate, slope):
    """w(p) by Bayes' rule on powers of p, over its integral."""

    def unnormalised(p):
        right, wrong = (1 - rate) * p**slope, rate * (1 - p) ** slope
        return 2 * (1 - p) * right / (right + wrong)

    return unnormalised(p) / integrate.quad(unnormalised, 0, 1, epsabs=1e-12)[0]


@pytest.mark.parametrize(("rate", "slope"), [(0.4, 1.0), (0.05, 1.3), (0.5, 2.0)])
def test_the_gradient_has_the_weight_of_numpy(rate, slope):
    rng = np.random.default_rng(0)
    z, labels = (rng.normal(size=(64, 7)) * 3).astype(np.float32), rng.integers(0, 7, 64, np.int32)
    loss = weighted(without_memory(losses.cross_entropy), Posterior(jnp.float32(rate), jnp.float32(slope)))
    gradients = jax.grad(lambda z: loss.apply(z, labels, (), 0)[0].sum())(jnp.asarray(z))
    e = np.exp(np.float64(z))
    p = (e / e.sum(-1, keepdims=True))[np.arange(64), labels]
    assert p.min() < 0.01 < 0.9 < p.max()
    np.testing.assert_allclose(np.abs(gradients).sum(-1), weight(p, rate, slope), rtol=2e-4, atol=1e-6)
    found = posterior.right(np.log(p) - np.log1p(-p), rate, slope)
    scale = weight(0.5, rate, slope) / (1 - rate)  # at p = 1/2 it is P(right) over the norm
    np.testing.assert_allclose(found * 2 * (1 - p) * scale, weight(p, rate, slope), rtol=1e-6)


def test_lam_and_beta_have_the_mode_and_the_variance_of_the_weight():
    for rate, slope in ((0.4, 1.0), (0.1, 1.5), (0.5, 2.0)):
        found = posterior.shape(rate, slope)
        gr, own = emphasis.PowerExponential(found.lam, found.beta), Posterior(rate, slope)
        assert found.mode == pytest.approx(float(emphasis.mode(own)), abs=2e-3)
        assert float(emphasis.mode(gr)) == pytest.approx(found.mode, abs=2e-3)
        assert float(emphasis.variance(gr)) == pytest.approx(float(emphasis.variance(own)), rel=1e-3)
    assert (
        posterior.shape(0.6, 1.0).mode > posterior.shape(0.2, 1.0).mode > posterior.shape(0.0, 1.0).mode == 0
    )


def test_while_every_label_is_believed_it_is_cross_entropy_bit_for_bit():
    simple = {"model.name": "mlp", "model.hidden": (16,)}
    own = experiment.create(small(**simple, **{"method.name": "posterior_emphasis"}))
    alone = experiment.create(small(**simple))
    state, data = own.init_state(), device_data(own)
    begun = alone.init_state()
    own_step, step = on_one_device(own.train_step()), on_one_device(alone.train_step())
    for number in range(3):
        batch = feed.Batch(own.sampler[number][None, None])
        (state, _), (begun, _) = own_step(state, data, batch), step(begun, data, batch)
    assert_identical(state.learner.network, begun.learner)
    # And no more once some labels are not.
    doubting = state.learner.estimate.replace(rate=jnp.float32(0.1))
    other, _ = own_step(state.replace(learner=state.learner._replace(estimate=doubting)), data, batch)
    same, _ = own_step(state, data, batch)
    changed, unchanged = (after.learner.network.params["fc1"]["kernel"] for after in (other, same))
    assert np.abs(changed - unchanged).max() > 1e-5


def test_the_estimate_follows_its_rules():
    rng, wrong = np.random.default_rng(0), np.arange(1000) < 300
    apart = np.where(wrong, rng.beta(2, 40, 1000), rng.beta(40, 2, 1000))
    spread = rng.beta(2, 2, 1000)
    now, mean_p, average, rate, slope = no_estimate(1000), np.zeros(1000), 0.0, 0.0, 1.0
    assert (now.rate, now.slope, now.reason) == (0, 1, EARLY)
    # p, the share that is not predicted, and what it should be taken for; 0.44 is the first that settles.
    seen = [
        (spread, 0.9, EARLY), (spread, 0.89, EARLY), (spread, 0.6, EARLY), (spread, 0.47, EARLY),
        (spread, 0.44, CANNOT_TELL), (apart, 0.3, None), *[(apart, 0.3, None)] * 6,
        *[(apart, 0.3, TWO_KINDS)] * 3, (apart, 0.0, TWO_KINDS),
    ]  # fmt: skip
    for epoch, (p, share, reason) in enumerate(seen):
        now = estimated(now, p, share, epoch=epoch, epochs=20.0)
        if epoch >= 1:
            mean_p = p if epoch == 1 else 0.7 * mean_p + 0.3 * p
        if epoch >= 4:
            average = share if epoch == 4 else 0.7 * average + 0.3 * share
            rate = max(average, 0.98 * rate)
            slope += (now.reason == TWO_KINDS) / 18
        assert now.rate == pytest.approx(rate, abs=1e-5)
        assert now.slope == pytest.approx(slope, abs=1e-5)
        np.testing.assert_allclose(now.mean_p, mean_p, atol=1e-5)
        assert reason is None or now.reason == reason
    assert now.confidence > 0.95
    assert now.slope > 1
    steep = now
    for epoch in range(16, 60):
        steep = estimated(steep, apart, 0.6, epoch=epoch, epochs=20.0)
    assert steep.slope == 2
    assert steep.rate == pytest.approx(0.6, abs=1e-3)  # as it is; the weight takes half
    assert steep.weight().rate == 0.5
    sure = no_estimate(1000)
    for epoch in range(8):
        sure = estimated(sure, rng.beta(40, 2, 1000), 0.01, epoch=epoch, epochs=20.0)
    assert (sure.reason, sure.slope) == (BELIEVED, 1)
    assert sure.confidence == pytest.approx(0.99)


def test_the_share_of_labels_that_are_not_predicted_is_that_of_the_given_ones():
    parts = experiment.create(small(**{"method.name": "posterior_emphasis", "model.name": "mlp"}))
    state, method, labels = parts.init_state(), parts.method(), parts.noise.labels
    classes = np.where(np.arange(len(labels)) % 4 == 0, (labels + 1) % 10, labels)
    learner = jax.tree.map(np.asarray, state.learner)
    after = method.begin_epoch(learner, {"p": np.full(len(labels), 0.6), "classes": classes}, 1)
    assert after.estimate.latest == pytest.approx(np.mean(classes != labels))
    kept = method.beliefs(after._replace(estimate=after.estimate.replace(rate=jnp.float32(0.25))))["kept"]
    np.testing.assert_allclose(kept, 0.75 * 0.6 / (0.75 * 0.6 + 0.25 * 0.4), rtol=1e-4)


def test_mixing_is_refused():
    mixed = {"data.mixing.name": "mixup", "data.mixing.alpha": 1.0, "method.name": "posterior_emphasis"}
    with pytest.raises(ConfigError, match=r"method.name: 'posterior_emphasis' does not take data.mixing"):
        experiment.create(small(**mixed))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("posterior_emphasis")
    train_and_evaluate(
        small(**{
            "method.name": "posterior_emphasis", "model.name": "mlp", "model.hidden": (64,),
            "optimizer.learning_rate": 0.1, "train_steps": 220, "eval_every_steps": 22,
            "checkpoint_every_steps": 220,
        }),
        folder,
    )  # fmt: skip
    return folder


def test_a_run_says_what_it_set_and_why(run):
    first, last = rows(run)[0], rows(run)[-1]
    assert (first["emphasis_mode"], first["noise_rate_reason"]) == (0, "early")
    assert last["noise_rate_estimated"] == pytest.approx(last["noise_rate_realised"], abs=0.06)
    assert last["noise_rate_reason"] in metrics.REASONS
    assert last["emphasis_mode"] > 0.3
    assert last["emphasis_lam"] == pytest.approx(
        last["emphasis_mode"] / (1 - last["emphasis_mode"]), rel=1e-4
    )
    assert last["kept_purity"] > 0.85
    summary = json.loads((run / "summary.json").read_text())
    for key in (*metrics.EMPHASIS, "noise_rate_reason"):
        assert summary[key] == last[key]
    page = write_report([run]).read_text()
    assert "Emphasis that sets itself" in page
    assert "The weight of posterior_emphasis is largest" in page
    assert last["noise_rate_reason"] in page


def test_label_wave_is_told_by_what_changed(run):
    changes = [row["train_predictions_changed"] for row in rows(run)]
    assert changes[0] is None
    assert 0 < changes[-1] < changes[1] < 1
    summary = json.loads((run / "summary.json").read_text())
    stop = label_wave.first_minimum(changes)
    at = None if stop is None else rows(run)[stop]
    assert summary["label_wave_step"] == (at and at["step"])
    assert summary["label_wave_test_accuracy"] == (at and at["test_accuracy"])
    predicted = Predictions(np.array([1, 2, 3, 4]), np.zeros(4), np.zeros(4))
    found = metrics.change_metrics(predicted, np.array([1, 0, 3, -1]))  # the last never came by
    assert found["train_predictions_changed"] == pytest.approx(1 / 3)
    assert metrics.change_metrics(predicted, None)["train_predictions_changed"] is None


def test_dal_is_a_schedule_of_gce():
    parts = experiment.create(small(**{
        "loss.name": "gce", "loss.q.name": "linear", "loss.q.start": 0.6, "loss.q.end": 1.5,
        "model.name": "mlp",
    }))  # fmt: skip
    z, labels = jnp.array([[1.0, 0.0, -1.0]]), jnp.array([1])
    p = float(jax.nn.softmax(z)[0, 1])
    for step, q in ((0, 0.6), (6, 1.05), (12, 1.5)):
        assert parts.parts.loss.evaluate(z, labels, step)[0] == pytest.approx((1 - p**q) / q, rel=1e-5)
