"""The keys of a run's config, and how defaults, a config file and the command line become one config.

The sections `imbalance`, `open_set`, `noise`, `model`, `method`, `loss`, `optimizer` and `schedule` name
something registered; their other keys are its options, checked against its signature. A hyper-parameter of
the loss may itself be such a section: a schedule of `grjax.losses.schedules`. A duration is given once, in
steps or in epochs, by the ending of its key: `train_steps` or `train_epochs`.
"""

import math
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from grjax.errors import ConfigError
from grjax.plain_values import plain
from grjax.registry import closest

_NAMED_SECTIONS = ("imbalance", "open_set", "noise", "model", "method", "loss", "optimizer", "schedule")
_UNITS = ("steps", "epochs")


def defaults() -> ConfigDict:
    """Every key there is, with its default. A config file sets what differs."""
    return ConfigDict(
        {
            "data": {
                "name": "digits",
                # The data set's files, or TFDS's data folder: see grjax.data.load. None: $TFDS_DATA_DIR or
                # ~/tensorflow_datasets.
                "dir": None,
                "image_size": 224,  # of images that lie in files of their own, as Clothing1M's
                # Names of grjax.data.augment, applied in turn; ("default",): as published for the data set.
                "augmentation": (),
                "mixing": {"name": "none"},  # of grjax.data.mixing: mixup, cutmix
                # By mean and standard deviation of each channel over the training split; False: pixels from 0
                # to 255, and unscaled features.
                "standardise": True,
                # Of training examples: 'shuffled' anew each epoch, or 'fixed', one order that is cycled.
                "order": "shuffled",
                "views": 1,  # of each example in a batch, augmented independently
                "feed": "auto",  # 'resident' on the devices, 'streaming' from the host; auto: by size
                "random_resized_crop": False,  # of training images in files of their own, by the workers
                "workers": 8,  # threads that load images when streaming
                # Of data.name=huggingface; see grjax/data/huggingface.py.
                "columns": (),  # what is learned from; (): the one of images or arrays
                "label_column": None,
                "train_split": None,
                "test_split": None,
                "subset": None,  # of a data set of the hub that has several
                "test_fraction": 0.2,  # of own data that come without a test split
                "test_seed": 0,
                "validation_fraction": 0.0,  # of the training examples, held out
                "validation_seed": 0,
                "validation_labels": "clean",  # or "noisy": by the same noise as the training labels
            },
            # What happens to the training examples, in this order.
            "imbalance": {"name": "none"},  # of grjax.noise.imbalance: which of them stay
            "open_set": {"name": "none"},  # a data set whose images replace theirs; rate, seed, dir
            "noise": {"name": "symmetric", "rate": 0.0, "seed": 0},
            "model": {"name": "cnn"},
            "method": {"name": "single"},  # of grjax.methods: what is done with model, loss and optimiser
            "loss": {"name": "cross_entropy"},
            "optimizer": {"name": "momentum", "learning_rate": 0.1},
            "schedule": {"name": "constant"},
            "init_seed": 0,  # of the initial parameters
            "order_seed": 0,  # of the order of examples, augmentation and dropout
            "batch_size": 128,  # global: over all devices of all hosts
            "eval_batch_size": 512,
            "train_epochs": 60.0,
            "eval_every_epochs": 1.0,
            # Whether the first parameters are evaluated, too: 'always', 'never', or 'auto', where that is
            # quick; see grjax/evaluation_times.py.
            "evaluate_start": "auto",
            "checkpoint_every_epochs": 10.0,
            "keep_checkpoints": 3,  # the latest so many
            # Of every example at every evaluation; see grjax/workdir/predictions.py.
            "keep_predictions": True,
            "dynamics": True,  # collect training dynamics of every example, see grjax/dynamics.py
            # Train steps in one call to the devices: the largest divisor of all intervals up to this. More
            # saves dispatch on GPU and TPU; on the CPU leave it at 1 (see grjax/steps.py).
            "max_steps_per_call": 1,
            # Two steps, as (10, 20): what runs from the first to before the second is traced into the folder
            # `profile` of the workdir; see grjax/profile.py.
            "profile": (),
            # Loggers that get the rows of metrics.jsonl, too; see grjax/loggers.
            "tensorboard": True,  # events in the workdir
            "wandb": False,  # Weights & Biases
            "mlflow": False,
        }
    )


def merge(config: Mapping[str, Any], layer: Mapping[str, Any]) -> dict[str, Any]:
    """Lays `layer` over `config`: what the layer says replaces what the config said.

    Three replacements go further than one key. A section that names another loss, model, ... drops the
    options of the one before; so do `loss.defaults`; a duration in one unit drops the same one in the other.

    Args:
      config: nested mapping with every key of `defaults()`.
      layer: nested mapping with any of these keys, and options in the named sections.

    Returns:
      A new nested dict; the arguments stay unchanged.

    Raises:
      ConfigError: an unknown key, a value of another type than the default's, a section that is not a
        mapping, or a duration that the layer gives twice.
    """
    layer = plain(layer)
    merged = _without_other_units(dict(config), layer, where="")
    for key, value in layer.items():
        if key in _NAMED_SECTIONS or key == "data":
            merged[key] = _merge_section(key, merged[key], value)
        else:
            _check_key(key, value, where="", known=_top_level())
            merged[key] = value
    return merged


def resolve(*layers: Mapping[str, Any] | ConfigDict) -> ConfigDict:
    """`defaults()` under the given layers, checked and locked: the config of a run.

    Args:
      *layers: nested mappings or `ConfigDict`s, each laid over those before it; usually a config file's
        and the command line's.

    Raises:
      ConfigError: see `merge`; or a value out of its range.
    """
    merged: dict[str, Any] = defaults().to_dict()
    for layer in layers:
        merged = merge(merged, layer.to_dict() if isinstance(layer, ConfigDict) else layer)
    for key, least in (
        ("batch_size", 1), ("eval_batch_size", 1), ("keep_checkpoints", 1), ("max_steps_per_call", 1),
        ("init_seed", 0), ("order_seed", 0),
    ):  # fmt: skip
        if merged[key] < least:
            raise ConfigError(f"{key}: must be at least {least}, got {merged[key]}")
    for key in ("init_seed", "order_seed"):
        if merged[key] >= 2**32:  # jax would take it modulo 2**32
            raise ConfigError(f"{key}: must be below 2**32, got {merged[key]}")
    if not 0 <= merged["data"]["validation_fraction"] < 1:
        raise ConfigError(
            f"data.validation_fraction: must be in [0, 1), got {merged['data']['validation_fraction']}"
        )
    if merged["data"]["validation_labels"] not in ("clean", "noisy"):
        raise ConfigError(
            f"data.validation_labels: must be 'clean' or 'noisy', got {merged['data']['validation_labels']!r}"
        )
    if merged["data"]["order"] not in ("shuffled", "fixed"):
        raise ConfigError(f"data.order: must be 'shuffled' or 'fixed', got {merged['data']['order']!r}")
    if merged["evaluate_start"] not in ("auto", "always", "never"):
        raise ConfigError(
            f"evaluate_start: must be 'auto', 'always' or 'never', got {merged['evaluate_start']!r}"
        )
    return ConfigDict(merged).lock()


def unflatten(dotted: Mapping[str, Any]) -> dict[str, Any]:
    """{'loss.lam': 1} -> {'loss': {'lam': 1}}.

    A section may stand beside keys within it, {'noise': {...}, 'noise.seed': 1}: these have precedence, in
    whichever order they stand. What is given stays unchanged.

    Raises:
      ConfigError: a key within what is no section.
    """
    nested: dict[str, Any] = {}
    for path in sorted(dotted, key=lambda path: path.count(".")):
        *parents, last = path.split(".")
        section = nested
        for parent in parents:
            section = section.setdefault(parent, {})
            if not isinstance(section, dict):
                raise ConfigError(f"{path}: {parent!r} is given as {section!r}, which has no keys")
        section[last] = _copied(dotted[path])
    return nested


def _copied(value: Any) -> Any:
    """A section with sections of its own; anything else as it is."""
    if not isinstance(value, Mapping | ConfigDict):
        return value
    return {key: _copied(inner) for key, inner in value.items()}


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{'loss': {'lam': 1}} -> {'loss.lam': 1}."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def steps(config: Mapping[str, Any], stem: str, steps_per_epoch: int) -> int:
    """The duration `stem`, given as '{stem}_steps' or '{stem}_epochs', in whole steps, at least one.

    Raises:
      ConfigError: not a finite positive number, or a fraction of a step where steps are given.
    """
    unit = next(unit for unit in _UNITS if f"{stem}_{unit}" in config)
    key, value = f"{stem}_{unit}", config[f"{stem}_{unit}"]
    if not math.isfinite(value) or value <= 0 or (unit == "steps" and value != int(value)):
        wanted = "a whole positive number" if unit == "steps" else "a positive number"
        raise ConfigError(f"{key}: must be {wanted}, got {value}")
    return max(1, round(value * (steps_per_epoch if unit == "epochs" else 1)))


def options_in_steps(section: Mapping[str, Any], steps_per_epoch: int, where: str = "") -> dict[str, Any]:
    """A section's options without its name, with every `..._epochs` turned to `..._steps`.

    Args:
      section: of a config, as `config.schedule`.
      steps_per_epoch: of the run.
      where: put before the key in an error, as 'schedule.'.

    Raises:
      ConfigError: epochs that are not finite numbers.
    """
    options: dict[str, Any] = {}
    for key, value in section.items():
        if key.endswith("_epochs"):
            several = isinstance(value, list | tuple)
            for number in value if several else [value]:
                if (
                    isinstance(number, bool)
                    or not isinstance(number, int | float)
                    or not math.isfinite(number)
                ):
                    raise ConfigError(f"{where}{key}: must be a number of epochs or several, got {value!r}")
            in_steps = [round(number * steps_per_epoch) for number in (value if several else [value])]
            options[key.removesuffix("epochs") + "steps"] = in_steps if several else in_steps[0]
        elif key != "name":
            options[key] = value
    return options


def _merge_section(name: str, section: Mapping[str, Any], layer: Any) -> dict[str, Any]:
    if not isinstance(layer, Mapping):
        raise ConfigError(f"{name}: must be a section with keys, as {name}.name, got {layer!r}")
    if name == "data":
        for key, value in layer.items():
            _check_key(key, value, where="data.", known=defaults()["data"].to_dict())
    elif not isinstance(layer.get("name", ""), str):
        raise ConfigError(f"{name}.name: must be a name in quotes, got {layer['name']!r}")
    elif layer.get("name", section["name"]) != section["name"]:
        section = {}  # its options belong to the one that was named before
    elif name == "loss" and "defaults" in layer:
        section = {"name": section["name"]}  # published options are wanted instead of those given before
    merged = {**_without_other_units(dict(section), layer, where=f"{name}."), **layer}
    for key, value in layer.items():
        if isinstance(value, Mapping) and isinstance(section.get(key), Mapping):
            merged[key] = _merge_section(f"{name}.{key}", section[key], value)  # a schedule
    return merged


def _without_other_units(section: dict[str, Any], layer: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Drops from `section` each duration that `layer` gives in the other unit."""
    for key in layer:
        stem, _, unit = key.rpartition("_")
        if unit in _UNITS:
            other = f"{stem}_{'epochs' if unit == 'steps' else 'steps'}"
            if other in layer:
                raise ConfigError(
                    f"{where}{key} and {where}{other}: the duration is given twice; "
                    f"give it in steps or in epochs"
                )
            section.pop(other, None)
    return section


def _top_level() -> dict[str, Any]:
    """The keys outside the sections with their defaults, durations in both units."""
    known = defaults().to_dict()
    for key in list(known):
        if key.endswith("_epochs"):
            known[key.removesuffix("epochs") + "steps"] = int(known[key])
    return known


def _check_key(key: str, value: Any, where: str, known: Mapping[str, Any]) -> None:
    if key not in known:
        raise ConfigError(f"{where}{key}: unknown config key; {closest(key, known)}")
    default = known[key]
    also = {float: (int,), tuple: (list,), type(None): (str,)}
    fits = (type(default), *also.get(type(default), ()))
    if not isinstance(value, fits) or (isinstance(value, bool) and bool not in fits):
        kind = "str or None" if default is None else type(default).__name__
        raise ConfigError(f"{where}{key}: must be {kind}, as {default!r}; got {value!r}")
