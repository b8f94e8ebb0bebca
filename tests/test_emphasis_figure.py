"""Pictures of weights: what is in them, and what the command line says to mistakes."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from grjax import losses
from grjax.analysis import figures
from grjax.analysis import weights as pictures
from grjax.emphasis import PowerExponential, WeightFunction
from grjax.errors import ConfigError

# With the integral of each over p from 0 to 1.
CLOSED_FORMS = {
    "cross_entropy": (lambda p: 2 * (1 - p), 1),
    "mae": (lambda p: 2 * p * (1 - p), 1 / 3),
    "mse": (lambda p: 4 * p * (1 - p) ** 2, 1 / 3),
    "gce:q=0.5": (lambda p: 2 * p**0.5 * (1 - p), 8 / 15),
    "gradient_rescaling:lam=0,beta=2": (lambda p: np.exp(2 * (1 - p)), (np.exp(2) - 1) / 2),
    "truncated_gce:q=1,k=0.7": (lambda p: np.where(p > 0.7, 2 * p * (1 - p), 0), 0.072),
}
MODES = [0, 1 / 2, 1 / 3, 1 / 3, 0, 0.7]


def test_lines_are_the_closed_forms_and_dots_their_modes():
    weights = dict(map(pictures.parse, CLOSED_FORMS))
    raw, normalised = pictures.figure(weights).axes
    for panel in (raw, normalised):
        lines, dots = panel.lines[::2], panel.lines[1::2]
        assert [line.get_label() for line in lines] == list(weights)
        for line, dot, (weight, integral), mode in zip(
            lines, dots, CLOSED_FORMS.values(), MODES, strict=True
        ):
            p, w = line.get_data()
            assert (p[0], p[-1]) == (0, 1)
            norm = 1 if panel is raw else integral
            np.testing.assert_allclose(w, weight(p) / norm, rtol=2e-5, atol=1e-30)
            np.testing.assert_allclose(dot.get_xdata()[0], mode, atol=2e-3)
            np.testing.assert_allclose(dot.get_ydata()[0], np.max(weight(p)) / norm, rtol=0.02)


def test_scale_is_logarithmic_only_where_weights_are_far_apart():
    cross_entropy, flat = losses.weight("cross_entropy"), PowerExponential(1.0, 0.0)
    near = pictures.figure({"cross-entropy": cross_entropy, "flat": flat})
    assert [panel.get_yscale() for panel in near.axes] == ["linear", "linear"]
    assert len(near.axes[0].lines) == 3  # no mode where all weigh the same
    far = pictures.figure({"cross-entropy": cross_entropy, "GR": PowerExponential(1.0, 16.0)})
    assert [panel.get_yscale() for panel in far.axes] == ["log", "linear"]


def test_a_loss_of_p_alone_weighs_the_same_among_equal_others():
    log_odds = jnp.linspace(-8, 8, 33)
    expected = losses.weight("js").log_weight(log_odds)
    actual = pictures.EqualOthers(losses.create("js")).log_weight(log_odds)
    np.testing.assert_allclose(actual, expected, atol=1e-3)  # autodiff takes 1 - p from p


def test_any_loss_has_the_norm_of_its_gradient():
    _, weight = pictures.parse("label_smoothing:epsilon=0.1")
    p = np.array([0.1, 0.5, 0.99])
    # gradient softmax - target: at the label p - 0.91, and as much among the others
    np.testing.assert_allclose(
        jnp.exp(weight.log_weight(jax.scipy.special.logit(p))), 2 * abs(p - 0.91), rtol=1e-5
    )


def test_files_are_written_and_the_same_again(tmp_path, capsys):
    arguments = ["emphasis", "--losses", "gce", "mae", "--output", str(tmp_path / "new" / "two")]
    figures.main(arguments)
    written = [tmp_path / "new" / "two.png", tmp_path / "new" / "two.svg"]
    assert capsys.readouterr().out.split() == [str(path) for path in written]
    first = [path.read_bytes() for path in written]
    assert first[0].startswith(b"\x89PNG")
    assert b"<svg" in first[1]
    figures.main(arguments)
    assert [path.read_bytes() for path in written] == first
    figures.main([*arguments[:-1], str(tmp_path / "one.svg")])
    assert (tmp_path / "one.svg").read_bytes() == first[1]
    assert {path.name for path in tmp_path.iterdir()} == {"new", "one.svg"}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("gcee", "did you mean 'gce'"),
        ("elr", "loss.name: unknown name 'elr'"),  # has no weight without its memory
        ("gce:p=0.7", "loss.p: 'gce' has no such option"),
        ("gce:q='a'", "loss.q: 'gce' takes a number"),
        ("gce:q", "losses: must be as"),
        ("gce:0.7", "losses: must be as"),
        ("gce:q=", "losses: must be as"),
        ("gce:q=0.7)", "losses: must be as"),
        ("gce:**{}", "losses: must be as"),
        ("gce:q=__import__('os')", "losses: must be as"),
        ("gce:normalization='integral'", "loss.normalization: is not of the weight"),
        ("gradient_rescaling:lam=1", "loss.beta: 'gradient_rescaling' needs a value"),
        ("gce:q=[0.5,0.7]", "loss.q: must be a single value"),
        ("bi_tempered:t1=2", "loss.t1: must be in [0, 1], got 2"),
        ("aul:a=0.5", "loss.a: must be in (1, inf), got 0.5"),
        ("combined:a=-0.5", "must be finite"),
        ("truncated_gce:k=0.9999999999", "not 0 everywhere"),
    ],
)
def test_mistakes_are_one_line(spec, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        figures.main(["emphasis", "--losses", spec, "--output", str(tmp_path / "new" / "one")])
    assert stopped.value.code == ConfigError.exit_code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_own_weights_are_drawn(tmp_path):
    pictures.draw({"cube": WeightFunction(lambda p: p**3)}, tmp_path / "cube.png")
    assert (tmp_path / "cube.png").stat().st_size > 1000


def test_every_loss_of_p_alone_is_in_a_picture_of_the_documentation():
    drawn = {spec.partition(":")[0] for specs in pictures.FAMILIES.values() for spec in specs}
    assert set(losses.names_of_p_alone()) <= drawn
    assert drawn <= set(losses.names())
    folder = Path(__file__).parent.parent / "docs" / "figures" / "losses"
    assert {path.stem for path in folder.glob("*.svg")} == set(pictures.FAMILIES)
