"""Choosing a loss on held-out noisy labels: what such a choice can tell, and the command from end to end."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from optuna.distributions import FloatDistribution

from grjax import config, corruption
from grjax.analysis import report
from grjax.errors import ConfigError, SweepFailedError, WorkdirError
from grjax.sweep import Sweep, over, product
from grjax.tune import Tune, candidates, choice, kappa, kappa_of_pairs, page, resolution, space
from grjax.tune.candidates import Candidate
from grjax.tune.resolution import interval, paired
from grjax.tune.run import tune

ROOT = Path(__file__).parent.parent
LAYER = {
    "noise": {"name": "symmetric", "rate": 0.4},
    "model": {"name": "mlp", "hidden": (16,)},
    "loss": {"name": "cross_entropy"},
    "optimizer": {"name": "momentum", "learning_rate": 0.1},
    "batch_size": 64,
    "train_steps": 24,
    "eval_every_steps": 12,
    "checkpoint_every_steps": 12,
    "tensorboard": False,
}


# ------------------------------------------------------------------------------------------ the resolution


def noisy(labels, transition, rng):
    """Labels drawn from the rows of a transition matrix."""
    below = transition.cumsum(1)[labels]
    return (rng.random(len(labels))[:, None] < below).argmax(1)


def predicted(labels, accuracy, num_classes, rng):
    """Predictions that are right so often, and else any other class."""
    other = (labels + rng.integers(1, num_classes, labels.shape)) % num_classes
    return np.where(rng.random(labels.shape) < accuracy, labels, other)


@pytest.mark.parametrize(("rate", "num_classes"), [(0.4, 10), (0.6, 10), (0.2, 2)])
def test_the_resolution_is_the_spread_of_simulated_comparisons(rate, num_classes):
    rng = np.random.default_rng(0)
    number, repetitions = 500, 1500
    transition = np.full((num_classes, num_classes), rate / (num_classes - 1))
    np.fill_diagonal(transition, 1 - rate)
    differences, discordant, disagreement = [], [], []
    for _ in range(repetitions):
        labels = rng.integers(0, num_classes, number)
        ours = predicted(labels, 0.9, num_classes, rng)
        theirs = np.where(rng.random(number) < 0.15, predicted(labels, 0.5, num_classes, rng), ours)
        found = paired(ours[None], theirs[None], noisy(labels, transition, rng)[None])
        # On right labels the difference is 0.15 (0.9 - 0.5): only where `theirs` is drawn anew.
        differences.append(found.difference)
        discordant.append(found.discordant)
        disagreement.append(found.disagreement)
    factor = kappa(rate, num_classes)
    assert np.mean(differences) / 0.06 == pytest.approx(factor, rel=0.08)
    spread = 2 * np.std(differences) / factor
    assert resolution(np.mean(discordant), number, factor) == pytest.approx(spread, rel=0.08)
    assert resolution(np.mean(disagreement), number, factor) >= 0.97 * spread  # a bound


def test_labels_that_tell_nothing_resolve_nothing():
    assert kappa(0.9, 10) == pytest.approx(0)
    assert resolution(0.1, 100, kappa(0.95, 10)) == np.inf
    assert resolution(0.1, 400, 0.5) == pytest.approx(resolution(0.1, 100, 0.5) / 2)


def test_a_transition_matrix_shows_each_pair_as_much_as_it_tells():
    rng = np.random.default_rng(0)
    transition = np.array([[0.7, 0.25, 0.05], [0.1, 0.8, 0.1], [0.0, 0.4, 0.6]])
    labels = rng.integers(0, 3, 300_000)
    given = noisy(labels, transition, rng)
    gains = {}
    for right in range(3):
        for other in set(range(3)) - {right}:
            of = labels == right
            gains[right, other] = (given[of] == right).mean() - (given[of] == other).mean()
    worst = kappa_of_pairs(transition)
    assert (worst.right, worst.predicted) == min(gains, key=gains.get) == (2, 1)
    assert worst.kappa == pytest.approx(gains[2, 1], abs=0.01)
    rate = (given != labels).mean()  # with classes as frequent as each other
    assert np.mean(list(gains.values())) == pytest.approx(kappa(rate, 3), abs=0.01)


def test_several_trainings_are_one_comparison():
    labels = np.array([[0, 1, 1], [0, 1, 1]])
    ours, theirs = np.array([[0, 1, 0], [0, 1, 1]]), np.array([[0, 0, 1], [1, 0, 1]])
    found = paired(ours, theirs, labels)
    assert found.difference == pytest.approx((0.5 + 1 - 0.5) / 3)
    assert found.discordant == pytest.approx((0.25 + 1 + 0.25) / 3)
    assert found.disagreement == pytest.approx(4 / 6)


def test_an_interval_holds_the_accuracy():
    low, high = interval(0.6, 100)
    z, p, n = 1.959964, 0.6, 100  # Wilson's, written out
    middle, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    np.testing.assert_allclose(
        [low, high], np.array([middle - half, middle + half]) / (1 + z**2 / n), rtol=1e-6
    )


# ----------------------------------------------------------------------------------------------- the choice


def tried(accuracy, fit, *, error=None, **overrides):
    """A candidate that is right on the first so many of 1,000 held-out labels."""
    classes = (np.arange(1000) < accuracy * 1000).astype(int)
    return Candidate(
        overrides, error, (Path("run/tune/trials/0000"),), classes[None], np.ones((1, 1000), int), fit
    )


@pytest.fixture
def rated(monkeypatch):
    """An audit that says 20%."""
    rate = choice.Rate(0.2, 0.3, 10, kappa_of_pairs(np.eye(10)), tuple("0123456789"), None)
    monkeypatch.setattr(choice, "estimate", lambda workdir, accuracy: rate)


def test_what_is_taken_among_equal_candidates(rated):
    # Behind by k of the same 1,000 labels: by more than chance if k > 2 sqrt(k), from k = 5 on.
    all_of = [
        tried(0.700, 0.95, a=1), tried(0.697, 0.80, a=2), tried(0.696, 0.75, a=3), tried(0.695, 0.6, a=4),
        tried(0.7, 0.5, a=5, error="NonFiniteError: at step 3"),
    ]  # fmt: skip
    verdicts = {ties: choice.decide(all_of, ties, {"a": 2}) for ties in ("best", "least_fitted", "own")}
    assert {ties: each.taken for ties, each in verdicts.items()} == {"best": 0, "least_fitted": 2, "own": 1}
    verdict = verdicts["best"]
    assert verdict.equal == [0, 1, 2]
    assert verdict.against[3].behind == pytest.approx(0.005)
    assert verdict.against[3].chance == pytest.approx(2 * np.sqrt(0.005 / 1000))
    factor = 1 - 0.2 * 10 / 9
    between = np.sqrt(0.003 / 1000) + np.sqrt(0.004 / 1000)  # twice the mean: of two the median
    assert verdict.resolution == pytest.approx(between / factor)
    alone = choice.decide([all_of[0], all_of[3]], "best", {})
    assert alone.resolution == pytest.approx(2 * np.sqrt(0.005 / 1000) / factor)
    assert choice.decide(all_of, "own", {"a": 4}).taken == 0  # which is told from the best

    stored, text = page.as_json(verdict), page.text(verdict)
    assert stored["noise_rate"]["kappa"] == pytest.approx(factor)
    assert stored["candidates"][4] == {"overrides": {"a": 5}, "error": "NonFiniteError: at step 3"}
    assert "NonFiniteError" in page.markdown(verdict)
    assert "κ = 0.78" in text
    assert "differences from 0.5 points on" in text
    assert "3 of 4 candidates are equal" in text
    with pytest.raises(SweepFailedError, match="all 1 candidates failed; the first: NonFinite"):
        choice.decide(all_of[4:], "best", {})


# ------------------------------------------------------------------------------------------------ the space


def test_the_grid_has_the_config_itself_and_no_run_twice():
    for loss, number in (
        ({"name": "cross_entropy"}, 18),
        ({"name": "gradient_rescaling", "lam": 0.5, "beta": 8.0, "epsilon": 0.1}, 18),
        ({"name": "mae"}, 21),
    ):
        base = config.resolve({**LAYER, "loss": loss})
        grid = space.grid(base)
        assert len(grid) == number
        assert space.own(base) in grid
        assert Sweep(base, grid).configs()  # possible, and no two the same


@pytest.mark.parametrize(
    ("layer", "trials", "message"),
    [
        ({"data": {"validation_fraction": 0.1}}, None, "data.validation_fraction: must be left out"),
        ({}, product(over("noise.rate", [0.1, 0.2])), "trial 0: noise.rate: must be left out"),
        ({}, over("loss.name", ["mae"]), "two candidates or more"),
    ],
)
def test_what_cannot_be_compared_is_one_error(layer, trials, message):
    base = config.resolve(LAYER, layer)
    with pytest.raises(ConfigError, match=message):
        candidates.plan(base, Tune(), None if trials is None else Sweep(base, trials), {})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fraction": 1.0}, r"tune.fraction: must be in \(0, 1\), got 1.0"),
        ({"repetitions": 0}, "tune.repetitions: must be at least 1, got 0"),
        ({"ties": "first"}, "tune.ties: must be one of best, least_fitted, own, got 'first'"),
    ],
)
def test_options_out_of_range_are_one_error(options, message):
    with pytest.raises(ConfigError, match=message):
        Tune(**options)


# ---------------------------------------------------------------------------------------- from end to end


def two(trials=None):
    """A config, and two candidates of it."""
    base = config.resolve(LAYER)
    return base, Sweep(base, trials or over("optimizer.learning_rate", [1e-4, 0.1]))


def starts(workdir):
    """How often each run in a folder was started."""
    found = sorted(workdir.rglob("environment.json"))
    return {str(path.parent.relative_to(workdir)): len(json.loads(path.read_text())) for path in found}


def test_a_choice_is_made_on_noisy_labels_and_trained_on_everything(data_dir, tmp_path, capsys):
    base, sweep = two()
    found = tune(base, tmp_path, Tune(fraction=0.3, train=False), sweep=sweep)
    assert starts(tmp_path) == {"tune/trials/0000": 1, "tune/trials/0001": 1}
    # By hand, from what the runs have kept: the labels are those of the noise, and none of the test split.
    clean = config_labels(base)
    for number, candidate in enumerate(found["candidates"]):
        run = tmp_path / "tune" / "trials" / f"000{number}"
        with np.load(run / "predictions" / "24.npz") as kept, np.load(run / "noise.npz") as noise:
            labels, held_out = kept["validation_noisy_labels"], np.setdiff1d(list(clean), noise["ids"])
            assert candidate["accuracy"] == (kept["validation_noisy_classes"] == labels).mean()
        assert found["held_out_examples"] == len(held_out) == len(labels)
        wrong = (labels != [clean[i] for i in held_out.tolist()]).mean()
        assert wrong == pytest.approx(0.4, abs=0.1)
    assert "the best learning rate is the highest that was tried" in capsys.readouterr().out
    assert found["taken"] == found["best"] == 1
    assert found["overrides"] == {"optimizer.learning_rate": 0.1}
    assert 0 <= found["noise_rate"]["estimated"] <= found["noise_rate"]["at_most"]
    assert not found["candidates"][0]["equal"]
    assert json.loads((tmp_path / "tune.json").read_text()) == found
    assert "| taken | learning_rate=0.1 |" in (tmp_path / "tune.md").read_text()

    # As after a kill: what is finished is not run again, and the rest follows.
    capsys.readouterr()
    assert tune(base, tmp_path, Tune(fraction=0.3), sweep=sweep) == found
    assert starts(tmp_path) == {".": 1, "tune/trials/0000": 1, "tune/trials/0001": 1}
    assert "resolution: " in capsys.readouterr().out
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert "validation_noisy_accuracy_last" not in summary
    with np.load(tmp_path / "noise.npz") as noise:
        assert sorted(noise["ids"].tolist()) == sorted(clean)
    assert report.write_report([tmp_path]).exists()
    with pytest.raises(WorkdirError, match="holds another sweep"):
        tune(base, tmp_path, Tune(fraction=0.2), sweep=sweep)


def config_labels(base):
    """The right label of each training example of a config, by id."""
    train = corruption.load(base).splits["train"]
    return dict(zip(train.ids.tolist(), train.labels.tolist(), strict=True))


def test_a_run_that_tune_did_not_begin_is_left_alone(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    base, sweep = two()
    with pytest.raises(WorkdirError, match="holds a run that tune did not begin"):
        tune(base, tmp_path, sweep=sweep)


def test_candidates_that_optuna_draws(data_dir, tmp_path):
    base = config.resolve(LAYER, {"train_steps": 4, "eval_every_steps": 4})
    space_of = over("optimizer.learning_rate", [FloatDistribution(0.01, 0.3, log=True)])
    trials = product(over("loss.name", ["cross_entropy", "mae"]), space_of)
    found = tune(base, tmp_path, Tune(trials=2, repetitions=2, train=False), sweep=Sweep(base, trials))
    done = [each for each in found["candidates"] if each["error"] is None]
    assert len(found["candidates"]) == 4
    assert [each["overrides"]["loss.name"] for each in found["candidates"]] == ["cross_entropy"] * 2 + [
        "mae"
    ] * 2
    for each in done:  # the mean of both trainings
        kept = [np.load(tmp_path / run / "predictions" / "4.npz") for run in each["workdirs"]]
        right = [of["validation_noisy_classes"] == of["validation_noisy_labels"] for of in kept]
        assert each["accuracy"] == pytest.approx(np.mean(right))
    assert len(list((tmp_path / "tune" / "runs").iterdir())) == 8


CONFIG = """
from ml_collections import ConfigDict
def get_config():
    return ConfigDict({layer})
"""


def test_the_command_tunes_and_says_what_is_wrong_in_one_line(data_dir, tmp_path):
    file, layer = tmp_path / "mine.py", {**LAYER, "train_steps": 4, "eval_every_steps": 4}
    file.write_text(CONFIG.format(layer=layer))

    def run(*arguments):
        code = [sys.executable, "run.py", "tune", f"--config={file}", f"--workdir={tmp_path / 'run'}"]
        return subprocess.run([*code, *arguments], cwd=ROOT, text=True, capture_output=True, timeout=600)

    wrong = run("--config.tune.fractoin=0.1")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1), wrong.stderr
    assert "tune.fractoin: unknown key; did you mean 'fraction'?" in wrong.stderr
    done = run("--config.sweep.execution=vmapped", "--config.sweep.chunk=18", "--config.tune.ties=own")
    assert done.returncode == 0, done.stderr
    assert "18 of 18 trials" in done.stdout
    assert "taken: " in done.stdout
    assert json.loads((tmp_path / "run" / "config.json").read_text())["data"]["validation_fraction"] == 0
    assert (tmp_path / "run" / "summary.json").exists()
