"""Sweeps within a process: axes, mistakes, groups, and that a trial ends the same however it is run."""

import json

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict
from small_runs import final_state, rows

from grjax import config, experiment, losses
from grjax.config.files import ConfigFile
from grjax.errors import ConfigError, SweepFailedError, WorkdirError
from grjax.progress import Display
from grjax.sweep import Sweep, chained, engine, family, over, product, results, seeds, traced, zipped
from grjax.sweep.programs import Shared
from grjax.sweep.queue import open_storage
from grjax.together import Alone
from grjax.train import train_and_evaluate, train_together

BASE = {
    "noise": {"name": "symmetric", "rate": 0.4},
    "model": {"name": "cnn", "features": (8,), "hidden": 16},
    "loss": {"name": "cross_entropy"},
    # So low that no ReLU is decided the other way by rounding; see test_run.py.
    "optimizer": {"name": "momentum", "learning_rate": 1e-3},
    "batch_size": 64,
    "train_steps": 6,
    "eval_every_steps": 3,
    "checkpoint_every_steps": 3,
    "tensorboard": False,
}
# One of each kind of traced value, and losses of one family and of another.
TRIALS = [
    {},
    {"init_seed": 1, "noise.seed": 1},
    {"order_seed": 2, "noise.name": "pair_flip", "noise.rate": 0.3},
    {"loss.name": "gradient_rescaling", "loss.lam": 1.0, "loss.beta": 8.0, "optimizer.weight_decay": 0.5},
    {"loss.name": "gce", "loss.q": 0.7, "optimizer.learning_rate": 2e-3},
    {"loss.name": "mse", "optimizer.weight_decay": 0.1},
]

FAILING = {"optimizer.learning_rate": 1e30, "loss.name": "mse"}
PLAIN = (3,)  # of these, those that are run as run.py does, too


def sweep(trials=TRIALS, base=BASE, **options):
    return Sweep(ConfigDict(base), trials, **options)


def test_axes():
    rates, betas = over("noise.rate", [0.2, 0.4]), over("loss.beta", [8, 16])
    assert product(rates, betas) == [
        {"noise.rate": 0.2, "loss.beta": 8}, {"noise.rate": 0.2, "loss.beta": 16},
        {"noise.rate": 0.4, "loss.beta": 8}, {"noise.rate": 0.4, "loss.beta": 16},
    ]  # fmt: skip
    assert zipped(rates, betas) == [product(rates, betas)[0], product(rates, betas)[3]]
    assert chained(rates, betas) == [*rates, *betas]
    assert over("loss", [{"name": "gce", "beta": {"name": "linear"}}]) == [
        {"loss.name": "gce", "loss.beta.name": "linear"}
    ]
    assert type(over("noise.rate", np.linspace(0, 1, 3))[0]["noise.rate"]) is float  # as JSON has it
    assert [point["order_seed"] for point in product(seeds(range(2)), rates)] == [0, 0, 1, 1]
    assert seeds([7], also=("imbalance.seed",)) == [
        {"noise.seed": 7, "init_seed": 7, "order_seed": 7, "imbalance.seed": 7}
    ]
    with pytest.raises(ConfigError, match=r"seeds: 'imbalance.sed' is no seed .* mean 'imbalance.seed'"):
        seeds([7], also=("imbalance.sed",))
    with pytest.raises(ConfigError, match=r"noise.rate: two axes of the sweep set it"):
        product(rates, rates)
    with pytest.raises(ConfigError, match=r"equally long, got \[2, 1\] points"):
        zipped(rates, betas[:1])


@pytest.mark.parametrize(
    ("trials", "message"),
    [
        ([{}, {"nosie.rate": 0.1}], r"trial 1 \(nosie.rate=0.1\): nosie: unknown config key; did you mean"),
        ([{}, {"noise.rate": 1.5}], r"trial 1 \(noise.rate=1.5\): noise.rate: must be in \[0, 1\]"),
        ([{}, {"loss.gamma": 1.5}], r"trial 1 .*: loss.gamma: 'cross_entropy' has no such option"),
        ([{}, {"optimizer.learning_rate": -1.0}], r"trial 1 .*: optimizer.learning_rate: must be in"),
        ([{"model.hidden": 0}], r"trial 0 .*: model: features .8,. and hidden 0"),
        ([{}, {"init_seed": 1}, {"init_seed": 0}], r"trials 0 and 2 \(init_seed=0\): are the same run"),
        ([], "at least one trial"),
    ],
)
def test_a_mistake_in_any_trial_shows_before_one_runs(trials, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        engine.run(sweep(trials), tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()


def test_a_storage_that_is_none_is_an_error_without_its_password(tmp_path):
    with pytest.raises(ConfigError, match=r"sweep.storage: must be .* got 'nosql://me:…@there/x'"):
        open_storage(tmp_path, sweep(storage="nosql://me:secret@there/x"))


def test_options_out_of_range():
    with pytest.raises(ConfigError, match=r"sweep.chunk: must be at least 1, got 0"):
        sweep(chunk=0)
    with pytest.raises(ConfigError, match=r"sweep.execution: must be 'auto'"):
        sweep(execution="parallel")
    with pytest.raises(ConfigError, match=r"noise.rate: is set by the trials of the sweep"):
        sweep([{"noise.rate": 0.1}]).with_overrides({"noise.rate": 0.2})
    with pytest.raises(ConfigError, match=r"sweep.chunks: unknown key; did you mean 'chunk'"):
        sweep([{}]).with_overrides({"sweep.chunks": 8})
    changed = sweep([{}]).with_overrides({"train_steps": 3, "sweep.chunk": 8})
    assert (changed.configs()[0].train_steps, changed.chunk) == (3, 8)


MEMBERS = [
    ("cross_entropy", {}),
    ("cross_entropy", {"normalization": "integral"}),
    ("mae", {"scale": 2.0}),
    ("mae", {"normalization": "integral"}),
    ("mse", {}),
    ("gce", {"q": 0.4}),
    ("gce", {"q": 0.0}),
    ("gce", {"q": 0.4, "epsilon": 1e-2}),
    ("rce", {}),
    ("gradient_rescaling", {"lam": 0.5, "beta": 8.0}),
    ("gradient_rescaling", {"lam": 0.0, "beta": 3.0, "normalization": "none"}),
    ("gradient_rescaling", {"lam": 0.0, "beta": 3.0, "epsilon": 1e-2}),
    ("imae", {"beta": 4.0}),
    ("combined", {"a": 0.5, "b": 1.5, "lam": 2.0, "beta": 3.0, "log_c": 0.3, "normalization": "integral"}),
]


def test_members_of_the_family_are_their_losses():
    logits = 4 * jax.random.normal(jax.random.key(0), (64, 7))
    labels = jax.random.randint(jax.random.key(1), (64,), 0, 7)

    def both(loss):
        total, pull_back = jax.vjp(lambda logits: loss(logits)[0], logits)
        return total, pull_back(np.ones(64, np.float32))[0]

    of_member = jax.jit(lambda values: both(lambda z: family.loss(values).apply(z, labels, (), 0)))
    for name, options in MEMBERS:
        loss = losses.for_training(name, **options)
        wanted = jax.jit(lambda loss=loss: both(lambda z: loss.apply(z, labels, (), 0)))()
        for found, exact in zip(of_member(family.member(name, options)), wanted, strict=True):
            np.testing.assert_allclose(found, exact, rtol=2e-5, atol=2e-6, err_msg=f"{name} {options}")


def test_epsilon_of_a_member():
    assert family.member("imae", {"beta": 8.0})["epsilon"] == 1e-6
    assert family.member("gce", {"q": 0.7})["epsilon"] == 0
    assert family.member("gce", {"q": 0.7, "epsilon": 1e-3})["epsilon"] == 1e-3


def test_what_is_no_member():
    assert family.member("sce", {}) is None
    assert family.member("gce", {"q": 0.7, "normalization": "batch"}) is None
    assert family.member("gradient_rescaling", {"lam": 1.0, "beta": {"name": "linear"}}) is None
    assert family.member("gradient_rescaling", {"lam": 1.0, "beta": 8.0, "per_class": True}) is None


def test_groups():
    def key(**overrides):
        return traced.key(config.resolve(BASE, config.unflatten(overrides)))

    same = [
        {"init_seed": 3}, {"order_seed": 2**32 - 1}, {"noise.rate": 0.1},
        {"noise.name": "pair_flip", "noise.rate": 0.3},
        {"optimizer.learning_rate": 0.5}, {"optimizer.weight_decay": 0.1}, {"loss.name": "mae"},
        {"loss.name": "gce", "loss.defaults": "cifar10"}, {"loss.epsilon": 1e-3},
    ]  # fmt: skip
    others = [
        {"model.hidden": 8}, {"optimizer.momentum": 0.5}, {"optimizer.name": "adam"}, {"batch_size": 32},
        {"loss.name": "sce"}, {"loss.name": "gce", "loss.normalization": "batch"}, {"train_steps": 9},
        {"imbalance.seed": 1}, {"data.order": "fixed"}, {"data.standardise": False},
    ]  # fmt: skip
    for overrides in same:
        assert key(**overrides) == key(), overrides
    assert len({key(**overrides) for overrides in [{}, *others]}) == len(others) + 1
    assert key(**{"loss.name": "sce", "loss.beta": 0.5}) == key(**{"loss.name": "sce"})
    assert key(**{"loss.name": "elr", "loss.beta": 0.5}) == key(**{"loss.name": "elr"})


def test_dry_run(tmp_path, capsys):
    assert engine.run(sweep(), tmp_path / "sweep", dry_run=True) == []
    output = capsys.readouterr().out
    assert "6 trials, 36 steps; 1 groups, each compiled once" in output
    assert "group 0: 6 trials of 6 steps" in output
    assert "0005  to do     loss.name=mse, optimizer.weight_decay=0.1" in output
    assert not (tmp_path / "sweep").exists()


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory):
    """The trials one by one: their folders, and how many programs jax compiled in the course of each."""
    events = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, duration, **_: events.append(name) if name.endswith("backend_compile_duration") else None
    )
    shared, folder, compiled = Shared(), tmp_path_factory.mktemp("one_by_one"), []
    for number, run_config in enumerate(sweep().configs()):
        before, workdir = len(events), folder / "trials" / f"{number:04d}"
        programs = shared.programs(run_config, Alone())
        train_together([shared.run(run_config, workdir)], programs, Display(quiet=True))
        compiled.append(len(events) - before)
    return folder, compiled, shared


@pytest.fixture(scope="module")
def vmapped(tmp_path_factory):
    """The sweep in chunks of four, with a trial that fails in the second, which is not full."""
    folder = tmp_path_factory.mktemp("vmapped")
    with pytest.raises(SweepFailedError, match=r"1 of 7 trials failed.*NonFiniteError"):
        engine.run(sweep([*TRIALS, FAILING], execution="vmapped", chunk=4), folder)
    return folder


def test_a_group_compiles_once(one_by_one):
    _, compiled, shared = one_by_one
    assert shared.compilations == {"train": 1, "evaluation": 1}
    assert compiled[0] > 0
    assert compiled[1:] == [0] * 5


def test_results(vmapped):
    found = results.read(vmapped)
    assert [result["trial"] for result in found] == list(range(7))
    assert [result["state"] for result in found] == ["complete"] * 6 + ["failed"]
    assert {result["group"] for result in found} == {0}
    for result, overrides in zip(found, [*TRIALS, FAILING], strict=True):
        workdir = vmapped / result["workdir"]
        assert result["overrides"] == overrides
        assert result["config"] == json.loads((workdir / "config.json").read_text())
        assert result["environment"]["packages"]["jax"] == jax.__version__
        if result["state"] == "complete":
            assert result["summary"] == json.loads((workdir / "summary.json").read_text())
            assert result["error"] is None
    assert "NonFiniteError" in found[6]["error"]
    assert found[6]["summary"] is None


def run_again(kind, folder):
    if kind == "spread":
        engine.run(sweep(execution="spread"), folder)
    if kind == "plain":
        for number in PLAIN:
            train_and_evaluate(sweep().configs()[number], folder / "trials" / f"{number:04d}")


@pytest.mark.parametrize("kind", ["vmapped", pytest.param("spread", marks=pytest.mark.slow), "plain"])
def test_a_trial_ends_the_same_however_it_is_run(one_by_one, vmapped, kind, tmp_path):
    """To 1e-5 in the parameters after 6 steps at a low learning rate: what rounding leaves."""
    folder = vmapped if kind == "vmapped" else tmp_path
    run_again(kind, folder)
    for number in PLAIN if kind == "plain" else range(6):
        ours, theirs = (path / "trials" / f"{number:04d}" for path in (folder, one_by_one[0]))
        initial_state = experiment.create(sweep().configs()[number]).init_state()
        moved = 0.0
        states = final_state(ours), final_state(theirs), initial_state
        params = [state.learner.params for state in states]
        for a, b, initial in zip(*map(jax.tree.leaves, params), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)
            moved = max(moved, float(np.abs(a - initial).max()))
        assert moved > 5e-4  # far more than the tolerance
        for one, other in zip(rows(ours), rows(theirs), strict=True):
            assert one.keys() == other.keys()
            for key, value in one.items():
                assert value == pytest.approx(other[key], abs=2e-3), key
        one, other = (json.loads((path / "summary.json").read_text()) for path in (ours, theirs))
        assert one.keys() == other.keys()
        assert one["noise_sha256"] == other["noise_sha256"]


def test_another_sweep_is_refused(vmapped):
    trials = [*TRIALS, FAILING]
    for other, message in [
        (sweep(trials, base={**BASE, "train_steps": 9}), "train_steps: 6 there, 9 here"),
        (sweep(TRIALS), "trials: 7 there, 6 here"),
        (sweep([*TRIALS, {"init_seed": 9}]), "trial 6: .* there, init_seed=9 here"),
    ]:
        with pytest.raises(WorkdirError, match=message):
            engine.run(other, vmapped)
    with pytest.raises(WorkdirError, match="holds a run"):
        engine.run(sweep(), vmapped / "trials" / "0000")


def test_what_has_ended_is_not_run_again(vmapped):
    def times():
        return {path: path.stat().st_mtime_ns for path in vmapped.glob("trials/*/*.json")}

    before = times()
    trials = [*TRIALS, FAILING]
    with pytest.raises(SweepFailedError):  # how it runs is no part of what it is
        engine.run(sweep(trials, execution="one_by_one"), vmapped)
    assert times() == before
    with pytest.raises(SweepFailedError):
        engine.run(sweep(trials, execution="one_by_one", retry_failed=True), vmapped)
    assert {path.parent.name for path, time in times().items() if before[path] != time} == {"0006"}
    assert len(json.loads((vmapped / "trials" / "0006" / "environment.json").read_text())) == 2


def test_options_of_a_sweep_are_set_on_the_command_line_whatever_its_file_imports():
    assert "sweep" not in ConfigFile("digits").config
    # This one has the get_config of the other.
    assert ConfigFile("digits_sweep").config.sweep.chunk == 4
