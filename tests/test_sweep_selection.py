import itertools
import json

import pytest

from grjax.errors import ConfigError
from grjax.sweep import selection
from grjax.sweep.selection import Search, Select, choices, choose, comparing_trials, final_trials

SEEDS = [{"noise.seed": seed, "init_seed": seed} for seed in (0, 1)]
METHODS = [
    {"loss.name": "cross_entropy"},
    {"loss.name": "gradient_rescaling", "loss.lam": 0.0, "loss.beta": 1.0},
    {"loss.name": "gradient_rescaling", "loss.lam": 0.0, "loss.beta": 2.0},
    {"loss.name": "gradient_rescaling", "loss.lam": 1.0, "loss.beta": 8.0},
    {"loss.name": "gradient_rescaling", "loss.lam": 1.0, "loss.beta": 12.0},
]
TRIALS = [
    {**method, "noise.rate": rate, **seeds}
    for method, rate, seeds in itertools.product(METHODS, (0.2, 0.6), SEEDS)
]
SELECT = Select(
    among=("loss.beta",), seeds=({"noise.seed": 7, "init_seed": 7}, {"noise.seed": 8, "init_seed": 8})
)


def score(trial):
    """The larger beta is better where there is little noise, the smaller where there is much."""
    sign = 1 if trial["noise.rate"] < 0.5 else -1
    return 0.5 + 0.01 * sign * trial["loss.beta"] + 0.001 * trial["noise.seed"]


def lines(trials):
    return [
        {
            "trial": number,
            "overrides": trial,
            "state": "complete",
            # Test accuracy says the opposite: it must not be heard.
            "summary": {"validation_accuracy_last": score(trial), "test_accuracy_last": 1 - score(trial)},
        }
        for number, trial in enumerate(trials)
    ]


def test_candidates_are_compared_on_data_held_out():
    comparing = comparing_trials(SELECT, TRIALS)
    # Cross-entropy has nothing to choose; else 2 modes, 2 candidates, 2 rates, the 2 seeds of Select.
    assert len(comparing) == 2 * 2 * 2 * 2
    assert {trial["noise.seed"] for trial in comparing} == {7, 8}
    assert all(trial["data.validation_fraction"] == 0.2 for trial in comparing)
    assert all("data.validation_labels" not in trial for trial in comparing)
    noisy = comparing_trials(Select(among=("loss.beta",), metric="validation_noisy_accuracy_last"), TRIALS)
    assert all(trial["data.validation_labels"] == "noisy" for trial in noisy)
    assert {trial["noise.seed"] for trial in noisy} == {0, 1}  # by default the trials' own


def test_what_was_best_on_validation_is_trained_on_everything():
    made = choose(SELECT, TRIALS, lines(comparing_trials(SELECT, TRIALS)))
    final = final_trials(made)
    chosen = {(t["loss.lam"], t["noise.rate"], t["loss.beta"]) for t in final if "loss.lam" in t}
    assert chosen == {(0.0, 0.2, 2.0), (0.0, 0.6, 1.0), (1.0, 0.2, 12.0), (1.0, 0.6, 8.0)}
    assert (
        len(final) == (1 + 2) * 2 * 2
    )  # cross-entropy and two modes, at 2 rates, with the 2 seeds of the trials
    assert all(trial in TRIALS for trial in final)  # nothing is held out any more


def test_one_choice_may_be_made_among_several_keys():
    select = Select(among=("loss.lam", "loss.beta"), seeds=SEEDS)
    made = choose(select, TRIALS, lines(comparing_trials(select, TRIALS)))
    assert [choice.chosen for choice in made if len(choice.candidates) > 1] == [
        {"loss.lam": 1.0, "loss.beta": 12.0},
        {"loss.lam": 0.0, "loss.beta": 1.0},
    ]


def test_the_report_says_what_was_chosen_and_from_what(tmp_path):
    made = choose(SELECT, TRIALS, lines(comparing_trials(SELECT, TRIALS)))
    selection.write(SELECT, made, tmp_path / "selection.json")
    stored = json.loads((tmp_path / "selection.json").read_text())
    assert stored["metric"] == "validation_accuracy_last"
    assert stored["held_out"] == {"data.validation_fraction": 0.2}
    first = next(choice for choice in stored["choices"] if choice["setting"].get("loss.lam") == 0)
    assert first["setting"] == {"loss.name": "gradient_rescaling", "loss.lam": 0.0, "noise.rate": 0.2}
    assert first["chosen"] == {"loss.beta": 2.0}
    assert [candidate["overrides"]["loss.beta"] for candidate in first["candidates"]] == [1.0, 2.0]
    assert first["candidates"][1]["scores"] == pytest.approx([0.527, 0.528])
    assert selection.read(tmp_path / "selection.json") == made


def test_a_candidate_of_which_a_repetition_failed_is_not_chosen():
    content = lines(comparing_trials(SELECT, TRIALS))
    for line in content:
        trial = line["overrides"]
        if (trial["loss.beta"] == 12 and trial["noise.seed"] == 8) or trial["loss.lam"] == 0:
            line |= {"state": "failed", "summary": None}
    made = {(c.setting.get("loss.lam"), c.setting["noise.rate"]): c for c in choose(SELECT, TRIALS, content)}
    assert made[1.0, 0.2].chosen == {"loss.beta": 8.0}
    assert made[0.0, 0.2].chosen is None  # then its cell stays empty, and selection.json says why
    assert [candidate.failed for candidate in made[0.0, 0.2].candidates] == [2, 2]
    assert not [trial for trial in final_trials(list(made.values())) if trial.get("loss.lam") == 0]


def test_of_equal_candidates_the_first_is_chosen():
    content = lines(comparing_trials(SELECT, TRIALS))
    for line in content:
        line["summary"]["validation_accuracy_last"] = 0.5
    assert [c.chosen for c in choose(SELECT, TRIALS, content) if c.setting.get("loss.lam") == 1.0] == [
        {"loss.beta": 8.0}
    ] * 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Select(among=("loss.beta",), metric="test_accuracy_last"),
            "select.metric: must be of a validation split, .* got 'test_accuracy_last'",
        ),
        (lambda: Select(among=("noise.seed",)), "select.among: must be hyper-parameters, no seeds"),
        (lambda: Select(), "select: must have candidates, among keys of the trials or by a search"),
        (lambda: Select(among=("loss.beta",), search=Search(3)), "one of both"),
        (lambda: Search(0), "select.search.num_trials: must be at least 1, got 0"),
        (lambda: Search(3, sampler="grid"), "select.search.sampler: must be one of tpe, random, got 'grid'"),
        (lambda: choices(Select(search=Search(3)), TRIALS), "no trial has an Optuna distribution"),
        (
            lambda: Select(among=("loss.beta",), fraction=1.0),
            r"select.fraction: must be in \[0, 1\), got 1.0",
        ),
        (
            lambda: Select(among=("loss.beta",), seeds=({"loss.beta": 1},)),
            "select.seeds: must set some of noise.seed",
        ),
        (lambda: choices(Select(among=("loss.betta",)), TRIALS), "no trial sets 'loss.betta'"),
        (
            lambda: Select(among=("loss.beta",), metric="validation_acuracy_last"),
            "select.metric: unknown metric 'validation_acuracy_last'; did you mean 'validation_accuracy_",
        ),
        (
            lambda: choose(
                Select(among=("loss.beta",), metric="validation_noisy_accuracy_last"),
                TRIALS,
                lines(TRIALS[8:]),
            ),
            "'validation_noisy_accuracy_last' is not in the summary",
        ),
    ],
)
def test_what_cannot_be_selected_is_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
