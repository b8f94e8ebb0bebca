"""Protocol cards: config files with arguments, `--config=configs/gr_cifar100.py:loss=gce,rate=0.2,seed=1`.

A card is a file of configs/ with a function `build(*, loss=..., rate=..., seed=..., quick=...)` that returns
the config of a published protocol as a nested dict, and

    def get_config(argument: str = "") -> ConfigDict:
        return card.get_config(build, argument)

so that Python and the command line take the same arguments; the annotations of `build` say what they may be.
"""

import ast
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from grjax import losses
from grjax.errors import ConfigError
from grjax.registry import check_options

Section = Mapping[str, Any]

# What the quick variant of a table, which compiles a program or more for each of its groups, sets otherwise
# than that of a card: a network that compiles in a second.
QUICK_TABLE: dict[str, Any] = {"model": {"name": "cnn", "features": (8,), "hidden": 16}}


def get_config(build: Callable[..., dict[str, Any]], argument: str = "") -> ConfigDict:
    """The config that a card builds from its argument on the command line; see `parse`."""
    return ConfigDict(build(**parse(build, argument)))


def parse(build: Callable[..., Any], argument: str) -> dict[str, Any]:
    """'loss=gce,rate=0.2' to keywords of a card's `build`, checked against its signature.

    Args:
      build: of the card.
      argument: name=value, separated by commas; numbers, true, false, none, and anything else is a string.

    Raises:
      ConfigError: an argument that the card does not have, of the wrong type, or given twice.

    Example:
      >>> def build(*, loss: str = "gce", rate: float = 0.4, quick: bool = False): ...
      >>> parse(build, "loss=mae,quick=true")
      {'loss': 'mae', 'quick': True}
    """
    options: dict[str, Any] = {}
    for part in argument.split(",") if argument else []:
        key, equals, value = part.partition("=")
        if not equals or key in options:
            wanted = "given once" if equals else "name=value"
            known = ", ".join(inspect.signature(build).parameters)
            raise ConfigError(f"argument: must be {wanted}, got {part!r}; the card's arguments are {known}")
        options[key] = _value(value)
    return check_options("argument", Path(inspect.getfile(build)).stem, build, options)


def loss(name: str, dataset: str, of_the_card: Mapping[str, Section] | None = None) -> dict[str, Any]:
    """A loss section with the hyper-parameters of the card's paper, else those published for the data set."""
    if name in (of_the_card or {}):
        return {"name": name, **(of_the_card or {})[name]}
    found = losses.published(name, dataset)
    return {"name": name, **(found.options if found else {})}


def noise(
    name: str, rate: float | None, seed: int, of_the_card: Mapping[str, Section] | None = None
) -> dict[str, Any]:
    """A noise section: what the card's paper calls `name`, else the registered model of that name.

    A model without a rate is named with rate None.
    """
    section = {**(of_the_card or {}).get(name, {"name": name}), "seed": seed}
    return section if rate is None else {**section, "rate": rate}


def shrink(
    config: Section, *, model: Section, augmentation: Sequence[Any] | None = None, num_steps: int = 6
) -> dict[str, Any]:
    """The protocol in seconds: the same config on scikit-learn's digits, with a small network, in few steps.

    Loss, optimiser, augmentation, mixing, views and held-out examples stay; durations shrink in proportion;
    noise that only the card's data have gives way to its nearest kind. What comes out says that the card
    works, and nothing of its accuracy.

    Args:
      config: of the card.
      model: a small network of the card's family.
      augmentation: where the card's is for a certain size of image; None: the card's.
      num_steps: of the run; the only evaluation and checkpoint are at its end.
    """
    unit = "epochs" if "train_epochs" in config else "steps"
    share = num_steps / config[f"train_{unit}"]
    of_its_data = ("dir", "image_size", "standardise")  # raw features have a scale of their own
    data = {key: value for key, value in config["data"].items() if key not in of_its_data}
    data |= {"name": "digits", "random_resized_crop": False}
    if augmentation is not None:
        data["augmentation"] = augmentation
    lengths = ("train", "eval_every", "checkpoint_every")
    rest = {key: value for key, value in config.items() if key.rpartition("_")[0] not in lengths}
    return {
        **rest,
        **{f"{length}_steps": num_steps for length in lengths},
        "data": data,
        "model": dict(model),
        "noise": _ON_DIGITS.get(config["noise"]["name"], dict)(config["noise"]),
        "loss": _shorter(config["loss"], share),
        "schedule": _shorter(config["schedule"], share),
        "batch_size": 64,
        "eval_batch_size": 512,
    }


def _symmetric_instead(noise: Section) -> dict[str, Any]:
    return {"name": "symmetric", "rate": 0.4, "seed": noise["seed"]}


def _pairs_instead(noise: Section) -> dict[str, Any]:
    return {"name": "pair_flip", "rate": noise["rate"], "seed": noise["seed"]}


_ON_DIGITS: dict[str, Callable[[Section], dict[str, Any]]] = {
    "asymmetric_cifar100_block_legacy": _pairs_instead,
    "asymmetric_cifar100_next": _pairs_instead,
    "asymmetric_cifar100_swap": _pairs_instead,
    "cifar10_n": _symmetric_instead,
    "cifar100_n": _symmetric_instead,
}


def _shorter(section: Section, share: float) -> dict[str, Any]:
    """A section with every duration times `share`, in steps, at least one."""
    shorter: dict[str, Any] = {}
    for key, value in section.items():
        stem, _, unit = key.rpartition("_")
        if isinstance(value, Mapping):
            shorter[key] = _shorter(value, share)
        elif unit in ("steps", "epochs"):
            several = [max(1, round(each * share)) for each in (value if _is_several(value) else [value])]
            shorter[f"{stem}_steps"] = several if _is_several(value) else several[0]
        else:
            shorter[key] = value
    return shorter


def _is_several(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _value(text: str) -> Any:
    if text.lower() in ("true", "false", "none"):
        return ast.literal_eval(text.capitalize())
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text
