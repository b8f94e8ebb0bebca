"""Protocol cards: what they say against the sources' numbers, their arguments, and a run of each in small."""

import functools
import importlib
import inspect
import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pytest

from grjax import losses, methods, models, noise, optimizers
from grjax.config import card, options_in_steps, resolve, steps
from grjax.config.files import ConfigFile
from grjax.data import augment
from grjax.errors import ConfigError
from grjax.experiment import create_loss
from grjax.train import train_and_evaluate

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "configs"
NAMES = sorted(path.stem for path in CONFIGS.glob("*.py") if "card.get_config(build" in path.read_text())
every_card = pytest.mark.parametrize("name", NAMES)


def build(name, **arguments):
    return importlib.import_module(f"grjax.configs.{name}").build(**arguments)


# ------------------------------------------------------------------------------------- the protocols' numbers


class Facts(NamedTuple):
    """The facts of a protocol, from its source."""

    examples: int  # of training, those held out taken off
    classes: int
    parameters: int  # of the network
    batch_size: int
    num_steps: int  # with the rest of an epoch left out
    rates: dict[int, float]  # learning rates by step
    weight_decay: float
    other: Mapping[str, Any] = MappingProxyType({})  # further options of the optimiser


# The counts of parameters stand in the docstrings of the networks with their sources, and are derived anew in
# tests/test_model_counts.py. ResNet-50 of 14 classes: 23,508,032 + 2048 x 14 + 14; the MLP: 100 x 8 + 8 + 18.
GR = {0: 0.1, 14_999: 0.1, 15_000: 0.01, 21_999: 0.01, 22_000: 0.001, 29_999: 0.001}  # arXiv:1905.11233
APL_OPTIONS = {"momentum": 0.9, "clip_norm": 5.0}  # its yaml: momentum, grad_bound
# PyTorch's CosineAnnealingLR, stepped once an epoch: (1 + cos(pi e / E)) / 2.
APL_10 = {0: 0.01, 389: 0.01, 390: 0.00999829, 60 * 390: 0.005, 120 * 390 - 1: 1.7133751e-6}
APL_100 = {0: 0.1, 100 * 390: 0.05, 200 * 390 - 1: 6.1684e-6}

FACTS = {
    "gr_cifar100": Facts(50_000, 100, 667_188, 256, 30_000, GR, 1e-4, {"momentum": 0.9}),
    "gr_cifar10": Facts(50_000, 10, 855_770, 256, 30_000, GR, 1e-4),
    "gr_cifar10_googlenet": Facts(50_000, 10, 6_166_250, 256, 30_000, GR, 1e-4),
    "gr_vehicles10": Facts(5_000, 10, 661_338, 256, 30_000, GR, 1e-4),
    "gr_clothing1m": Facts(
        1_000_000, 14, 23_536_718, 64, 20_000, {9_999: 0.01, 10_000: 1e-3, 15_000: 1e-4}, 2e-5
    ),
    # 0.01 (1 + 1e-5 t)^-0.75
    "gr_imdb": Facts(25_000, 2, 826, 250, 10_000, {0: 0.01, 10_000: 0.00931019}, 0.002),
    "apl_cifar10": Facts(50_000, 10, 1_639_794, 128, 46_800, APL_10, 1e-4, APL_OPTIONS),
    "apl_cifar100": Facts(50_000, 100, 21_328_292, 128, 78_000, APL_100, 1e-5, APL_OPTIONS),
    # eta_min 0.001
    "apl_mnist": Facts(
        60_000, 10, 422_090, 128, 23_400, {0: 0.01, 25 * 468: 0.0055, 23_399: 0.00100887}, 1e-2, APL_OPTIONS
    ),
    "anl_cifar10": Facts(50_000, 10, 1_639_794, 128, 46_800, APL_10, 0.0, {**APL_OPTIONS, "l1": 5e-5}),
    "anl_cifar100": Facts(50_000, 100, 21_328_292, 128, 78_000, APL_100, 0.0, {**APL_OPTIONS, "l1": 5e-7}),
    # github.com/AlanChou/Truncated-Loss: --schedule 40 80 --epochs 120; 80 120, 150. 45,000 // 128 = 351.
    "gce_cifar10": Facts(
        45_000, 10, 21_282_122, 128, 42_120, {40 * 351 - 1: 0.01, 40 * 351: 1e-3, 80 * 351: 1e-4}, 1e-4
    ),
    "gce_cifar100": Facts(
        45_000, 100, 21_328_292, 128, 52_650, {80 * 351 - 1: 0.01, 80 * 351: 1e-3, 120 * 351: 1e-4}, 1e-4
    ),
    # SCE's util.py: epoch > 40, > 80 from 0; Keras' decay 5e-3; l2(0.01) of fc1 alone.
    "sce_cifar10": Facts(
        50_000, 10, 1_639_794, 128, 46_800,
        {0: 0.01, 200: 0.005, 41 * 390 - 1: 0.01 / 80.945, 41 * 390: 0.001 / 80.95, 81 * 390: 1e-4 / 158.95},
        0.02, {"decay": ("fc1",)},
    ),
    "sce_cifar100": Facts(
        50_000, 100, 667_188, 128, 58_500,
        {0: 0.1, 81 * 390: 0.01 / 158.95, 121 * 390: 0.001 / 236.95}, 0.02, {"decay": "kernels"},
    ),
    # CosineAnnealingWarmRestarts(T_0=10, eta_min=0.001), stepped once an epoch.
    "elr_cifar10": Facts(
        45_000, 10, 21_282_122, 128, 52_650,
        {0: 0.02, 350: 0.02, 5 * 351: 0.0105, 9 * 351: 0.00146497, 3510: 0.02, 149 * 351: 0.00146497}, 1e-3,
    ),
    "elr_cifar100": Facts(
        45_000, 100, 21_328_292, 128, 52_650, {80 * 351 - 1: 0.02, 80 * 351: 2e-4, 120 * 351: 2e-6}, 1e-3
    ),
    # github.com/LiJunnan1992/DivideMix: Train_cifar.py; 50,000 // 64 = 781.
    "divide_mix_cifar10": Facts(
        50_000, 10, 11_171_146, 64, 300 * 781,
        {150 * 781 - 1: 0.02, 150 * 781: 0.002}, 5e-4, {"momentum": 0.9},
    ),
    "divide_mix_cifar100": Facts(
        50_000, 100, 11_217_316, 64, 300 * 781, {150 * 781: 0.002, 300 * 781 - 1: 0.002}, 5e-4
    ),
    # github.com/JackYFL/DISC; 50,000 // 128 = 390.
    "disc_cifar10": Facts(
        50_000, 10, 11_173_962, 128, 78_000,
        {80 * 390 - 1: 0.1, 80 * 390: 0.01, 160 * 390 - 1: 0.01, 160 * 390: 0.001}, 1e-3, {"name": "sgd"},
    ),
    "disc_cifar100": Facts(
        50_000, 100, 11_220_132, 128, 78_000, {80 * 390: 0.01, 160 * 390: 0.001}, 1e-3, {"name": "sgd"}
    ),
    # github.com/bhanML/Co-teaching: main.py; 4,434,570 and 4,446,180 parameters.
    "co_teaching_cifar10": Facts(
        50_000, 10, 4_434_570, 128, 78_000,
        {0: 1e-3, 80 * 390: 1e-3, 81 * 390: 119e-3 / 120, 140 * 390 + 7: 5e-4, 199 * 390: 1e-3 / 120}, 0.0,
    ),
    "co_teaching_cifar100": Facts(
        50_000, 100, 4_446_180, 128, 78_000,
        {0: 1e-3, 100 * 390: 1e-3, 150 * 390 + 7: 5e-4, 199 * 390: 1e-5}, 0.0,
    ),
    # noisypy's original_configs: ELR_plus.py; divide_mix.py. At every method: RECIPES below.
    "noisypy_cifar10n": Facts(
        50_000, 10, 21_282_122, 128, 78_000, {150 * 390 - 1: 0.02, 150 * 390: 0.002}, 5e-4, {"momentum": 0.9}
    ),
    "noisypy_cifar100n": Facts(
        50_000, 100, 11_217_316, 128, 300 * 390, {150 * 390 - 1: 0.02, 150 * 390: 0.002}, 5e-4
    ),
    # UCSC's main.py: [0.1] * 60 + [0.01] * 40.
    "cifar10n": Facts(50_000, 10, 21_282_122, 128, 39_000, {60 * 390 - 1: 0.1, 60 * 390: 0.01}, 5e-4),
    "cifar100n": Facts(50_000, 100, 21_328_292, 128, 39_000, {60 * 390 - 1: 0.1, 60 * 390: 0.01}, 5e-4),
    # scripts/C10/sym/gjs-40.yaml, scripts/C100/sym/gjs-40.yaml
    "gjs_cifar10": Facts(
        50_000, 10, 1_860_138, 128, 156_000, {0: 0.1, 200 * 390: 0.01, 300 * 390: 0.001}, 5e-4
    ),
    "gjs_cifar100": Facts(
        50_000, 100, 1_871_748, 128, 156_000, {0: 0.2, 200 * 390: 0.02, 300 * 390: 0.002}, 5e-5
    ),
    # conf/hparams of github.com/dmizr/phuber
    "phuber_cifar10": Facts(
        50_000, 10, 23_520_842, 64, 400 * 781,
        {160 * 781 - 1: 0.1, 160 * 781: 0.01, 300 * 781: 1e-3, 360 * 781: 1e-4}, 5e-4, {"momentum": 0.1},
    ),
    "phuber_cifar100": Facts(
        50_000, 100, 23_705_252, 128, 78_000, {60 * 390: 0.02, 120 * 390: 0.004, 160 * 390: 8e-4}, 5e-4,
        {"momentum": 0.1},
    ),
    "phuber_mnist": Facts(60_000, 10, 61_706, 32, 37_500, {0: 1e-3, 10_000: 1e-4, 20_000: 1e-5}, 1e-3),
}  # fmt: skip


def test_every_card_has_its_facts():
    assert sorted(FACTS) == NAMES


@every_card
def test_the_protocol_is_that_of_its_source(name):
    facts, config = FACTS[name], resolve(build(name))
    per_epoch = facts.examples // facts.batch_size
    assert config.batch_size == facts.batch_size
    num_steps = steps(config, "train", per_epoch)
    assert num_steps == facts.num_steps
    optimizer = config.optimizer.to_dict()
    assert optimizer.get("weight_decay", 0.0) == facts.weight_decay
    assert facts.other.items() <= optimizer.items()
    schedule = optimizers.create_schedule(
        config.schedule.name, total_steps=num_steps, **options_in_steps(config.schedule, per_epoch)
    )
    for step, rate in facts.rates.items():
        assert optimizer["learning_rate"] * float(schedule(step)) == pytest.approx(
            rate, rel=1e-4, abs=1e-8
        ), step
    held_out = config.data.validation_fraction
    assert (held_out, config.data.validation_labels) == (
        (0.1, "noisy") if facts.examples == 45_000 else (0, "clean")
    )


# Epochs, learning rates by epoch, weight decay, network, and options of the method; of both data sets.
RECIPES = [
    (10, "co_teaching", 200, {0: 1e-3, 80: 1e-3, 140: 5e-4}, 0.0, "resnet34_cifar", {"rate": 0.2}),
    (
        10, "co_teaching_plus", 200, {80: 1e-3, 140: 5e-4}, 0.0, "resnet34_cifar",
        {"rate": 0.2, "agreeing_epochs": 20.0},
    ),
    (10, "divide_mix", 300, {149: 0.02, 150: 0.002}, 5e-4, "preact_resnet18", {"lam_u": 0.0}),
    (10, "elr_plus", 200, {149: 0.02, 150: 0.002}, 5e-4, "resnet34_cifar", {}),
    # CosineAnnealingLR(T_max=300, eta_min=0.001)
    (10, "pes_semi", 300, {0: 0.02, 150: 0.0105}, 5e-4, "preact_resnet18", {}),
    (10, "sop", 120, {39: 0.02, 40: 0.002, 80: 2e-4}, 5e-4, "resnet34_cifar", {}),
    (10, "vol_min_net", 80, {29: 0.01, 30: 0.001, 60: 1e-4}, 1e-4, "resnet34_cifar", {}),
    (100, "co_teaching", 200, {100: 1e-3, 150: 5e-4}, 0.0, "resnet34_cifar", {"rate": 0.2}),
    (
        100, "co_teaching_plus", 200, {100: 1e-3, 150: 5e-4}, 0.0, "resnet34_cifar",
        {"rate": 0.2, "agreeing_epochs": 5.0},
    ),
    (
        100, "divide_mix", 300, {150: 0.002}, 5e-4, "preact_resnet18",
        {"warmup_epochs": 30, "lam_u": 25.0, "confidence_penalty": 1.0},
    ),
    (
        100, "elr_plus", 250, {199: 0.02, 200: 0.002}, 5e-4, "resnet34_cifar",
        {"beta": 0.9, "lam": 7.0, "lam_ramp_steps": 40_000},
    ),
    (100, "pes_semi", 300, {150: 0.0105}, 5e-4, "preact_resnet18", {"early_epochs": 35, "lam_u": 75.0}),
]  # fmt: skip


@pytest.mark.parametrize(("classes", "method", "epochs", "rates", "decay", "network", "options"), RECIPES)
def test_every_method_of_a_re_run_has_its_recipe(classes, method, epochs, rates, decay, network, options):
    config = resolve(build(f"noisypy_cifar{classes}n", method=method))
    methods.check(**config.method)
    assert options.items() <= config.method.to_dict().items()
    assert (config.method.name, config.model.name, config.train_epochs) == (method, network, epochs)
    assert config.optimizer.get("weight_decay", 0.0) == decay
    schedule = optimizers.create_schedule(
        config.schedule.name, total_steps=epochs * 390, **options_in_steps(config.schedule, 390)
    )
    for epoch, rate in rates.items():
        assert config.optimizer.learning_rate * float(schedule(epoch * 390)) == pytest.approx(rate, rel=1e-4)
    blind = build(f"noisypy_cifar{classes}n", method=method, told=None)["method"]
    assert blind.get("rate", "estimated") == "estimated"


def test_every_recipe_of_a_re_run_is_tested_and_no_other_is_taken():
    for classes in (10, 100):
        module = importlib.import_module(f"grjax.configs.noisypy_cifar{classes}n")
        assert sorted(module.RECIPES) == [recipe[1] for recipe in RECIPES if recipe[0] == classes]
        with pytest.raises(ConfigError, match=r"no recipe for 'elr'; did you mean 'elr_plus'"):
            module.build(method="elr")


@functools.cache
def num_parameters(options, classes):
    """From shapes alone."""
    options = json.loads(options)
    shape = models.input_shape(options["name"])
    module = models.create(**options, num_classes=classes)
    variables = jax.eval_shape(
        functools.partial(module.init, train=False),
        jax.random.key(0),
        jax.ShapeDtypeStruct((1, *shape), jnp.float32),
    )
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


@every_card
def test_the_network_has_as_many_parameters_as_its_reference(name):
    options = build(name)["model"]
    options.pop("pretrained", None)
    assert num_parameters(json.dumps(options), FACTS[name].classes) == FACTS[name].parameters


@every_card
def test_what_a_card_names_is_there(name):
    for quick in (False, True):
        config = resolve(build(name, quick=quick))
        noise.create(**config.noise)
        methods.check(**config.method)
        augment.create(config.data.augmentation)
        augment.create(config.method.get("strong", ()))
        network = {key: value for key, value in config.model.items() if key != "pretrained"}
        models.create(**network, num_classes=10)
        create_loss(config.loss, steps_per_epoch=390, total_steps=10**5)
        schedule = optimizers.create_schedule(
            config.schedule.name, total_steps=10**5, **options_in_steps(config.schedule, 390)
        )
        optimizers.create(**config.optimizer, schedule=schedule)


def test_hyper_parameters_are_those_of_the_card_or_else_published():
    assert build("gr_cifar100", rate=0.2)["loss"]["beta"] == 6.0  # released code
    assert build("gr_cifar10", rate=0.8)["loss"]["beta"] == 8.0  # Table 9
    assert build("gr_imdb", rate=0.2)["loss"]["beta"] == -0.52
    assert build("apl_cifar100", loss="sce")["loss"] == {"name": "sce", "alpha": 6.0, "beta": 0.1}
    assert build("apl_cifar10", loss="nce")["loss"] == {"name": "nce"}
    assert build("elr_cifar10", noise="asymmetric")["loss"] == {"name": "elr", "lam": 1.0, "beta": 0.9}
    assert build("elr_cifar10", loss="gce")["loss"] == {"name": "gce", **losses.defaults("gce", "cifar10")}
    assert build("gjs_cifar100", rate=0.6)["loss"] == {"name": "gjs", "pi": 0.9}


def test_noise_is_what_the_paper_calls_so_or_a_registered_model():
    for name, symmetric, asymmetric in (
        ("gr_cifar100", "symmetric", "asymmetric_cifar100_swap"),
        ("apl_cifar100", "symmetric_exact_per_class", "asymmetric_cifar100_block_legacy"),
        ("gjs_cifar100", "symmetric_including_true", "asymmetric_cifar100_next"),
        ("apl_cifar10", "symmetric_exact_per_class", "asymmetric_cifar10_in_place"),
        ("elr_cifar10", "symmetric_including_true", "asymmetric_cifar10_in_place"),
        ("gjs_cifar10", "symmetric_including_true", "asymmetric_cifar10_in_place"),
        ("elr_cifar100", "symmetric_including_true", "asymmetric_cifar100_block_legacy"),
    ):
        assert build(name)["noise"] == {"name": symmetric, "rate": 0.4, "seed": 0}
        assert build(name, noise="asymmetric")["noise"]["name"] == asymmetric
        given = {"name": "pair_flip", "rate": 0.1, "seed": 3}
        assert build(name, noise="pair_flip", rate=0.1, seed=3)["noise"] == given
    human = {"name": "cifar10_n", "annotation": "worse", "path": "a.pt", "seed": 0}
    assert build("cifar10n", labels="a.pt")["noise"] == human
    assert "rate" not in build("apl_cifar10", noise="file", rate=None)["noise"]


@every_card
def test_one_seed_is_that_of_everything(name):
    config = build(name, seed=7)
    assert (config["init_seed"], config["order_seed"], config["noise"]["seed"]) == (7, 7, 7)
    assert config["data"].get("validation_seed", 7) == 7


# ------------------------------------------------------------------------------------------------- arguments


def test_arguments_are_those_of_the_signature():
    path = f"{CONFIGS / 'apl_cifar10.py'}:loss=gce,noise=asymmetric,rate=0.2,seed=3,quick=true"
    layer = ConfigFile(path).config
    assert layer.loss.to_dict() == {"name": "gce", "q": 0.7}
    assert layer.noise.to_dict() == {
        "name": "asymmetric_cifar10_in_place", "rate": 0.2, "seed": 3,
    }  # fmt: skip
    assert (layer.data.name, layer.init_seed) == ("digits", 3)
    assert ConfigFile("apl_cifar10").config.to_dict()["loss"] == build("apl_cifar10")["loss"]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (
            "los=gce",
            "argument.los: 'gr_cifar100' has no such option; did you mean 'loss'? "
            "Known: loss, network, noise, quick, rate, seed",
        ),
        ("rate=much", "argument.rate: 'gr_cifar100' takes a number or None, got 'much'"),
        ("seed=1.5", "argument.seed: 'gr_cifar100' takes a whole number, got 1.5"),
        ("quick=1", "argument.quick: 'gr_cifar100' takes true or false, got 1"),
        ("loss=3", "argument.loss: 'gr_cifar100' takes a string, got 3"),
        (
            "gce",
            "argument: must be name=value, got 'gce'; the card's arguments are "
            "loss, noise, rate, seed, network, quick",
        ),
        (
            "seed=1,seed=2",
            "argument: must be given once, got 'seed=2'; the card's arguments are "
            "loss, noise, rate, seed, network, quick",
        ),
    ],
)
def test_a_bad_argument_is_refused(argument, message):
    with pytest.raises(ConfigError) as caught:
        card.parse(importlib.import_module("grjax.configs.gr_cifar100").build, argument)
    assert str(caught.value) == message


@every_card
def test_commands_in_the_header_are_ones_that_the_card_takes(name):
    module = importlib.import_module(f"grjax.configs.{name}")
    commands = re.findall(r"--config=configs/(\w+)\.py(?::(\S+))?", module.__doc__)
    assert len(commands) >= 3
    for file, argument in commands:
        assert file == name
        config = resolve(module.build(**card.parse(module.build, argument)))
        create_loss(config.loss, steps_per_epoch=390, total_steps=10**5)
        noise.create(**config.noise)


@every_card
def test_every_card_takes_the_arguments_that_all_have(name):
    parameters = inspect.signature(importlib.import_module(f"grjax.configs.{name}").build).parameters
    wanted = {"loss", "noise", "rate", "seed", "quick"} - (
        {"noise", "rate"} if name == "gr_clothing1m" else set()
    )
    assert wanted <= parameters.keys()


# ------------------------------------------------------------------------------------------------ quick runs


OWN_AUGMENTATION = {"gr_clothing1m", "gjs_cifar10", "gjs_cifar100"}  # where it is for a size of image


@every_card
def test_quick_keeps_the_structure(name):
    full, quick = build(name), build(name, quick=True)
    assert quick["data"]["name"] == "digits"
    assert quick["optimizer"] == full["optimizer"]

    def undated(section):
        return {key: value for key, value in section.items() if not key.endswith(("_steps", "_epochs"))}

    def stems(section):
        return {key.rpartition("_")[0] for key in section.keys() - undated(section).keys()}

    for section in ("loss", "schedule"):
        assert undated(quick[section]) == undated(full[section])
        assert stems(quick[section]) == stems(full[section])
    for key in ("views", "validation_fraction", "validation_labels"):
        assert quick["data"].get(key) == full["data"].get(key)
    if name not in OWN_AUGMENTATION:
        assert quick["data"].get("augmentation") == full["data"].get("augmentation")
    assert quick.get("imbalance") == full.get("imbalance")


def test_durations_shrink_in_proportion():
    """To 6 steps: of 30,000, and of 120 epochs; at least one."""
    assert build("gr_cifar100", quick=True)["schedule"]["boundaries_steps"] == [3, 4]
    quick = build("gce_cifar10", quick=True)
    assert quick["schedule"]["boundaries_steps"] == [2, 4]
    durations = {key: value for key, value in quick["loss"].items() if key.endswith("_steps")}
    assert durations == {"begin_steps": 2, "every_steps": 1, "window_steps": 1}
    assert quick["train_steps"] == quick["eval_every_steps"] == quick["checkpoint_every_steps"] == 6


# Most of a quick run is compiling its network. These have their own here, the others a smaller one;
# in the slow tests all have their own.
OWN_NETWORK = {"gr_cifar100", "gr_imdb"}
TINY = {"model": {"name": "cnn", "features": (4,), "hidden": 8}}


def assert_trains(config, workdir):
    summary = train_and_evaluate(config, workdir)
    assert summary["num_steps"] == 6
    first, last = (json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines())
    assert last["mean_p_clean"] != first["mean_p_clean"]  # it has learned, or unlearned, something
    assert 0 <= summary["test_accuracy_last"] <= 1


# One of each kind of network, data, loss memory, layer rule and method. The others are slow tests; what
# they name is checked above.
TRAINED = {
    "anl_cifar10", "cifar10n", "divide_mix_cifar10", "elr_cifar10", "gr_clothing1m", "gr_imdb",
    "gr_vehicles10", "sce_cifar10",
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [name if name in TRAINED else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
)
def test_quick_trains(name, tmp_path, data_dir, compile_quickly):
    layer = {} if name in OWN_NETWORK else TINY
    if name == "sce_cifar10":  # whose weight decay names a layer of its network
        layer = {**TINY, "optimizer": {"decay": ("Dense_0",)}}
    assert_trains(resolve(build(name, quick=True), {"tensorboard": False}, layer), tmp_path)


@pytest.mark.slow
@every_card
def test_quick_trains_with_its_own_network(name, tmp_path, data_dir, compile_quickly):
    assert_trains(resolve(build(name, quick=True), {"tensorboard": False}), tmp_path)
