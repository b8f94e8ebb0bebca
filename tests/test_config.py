"""How configs are laid over each other, and how options are checked against a signature."""

import copy
import dataclasses
import math
import re
import runpy
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Optional, Union

import flax.linen as nn
import numpy as np
import pytest
from jax.typing import ArrayLike
from ml_collections import ConfigDict

from grjax import losses, models, noise, optimizers, registry
from grjax.config import defaults, flatten, merge, options_in_steps, resolve, steps, unflatten
from grjax.data import augment
from grjax.errors import ConfigError, GrjaxError

CONFIGS = [Path(__file__).parents[1] / "configs" / "digits.py"]  # tests/test_cards.py has the others
SECTIONS = ["noise", "model", "loss", "optimizer", "schedule"]

# ------------------------------------------------------------------------------------------------- layers


def test_without_layers_the_config_is_the_defaults():
    assert resolve().to_dict() == defaults().to_dict()
    assert resolve({}, {}).to_dict() == defaults().to_dict()


def test_a_layer_replaces_what_it_says_and_nothing_else():
    layer = {"batch_size": 64, "data": {"augmentation": ("flip",)}, "noise": {"rate": 0.4}}
    expected = defaults().to_dict()
    expected["batch_size"] = 64
    expected["data"]["augmentation"] = ("flip",)
    expected["noise"]["rate"] = 0.4
    assert resolve(layer).to_dict() == expected


def test_the_last_layer_wins():
    layers = {"batch_size": 64, "init_seed": 1}, {"batch_size": 32}
    resolved = resolve(*layers)
    assert (resolved.batch_size, resolved.init_seed) == (32, 1)


@pytest.mark.parametrize("section", SECTIONS)
def test_naming_another_drops_the_options_of_the_one_before(section):
    before = {section: {"name": "one", "first": 1, "second": 2}}
    assert merge(merge(defaults().to_dict(), before), {section: {"name": "other", "third": 3}})[section] == {
        "name": "other",
        "third": 3,
    }


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("layer", [{"name": "one", "second": 3}, {"second": 3}])
def test_naming_the_same_or_none_keeps_its_options(section, layer):
    before = merge(defaults().to_dict(), {section: {"name": "one", "first": 1, "second": 2}})
    assert merge(before, {section: layer})[section] == {"name": "one", "first": 1, "second": 3}


def test_naming_another_data_set_keeps_the_keys_of_data():
    merged = merge(defaults().to_dict(), {"data": {"name": "other", "augmentation": ("flip",)}})
    again = merge(merged, {"data": {"name": "third"}})
    assert again["data"] == {**defaults().to_dict()["data"], "name": "third", "augmentation": ("flip",)}


@pytest.mark.parametrize("stem", ["train", "eval_every", "checkpoint_every"])
def test_a_duration_replaces_the_one_in_the_other_unit(stem):
    in_steps = merge(defaults().to_dict(), {f"{stem}_steps": 7})
    assert in_steps[f"{stem}_steps"] == 7
    assert f"{stem}_epochs" not in in_steps
    in_epochs = merge(in_steps, {f"{stem}_epochs": 3.0})
    assert in_epochs[f"{stem}_epochs"] == 3
    assert f"{stem}_steps" not in in_epochs
    others = {"train", "eval_every", "checkpoint_every"} - {stem}
    assert all(f"{other}_epochs" in in_steps for other in others)


@pytest.mark.parametrize(("one", "other"), [("steps", "epochs"), ("epochs", "steps")])
@pytest.mark.parametrize("stem", ["warmup", "boundaries"])
def test_a_duration_in_a_section_replaces_the_one_in_the_other_unit(stem, one, other):
    before = merge(defaults().to_dict(), {"schedule": {"name": "piecewise", f"{stem}_{one}": 1}})
    after = merge(before, {"schedule": {f"{stem}_{other}": 2}})
    assert after["schedule"] == {"name": "piecewise", f"{stem}_{other}": 2}


@pytest.mark.parametrize(
    ("layer", "where"),
    [
        ({"train_steps": 10, "train_epochs": 1.0}, ""),
        ({"eval_every_epochs": 1.0, "eval_every_steps": 10}, ""),
        ({"schedule": {"name": "cosine", "warmup_steps": 1, "warmup_epochs": 1}}, "schedule."),
    ],
)
def test_a_duration_given_twice_is_refused(layer, where):
    with pytest.raises(ConfigError, match="given twice; give it in steps or in epochs") as caught:
        resolve(layer)
    twice = [key for key in flatten(layer) if key.startswith(where) and not key.endswith("name")]
    assert all(key in str(caught.value) for key in twice)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            {"batchsize": 3},
            r"^batchsize: unknown config key; did you mean 'batch_size'\? Known: .*train_steps",
        ),
        ({"los": {"name": "gce"}}, r"^los: unknown config key; did you mean 'loss'"),
        ({"zzz": 3}, r"^zzz: unknown config key; Known: batch_size"),
        ({"data": {"nam": "digits"}}, r"^data\.nam: unknown config key; did you mean 'name'\? Known: augm"),
        ({"data": {"batch_size": 3}}, r"^data\.batch_size: unknown config key"),
        ({"train_step": 3}, r"^train_step: unknown config key; did you mean 'train_steps'"),
        ({"keep_steps": 3}, r"^keep_steps: unknown config key"),
    ],
)
def test_an_unknown_key_is_refused(layer, message):
    with pytest.raises(ConfigError, match=message):
        resolve(layer)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ({"batch_size": "64"}, "batch_size: must be int, as 128; got '64'"),
        ({"batch_size": True}, "batch_size: must be int, as 128; got True"),
        ({"batch_size": 64.0}, "batch_size: must be int, as 128; got 64.0"),
        ({"batch_size": None}, "batch_size: must be int, as 128; got None"),
        ({"train_steps": 10.0}, "train_steps: must be int, as 60; got 10.0"),
        ({"train_epochs": "10"}, "train_epochs: must be float, as 60.0; got '10'"),
        ({"train_epochs": True}, "train_epochs: must be float, as 60.0; got True"),
        ({"tensorboard": 1}, "tensorboard: must be bool, as True; got 1"),
        ({"tensorboard": "false"}, "tensorboard: must be bool, as True; got 'false'"),
        ({"data": {"name": 1}}, "data.name: must be str, as 'digits'; got 1"),
        ({"data": {"dir": 1}}, "data.dir: must be str or None, as None; got 1"),
        ({"data": {"augmentation": "flip"}}, "data.augmentation: must be tuple, as (); got 'flip'"),
        ({"data": "digits"}, "data: must be a section with keys, as data.name, got 'digits'"),
        ({"loss": "gce"}, "loss: must be a section with keys, as loss.name, got 'gce'"),
        ({"loss": None}, "loss: must be a section with keys, as loss.name, got None"),
        ({"loss": {"name": None}}, "loss.name: must be a name in quotes, got None"),
        ({"loss": {"name": 3}}, "loss.name: must be a name in quotes, got 3"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(layer, message):
    with pytest.raises(ConfigError) as caught:
        resolve(layer)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "layer",
    [
        {"train_epochs": 10},
        {"data": {"validation_fraction": 0}},
        {"data": {"augmentation": ["flip"]}},
        {"data": {"dir": "folder"}},
        {"data": {"dir": None}},
    ],
)
def test_a_whole_number_is_a_number_and_a_list_a_tuple(layer):
    (key, value), *_ = flatten(layer).items()
    assert flatten(resolve(layer).to_dict())[key] == value


@pytest.mark.parametrize(
    ("key", "values"), [("order", "'shuffled' or 'fixed'"), ("validation_labels", "'clean' or 'noisy'")]
)
def test_words_of_a_choice(key, values):
    with pytest.raises(ConfigError, match=f"^data.{key}: must be {values}, got 'other'$"):
        resolve({"data": {key: "other"}})


@pytest.mark.parametrize("key", ["batch_size", "eval_batch_size", "keep_checkpoints", "max_steps_per_call"])
def test_sizes_are_at_least_one(key):
    assert resolve({key: 1})[key] == 1
    for value in (0, -1):
        with pytest.raises(ConfigError, match=f"^{key}: must be at least 1, got {value}$"):
            resolve({key: value})


@pytest.mark.parametrize("key", ["init_seed", "order_seed"])
def test_seeds_are_numbers_of_32_bits(key):
    for value in (0, 2**32 - 1):
        assert resolve({key: value})[key] == value
    with pytest.raises(ConfigError, match=f"^{key}: must be at least 0, got -1$"):
        resolve({key: -1})
    with pytest.raises(ConfigError, match=rf"^{key}: must be below 2\*\*32, got 4294967296$"):
        resolve({key: 2**32})


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 2, math.nan, math.inf])
def test_a_bad_validation_fraction_is_refused(fraction):
    with pytest.raises(ConfigError, match=r"^data\.validation_fraction: must be in \[0, 1\), got "):
        resolve({"data": {"validation_fraction": fraction}})


@pytest.mark.parametrize("section", ["data", *SECTIONS])
def test_the_result_is_locked(section):
    resolved = resolve()
    with pytest.raises((KeyError, AttributeError)):
        resolved.batchsize = 3
    with pytest.raises((KeyError, AttributeError)):
        resolved[section].nam = "x"


def test_layers_and_defaults_stay_as_they_are():
    layers = [
        {"loss": {"name": "gce", "q": 0.5}, "data": {"augmentation": ["flip"]}, "train_steps": 3},
        {"loss": {"q": 0.7}, "train_epochs": 2.0},
    ]
    before, defaults_before = copy.deepcopy(layers), defaults().to_dict()
    resolve(*layers)
    assert layers == before
    assert defaults().to_dict() == defaults_before
    config = {**defaults_before, "schedule": {"name": "piecewise", "boundaries_epochs": [1]}}
    merged = merge(config, {"schedule": {"boundaries_steps": [5]}, "train_steps": 3})
    assert merged["schedule"] == {"name": "piecewise", "boundaries_steps": [5]}
    assert config == {**defaults().to_dict(), "schedule": {"name": "piecewise", "boundaries_epochs": [1]}}


def test_a_config_dict_is_a_layer():
    layer = ConfigDict({"loss": {"name": "gce", "q": 0.5}, "data": {"validation_fraction": 0.1}})
    assert resolve(layer).loss.to_dict() == {"name": "gce", "q": 0.5}
    assert resolve(resolve(layer)).to_dict() == resolve(layer).to_dict()


def test_a_key_has_precedence_over_its_section_in_either_order_and_nothing_given_changes():
    noise = {"name": "symmetric", "rate": 0.2}
    expected = {"noise": {"name": "symmetric", "rate": 0.2, "seed": 3}}
    assert unflatten({"noise": noise, "noise.seed": 3}) == expected
    assert unflatten({"noise.seed": 3, "noise": noise}) == expected
    assert unflatten({"noise.seed": 3, "noise": ConfigDict(noise)}) == expected
    assert noise == {"name": "symmetric", "rate": 0.2}
    with pytest.raises(ConfigError, match=r"noise\.seed: 'noise' is given as 'none', which has no keys"):
        unflatten({"noise": "none", "noise.seed": 3})


def test_flatten_and_unflatten_are_inverse():
    nested = {"a": 1, "b": {"c": (1, 2), "d": {"e": None}}}
    flat = {"a": 1, "b.c": (1, 2), "b.d.e": None}
    assert flatten(nested) == flat
    assert unflatten(flat) == nested
    for whole in (
        resolve().to_dict(),
        resolve({"schedule": {"name": "cosine", "warmup_epochs": 1}}).to_dict(),
    ):
        assert unflatten(flatten(whole)) == whole


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_a_shipped_config_names_what_there_is(path):
    resolved = resolve(runpy.run_path(str(path))["get_config"]().to_dict())
    noise.create(**resolved.noise)
    losses.create(**resolved.loss)
    models.create(**resolved.model, num_classes=10)
    augment.create(resolved.data.augmentation)
    schedule = optimizers.create_schedule(
        resolved.schedule.name, total_steps=1000, **options_in_steps(resolved.schedule, 11)
    )
    optimizers.create(**resolved.optimizer, schedule=schedule)


def test_the_digits_config():
    (path,) = [path for path in CONFIGS if path.name == "digits.py"]
    layer = runpy.run_path(str(path))["get_config"]().to_dict()
    resolved = resolve(layer)
    assert (resolved.data.name, resolved.loss.name) == ("digits", "gradient_rescaling")
    assert flatten(layer).items() <= flatten(resolved.to_dict()).items()


# ---------------------------------------------------------------------------------------------- durations


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        ({"train_steps": 7}, 7),
        ({"train_steps": 1}, 1),
        ({"train_epochs": 3}, 33),
        ({"train_epochs": 0.5}, 6),  # 5.5 steps, half to even
        ({"train_epochs": 1.5}, 16),  # 16.5
        ({"train_epochs": 0.4}, 4),  # 4.4
        ({"train_epochs": 0.6}, 7),  # 6.6
        ({"train_epochs": 1e-9}, 1),
    ],
)
def test_durations_in_whole_steps(duration, expected):
    in_steps = steps(duration, "train", steps_per_epoch=11)
    assert in_steps == expected
    assert isinstance(in_steps, int)


def test_durations_are_told_apart_by_their_stem():
    durations = {"train_epochs": 2.0, "eval_every_steps": 5, "checkpoint_every_epochs": 1.0}
    found = [steps(durations, stem, 10) for stem in ("train", "eval_every", "checkpoint_every")]
    assert found == [20, 5, 10]


@pytest.mark.parametrize("value", [0, -1, 0.0, -0.5, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("unit", ["steps", "epochs"])
def test_a_duration_is_positive_and_finite(unit, value):
    wanted = "a whole positive number" if unit == "steps" else "a positive number"
    with pytest.raises(ConfigError, match=f"^train_{unit}: must be {wanted}, got {value}$"):
        steps({f"train_{unit}": value}, "train", 10)


def test_a_fraction_of_a_step_is_refused():
    with pytest.raises(ConfigError, match=r"^train_steps: must be a whole positive number, got 1\.5$"):
        steps({"train_steps": 1.5}, "train", 10)


def test_options_in_steps():
    section = {
        "name": "piecewise",
        "boundaries_epochs": [1, 2.58],
        "warmup_epochs": 0.5,
        "factor": 0.2,
        "cooldown_steps": 3,
    }
    before = copy.deepcopy(section)
    assert options_in_steps(section, 10) == {
        "boundaries_steps": [10, 26],
        "warmup_steps": 5,
        "factor": 0.2,
        "cooldown_steps": 3,
    }
    assert section == before
    assert options_in_steps({"boundaries_epochs": (1, 2)}, 10) == {"boundaries_steps": [10, 20]}
    assert options_in_steps({"name": "constant"}, 10) == {}


@pytest.mark.parametrize("value", ["ten", math.nan, math.inf, None, True, ["ten"], [1, math.nan]])
def test_a_duration_that_is_no_number_is_refused(value):
    message = re.escape(f"schedule.warmup_epochs: must be a number of epochs or several, got {value!r}")
    with pytest.raises(ConfigError, match=message):
        options_in_steps({"name": "cosine", "warmup_epochs": value}, 10, "schedule.")


# ----------------------------------------------------------------------------------------------- registry


def test_closest():
    assert registry.closest("cosin", ["sine", "cosine"]) == "did you mean 'cosine'? Known: cosine, sine"
    assert registry.closest("zzz", {"sine": 1, "cosine": 2}) == "Known: cosine, sine"
    assert registry.closest("zzz", ()) == "Known: none"


def test_lookup():
    table = {"one": 1, "two": 2}
    assert registry.lookup("number", table, "two") == 2
    message = r"^number\.name: unknown name 'tow'; did you mean 'two'\? Known: one, two$"
    with pytest.raises(ConfigError, match=message):
        registry.lookup("number.name", table, "tow")


KINDS = {
    # annotation: (values that fit, values that do not, what an error says is right)
    "float": (float, [1.5, 2, np.float32(1), np.int64(1), math.nan], ["1", True, None, [1.0]], "a number"),
    "int": (int, [2, -1, np.int64(1)], [2.0, "2", True, None], "a whole number"),
    "str": (str, ["a", ""], [1, None, True, ["a"]], "a string"),
    "bool": (bool, [True, False], [1, 0, "true", None], "true or false"),
    "literal": (Literal["a", "b"], ["a", "b"], ["c", 1, None], "one of 'a', 'b'"),
    "or_none": (float | None, [1.5, 2, None], ["1", True], "a number or None"),
    "optional": (Optional[int], [1, None], [1.5, True], "a whole number or None"),  # noqa: UP045
    "union": (Union[int, str], [1, "a"], [1.5, None, True], "a whole number or a string"),  # noqa: UP007
    "array_like": (
        ArrayLike,
        [1, 1.5, [1, 2.0], (1,), np.ones(2)],
        ["1", True, None, ["1"], [[True]], {}],
        "a number or a list",
    ),
    "sequence": (Sequence[int], [[1], (1, 2), []], [1, "12", None, [1.5], ["1"], [True]], "a list"),
    "sequence_or_none": (Sequence[float] | None, [[1.0, 2], None], [1.0, "a", ["a"]], "a list or None"),
}


def annotated(annotation):
    def function(option=None):
        del option

    function.__annotations__ = {"option": annotation}
    return function


@pytest.mark.parametrize("kind", KINDS)
def test_options_that_fit_their_annotation(kind):
    annotation, fitting, _, _ = KINDS[kind]
    for value in fitting:
        registry.check_options("loss", "some", annotated(annotation), {"option": value})


@pytest.mark.parametrize("kind", KINDS)
def test_options_that_do_not_fit_their_annotation(kind):
    annotation, _, others, wanted = KINDS[kind]
    for value in others:
        with pytest.raises(ConfigError) as caught:
            registry.check_options("loss", "some", annotated(annotation), {"option": value})
        assert str(caught.value).startswith(f"loss.option: 'some' takes {wanted}")
        assert str(caught.value).endswith(f", got {value!r}")


def test_an_option_without_annotation_takes_everything():
    def function(option):
        del option

    for value in (1, "a", None, [1], {}):
        registry.check_options("loss", "some", function, {"option": value})


def function(x, *, rate: float, power: float = 1.0, **rest):
    del x, rate, power, rest


class Plain:
    def __init__(self, rate: float, power: float = 1.0):
        self.rate, self.power = rate, power


@dataclasses.dataclass
class Data:
    rate: float
    power: float = 1.0


class Module(nn.Module):
    rate: float
    power: float = 1.0


@pytest.mark.parametrize(
    ("callable_", "supplied"),
    [(function, ("x",)), (Plain, ("self",)), (Data, ()), (Module, ("parent", "name"))],
)
def test_functions_and_classes_are_checked_alike(callable_, supplied):
    def check(**options):
        registry.check_options("loss", "some", callable_, options, supplied)

    check(rate=1)
    check(rate=0.5, power=2)
    with pytest.raises(ConfigError, match=r"^loss\.rate: 'some' needs a value for it, none is given$"):
        check()
    with pytest.raises(ConfigError, match=r"^loss\.rate: 'some' takes a number, got 'a'$"):
        check(rate="a")
    message = r"^loss\.rat: 'some' has no such option; did you mean 'rate'\? Known: power, rate$"
    with pytest.raises(ConfigError, match=message):
        check(rat=1)
    for name in (*supplied, "rest"):
        with pytest.raises(ConfigError, match=rf"^loss\.{name}: 'some' has no such option"):
            check(rate=1, **{name: 1})


def test_several_functions_share_options():
    def other(*, height: int = 3):
        del height

    def check(**options):
        registry.check_options("loss", "some", (function, other), options, supplied=("x",))

    check(rate=1, height=4)
    with pytest.raises(ConfigError, match="height: 'some' takes a whole number"):
        check(rate=1, height=1.5)
    with pytest.raises(ConfigError, match="rate: 'some' takes a number"):
        check(rate="1")
    with pytest.raises(ConfigError, match="rate: 'some' needs"):
        check(height=4)


def test_errors_have_exit_codes_of_their_own():
    kinds = [kind for kind in GrjaxError.__subclasses__() if kind.__module__ == "grjax.errors"]
    assert len({kind.exit_code for kind in kinds}) == len(kinds)
    assert ConfigError.exit_code == 2


def test_published_options_replace_those_of_the_layers_before():
    file = {"loss": {"name": "gradient_rescaling", "lam": 1.0, "beta": 16.0}}
    found = resolve(file, {"loss": {"defaults": "cifar100"}})
    assert found.loss.to_dict() == {"name": "gradient_rescaling", "defaults": "cifar100"}
    found = resolve(file, {"loss": {"defaults": "cifar100", "beta": 4.0}})
    assert found.loss.to_dict() == {"name": "gradient_rescaling", "defaults": "cifar100", "beta": 4.0}
    found = resolve({"loss": {"name": "sce", "defaults": "cifar100"}}, {"loss": {"beta": 2.0}})
    assert found.loss.to_dict() == {"name": "sce", "defaults": "cifar100", "beta": 2.0}
