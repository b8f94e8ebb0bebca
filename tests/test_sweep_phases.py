"""Sweeps that choose first: both phases through the engine; searches; and the tables of the paper."""

import dataclasses
import json
import math
import re

import optuna
import pytest
from ml_collections import ConfigDict

from grjax.analysis import mode_against_noise
from grjax.configs import (
    digits_lambda_beta,
    digits_methods,
    fashion_mnist_losses,
    fashion_mnist_methods,
    gr_table1,
    gr_table5,
    gr_table6,
    gr_table7,
    gr_table8,
    gr_table9,
    phuber_mnist_table,
    vehicles10_modes,
    vehicles10_regularisers,
)
from grjax.errors import ConfigError, NonFiniteError, PreemptedError, WorkdirError
from grjax.runs import Run
from grjax.sweep import Sweep, phases, product, results, search, seeds, selection
from grjax.sweep.selection import Search, Select
from grjax.sweep.table import Table, check

BASE = {
    "noise": {"name": "symmetric", "rate": 0.4},
    "model": {"name": "mlp", "hidden": (8,)},
    "optimizer": {"name": "momentum", "learning_rate": 0.1},
    "batch_size": 64,
    "train_steps": 6,
    "eval_every_steps": 6,
    "checkpoint_every_steps": 6,
    "tensorboard": False,
}
ROWS = {"CE": {"loss.name": "cross_entropy"}, "MSE": {"loss.name": "mse"}}
TABLE = Table("Digits", ROWS, {"all": {}}, baseline="CE")


def starts(folder):
    """How often each run was started."""
    return {
        path.parent: len(json.loads(path.read_text())) for path in sorted(folder.rglob("environment.json"))
    }


def test_a_sweep_chooses_then_trains_on_everything_then_writes_its_table(tmp_path, capsys):
    rates = [{"optimizer.learning_rate": rate} for rate in (1e-6, 0.1, 1e30)]  # the last ends in no number
    sweep = Sweep(
        ConfigDict(BASE),
        product(list(ROWS.values()), rates, seeds(range(2))),
        table=TABLE,
        select=Select(among=("optimizer.learning_rate",), seeds=seeds([7])),
        execution="vmapped",
        chunk=8,
    )
    phases.run(sweep, tmp_path, dry_run=True)
    assert "then 4 trials with what is chosen of each" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())

    found = phases.run(sweep, tmp_path)
    compared = results.read(tmp_path / "selection")
    assert [line["state"] for line in compared] == ["complete", "complete", "failed"] * 2
    for choice in json.loads((tmp_path / "selection.json").read_text())["choices"]:
        scores = [candidate["scores"] for candidate in choice["candidates"]]
        assert scores[2] == []
        best = 0 if scores[0] > scores[1] else 1
        assert choice["chosen"] == choice["candidates"][best]["overrides"]
        rows = [line for line in compared if line["overrides"].items() >= choice["setting"].items()]
        assert [line["summary"]["validation_accuracy_last"] for line in rows[:2]] == [
            scores[0][0],
            scores[1][0],
        ]
        assert all(line["config"]["data"]["validation_fraction"] == 0.2 for line in rows)
        final = [line for line in found if line["overrides"].items() >= choice["setting"].items()]
        assert [line["config"]["noise"]["seed"] for line in final] == [0, 1]
        for line in final:  # with what was chosen, on everything
            assert line["overrides"].items() >= choice["chosen"].items()
            assert line["config"]["data"]["validation_fraction"] == 0
    text = (tmp_path / "table.md").read_text()
    assert "| MSE | 0." in text
    assert "optimizer.learning_rate=1e+30: 1 failed" in text
    assert "Trials: 4 complete." in text

    before = starts(tmp_path)
    assert phases.run(sweep, tmp_path) == found
    assert starts(tmp_path) == before  # nothing is run again
    other = Sweep(sweep.base, product(sweep.trials[6:], [{"noise.rate": 0.2}]), select=sweep.select)
    with pytest.raises(WorkdirError, match="there is of another sweep"):
        phases.run(other, tmp_path)
    # One with a candidate less, or of another base, is not taken for this one, and its table not written.
    for other in (
        dataclasses.replace(sweep, trials=sweep.trials[:2] + sweep.trials[4:], table=None),
        dataclasses.replace(sweep, base=ConfigDict({**sweep.base.to_dict(), "eval_batch_size": 256})),
    ):
        with pytest.raises(WorkdirError, match="another sweep"):
            phases.run(other, tmp_path)
        assert (tmp_path / "table.md").read_text() == text


def searching(plan, **options):
    space = {"optimizer.learning_rate": optuna.distributions.FloatDistribution(1e-4, 1.0, log=True)}
    trials = product([ROWS["CE"], {**ROWS["MSE"], **space}], seeds([0]))
    return Sweep(ConfigDict(BASE), trials, select=Select(search=plan, **options))


@pytest.fixture
def trained(monkeypatch):
    """Training that is a formula: accuracy is best at a learning rate of 0.01. Returns the learning rates."""
    rates = []

    def train(runs, programs, display):
        [run] = runs
        rate = run.config.optimizer.learning_rate
        rates.append(rate)
        assert run.config.data.validation_fraction == 0.2
        accuracy = 1 - abs(math.log10(rate) + 2) / 4
        try:
            for step in (0, 3, 6):
                run.on_row({"step": step, "validation_accuracy": accuracy * step / 6})
        except Exception as error:
            return [error]
        if len(rates) in train.stops:
            raise train.stops[len(rates)]
        return [{"validation_accuracy_last": accuracy}]

    class NoPrograms:
        def programs(self, config, together):
            return None

        def run(self, config, workdir, on_row):
            return Run(config, workdir, None, on_row)

    train.stops = {}
    monkeypatch.setattr(search, "train_together", train)
    monkeypatch.setattr(search, "Shared", NoPrograms)
    rates_and_stops = rates, train.stops
    return rates_and_stops


def searched(sweep, folder):
    nothing_to_choose, choice = search.search(sweep, sweep.select, folder)
    assert nothing_to_choose.chosen == {}
    return choice


def test_a_search_draws_prunes_and_finds(tmp_path, trained):
    choice = searched(searching(Search(14)), tmp_path)
    assert len(choice.candidates) == 14
    assert len(set(trained[0])) == 14
    pruned = [candidate for candidate in choice.candidates if candidate.pruned]
    assert 1 < len(pruned) < 12
    assert all(candidate.scores == [] for candidate in pruned)
    best = min(trained[0], key=lambda rate: abs(math.log10(rate) + 2))
    assert choice.chosen == {"optimizer.learning_rate": best}
    assert 0.001 < best < 0.1


def test_a_search_without_a_pruner_prunes_nothing_and_learns(tmp_path, trained):
    choice = searched(searching(Search(20, pruner="none")), tmp_path)
    assert all(len(candidate.scores) == 1 for candidate in choice.candidates)
    distances = [abs(math.log10(rate) + 2) for rate in trained[0]]
    assert sum(distances[10:]) < 0.7 * sum(distances[:10])  # TPE looks where it was good


def test_a_search_that_was_stopped_goes_on_where_it_was(tmp_path, trained):
    rates, stops = trained
    sweep = searching(Search(8, sampler="random", pruner="none"))
    stops[4] = PreemptedError("SIGTERM")
    with pytest.raises(PreemptedError):
        searched(sweep, tmp_path)
    choice = searched(sweep, tmp_path)
    assert rates[3] == rates[4]  # taken up again
    assert len(set(rates)) == 8  # and nothing else is drawn twice
    assert [candidate.overrides["optimizer.learning_rate"] for candidate in choice.candidates] == [
        *rates[:3], *rates[4:]
    ]  # fmt: skip
    assert searched(sweep, tmp_path) == choice
    assert len(rates) == 9
    with pytest.raises(WorkdirError, match=r"holds another search \(num_trials, seed differ\)"):
        searched(searching(Search(9, sampler="random", pruner="none", seed=1)), tmp_path)
    longer = dataclasses.replace(sweep, base=ConfigDict({**BASE, "train_steps": 12}))
    with pytest.raises(WorkdirError, match=r"holds another search \(base differ\)"):
        searched(longer, tmp_path)


def test_a_candidate_that_fails_counts_and_is_not_chosen(tmp_path, trained):
    trained[1].update(dict.fromkeys(range(1, 4), NonFiniteError("the loss is nan")))
    choice = searched(searching(Search(4, pruner="none")), tmp_path)
    assert [candidate.failed for candidate in choice.candidates] == [1, 1, 1, 0]
    assert choice.chosen == choice.candidates[3].overrides


def test_every_seed_of_a_candidate_is_scored(tmp_path, trained):
    choice = searched(searching(Search(2, pruner="none"), seeds=seeds([5, 6])), tmp_path)
    assert [len(candidate.scores) for candidate in choice.candidates] == [2, 2]
    assert len(trained[0]) == 4


def test_what_is_searched_is_trained(tmp_path):
    sweep = searching(Search(2, sampler="random"))
    found = phases.run(sweep, tmp_path)
    made = selection.read(tmp_path / "selection.json")
    assert [len(choice.candidates) for choice in made] == [1, 2]
    assert [line["config"]["optimizer"]["learning_rate"] for line in found] == [
        0.1, made[1].chosen["optimizer.learning_rate"]
    ]  # fmt: skip


def test_an_impossible_space_shows_before_anything_runs(tmp_path):
    sweep = searching(Search(2))
    space = {"loss.betta": optuna.distributions.CategoricalDistribution(["a"])}
    wrong = Sweep(
        sweep.base, [{**ROWS["MSE"], **space, "noise.rate": 0.4, "nose.rate": 0.2}], select=sweep.select
    )
    with pytest.raises(ConfigError, match=r"nose.*unknown config key; did you mean"):
        phases.run(wrong, tmp_path / "new")
    assert not (tmp_path / "new").exists()


# How many trials compare candidates, and how many there are at a seed.
PAPER = [
    (gr_table1, "", 91, 84), (gr_table5, "", 0, 45), (gr_table6, "", 0, 8), (gr_table7, "", 0, 30),
    (gr_table8, "", 0, 16), (gr_table9, "", 0, 24),
    (gr_table9, "grid=true", 0, 72), (digits_lambda_beta, "", 192, 16), (phuber_mnist_table, "", 0, 20),
    (digits_methods, "", 0, 110), (fashion_mnist_methods, "", 0, 100), (fashion_mnist_losses, "", 0, 27),
    (vehicles10_regularisers, "", 0, 16), (vehicles10_modes, "", 64, 16),
]  # fmt: skip
# Nobody has published numbers for these.
OURS = (
    digits_lambda_beta, digits_methods, fashion_mnist_losses, fashion_mnist_methods, vehicles10_modes,
    vehicles10_regularisers,
)  # fmt: skip


@pytest.mark.parametrize(("config", "argument", "comparing", "a_seed"), PAPER)
@pytest.mark.parametrize("quick", [False, True])
def test_the_papers_tables_are_whole(config, argument, comparing, a_seed, quick):
    options = [*filter(None, [argument]), *(["quick=true"] if quick else ["num_seeds=1"])]
    sweep = config.get_sweep(",".join(options))
    configs = sweep.configs()
    keys = sweep.select.among if sweep.select else ()
    tables = sweep.table if isinstance(sweep.table, tuple) else (sweep.table,)
    for table in tables:
        check(table, sweep.trials, keys)
        assert bool(table.published) == (not quick and config not in OURS)
    if quick:
        assert {one.data.name for one in configs} == {"digits"}
        assert max(one.get("train_steps", 11) for one in configs) < 12
    elif sweep.select is None:
        assert len(configs) == a_seed
    else:
        assert len(selection.comparing_trials(sweep.select, sweep.trials)) == comparing
        assert len(selection.final_trials(_first_candidates(sweep))) == a_seed


def _first_candidates(sweep):
    choices = selection.choices(sweep.select, sweep.trials)
    return [dataclasses.replace(choice, candidates=choice.candidates[:1]) for choice in choices]


@pytest.mark.parametrize("config", [digits_methods, fashion_mnist_methods])
def test_some_rows_are_a_sweep_of_their_own(config):
    sweep = config.get_sweep("num_seeds=1,only=DivideMix")
    assert len(sweep.configs()) == 3 * 5
    assert {one.method.name for one in sweep.configs()} == {"divide_mix"}
    check(sweep.table, sweep.trials)
    assert sweep.table.baseline is None
    assert [
        trial for trial in config.get_sweep("num_seeds=1").trials if trial in sweep.trials
    ] == sweep.trials
    with pytest.raises(
        ConfigError, match=r"only: no row has 'DivideMax' in its name; there are CE, .*DivideMix"
    ):
        config.get_sweep("only=DivideMax")


@pytest.mark.parametrize("config", [module for module, argument, *_ in PAPER if not argument])
def test_a_table_says_what_it_is_not_and_refuses_what_it_does_not_know(config):
    with pytest.raises(ConfigError, match="argument"):
        config.get_sweep("num_sedes=3")


# The engine is that of the small sweeps above, and the tests above resolve the overrides.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "trials"),
    [
        (gr_table1, 24),
        (gr_table5, 18),
        (gr_table6, 16),
        (gr_table7, 24),
        (gr_table8, 16),
        (gr_table9, 24),
        (fashion_mnist_losses, 18),
        (vehicles10_regularisers, 16),
    ],
)
def test_quick_variants_of_the_papers_tables_run_whole(config, trials, tmp_path, compile_quickly):
    sweep = config.get_sweep("quick=true")
    assert phases.run(sweep, tmp_path / "dry", dry_run=True) == []
    found = phases.run(sweep, tmp_path)
    assert [result["state"] for result in found] == ["complete"] * trials
    text = (tmp_path / "table.md").read_text()
    assert f"Trials: {trials} complete." in text
    first = sweep.table[0] if isinstance(sweep.table, tuple) else sweep.table
    for row in first.trained():
        # In the first table, whose cells are the mean and standard deviation of two seeds.
        line = next(line for line in text.splitlines() if line.startswith(f"| {row} |"))
        assert len(re.findall(r"\d+\.\d+ ± \d+\.\d+", line)) == len(first.columns), line


@pytest.mark.slow
def test_the_quick_grid_runs_whole(tmp_path):
    phases.run(digits_lambda_beta.get_sweep("quick=true"), tmp_path)
    text = (tmp_path / "table.md").read_text()
    assert text.count("| λ=1 | 0.") == 2
    assert "Trials: 8 complete." in text
    modes = mode_against_noise.read(tmp_path)
    assert (modes.rates, modes.lams) == ([0.4, 0.8], [0.0, 1.0])
