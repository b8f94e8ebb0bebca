"""Held-out alignment: a second implementation, the expectation over noisy labels, its file and its figure."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reported_runs import write_run
from small_runs import small

from grjax import experiment, noise
from grjax.analysis import alignment
from grjax.analysis.report import alignment as figure
from grjax.analysis.report import runs, write_report
from grjax.errors import ConfigError, WorkdirError
from grjax.train import train_and_evaluate
from grjax.workdir import alignments
from grjax.workdir.alignments import Alignment

HOLDING_OUT = {
    "model": {"name": "mlp", "hidden": (6,)},
    "data": {"validation_fraction": 0.1, "validation_labels": "noisy"},
}


@pytest.fixture(scope="module")
def tiny():
    """An experiment that holds examples out, and its first state."""
    parts = experiment.create(small(**HOLDING_OUT))
    return parts, parts.init_state()


@pytest.fixture(scope="module")
def measured(tiny):
    return alignment.align(*tiny, step=0)


def seen(parts, split):
    """The examples of a split as the network sees them, float64 [N, D], and their labels."""
    mean, std = parts.statistics()
    images = np.asarray(parts.dataset.splits[split].images, np.float64)
    return ((images - mean) / std).reshape(len(images), -1), parts.labels(split)


def probabilities(params, x):
    """Softmax of the MLP [B, C] in NumPy, and its hidden layer."""
    hidden = np.maximum(x @ params["w1"] + params["b1"], 0)
    z = hidden @ params["w2"] + params["b2"]
    z = np.exp(z - z.max(-1, keepdims=True))
    return z / z.sum(-1, keepdims=True), hidden


def test_alignment_is_how_fast_a_step_lowers_the_held_out_error(tiny, measured):
    """NumPy in float64: backpropagation for one example, then the error on both sides of the step."""
    parts, state = tiny
    layers = state.learner.params
    params = {
        name: np.asarray(layers[layer][kind], np.float64)
        for name, layer, kind in (
            ("w1", "fc1", "kernel"), ("b1", "fc1", "bias"), ("w2", "fc", "kernel"), ("b2", "fc", "bias"),
        )
    }  # fmt: skip
    x, labels = seen(parts, "train")
    held_x, held_labels = seen(parts, "validation_noisy")
    assert measured.examples == len(held_labels)
    assert measured.split == "validation_noisy"

    def error(params):
        return 1 - probabilities(params, held_x)[0][np.arange(len(held_labels)), held_labels].mean()

    expected, p = [], []
    chosen = np.arange(0, len(x), 61)
    for one in chosen:
        softmax, hidden = (each[0] for each in probabilities(params, x[[one]]))
        p.append(softmax[labels[one]])
        d = (softmax - np.eye(10)[labels[one]]) / (2 * (1 - p[-1]))
        assert np.abs(d).sum() == pytest.approx(1)
        back = (params["w2"] @ d) * (hidden > 0)
        gradient = {"w1": np.outer(x[one], back), "b1": back, "w2": np.outer(hidden, d), "b2": d}
        before, after = (
            error({key: value - eta * gradient[key] for key, value in params.items()})
            for eta in (-1e-6, 1e-6)
        )
        expected.append((before - after) / 2e-6)
    found = measured.alignments.mean(0)[chosen]
    assert {True, False} == set(np.array(expected) > 0)  # the sign is checked on both sides
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_allclose(measured.p[chosen], p, rtol=1e-4)


def test_parts_of_the_held_out_examples_differ(measured):
    assert measured.alignments.shape == (alignment.PARTS, len(measured.p))
    assert (measured.alignments.std(0) > 0).mean() > 0.99


def test_two_equal_networks_and_an_average_count_as_documented(tiny, measured):
    """The mean of the logits of two equal networks: half of each Jacobian, half of each gradient."""
    parts = experiment.create(small(**HOLDING_OUT, **{"method.name": "co_teaching", "method.average": 0.9}))
    state = parts.init_state()
    params = tiny[1].learner.params
    networks = tuple(
        network.replace(average=network.average.replace(params=params)) for network in state.learner.networks
    )
    state = state.replace(learner=state.learner.replace(networks=networks))
    found = alignment.align(parts, state, 0).alignments
    np.testing.assert_allclose(found, measured.alignments / 2, rtol=1e-4, atol=1e-6)


def test_under_symmetric_noise_the_expected_gradient_is_shrunken_and_not_turned():
    classes, rate, rng = 5, 0.4, np.random.default_rng(0)
    x, clean = rng.normal(size=(7, 3)).astype(np.float32), rng.integers(0, classes, 7)
    weights = rng.normal(size=(3, classes)).astype(np.float32)

    def error(weights, labels):
        return 1 - alignment.label_probability(x @ weights, labels)

    gradients = np.stack(  # [C, examples, 3, C]: of each example with each label
        [jax.jacrev(error)(weights, jnp.full(7, label)) for label in range(classes)]
    )
    transition = noise.transition("symmetric", classes, rate=rate)
    expected = np.einsum("ic,cijk->jk", transition[clean], gradients)
    kappa = 1 - rate * classes / (classes - 1)
    np.testing.assert_allclose(expected, kappa * gradients[clean, np.arange(7)].sum(0), atol=1e-6)


def test_unit_gradient_where_p_rounds_to_one():
    found = alignment.unit_gradient(jnp.array([[200.0, 0.0, 0.0], [0.0, 0.0, 200.0]]), jnp.array([0, 0]))
    np.testing.assert_allclose(found, [[-0.5, 0.25, 0.25], [-0.5, 0.0, 0.5]], atol=1e-7)


def made_up(examples, step=12, seed=0):
    """Alignments that are p - 0.3, and 0.1 more or less by part."""
    p = np.random.default_rng(seed).uniform(0, 1, examples).astype(np.float32)
    parts = np.array([[-0.1], [0.1], [-0.1], [0.1]], np.float32)
    return Alignment(step, p, p - np.float32(0.3) + parts, "validation_noisy", 40)


def test_curve_is_the_mean_of_each_bin_and_turns_where_it_should():
    whole = made_up(4000)
    members = whole.p < 0.9
    curve = figure.curve_of(whole, members)
    assert len(curve.p) == 18
    np.testing.assert_allclose(curve.mean, curve.p - 0.3, atol=1e-5)
    inside = whole.p[(whole.p >= 0.25) & (whole.p < 0.3)]
    assert curve.examples[5] == len(inside)
    of_parts = np.std([-0.1, 0.1, -0.1, 0.1], ddof=1) / 2
    np.testing.assert_allclose(
        curve.error[5], np.hypot(np.std(inside, ddof=1) / np.sqrt(len(inside)), of_parts), rtol=1e-4
    )
    assert figure.sign_change(curve) == pytest.approx(0.3, abs=1e-4)
    assert figure.sign_change(curve._replace(mean=abs(curve.mean))) is None
    assert figure.sign_change(curve._replace(mean=-abs(curve.mean))) is None
    assert figure.sign_change(figure.curve_of(whole, whole.p < 0)) is None
    # A second change, at a higher p, where few examples are: the first counts.
    bumpy = np.where(curve.p > 0.87, -0.01, curve.mean)
    assert figure.sign_change(curve._replace(mean=bumpy)) == pytest.approx(0.3, abs=1e-4)


def test_report_draws_what_was_measured(tmp_path, monkeypatch):
    path = write_run(tmp_path / "run", examples=600)
    run = runs.read([path])[0]
    with pytest.raises(figure.UnavailableError, match="evaluate --alignment"):
        figure.held_out_alignment(run)
    for step in (3, 6, 9, 12):
        alignments.keep(path, made_up(600, step, seed=step))
    drawing = figure.held_out_alignment(run)
    panels = drawing.figure.axes
    assert [axes.get_title(loc="left") for axes in panels] == ["epoch 1", "epoch 2", "epoch 4"]
    wrong = run.noise.mislabelled
    last = made_up(600, 12, seed=12)
    for line, members in zip(panels[-1].lines[1:4], (np.ones(600, bool), ~wrong, wrong), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), figure.curve_of(last, members).mean)
    assert "turns from negative to positive at p = 0.30" in drawing.alt
    monkeypatch.setattr("grjax.analysis.report.svg.render", lambda figure, ending: b"<svg></svg>")
    assert '<figure id="held_out_alignment"' in write_report([path]).read_text()

    alignments.keep(path, made_up(599))
    with pytest.raises(
        WorkdirError, match=r"alignment_12\.npz: is of 599 training examples, noise\.npz of 600"
    ):
        figure.held_out_alignment(run)


def test_what_holds_nothing_out_is_refused():
    parts = experiment.create(small(**{"model": {"name": "mlp"}}))
    with pytest.raises(ConfigError, match=r"holds no examples out; .* data\.validation_fraction=0\.2"):
        alignment.align(parts, None, 0)


def test_the_command_writes_the_file_of_a_checkpoint(tmp_path):
    train_and_evaluate(small(**HOLDING_OUT, train_steps=2, eval_every_steps=2), tmp_path)
    arguments = ["evaluate", "--alignment", f"--workdir={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "run.py", *arguments],
        cwd=Path(__file__).parent.parent,
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "alignment_2.npz") in done.stdout
    [found] = alignments.read(tmp_path, len(np.load(tmp_path / "noise.npz")["ids"]))
    kept = np.load(tmp_path / "predictions" / "2.npz")["train_p"]
    np.testing.assert_allclose(found.p, kept, atol=1e-3)
    assert np.isfinite(found.alignments).all()
