"""Which keys of a config a compiled step takes as arguments, and which make it another program.

Traced: the seeds, everything about the noise (it changes labels alone), learning rate, weight decay, and
those hyper-parameters of the loss that may be arrays, where they are plain numbers. Losses of p alone that
belong to one family (`grjax.sweep.family`) share a program whatever their names are.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from grjax import losses, optimizers
from grjax.devices import AXIS
from grjax.experiment import Experiment, create_loss
from grjax.losses import TrainingLoss
from grjax.sweep import family

_OF_OPTIMIZER = {"learning_rate": None, "weight_decay": 0.0}  # with their defaults
_FAMILY = "a member of the combined family"  # in place of a loss' name
Values = dict[str, Any]


def key(config: ConfigDict) -> str:
    """What all trials that share a program have in common, as text."""
    static = config.to_dict()
    for name in ("noise", "init_seed", "order_seed"):
        del static[name]
    static["optimizer"] = {
        key: value for key, value in static["optimizer"].items() if key not in _OF_OPTIMIZER
    }
    static["loss"], _ = _split(_options(config))
    return json.dumps(static, sort_keys=True)


def values(config: ConfigDict) -> Values:
    """The traced values of a config; of equal structure for configs of equal `key`."""
    _, of_loss = _split(_options(config))
    return {
        "loss": of_loss,
        "optimizer": {
            key: float(config.optimizer.get(key, default)) for key, default in _OF_OPTIMIZER.items()
        },
        "order_seed": config.order_seed,
    }


def rebuilt(experiment: Experiment, config: ConfigDict, values: Values) -> Experiment:
    """An experiment with traced values in place of a config's own, for use while a step is traced.

    Args:
      experiment: of the config.
      config: any of those that share the program.
      values: of the structure of `values(config)`.
    """
    per_epoch, total_steps = experiment.sampler.steps_per_epoch, experiment.total_steps
    static, _ = _split(_options(config))
    loss: TrainingLoss
    if static == {"name": _FAMILY}:
        loss = family.loss(values["loss"])
    else:
        loss = create_loss({**static, **values["loss"]}, per_epoch, total_steps, axis_name=AXIS)
    options = {**config.optimizer, **values["optimizer"]}
    parts = dataclasses.replace(
        experiment.parts,
        loss=loss,
        optimizer=optimizers.create(**options, schedule=experiment.schedule),
        seed=values["order_seed"],
    )
    return dataclasses.replace(experiment, parts=parts)


def _options(config: ConfigDict) -> dict[str, Any]:
    """The loss section with its published hyper-parameters written out."""
    section = config.loss.to_dict()
    dataset = section.pop("defaults", None)
    return section if dataset is None else {**losses.defaults(section["name"], dataset), **section}


def _split(section: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, float]]:
    """A loss section as what is static and what is traced."""
    options = {key: value for key, value in section.items() if key != "name"}
    name = section["name"]
    member = family.member(name, options)
    if member is not None:
        return {"name": _FAMILY}, member
    traced = {
        key: float(options.get(key, default))
        for key, default in losses.array_hyperparameters(name).items()
        if _is_number(options.get(key, default))
    }
    return {key: value for key, value in section.items() if key not in traced}, traced


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
