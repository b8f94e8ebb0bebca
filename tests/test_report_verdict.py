"""The verdict at the top of a report: on both sides of each threshold, and what it is computed from."""

import dataclasses
import re

import numpy as np
import pytest
from reported_runs import write_run

from grjax.analysis import suspects
from grjax.analysis.report import page, runs, verdict, write_report
from grjax.analysis.report.verdict import (
    CLOSE,
    FELL,
    LEARNED,
    MEMORISED,
    OVERFITTED,
    PARTLY_MEMORISED,
    RISING,
)

LITTLE = 1e-6


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return runs.read([write_run(tmp_path_factory.mktemp("run"), epochs=10)])[0]


def run_with(written, accuracies, name="a run", seed=0, **last):
    """The run with another curve of the test accuracy, and other numbers in its last row."""
    rows = [row | {"test_accuracy": float(each)} for row, each in zip(written.rows, accuracies, strict=True)]
    rows[-1] = rows[-1] | last
    config = written.config | {"init_seed": seed}
    return dataclasses.replace(written, rows=rows, name=name, config=config)


def flat(value):
    """A curve of 11 evaluations that jumps to its value at once."""
    return [0.25] + [value] * 10


def headlines(found):
    return [statement.headline for statement in found.statements]


@pytest.mark.parametrize(
    ("memorised", "kind", "headline"),
    [
        (PARTLY_MEMORISED - LITTLE, "good", "The wrong labels are not memorised."),
        (PARTLY_MEMORISED, "warning", "The wrong labels are partly memorised."),
        (MEMORISED - LITTLE, "warning", "The wrong labels are partly memorised."),
        (MEMORISED, "warning", "The wrong labels are memorised."),
    ],
)
def test_memorised_or_not(written, memorised, kind, headline):
    found = verdict.of_run(run_with(written, flat(0.9), memorisation=memorised))
    first = found.statements[0]
    assert (first.kind, first.headline) == (kind, headline)
    number = int(written.noise.mislabelled.sum())
    assert f"the wrong label for {memorised:.0%} of the {number} mislabelled examples" in first.text
    # The run has cross-entropy.
    advised = any("loss.name=gradient_rescaling" in (each.command or "") for each in found.advice)
    assert advised == (kind == "warning")


@pytest.mark.parametrize(
    ("gap", "headline"),
    [
        (OVERFITTED - LITTLE, "There is no sign that wrong labels are memorised."),
        (OVERFITTED + LITTLE, "Wrong labels may be memorised."),
    ],
)
def test_where_no_label_is_known_to_be_wrong_the_gap_to_the_test_speaks(written, gap, headline):
    clean = dataclasses.replace(written.noise, labels=written.noise.clean)
    run = dataclasses.replace(
        run_with(written, flat(0.8), memorisation=None, train_accuracy_noisy=0.8 + gap), noise=clean
    )
    assert headlines(verdict.of_run(run))[0] == headline


@pytest.mark.parametrize(
    ("best", "headline"),
    [(0.8 + FELL - LITTLE, "stays close to its best."), (0.8 + FELL + LITTLE, "has fallen from its best.")],
)
def test_last_against_best(written, best, headline):
    accuracies = flat(0.8)
    accuracies[4] = best
    found = verdict.of_run(run_with(written, accuracies))
    assert found.statements[1].headline == f"The test accuracy {headline}"
    assert f"ends at 0.800; the best was {best:.3f}, at epoch 4" in found.statements[1].text
    assert any("fewer epochs: the best was at epoch 4 of 10" in each.text for each in found.advice) == (
        headline == "has fallen from its best."
    )


@pytest.mark.parametrize("added", [RISING - LITTLE, RISING + LITTLE])
def test_still_rising(written, added):
    accuracies = flat(0.8)
    accuracies[-1] = 0.8 + added
    found = verdict.of_run(run_with(written, accuracies))
    rising = added > RISING
    assert (found.statements[1].headline == "The test accuracy is still rising.") == rising
    assert (("Train longer.", "--config.train_epochs") in found.advice) == rising


@pytest.mark.parametrize("part", [LEARNED - LITTLE, LEARNED + LITTLE])
def test_a_network_that_has_not_learned_gets_no_other_verdict(written, part):
    found = verdict.of_run(run_with(written, flat(0.25 + part * 0.75)))
    learned = part > LEARNED
    assert (headlines(found) == ["The network has not learned its task."]) != learned
    assert found.advice[0].text.startswith("Train longer, or with a higher learning rate") != learned


def test_suspected_labels_are_those_of_an_audit(written):
    audit = suspects.find(written.history, written.class_names)
    statement = verdict.of_run(run_with(written, flat(0.9), memorisation=0.0)).statements[2]
    assert statement.headline == f"{audit.suspected.sum()} of 96 labels are suspected to be wrong."
    right = written.noise.mislabelled[audit.suspected].mean()
    assert statement.text == (
        f"The estimated noise rate is {audit.noise_rate:.3f}, the realised one "
        f"{written.noise.realised_rate:.3f}; {right:.0%} of the suspected labels are wrong."
    )
    assert audit.suspected.any()
    memorised = verdict.of_run(run_with(written, flat(0.9), memorisation=MEMORISED)).statements[2]
    assert memorised.kind == "warning"
    assert memorised.text.endswith("A network that has memorised wrong labels does not suspect them.")
    without = dataclasses.replace(run_with(written, flat(0.9)), history=None)
    assert headlines(verdict.of_run(without))[2] == "Suspected labels are not known."


@pytest.mark.parametrize("count", [48, 49])
def test_more_suspects_than_half_are_doubted(written, monkeypatch, count):
    audit = suspects.find(written.history, written.class_names)
    many = dataclasses.replace(audit, suspected=np.arange(96) < count)
    monkeypatch.setattr(suspects, "find", lambda *_: many)
    found = verdict.of_run(run_with(written, flat(0.9), memorisation=0.0))
    doubted = count > 48
    assert (found.statements[2].kind == "warning") == doubted
    assert any(each.text.startswith("Do not trust") for each in found.advice) == doubted
    assert any("grjax audit" in each.command for each in found.advice) != doubted


@pytest.mark.parametrize(
    ("ends", "headline"),
    [
        ((0.9, 0.9 - CLOSE + LITTLE), "The best two are close to each other."),
        ((0.9 - CLOSE - LITTLE, 0.9), "b ends highest."),
        ((0.5, 0.6, 0.9), "c ends highest."),
    ],
)
def test_several_runs_are_ranked_by_their_last_epoch(written, ends, headline):
    rows = [
        run_with(written, [*flat(1.0)[:-1], end], name=name) for name, end in zip("abc", ends, strict=False)
    ]
    losses = ["cross_entropy", "gce", "mae"]
    several = [
        dataclasses.replace(run, config=run.config | {"loss": {"name": loss}})
        for run, loss in zip(rows, losses, strict=False)
    ]
    found = verdict.of_runs(several)
    assert headlines(found)[0] == headline
    for end in ends:
        assert f"{end:.3f}" in found.statements[0].text


def test_runs_that_differ_in_seeds_alone_are_a_mean(written):
    several = [run_with(written, flat(end), name=str(end), seed=seed) for seed, end in enumerate((0.8, 0.9))]
    statement = verdict.of_runs(several).statements[0]
    assert statement.headline == "The runs differ in their seeds alone."
    assert "0.850 ± 0.071 over 2 runs" in statement.text


@pytest.mark.parametrize(
    ("memorised", "headline"),
    [
        ((0.0, PARTLY_MEMORISED - LITTLE), "No run has memorised the wrong labels."),
        ((PARTLY_MEMORISED, 0.1), "b has memorised the fewest wrong labels."),
        ((MEMORISED - LITTLE, MEMORISED), "a has memorised the fewest wrong labels."),
        ((MEMORISED, 0.9), "Every run has memorised the wrong labels."),
    ],
)
def test_memorisation_of_several_runs(written, memorised, headline):
    several = [
        run_with(written, flat(0.9), name=name, memorisation=each)
        for name, each in zip("ab", memorised, strict=True)
    ]
    assert headlines(verdict.of_runs(several))[1] == headline


def test_the_page_begins_with_the_verdict(tmp_path):
    path = write_run(tmp_path / "run", keep=False, epochs=2)
    text = write_report([path]).read_text()
    (run,) = runs.read([path])
    shown = text[: text.index('<dl class="facts">')]
    for statement in verdict.of_run(run).statements:
        assert statement.headline in shown
    assert '<section id="verdict">' in shown


def test_every_figure_says_in_one_sentence_what_to_look_for():
    for entry in (*page.OF_A_RUN, *page.OF_SEVERAL, *page.OF_A_SWEEP):
        assert re.fullmatch(r"Look for [^.!?]+\.", entry.look_for), entry.name
