"""What every registered method holds, and groups of examples that change between epochs."""

import dataclasses
import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from small_runs import assert_close, assert_identical, final_state, on_one_device, rows, small

from grjax import config, devices, experiment, methods
from grjax.analysis.audit_run import audit_run
from grjax.analysis.report import write_report
from grjax.errors import ConfigError, PreemptedError
from grjax.evaluate import device_data
from grjax.methods.method import Method, Seen
from grjax.methods.single import single
from grjax.progress import Display
from grjax.sweep import Sweep, engine
from grjax.sweep.programs import Shared
from grjax.together import Alone
from grjax.train import StopRequest, train_and_evaluate, train_together

# A network that compiles quickly, for methods that share their step with one that is tested with a CNN.
SIMPLE = {"model.name": "mlp", "model.hidden": (16,)}
# The options that each method needs, so that something happens within 12 steps.
OPTIONS = {
    # Five steps an epoch, and examples are left out from the second on.
    "co_teaching": {"method.rate": 0.4, "method.ramp_epochs": 1.0, "batch_size": 240, **SIMPLE},
    # Whose rate is estimated between epochs; nothing is left out before the mixture decides.
    "jocor": {"batch_size": 240, **SIMPLE},
    "co_teaching_plus": {
        "method.rate": 0.4, "method.ramp_epochs": 1.0, "method.agreeing_epochs": 1.0, "batch_size": 240,
        **SIMPLE,
    },
    # Three steps an epoch: one epoch of everything; then thresholds as high as the last predictions.
    "disc": {
        "method.warmup_epochs": 1, "method.momentum": 0.1, "method.correction_margin": 0.02,
        "method.strong": ({"name": "cutout", "size": 2},), "data.augmentation": ("pad_crop",),
        "batch_size": 480, **SIMPLE,
    },
    # The mixture divides the examples from the second epoch on.
    "divide_mix": {"method.warmup_epochs": 1, "batch_size": 240, **SIMPLE},
    "elr_plus": {"method.decay_ramp_steps": 10, "batch_size": 240, **SIMPLE},
    # Two steps an epoch: two of everything, one of the late layers, one of the head, then selected ones.
    "pes": {
        "method.early_epochs": 2, "method.late_epochs": 1, "method.head_epochs": 1, "batch_size": 600,
        "method.late_learning_rate": 1e-3, **SIMPLE,
    },
    # Three steps an epoch: one epoch of everything, one of the head; then labels are believed or not.
    "pes_semi": {
        "method.early_epochs": 1, "method.head_epochs": 1, "method.late_learning_rate": 1e-3,
        "batch_size": 480, **SIMPLE,
    },
    # Three steps an epoch: the weight is cross-entropy's in the first two, and follows the labels from there.
    "posterior_emphasis": {"batch_size": 480, **SIMPLE},
    "single": {},
    # With rates so high that u and v move within 12 steps.
    "sop": {
        "method.learning_rate_u": 500.0, "method.learning_rate_v": 500.0, "method.consistency": 0.9,
        "method.balance": 0.1, "data.views": 2, "data.augmentation": ("pad_crop",), "batch_size": 240,
        **SIMPLE,
    },
    # And what every method takes.
    "vol_min_net": {
        "method.transition_learning_rate": 0.1, "method.average": 0.9, "method.sam": 0.05, **SIMPLE,
    },
}  # fmt: skip
# Train steps that are compiled, where batches change their structure.
PROGRAMS = {"divide_mix": 2, "pes_semi": 2}


def test_every_method_is_tested():
    assert sorted(OPTIONS) == methods.names()


def method_config(name, **overrides):
    return small(**{"method.name": name, **OPTIONS[name], **overrides})


@pytest.fixture(scope="module", params=methods.names())
def name(request):
    return request.param


def quickly_for(*chosen):
    """The named methods; all others in the slow tests."""
    return pytest.mark.parametrize(
        "name",
        [each if each in chosen else pytest.param(each, marks=pytest.mark.slow) for each in methods.names()],
        indirect=True,
        scope="module",
    )


@pytest.fixture(scope="module")
def finished(name, tmp_path_factory):
    """The workdir of a finished run of each method."""
    folder = tmp_path_factory.mktemp(name)
    train_and_evaluate(method_config(name), folder)
    return folder


def test_clean_labels_do_not_reach_training(name, finished, tmp_path):
    parts = experiment.create(method_config(name))
    scrambled = np.random.default_rng(0).permutation(parts.noise.clean)
    parts = dataclasses.replace(parts, noise=dataclasses.replace(parts.noise, clean=scrambled))
    train_and_evaluate(method_config(name), tmp_path, experiment=parts)
    assert_identical(final_state(tmp_path), final_state(finished))
    assert rows(tmp_path)[-1] != rows(finished)[-1]


def after_some_epochs(parts):
    """The initial state, as three epochs with made-up predictions leave it."""
    state, method = parts.init_state(), parts.method()
    if method.begin_epoch is None:
        return state
    rng, wrong = np.random.default_rng(0), parts.noise.mislabelled
    learner = jax.tree.map(np.asarray, state.learner)
    for epoch in range(1, 4):
        p = np.where(wrong, rng.beta(1, 20, len(wrong)), rng.beta(20, 1, len(wrong))).astype(np.float32)
        other = {f"{network}_cross_entropy": -np.log(p) for network in ("first", "second")}
        records = {"p": p, "losses": -np.log(p), "classes": parts.noise.labels, **other}
        learner = method.begin_epoch(learner, records, epoch)
    return state.replace(learner=learner)


# The others share their steps with one of these, or with those of tests/test_steps.py.
@quickly_for("co_teaching", "divide_mix", "elr_plus", "sop")
def test_four_devices_equal_one(name):
    # In float64, where rounding decides no ReLU and no rank the other way; see tests/test_steps.py.
    def widen(leaf):
        return jnp.asarray(leaf, jnp.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    with jax.enable_x64(True):
        parts = experiment.create(method_config(name))
        begun = after_some_epochs(parts)
        data, initial = jax.tree.map(widen, (device_data(parts), begun))
        p_step, one_step = devices.parallelize(parts.train_step()), on_one_device(parts.train_step())
        spread, single_state = devices.replicate(initial), initial
        groups = parts.method().groups
        batches = parts.train_batches(0, groups(begun.learner) if groups is not None else None)
        for batch in itertools.islice(batches, 8):
            # One at a time: virtual devices of a CPU may deadlock over several programs with collectives.
            spread, of_four = jax.block_until_ready(p_step(spread, data, batch))
            whole = jax.tree.map(lambda leaf: np.concatenate(leaf, axis=-1)[None], batch)
            single_state, of_one = jax.block_until_ready(one_step(single_state, data, whole))
    assert_close(spread.learner, single_state.learner, 1e-6)
    assert_close(of_four, of_one, 1e-5)


def test_stopped_and_killed_runs_end_the_same(name, finished, tmp_path, monkeypatch):
    monkeypatch.setattr(StopRequest, "at", lambda self, step: step == 6)
    with pytest.raises(PreemptedError, match="saved at step 6"):
        train_and_evaluate(method_config(name), tmp_path)
    monkeypatch.undo()

    def killed(row):
        if row["step"] == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # goes on at 6, and dies after 8 was saved
        train_and_evaluate(method_config(name), tmp_path, on_row=killed)
    train_and_evaluate(method_config(name), tmp_path)
    assert [start["from_step"] for start in json.loads((tmp_path / "environment.json").read_text())] == [
        0,
        6,
        8,
    ]
    assert rows(tmp_path) == rows(finished)
    assert_identical(final_state(tmp_path), final_state(finished))


SEEDS = [{}, {"init_seed": 1, "noise.seed": 1}, {"order_seed": 2}]


# A learner that holds networks; tests/test_sweep.py has the learner of `single`.
@quickly_for("co_teaching")
def test_trials_share_a_program_and_end_together_as_alone(name, tmp_path):
    # So low a learning rate that rounding decides no ReLU the other way.
    base = method_config(name, **{"optimizer.learning_rate": 1e-3, "train_steps": 8})
    shared = Shared()
    for number, overrides in enumerate(SEEDS):
        trial = config.resolve(base.to_dict(), config.unflatten(overrides))
        run = shared.run(trial, tmp_path / f"alone{number}")
        train_together([run], shared.programs(trial, Alone()), Display(quiet=True))
    assert shared.compilations == {"train": PROGRAMS.get(name, 1), "evaluation": 1}
    for execution in ("vmapped", "spread"):
        sweep = Sweep(ConfigDict(base.to_dict()), SEEDS, execution=execution, chunk=3)
        found = engine.run(sweep, tmp_path / execution)
        assert [result["state"] for result in found] == ["complete"] * 3
        for number in range(3):
            alone = final_state(tmp_path / f"alone{number}")
            together = final_state(tmp_path / execution / "trials" / f"{number:04d}")
            assert_close(together.learner, alone.learner, 1e-5)


# What they read of a run is the same for all methods, except for the beliefs of some.
@quickly_for("single", "co_teaching", "posterior_emphasis")
def test_audit_and_report_work(finished, capsys):
    result = audit_run(finished)
    assert 0 < result["num_suspected"] < result["num_examples"]
    assert (finished / "audit.html").exists()
    assert write_report([finished]).exists()


def test_an_unknown_method_or_option_is_one_clear_error():
    with pytest.raises(ConfigError, match=r"method.name: unknown name 'coteaching'; did you mean 'co_teach"):
        experiment.create(small(**{"method.name": "coteaching"}))
    with pytest.raises(ConfigError, match=r"method.rate: 'single' has no such option"):
        experiment.create(small(**{"method.rate": 0.4}))
    with pytest.raises(ConfigError, match=r"method.parts: is no option of a config"):
        experiment.create(small(**{"method.parts": 1}))


# A method with groups, as one that splits the examples anew each epoch: a step is that of `single` on the
# half of the examples that has the higher p, and the others are looked at only.
def halves(parts):
    inner = single(parts)

    def init(seed, labels):
        return {"network": inner.init(seed, labels), "easy": jnp.zeros(jnp.shape(labels)[0], bool)}

    def step(learner, step, data, batch):
        assert set(batch) == {"easy", "hard"}
        network, seen = inner.step(learner["network"], step, data, batch["easy"])
        hard = data.labels[batch["hard"].positions]
        metrics = {"hard_share": (hard >= 0).mean()}
        return {**learner, "network": network}, Seen(
            seen.positions, seen.labels, seen.logits, seen.losses, metrics=metrics
        )

    def begin_epoch(learner, records, epoch):
        order = np.argsort(records["p"], kind="stable")
        easy = np.zeros(len(order), bool)
        easy[order[len(order) // 2 :]] = True
        begun.append((epoch, set(records)))
        return {**learner, "easy": easy}

    def groups(learner):
        easy = np.asarray(learner["easy"])
        return {"easy": np.flatnonzero(easy), "hard": np.flatnonzero(~easy)}

    return Method(
        init,
        step,
        lambda learner, images: inner.logits(learner["network"], images),
        lambda learner, images, labels, step: inner.losses(learner["network"], images, labels, step),
        begin_epoch,
        groups,
    )


begun = []


def test_groups_change_between_epochs_and_a_stopped_run_ends_the_same(tmp_path, monkeypatch):
    monkeypatch.setitem(methods._METHODS, "halves", halves)
    # An epoch has 22 steps.
    run_config = small(**{
        "method.name": "halves", "train_steps": 50, "eval_every_steps": 25, "checkpoint_every_steps": 11,
        "keep_checkpoints": 9,
    })  # fmt: skip
    begun.clear()
    train_and_evaluate(run_config, tmp_path / "whole")
    assert [epoch for epoch, _ in begun] == [0, 1, 2]
    assert begun[0][1] == {"p", "classes", "losses"}
    easy = final_state(tmp_path / "whole").learner["easy"]
    assert easy.sum() == pytest.approx(len(easy) / 2, abs=1)
    count = np.load(tmp_path / "whole" / "dynamics.npz")["count"]
    assert count[easy].mean() > 1.2 * count[~easy].mean()  # those are trained on more

    for stop in (22, 30):  # at the border of an epoch, and within one
        folder = tmp_path / str(stop)
        with monkeypatch.context() as patch:
            patch.setattr(StopRequest, "at", lambda self, step, stop=stop: step == stop)
            with pytest.raises(PreemptedError):
                train_and_evaluate(run_config, folder)
        train_and_evaluate(run_config, folder)
        assert rows(folder) == rows(tmp_path / "whole")
        assert_identical(final_state(folder), final_state(tmp_path / "whole"))


def test_a_call_of_several_steps_ends_where_an_epoch_ends(monkeypatch):
    monkeypatch.setitem(methods._METHODS, "halves", halves)
    lengths = {
        "train_steps": 40,
        "eval_every_steps": 40,
        "checkpoint_every_steps": 40,
        "max_steps_per_call": 20,
    }
    assert experiment.create(small(**lengths)).steps_per_call == 20
    assert experiment.create(small(**lengths, **{"method.name": "halves"})).steps_per_call == 2  # of 22
