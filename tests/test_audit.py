"""The label audit: what is suspected, what is written, and what it is worth where the truth is known."""

import csv
import html.parser
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from grjax import analysis, config
from grjax import mixture as mixtures
from grjax.analysis import audit_files, audit_page, cross_validation, relabel, suspects
from grjax.analysis.audit_run import audit_run
from grjax.analysis.relabel import Relabelling
from grjax.data.image_files import ImageFiles
from grjax.errors import ConfigError, WorkdirError
from grjax.noise import NoisyLabels
from grjax.progress import Display
from grjax.train import train_and_evaluate
from grjax.workdir.predictions import History, SplitHistory


def history(p, classes, labels):
    """Evaluations at steps 0, 10, 20 ..."""
    split = SplitHistory(np.asarray(p, np.float16), np.asarray(classes, np.uint8), np.asarray(labels))
    return History(10 * np.arange(len(p)), 100 + np.arange(len(labels)), {"train": split})


def noise_of(clean, labels):
    return NoisyLabels(100 + np.arange(len(clean)), np.asarray(clean), np.asarray(labels), 3, 0.5)


def test_the_mixture_finds_both_components_and_their_border():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.beta(2, 8, 4000), rng.beta(9, 2, 6000)])
    mixture = mixtures.fit_beta(values)
    assert mixture.low_weight == pytest.approx(0.4, abs=0.02)
    np.testing.assert_allclose(mixture.low, (2, 8), rtol=0.15)
    np.testing.assert_allclose(mixture.high, (9, 2), rtol=0.15)
    low, high = 0.4 * stats.beta.pdf(0.3, 2, 8), 0.6 * stats.beta.pdf(0.3, 9, 2)
    assert mixture.low_posterior(np.array([0.3]))[0] == pytest.approx(low / (low + high), abs=0.05)


def test_the_posterior_never_rises_where_the_tails_cross_again():
    mixture = mixtures.BetaMixture(0.3, (0.05, 0.05), (30.0, 2.0))
    grid = np.linspace(0, 1, 5001)
    assert mixture._posterior(np.array([0.999])) > mixture._posterior(np.array([0.9]))  # they do
    assert (np.diff(mixture.low_posterior(grid)) <= 0).all()
    assert mixtures.fit_beta(np.full(10, 0.9)) is None


def test_heaps_at_both_ends_are_two_components():
    # As of a network that is sure of everything; one beta with its mass at both ends fits them as well.
    values = np.concatenate([np.zeros(60), np.ones(500)])
    posterior = mixtures.fit_beta(values).low_posterior(values)
    assert (posterior[:60] > 0.9).all()
    assert (posterior[60:] < 0.1).all()


def test_score_suggestion_and_suspicion_of_six_examples():
    # Rows are evaluations; the first is before training, the last two are the second half of the others.
    p = [[0.3] * 6, [0.9, 0.1, 0.5, 0.2, 0.4, 0.9], [0.9, 0, 0.9, 0, 0.9, 0.99], [1, 0, 0.9, 0.1, 0.9, 0.97],
         [1, 0.1, 0.9, 0, 0.8, 0.98]]  # fmt: skip
    classes = [[2] * 6, [0, 1, 2, 2, 0, 1], [0, 2, 1, 2, 2, 1], [0, 2, 1, 2, 2, 1], [0, 2, 1, 2, 2, 1]]
    labels, clean = np.array([0, 0, 1, 1, 2, 1]), np.array([0, 2, 1, 2, 2, 0])
    audit = suspects.find(history(p, classes, labels), ("a", "b", "c"))
    np.testing.assert_allclose(audit.score, [0, 0.95, 0.1, 0.95, 0.15, 0.025], atol=1e-3)
    assert audit.suspected.tolist() == [False, True, False, True, False, False]
    assert audit.suggested.tolist() == [0, 2, 2, 2, 0, 1]  # where the given label won, the second choice
    assert audit.corrected.tolist() == [0, 2, 1, 2, 2, 1]
    assert audit.ids[audit.ranking].tolist() == [101, 103, 104, 102, 105, 100]
    assert audit.noise_rate == pytest.approx(1 / 3)
    np.testing.assert_allclose(audit.transition_matrix, [[1, 0, 0], [0, 1, 0], [1 / 3, 1 / 3, 1 / 3]])
    np.testing.assert_allclose(audit.last_p, p[-1], atol=1e-3)
    np.testing.assert_allclose(audit.mean_p, np.mean(p[1:], 0), atol=1e-3)
    assert np.isnan(audit.aum).all()
    truth = suspects.against_truth(audit, noise_of(clean, labels))
    # Wrong are 1, 3 and 5, of which the last has the third lowest score of six.
    assert truth["auroc"] == pytest.approx(7 / 9)
    assert truth["precision_at_noise_rate"] == pytest.approx(2 / 3)
    assert truth["suspected_precision"] == 1
    assert truth["suspected_recall"] == pytest.approx(2 / 3)
    assert truth["suggestion_accuracy_of_wrong"] == pytest.approx(2 / 3)
    assert truth["corrected_accuracy"] == pytest.approx(5 / 6)
    assert truth["given_accuracy"] == pytest.approx(1 / 2)


def test_labels_that_are_learned_are_not_suspected_whatever_the_mixture_says():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 500)
    late = np.where(np.arange(500) < 50, rng.beta(4, 12, 500), rng.beta(12, 2, 500))
    p = np.stack([np.full(500, 1 / 3), late])
    audit = suspects.find(history(p, [labels, labels], labels), ("a", "b", "c"))
    assert (audit.p_wrong > 0.5).any()
    assert not audit.suspected.any()


def test_where_the_network_is_sure_of_no_label_the_border_is_one_half():
    # As of pairs of classes confused in two of five: a mixture sees one kind, whose tail it calls the other.
    rng = np.random.default_rng(0)
    labels, late = rng.integers(0, 3, 500), rng.beta(6, 5, 500)
    classes = np.where(late < 0.5, (labels + 1) % 3, labels)
    audit = suspects.find(history([late, late], [classes, classes], labels), ("a", "b", "c"))
    assert mixtures.fit_beta(late.astype(np.float16)).low_posterior(np.array([0.3]))[0] < 0.5
    np.testing.assert_array_equal(audit.suspected, late.astype(np.float16) < 0.5)


def test_a_run_that_was_not_evaluated_says_so():
    with pytest.raises(ConfigError, match="evaluated after step 0"):
        suspects.find(history([[0.5]], [[0]], [0]), ("a", "b"))


@pytest.fixture(scope="module")
def run(tmp_path_factory, data_dir):
    """A run with 40% noise."""
    folder = tmp_path_factory.mktemp("run")
    layer = {
        "noise.rate": 0.4, "loss.name": "gradient_rescaling", "loss.lam": 1.0, "loss.beta": 8.0,
        "optimizer.learning_rate": 0.1, "model": {"name": "mlp", "hidden": (64,)}, "batch_size": 64,
        "train_steps": 200, "eval_every_steps": 20, "checkpoint_every_steps": 200, "tensorboard": False,
    }  # fmt: skip
    train_and_evaluate(config.resolve(config.unflatten(layer)), folder, display=Display(quiet=True))
    return folder


class Links(html.parser.HTMLParser):
    """Whatever a page would fetch, and its tags."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.fetched = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        given = dict(attributes)
        if tag != "a":
            self.fetched += [given[key] for key in ("src", "href") if key in given]


def test_an_audit_of_a_run_finds_the_injected_noise_and_is_written(run, tmp_path, capsys):
    workdir = Path(shutil.copytree(run, tmp_path / "run"))
    result = audit_run(workdir, export=True)
    truth = result["against_truth"]
    assert truth["auroc"] > 0.95
    assert truth["suspected_precision"] > 0.9
    assert truth["corrected_accuracy"] > truth["given_accuracy"] + 0.2
    assert json.loads((workdir / "audit.json").read_text()) == result
    assert "estimated noise rate" in capsys.readouterr().out

    lines = [json.loads(line) for line in (workdir / "audit.jsonl").read_text().splitlines()]
    with open(workdir / "audit.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["id"] for row in table] == [str(line["id"]) for line in lines]
    with np.load(workdir / "noise.npz") as noise:
        assert sorted(line["id"] for line in lines) == noise["ids"].tolist()
        given = dict(zip(noise["ids"].tolist(), noise["noisy_labels"].tolist(), strict=True))
    assert all(line["given_label"] == given[line["id"]] for line in lines)
    assert len(lines[0]["p"]) == 11
    assert all(line["suspected"] == (rank < result["num_suspected"]) for rank, line in enumerate(lines))
    assert sum(line["relabelled"] for line in lines) == result["num_relabelled"] == result["num_suspected"]
    assert result["kept_as_given"] == []

    pages = sorted(workdir.glob("audit*.html"))
    assert len(pages) == -(-result["num_suspected"] // 200) > 1
    for page in pages:
        found = Links(page.read_text())
        assert "script" not in found.tags
        assert all(link.startswith("data:") for link in found.fetched)
    first = Links((workdir / "audit.html").read_text())
    assert first.tags.count("img") == first.tags.count("svg") == 200
    assert sum(link.startswith("data:image/png") for link in first.fetched) == 200

    # Without its file, a run has the same dynamics in its latest checkpoint.
    csv_of_finished = (workdir / "audit.csv").read_bytes()
    (workdir / "dynamics.npz").unlink()
    audit_run(workdir)
    assert (workdir / "audit.csv").read_bytes() == csv_of_finished

    # The cleaned labels are a label file that a run trains on.
    layer = {"noise": {"name": "file", "path": str(workdir / "cleaned_labels.npz")}, "train_steps": 1}
    again = config.resolve(config.unflatten({"model.name": "mlp", "tensorboard": False, **layer}))
    summary = train_and_evaluate(again, tmp_path / "again", display=Display(quiet=True))
    assert summary["noise_rate_realised"] == pytest.approx(1 - truth["cleaned_accuracy"])


def test_an_export_says_which_labels_it_keeps(run, tmp_path, capsys, monkeypatch):
    workdir = Path(shutil.copytree(run, tmp_path / "run"))
    reason = "all of them are kept: for the test"
    monkeypatch.setattr(
        relabel, "decide", lambda given, *rest: Relabelling(np.zeros(len(given), bool), (reason,))
    )
    result = audit_run(workdir, export=True)
    assert result["num_relabelled"] == 0
    assert json.loads((workdir / "audit.json").read_text())["kept_as_given"] == [reason]
    assert reason in capsys.readouterr().out
    page = (workdir / "audit.html").read_text()
    assert "in place of 0 of them. All of them are kept: for the test." in page
    with np.load(workdir / "cleaned_labels.npz") as cleaned, np.load(workdir / "noise.npz") as noise:
        np.testing.assert_array_equal(cleaned["labels"], noise["noisy_labels"])
    assert result["against_truth"]["cleaned_accuracy"] == result["against_truth"]["given_accuracy"]


def relabelled(given, suspects, doubt=0.0, num_classes=4):
    """What of suspects {position: suggestion} is put in place, and why not the others."""
    given, suggested, score = np.asarray(given), np.array(given), np.full(len(given), doubt)
    suspected = np.zeros(len(given), bool)
    for position, label in suspects.items():
        suggested[position], suspected[position], score[position] = label, True, 1 - doubt
    names = ("ant", "bee", "cat", "dog")[:num_classes]
    found = relabel.decide(given, suggested, suspected, score, names)
    return found.relabelled, found.reasons


def test_suggestions_need_more_suspects_than_mistakes_that_the_network_expects():
    labels = np.repeat([0, 1, 2, 3], 25)
    few = {position: (labels[position] + 1) % 4 for position in range(0, 100, 11)}
    # It expects 100 times the doubt: 5.3 + 2 sqrt(5.3) < 10 < 5.4 + 2 sqrt(5.4).
    believed, reasons = relabelled(labels, few, doubt=0.053)
    assert (believed.sum(), reasons) == (10, ())
    kept, [reason] = relabelled(labels, few, doubt=0.054)
    assert not kept.any()
    assert reason.startswith(
        "all 10 suspected labels are kept: the network itself expects to be mistaken about 5"
    )
    assert relabelled(labels, {}, doubt=0.5)[1] == ()


def test_labels_of_a_class_that_the_network_has_given_up_are_kept():
    labels = np.repeat([0, 1, 2, 3], [12, 60, 60, 60])
    lost = dict.fromkeys(range(5), 1)  # 5 of 12
    others = {position: 2 + position % 2 for position in range(12, 28)}
    believed, [reason] = relabelled(labels, lost | others)
    assert np.flatnonzero(believed).tolist() == list(others)
    assert reason.startswith("5 of 21 suspected labels are kept: by the suggestions 'ant' would lose more")
    assert relabelled(labels, dict(list(lost.items())[:4]) | others)[0].sum() == 20  # 4 of 12 are a third
    # More than a quarter of all suggestions: then none is believed.
    believed, [reason] = relabelled(labels, lost | dict(list(others.items())[:14]))
    assert not believed.any()
    assert reason.startswith("all 19 suspected labels are kept: by the suggestions 'ant' would lose")


def test_an_audit_needs_the_predictions_and_the_same_noise(run, tmp_path):
    workdir = Path(shutil.copytree(run, tmp_path / "run"))
    with pytest.raises(ConfigError, match="takes the run's own config"):
        audit_run(workdir, {"loss.beta": 1.0})
    shutil.rmtree(workdir / "predictions")
    with pytest.raises(WorkdirError, match="keep_predictions"):
        audit_run(workdir)
    with pytest.raises(WorkdirError, match="no run there"):
        audit_run(tmp_path)


def test_names_and_pictures_of_any_kind_are_safe_on_a_page(tmp_path):
    p, classes = [[0.5, 0.5], [0.1, 0.9]], [[0, 1], [1, 1]]
    audit = suspects.find(history(p, classes, [0, 1]), ("<script>alert(1)</script>", 'a "b"'))
    for images in (
        np.zeros((2, 1, 1, 5), np.float32),  # features: no picture
        np.random.default_rng(0).normal(size=(2, 9, 7, 1)).astype(np.float32),
        np.zeros((2, 300, 200, 3), np.uint8),
        np.zeros((2, 9, 7, 2), np.uint8),
    ):
        (tmp_path / "audit_7.html").touch()  # of an audit before
        [page] = audit_page.write(audit, images, tmp_path, "a & b")
        found = Links(page.read_text())
        assert "script" not in found.tags
        assert found.tags.count("img") == (0 if images.shape[1] == 1 else 2)
        assert [path.name for path in tmp_path.glob("*.html")] == ["audit.html"]


def test_an_audit_names_the_files_of_the_images(tmp_path):
    names = ["four/<b>.png", "nine/1.png", os.fsdecode(b"nine/\xe9.png")]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    audit = suspects.find(history([[0.5] * 3, [0.9, 0.8, 0.1]], [[0] * 3, [0] * 3], [0, 0, 0]), ("a", "b"))
    assert audit.ranking.tolist() == [2, 1, 0]
    files = ImageFiles(tmp_path, names, 8)
    audit_files.write(audit, files, tmp_path)
    with open(tmp_path / "audit.csv", newline="", encoding="utf-8") as file:
        table = [row["file"] for row in csv.DictReader(file)]
    assert table == [rf"{tmp_path}/nine/\xe9.png", f"{tmp_path}/nine/1.png", f"{tmp_path}/four/<b>.png"]
    [page] = audit_page.write(audit, files, tmp_path, "zoo")
    assert "four/&lt;b&gt;.png</small>" in page.read_text(encoding="utf-8")


def test_arrays_are_audited_in_their_order_and_leave_nothing_behind(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "no data here"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    rng = np.random.default_rng(0)
    clean = rng.integers(0, 3, 120)
    features = 4 * np.eye(3)[clean] + rng.normal(size=(120, 3))
    names = np.array(["ant", "bee", "cat"])
    labels = names[clean]
    wrong = np.arange(120) % 10 == 3
    labels[wrong] = names[(clean[wrong] + 1) % 3]
    audit = analysis.audit(features, labels, {"train_epochs": 12, "eval_every_epochs": 2})
    assert audit.class_names == ("ant", "bee", "cat")
    assert audit.ids.tolist() == list(range(120))
    assert audit.suspected[wrong].mean() > 0.8
    assert audit.suspected[~wrong].mean() < 0.1
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr().out == ""
    with pytest.raises(ConfigError, match=r"images: must be numbers, .* got <U1 \[2\]"):
        analysis.audit(np.array(["a", "b"]), [0, 1])


@pytest.mark.parametrize("config", [{"noise.rate": 0.4}, {"open_set": {"name": "digits", "rate": 0.1}}])
def test_noise_of_a_config_is_refused_where_examples_are_held_out(config):
    section = next(iter(config)).partition(".")[0]
    with pytest.raises(ConfigError, match=f"{section}: must be left out where examples are held out, got"):
        analysis.audit(np.zeros((40, 2), np.float32), np.arange(40) % 2, config, folds=2)


def test_every_example_is_held_out_and_each_class_spread_evenly():
    labels = np.repeat([0, 1, 2], [7, 11, 4])
    parts = cross_validation.held_out_parts(labels, 5, seed=3)
    assert {len(part) for part in parts} == {5}  # 22 examples: three are held out twice
    times = np.bincount(np.concatenate(parts), minlength=22)
    assert sorted(times) == [1] * 19 + [2] * 3
    for part in parts:
        assert (np.diff(part) > 0).all()
        assert (np.abs(np.bincount(labels[part], minlength=3) - np.array([7, 11, 4]) / 5) <= 1).all()
    assert np.stack(parts).tolist() != np.stack(cross_validation.held_out_parts(labels, 5, 4)).tolist()


@pytest.mark.parametrize("folds", [1, 5, 2.0, True])
def test_folds_out_of_range_are_one_error(folds):
    with pytest.raises(ConfigError, match=f"folds: must be None or an integer from 2 to 4, got {folds}"):
        analysis.audit(np.eye(4), [0, 1, 0, 1], folds=folds)


def run_without(part, p, classes, labels):
    """A run at steps 0 and 10 that was not trained on the positions of `part`."""
    p, classes = np.asarray(p, np.float16), np.asarray(classes, np.uint8)
    ids = np.setdiff1d(np.arange(len(labels)), part)
    splits = {
        name: SplitHistory(p[:, at], classes[:, at], labels[at])
        for name, at in (("train", ids), ("test", part))
    }
    return History(np.array([0, 10]), ids, splits)


def test_folds_combine_what_runs_say_that_have_and_that_have_not_seen_the_example():
    labels, parts = np.array([2, 0, 1]), [np.array([0, 1]), np.array([0, 2]), np.array([0, 1])]
    p = [[[0] * 3, [0.2, 0.4, 0.5]], [[0] * 3, [0.4, 0.6, 0.3]], [[0] * 3, [0.9, 0.2, 0.7]]]
    classes = [[[1] * 3, [2, 1, 0]], [[1] * 3, [0, 1, 1]], [[1] * 3, [2, 0, 1]]]
    runs = [run_without(part, *each, labels) for part, *each in zip(parts, p, classes, strict=True)]
    history = cross_validation.combine(runs, parts, 3)
    train = history.splits["train"]
    # No run was trained on the first; the second was held out by the outer ones, the third by that between.
    np.testing.assert_allclose(train.p[1], [0.5, (0.6 + 0.3) / 2, (0.6 + 0.3) / 2], atol=1e-3)
    assert train.classes.tolist() == [[1] * 3, [2, 1, 1]]
    assert train.labels.tolist() == [2, 0, 1]
    assert history.ids.tolist() == [0, 1, 2]
    assert history.steps.tolist() == [0, 10]


def test_dynamics_of_folds_are_of_the_runs_that_saw_the_example():
    first = {"ids": np.array([0, 1, 2]), "count": np.array([2, 2, 0]), "aum": np.array([1.0, 3.0, np.nan]),
             "forgetting": np.array([-1, 1, -1])}  # fmt: skip
    second = {"ids": np.array([0, 1, 3]), "count": np.array([1, 6, 1]), "aum": np.array([-2.0, 1.0, 0.5]),
              "forgetting": np.array([-1, -1, 0])}  # fmt: skip
    both = cross_validation.combine_dynamics([first, second], 4)
    np.testing.assert_allclose(both["aum"], [0, 1.5, np.nan, 0.5])
    assert both["count"].tolist() == [3, 8, 0, 1]
    assert both["forgetting"].tolist() == [-1, 1, -1, 0]
    assert cross_validation.combine_dynamics([first, None], 4) is None


def test_an_audit_by_folds_keeps_their_runs(tmp_path):
    rng = np.random.default_rng(0)
    clean = rng.integers(0, 3, 91)
    features, names = 4 * np.eye(3)[clean] + rng.normal(size=(91, 3)), np.array(["ant", "bee", "cat"])
    wrong = np.arange(91) % 10 == 3
    labels = names[np.where(wrong, (clean + 1) % 3, clean)]
    fast = {"train_epochs": 8, "eval_every_epochs": 2, "model.hidden": (16,), "optimizer.learning_rate": 0.1}
    audit = analysis.audit(features, labels, fast, folds=2, workdir=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fold0", "fold1"]
    assert audit.class_names == ("ant", "bee", "cat")
    assert audit.ids.tolist() == list(range(91))
    assert (names[audit.given] == labels).all()
    assert audit.curves.shape == (5, 91)
    assert audit.suspected[wrong].mean() > 0.8
    assert audit.suspected[~wrong].mean() < 0.1
    with np.load(tmp_path / "fold0" / "own.npz") as own:
        assert len(own["ids"]) == 45
        assert not np.intersect1d(own["ids"], own["test_ids"]).size
        np.testing.assert_allclose(own["images"], features[own["ids"]], rtol=1e-6)
