"""The report of a run: numbers behind its figures, its files, and what it says of what is not there."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.integrate
import sklearn.metrics
from reported_runs import CLASSES, write_run

from grjax import config
from grjax.analysis.report import agreement, comparison, curves, labels, page, runs, style, svg, write_report
from grjax.errors import WorkdirError
from grjax.train import train_and_evaluate
from grjax.workdir import predictions
from grjax.workdir.metrics_file import read_rows

GR = {"name": "gradient_rescaling", "lam": 0.5, "beta": 8.0}
NOT_OF_ALL = ("Selection", "Emphasis", "Held-out data")  # sections of some runs only


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("gr"), loss=GR)


@pytest.fixture(scope="module")
def text(workdir):
    path = write_report([workdir])
    assert path == workdir / "report.html"
    return path.read_text()


@pytest.fixture(scope="module")
def run(workdir):
    return runs.read([workdir])[0]


@pytest.fixture(scope="module")
def stored(workdir):
    with np.load(workdir / "noise.npz") as arrays:
        return dict(arrays)


def heights(axes):
    """The heights of the bars of a panel, in the order in which they were drawn."""
    return [patch.get_data().values for patch in axes.patches]


def numbers(axes):
    """The matrix that a heat map has in its cells, in per cent."""
    matrix = np.zeros((CLASSES, CLASSES))
    for text in axes.texts:
        column, row = text.get_position()
        matrix[int(row), int(column)] = float(text.get_text())
    return matrix


def test_learning_curves_are_the_rows(run, workdir):
    rows = read_rows(workdir / "metrics.jsonl")
    (axes,) = curves.train_accuracy(run).figure.axes
    for line, key in zip(axes.lines, ("train_accuracy_intact", "train_accuracy_noisy"), strict=False):
        np.testing.assert_array_equal(line.get_xdata(), [row["epoch"] for row in rows])
        np.testing.assert_array_equal(line.get_ydata(), [row[key] for row in rows])
    assert axes.lines[2].get_ydata()[0] == 1 - run.noise.realised_rate

    drawing = curves.test_accuracy(run)
    accuracies = [row["test_accuracy"] for row in rows]
    assert f"ends at {accuracies[-1]:.3f} and is best with {max(accuracies):.3f}" in drawing.alt
    best = drawing.figure.axes[0].lines[1]
    assert (best.get_xdata()[0], best.get_ydata()[0]) == (np.argmax(accuracies), max(accuracies))


def test_bands_hold_the_middle_half(run, stored):
    (axes,) = curves.mean_p(run).figure.axes
    wrong = stored["clean_labels"] != stored["noisy_labels"]
    for band, members in zip(axes.collections, (~wrong, wrong), strict=True):
        p = np.sort(run.history.splits["train"].p[-1, members].astype(float))
        last = band.get_paths()[0].vertices
        at_end = last[last[:, 0] == run.epochs[-1], 1]
        assert np.mean(p < at_end.min()) == pytest.approx(0.25, abs=0.03)
        assert np.mean(p > at_end.max()) == pytest.approx(0.25, abs=0.03)


def test_histograms_count_each_group(run, stored, workdir):
    figure = agreement.histograms(run).figure
    wrong = stored["clean_labels"] != stored["noisy_labels"]
    for axes, step in zip(figure.axes, (3, 6, 12), strict=True):  # first after step 0, middle, last
        assert axes.get_title(loc="left") == f"epoch {step // 3}"
        with np.load(workdir / "predictions" / f"{step}.npz") as arrays:
            p = arrays["train_p"].astype(float)
        # Each group is drawn twice, filled and as a line.
        for drawn, group in zip(heights(axes), (p[~wrong], p[~wrong], p[wrong], p[wrong]), strict=True):
            bins = np.minimum((group * agreement.BINS).astype(int), agreement.BINS - 1)
            expected = [np.mean(bins == number) for number in range(agreement.BINS)]
            np.testing.assert_allclose(drawn, expected)


def test_weight_is_the_closed_form_over_all_examples(run, stored):
    figure = agreement.weight(run).figure
    lam, beta = GR["lam"], GR["beta"]

    def w(p):
        return np.exp(beta * p**lam * (1 - p))

    integral = scipy.integrate.quad(w, 0, 1)[0]
    wrong = stored["clean_labels"] != stored["noisy_labels"]
    p = run.history.splits["train"].p[-1].astype(float)
    last, right = figure.axes[2], figure.axes[-1]
    grid, drawn = right.lines[0].get_data()
    np.testing.assert_allclose(drawn, w(grid) / integral, rtol=1e-4)
    clean, mislabelled = heights(last)
    tops = [np.histogram(each, np.linspace(0, 1, agreement.BINS + 1))[0] / len(p) for each in (p[~wrong], p)]
    np.testing.assert_allclose(clean, tops[0])
    np.testing.assert_allclose(mislabelled, tops[1])  # on top of the clean ones
    share = w(p)[wrong].sum() / w(p).sum()
    assert last.get_title(loc="right") == f"{share:.0%} of the weight on wrong labels"

    line = agreement.weight_share(run).figure.axes[0].lines[0]
    np.testing.assert_allclose(line.get_ydata()[-1], share, rtol=1e-4)
    np.testing.assert_array_equal(line.get_xdata(), run.epochs)


@pytest.mark.parametrize(
    ("loss", "weight"),
    [
        ({"name": "gce", "q": 0.5, "normalization": "none"}, lambda p, _: 2 * p**0.5 * (1 - p)),
        ({"name": "cross_entropy", "normalization": "batch"}, lambda p, all_p: (1 - p) / np.mean(1 - all_p)),
        # beta as it is at step 6 of 12
        (
            {**GR, "normalization": "none", "beta": {"name": "linear", "start": 0.0, "end": 8.0}},
            lambda p, _: np.exp(4.0 * p**0.5 * (1 - p)),
        ),
    ],
)
def test_weight_is_divided_and_scheduled_as_in_training(loss, weight, tmp_path):
    run = runs.read([write_run(tmp_path / "run", loss=loss)])[0]
    figure = agreement.weight(run).figure
    grid, drawn = figure.axes[4].lines[0].get_data()  # over the middle panel
    all_p = run.history.splits["train"].p[2].astype(float)
    np.testing.assert_allclose(drawn, weight(grid, all_p), rtol=1e-4, atol=1e-6)


def test_matrices_are_those_of_counting(run, stored):
    predicted = run.history.splits["train"].classes[-1]
    given, clean = stored["noisy_labels"], stored["clean_labels"]
    for draw, rows, columns in (
        (labels.confusion, given, predicted),
        (labels.injected_transition, clean, given),
        (labels.estimated_transition, predicted, given),
    ):
        expected = 100 * sklearn.metrics.confusion_matrix(rows, columns, normalize="true")
        found = numbers(draw(run).figure.axes[0])
        np.testing.assert_allclose(found, np.where(expected < 0.5, 0, expected), atol=0.5)
    rates = f"estimated noise rate is {np.mean(predicted != given):.3f}"
    rates += f", the injected one {np.mean(clean != given):.3f}"
    assert rates in labels.estimated_transition(run).alt


def test_a_class_without_examples_has_no_row():
    found = labels.row_fractions(labels.counts(np.array([0, 0, 2]), np.array([0, 1, 2]), 3))
    np.testing.assert_array_equal(found, [[0.5, 0.5, 0], [np.nan] * 3, [0, 0, 1]])


def test_classes_stand_with_their_recall(run):
    axes = labels.class_accuracy(run).figure.axes[0]
    test = run.history.splits["test"]
    recall = sklearn.metrics.recall_score(test.labels, test.classes[-1], average=None)
    np.testing.assert_allclose(axes.lines[0].get_xdata(), np.sort(recall))
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == [f"class {label}" for label in np.argsort(recall, kind="stable")]


def test_labels_at_line_ends_do_not_touch():
    assert style.spread([0.2, 0.5], 0.1) == [0.2, 0.5]
    assert style.spread([0.5, 0.52, 0.53], 0.1) == pytest.approx([0.5, 0.6, 0.7])
    assert style.spread([0.95, 0.99, 1.0], 0.1) == pytest.approx([0.8, 0.9, 1.0])


def test_page_has_every_figure(workdir, text):
    # Its method keeps all, and sets no emphasis.
    names = [entry.name for entry in page.OF_A_RUN if entry.section not in NOT_OF_ALL]
    assert re.findall(r'<figure id="(\w+)"', text) == names
    assert text.count('<svg role="img" aria-label="') == len(names)
    files = sorted(each.name for each in (workdir / "report").iterdir())
    assert files == sorted(f"{name}.{ending}" for name in names for ending in ("png", "svg"))
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(set(ids)) == len(ids)
    assert set(re.findall(r"(?:href=.|url\()#([^\")]+)", text)) <= set(ids)
    assert not re.search(r"""(src|href)=["']?(https?:)?//|@import|url\(http""", text)
    drawings = "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))
    assert not any(colour.light in drawings for colour in style.THEME.values())


def test_provenance_is_on_the_page(workdir, text):
    written = json.loads((workdir / "noise.json").read_text())
    start = json.loads((workdir / "environment.json").read_text())[0]
    for value in (written["sha256"], start["packages"]["jax"], start["platform"], "loss.beta", "noise.seed"):
        assert value in text


def test_the_same_run_gives_the_same_files(tmp_path):
    path = write_run(tmp_path / "run", keep=False, epochs=2)
    write_report([path])
    files = [path / "report.html", path / "report" / "mean_p.svg", path / "report" / "mean_p.png"]
    first = [file.read_bytes() for file in files]
    write_report([path])
    assert [file.read_bytes() for file in files] == first


def test_config_of_others_is_text_and_no_markup(tmp_path):
    path = write_run(tmp_path / "run", keep=False, data="npz")
    values = json.loads((path / "config.json").read_text())
    values["data"]["dir"] = "<script>alert(1)</script>"
    (path / "config.json").write_text(json.dumps(values))
    text = write_report([path]).read_text()
    assert "<script" not in text
    assert "&lt;script&gt;" in text


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ({"loss": {"name": "elr", "lam": 3.0}}, {"weight": "elr depends on more than p"}),
        (
            {"keep": False, "finished": False},
            dict.fromkeys(("p_histograms", "weight", "confusion", "class_accuracy"), "kept no predictions"),
        ),
        (
            {"noise_section": {"name": "symmetric", "rate": 0.0}, "keep": False},
            {"memorisation": "no training label is known to be wrong"},
        ),
        (
            {
                "loss": {
                    "name": "gradient_rescaling",
                    "lam": 1.0,
                    "beta": [1.0, 2.0, 3.0, 4.0],
                    "per_class": True,
                }
            },
            {"weight_share": "differs by class"},
        ),
    ],
)
def test_what_cannot_be_drawn_says_why(options, missing, tmp_path, monkeypatch):
    monkeypatch.setattr(svg, "render", lambda figure, ending: b"<svg ></svg>")  # drawing them takes long
    path = write_run(tmp_path / "run", **options)
    stale = path / "report" / f"{next(iter(missing))}.png"
    stale.parent.mkdir()
    stale.touch()
    text = write_report([path]).read_text()
    for name, reason in missing.items():
        body = re.search(rf'<figure id="{name}".*?</figure>', text, re.DOTALL).group()
        assert "Not drawn" in body
        assert reason in body
    assert not stale.exists()
    assert ("is not finished: measured up to step 9 of 12" in text) == (not options.get("finished", True))


def test_a_run_of_own_data_without_predictions(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 4, 4), np.uint8)
    np.savez(tmp_path / "mine.npz", images=images, labels=np.repeat(["cat", "dog", "owl"], 20))
    settings = config.resolve(
        {
            "data": {"name": "npz", "dir": str(tmp_path / "mine.npz")},
            "noise": {"name": "pair_flip", "rate": 0.3},
            "model": {"name": "mlp", "hidden": (8,)},
            "batch_size": 16,
            "eval_batch_size": 16,
            "train_epochs": 2.0,
            "keep_predictions": False,
            "tensorboard": False,
        }
    )
    train_and_evaluate(settings, tmp_path / "run")
    text = write_report([tmp_path / "run"]).read_text()
    assert "cross_entropy on npz" in text
    assert (tmp_path / "run" / "report" / "injected_transition.svg").exists()
    assert not predictions.kept_steps(tmp_path / "run")


def test_several_runs_stand_in_one_table(tmp_path):
    paths = [
        write_run(tmp_path / "runs" / "gr", loss=GR, seed=1),
        write_run(tmp_path / "runs" / "ce", keep=False, finished=False),
        write_run(tmp_path / "elr", loss={"name": "elr", "lam": 3.0}, keep=False),
    ]
    for path in paths[:1]:
        assert comparison.differences(runs.read([path])) == []
    assert write_report(paths) == tmp_path / "report.html"
    text = (tmp_path / "report.html").read_text()
    found = runs.read(paths)
    assert [run.name for run in found] == ["runs/gr", "runs/ce", "elr"]
    assert comparison.differences(found) == ["loss.beta", "loss.lam", "loss.name"]
    rows = comparison.table(found)
    assert [row["results"]["test, last"] for row in rows] == [
        read_rows(path / "metrics.jsonl")[-1]["test_accuracy"] for path in paths
    ]
    assert rows[1]["differs"] == {"loss.beta": None, "loss.lam": None, "loss.name": "cross_entropy"}
    assert re.findall(r'<figure id="(\w+)"', text) == [
        entry.name for entry in page.OF_SEVERAL if entry.section != "Selection"
    ]
    assert "depends on more than p: elr" in text


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: (path / "config.json").unlink(), "no run there"),
        (lambda path: (path / "metrics.jsonl").unlink(), "no evaluation yet"),
        (lambda path: (path / "noise.npz").write_bytes(b"PK"), "noise.npz: cannot be read"),
        (lambda path: (path / "noise.json").write_text("{"), "noise.json: is damaged"),
        (lambda path: (path / "predictions" / "3.npz").write_bytes(b""), "3.npz: cannot be read"),
    ],
)
def test_damage_is_one_line(damage, message, tmp_path):
    path = write_run(tmp_path / "run", epochs=1)
    damage(path)
    with pytest.raises(WorkdirError, match=message):
        write_report([path])
    assert not (path / "report.html").exists()


def test_command_line(tmp_path):
    root = Path(__file__).parent.parent
    command = [sys.executable, "run.py", "--mode=report", f"--workdir={tmp_path}"]
    done = subprocess.run(command, cwd=root, text=True, capture_output=True)
    assert done.returncode == WorkdirError.exit_code
    assert done.stderr.startswith("WorkdirError: --workdir=")
    assert done.stderr.count("\n") == 1
