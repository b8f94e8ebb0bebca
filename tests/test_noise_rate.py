"""Rates that methods estimate, the mixture behind them, and what a run says about what its method keeps."""

import json

import numpy as np
import pytest
from reported_runs import write_run
from scipy import stats
from sklearn.mixture import GaussianMixture
from small_runs import rows, small

from grjax import metrics, mixture
from grjax.analysis import suspects
from grjax.analysis.audit_run import audit_run
from grjax.analysis.report import trials, write_report
from grjax.methods.noise_rate import estimated, no_estimate, wrong_share
from grjax.noise import NoisyLabels
from grjax.train import train_and_evaluate
from grjax.workdir import predictions
from grjax.workdir.predictions import History, SplitHistory


def two_heaps(rng, number=2000, low=0.3, means=(-2.0, 3.0), deviations=(1.0, 1.5)):
    of_low = int(low * number)
    return np.concatenate(
        [rng.normal(means[0], deviations[0], of_low), rng.normal(means[1], deviations[1], number - of_low)]
    )


def test_the_gaussian_mixture_is_that_of_another_library():
    values = two_heaps(np.random.default_rng(0))
    found = mixture.fit_gaussian(values, iterations=500, tolerance=1e-12)
    wanted = GaussianMixture(2, max_iter=500, tol=1e-10, reg_covar=1e-6, random_state=0).fit(values[:, None])
    low = int(wanted.means_[:, 0].argmin())
    assert found.low_weight == pytest.approx(wanted.weights_[low], abs=1e-4)
    np.testing.assert_allclose(found.low, (wanted.means_[low, 0], wanted.covariances_[low, 0, 0]), rtol=1e-3)
    np.testing.assert_allclose(
        found.low_posterior(values), wanted.predict_proba(values[:, None])[:, low], atol=1e-3
    )
    assert found.log_likelihood(values) == pytest.approx(wanted.score(values[:, None]), abs=1e-6)


def test_the_posterior_is_bayes_rule():
    fitted = mixture.GaussianMixture(0.2, (-1.0, 0.5), (2.0, 4.0))
    values = np.linspace(-9, 9, 37)
    low = 0.2 * stats.norm.pdf(values, -1, np.sqrt(0.5))
    high = 0.8 * stats.norm.pdf(values, 2, 2)
    np.testing.assert_allclose(fitted.low_posterior(values), low / (low + high), rtol=1e-9)
    assert fitted.separation == pytest.approx(3 / np.sqrt(2.25))


@pytest.mark.parametrize("values", [np.zeros(50), np.array([0.0, 1.0]), np.r_[np.zeros(99), 1.0]])
def test_values_on_few_points_are_fitted_too(values):
    found = mixture.fit_gaussian(values)
    assert np.isfinite([found.low_weight, *found.low, *found.high]).all()
    assert np.isfinite(found.low_posterior(values)).all()


def test_two_kinds_only_where_the_values_speak_for_them():
    rng = np.random.default_rng(1)
    assert mixture.two_kinds(two_heaps(rng)).low_weight == pytest.approx(0.3, abs=0.03)
    assert mixture.two_kinds(two_heaps(rng, means=(0.0, 1.0), deviations=(1.0, 1.0))) is None
    assert mixture.two_kinds(rng.exponential(size=2000)) is None  # two would fit better, but not two kinds
    assert wrong_share(np.full(100, 0.3)) == 0


@pytest.mark.parametrize(("means", "wanted"), [((-0.7, 5.0), 0.3), ((0.7, 6.0), 0.0)])
def test_a_lower_kind_that_is_believed_is_not_wrong(means, wanted):
    log_odds = two_heaps(np.random.default_rng(9), means=means, deviations=(1.0, 1.0))
    assert mixture.two_kinds(log_odds).low_weight == pytest.approx(0.3, abs=0.03)
    assert wrong_share(1 / (1 + np.exp(-log_odds))) == pytest.approx(wanted, abs=0.03)


def test_an_estimate_is_of_averaged_p_and_stays_from_the_end_of_the_ramp_on():
    rng = np.random.default_rng(2)
    wrong = np.arange(1000) < 300

    def records(high):
        return {"p": np.where(wrong, rng.beta(2, 40, 1000), rng.beta(*high, 1000)).astype(np.float32)}

    now = no_estimate(np.zeros(1000))
    for epoch in range(2):
        now = estimated(now, records((40, 2)), epoch, until=3.0)
        assert now.rate == 0  # the network has seen little
    first, second = records((40, 2)), records((40, 2))
    before = now.mean_p
    now = estimated(now, first, 2, until=3.0)
    np.testing.assert_allclose(now.mean_p, 0.7 * before + 0.3 * first["p"], atol=1e-6)
    assert now.rate == pytest.approx(0.3, abs=0.02)
    now = estimated(now, second, 3, until=3.0)
    held = renewed = now
    for epoch in range(4, 24):
        memorised = {"p": rng.beta(40, 2, 1000).astype(np.float32)}
        held = estimated(held, memorised, epoch, until=3.0)
        renewed = estimated(renewed, memorised, epoch, until=99.0)
    assert held.rate == now.rate > renewed.rate == 0
    undecided = now.replace(rate=np.float32(0))
    assert estimated(undecided, second, 9, until=3.0).rate > 0  # it goes on as long as nothing was decided


def test_purity_and_recall_of_what_is_kept():
    noise = NoisyLabels(np.arange(5), np.array([0, 1, 0, 1, 0]), np.array([0, 1, 0, 0, 1]), 2, 0.4)
    row = metrics.belief_metrics(
        {"kept": np.array([1, 1, 0, 0.5, 0], np.float32), "noise_rate": np.float32(0.25)}, noise
    )
    assert row == {
        "kept_share": 0.5, "kept_purity": 0.8, "kept_recall": pytest.approx(2 / 3),
        "noise_rate_estimated": 0.25, "noise_rate_realised": 0.4,
    }  # fmt: skip
    nothing = metrics.belief_metrics({"kept": np.zeros(5, np.float32)}, noise)
    assert nothing == {"kept_share": 0, "kept_purity": None, "kept_recall": 0}
    assert metrics.belief_metrics({}, noise) == {}


@pytest.fixture(scope="module")
def estimating(tmp_path_factory):
    """A run that leaves out what it does not believe, with nothing said about the rate."""
    folder = tmp_path_factory.mktemp("estimating")
    run_config = small(**{
        "method.name": "co_teaching", "method.ramp_epochs": 6.0, "model.name": "mlp", "model.hidden": (32,),
        "optimizer.learning_rate": 0.05, "train_steps": 220, "eval_every_steps": 22,
        "checkpoint_every_steps": 220,
    })  # fmt: skip
    train_and_evaluate(run_config, folder)
    return folder


def test_a_run_logs_its_estimate_beside_the_realised_rate(estimating):
    found = rows(estimating)
    assert found[0]["noise_rate_estimated"] == 0
    last, summary = found[-1], json.loads((estimating / "summary.json").read_text())
    assert last["noise_rate_estimated"] == pytest.approx(last["noise_rate_realised"], abs=0.1)
    for key in metrics.BELIEFS:
        assert summary[key] == last[key]
    assert last["kept_purity"] > 0.8 > 0.7 > 1 - last["noise_rate_realised"]
    assert last["kept_share"] == pytest.approx(1 - last["noise_rate_estimated"], abs=0.05)


def test_what_is_kept_is_in_predictions_audit_and_report(estimating):
    history = predictions.read(estimating)
    kept = history.splits["train"].kept
    assert kept.shape == history.splits["train"].p.shape
    assert set(np.unique(kept[-1])) == {0, 0.5, 1}
    truth = audit_run(estimating)["against_truth"]
    assert truth["kept_auroc"] > 0.8
    assert truth["kept_purity"] > 0.8
    assert truth["kept_recall"] > 0.8
    lines = [json.loads(line) for line in (estimating / "audit.jsonl").read_text().splitlines()]
    assert lines[0]["kept"] < 0.5 < lines[-1]["kept"]
    page = write_report([estimating]).read_text()
    assert "What the method keeps" in page
    assert (estimating / "report" / "selection.svg").exists()


def test_a_run_that_keeps_everything_says_nothing_of_it(tmp_path):
    assert write_report([write_run(tmp_path / "run")]).exists()
    assert not (tmp_path / "run" / "report" / "selection.svg").exists()
    assert "What the method keeps" not in (tmp_path / "run" / "report.html").read_text()
    p = np.full((2, 3), 0.5, np.float16)
    split = SplitHistory(p, np.zeros((2, 3), np.uint8), np.zeros(3, np.int32))
    audit = suspects.find(History(np.array([1, 2]), np.arange(3), {"train": split}), ("a", "b"))
    assert np.isnan(audit.kept).all()


def test_a_sweep_shows_realised_and_estimated_rate_side_by_side(tmp_path):
    summary = {
        "noise_rate_realised": 0.4,
        "noise_rate_estimated": 0.38,
        "kept_purity": 0.9,
        "kept_recall": 0.8,
    }
    told = {"noise_rate_realised": 0.4, "noise_rate_estimated": None, "kept_purity": 0.7, "kept_recall": None}
    for found, cells in (
        (summary, ["0.400", "0.380", "0.900", "0.800"]),
        (told, ["0.400", "–", "0.700", "–"]),
    ):
        setting = trials.Setting({"method.rate": 0.4}, ({"summary": found},), 0)
        columns, [(_, row)] = trials.table(trials.Sweep(tmp_path, [], [setting], []))
        assert columns[-5:] == ["noise rate", "estimated", "purity", "recall", "runs"]
        assert row[-5:] == [*cells, "1"]
    setting = trials.Setting({}, ({"summary": {"noise_rate_realised": 0.4}},), 0)
    columns, _ = trials.table(trials.Sweep(tmp_path, [], [setting], []))
    assert "estimated" not in columns


def test_runs_that_choose_are_compared_by_it(estimating, tmp_path):
    other = write_run(tmp_path / "other")
    page = write_report([estimating, other], tmp_path).read_text()
    assert '<figure id="kept_purity"' in page
    assert '<th scope="col" class="number">estimated</th>' in page
