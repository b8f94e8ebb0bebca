"""Ranges of the losses' hyper-parameters: one out of its range is an error before a loss is computed.

An interval's square bracket includes its end, a round one does not. Every hyper-parameter that may be a
number is here; where any will do, with the interval of all finite ones.
"""

import numbers
from collections.abc import Mapping
from typing import Any

from grjax.errors import ConfigError

_ANY = "(-inf, inf)"
_NOT_NEGATIVE = "[0, inf)"
_POSITIVE = "(0, inf)"
_BELOW_0 = "(-inf, 0)"
_FRACTION = "[0, 1]"
_INSIDE = "(0, 1)"
_MOMENTUM = "[0, 1)"
_FROM_1 = "[1, inf)"

_PAIR = {"alpha": _NOT_NEGATIVE, "beta": _NOT_NEGATIVE}  # the factors of two losses

RANGES: dict[str, dict[str, str]] = {
    "gradient_rescaling": {"lam": _NOT_NEGATIVE, "beta": _ANY, "epsilon": _NOT_NEGATIVE},
    "imae": {"beta": _ANY, "epsilon": _NOT_NEGATIVE},
    "combined": {
        "a": _ANY, "b": _ANY, "lam": _NOT_NEGATIVE, "beta": _ANY, "log_c": _ANY, "epsilon": _NOT_NEGATIVE,
    },
    "mae": {"scale": _POSITIVE, "epsilon": _NOT_NEGATIVE},
    "gce": {"q": _NOT_NEGATIVE, "epsilon": _NOT_NEGATIVE},
    "truncated_gce": {"q": _NOT_NEGATIVE, "k": _INSIDE, "epsilon": _NOT_NEGATIVE},
    "cross_entropy": {"epsilon": _NOT_NEGATIVE},
    "mse": {"epsilon": _NOT_NEGATIVE},
    "nrce": {"epsilon": _NOT_NEGATIVE},
    "rce": {"log_zero": _BELOW_0, "epsilon": _NOT_NEGATIVE},
    "sce": {**_PAIR, "log_zero": _BELOW_0, "epsilon": _NOT_NEGATIVE},
    "focal": {"gamma": _NOT_NEGATIVE, "epsilon": _NOT_NEGATIVE},
    "taylor_ce": {"order": _FROM_1, "epsilon": _NOT_NEGATIVE},
    "phuber_ce": {"tau": _FROM_1, "epsilon": _NOT_NEGATIVE},
    "phuber_gce": {"tau": _FROM_1, "q": _MOMENTUM, "epsilon": _NOT_NEGATIVE},
    "agce": {"a": _POSITIVE, "q": _POSITIVE, "epsilon": _NOT_NEGATIVE},
    "aul": {"a": "(1, inf)", "q": _POSITIVE, "epsilon": _NOT_NEGATIVE},
    "ael": {"a": _POSITIVE, "epsilon": _NOT_NEGATIVE},
    "js": {"pi": _INSIDE, "epsilon": _NOT_NEGATIVE},
    "nmae": {"scale": _POSITIVE, "epsilon": _NOT_NEGATIVE},
    "nfl": {"gamma": _NOT_NEGATIVE},
    "ngce": {"q": "(0, 1]"},
    "nnce": {"p_min": _INSIDE},
    "nnfl": {"gamma": _NOT_NEGATIVE, "p_min": _INSIDE},
    "amse": {"a": _POSITIVE},
    "nce_mae": {**_PAIR, "scale": _POSITIVE},
    "nce_rce": {**_PAIR, "log_zero": _BELOW_0},
    "nfl_mae": {**_PAIR, "gamma": _NOT_NEGATIVE, "scale": _POSITIVE},
    "nfl_rce": {**_PAIR, "gamma": _NOT_NEGATIVE, "log_zero": _BELOW_0},
    "nce_agce": {**_PAIR, "a": _POSITIVE, "q": _POSITIVE},
    "nce_aul": {**_PAIR, "a": "(1, inf)", "q": _POSITIVE},
    "nce_ael": {**_PAIR, "a": _POSITIVE},
    "anl_ce": {**_PAIR, "p_min": _INSIDE},
    "anl_fl": {**_PAIR, "gamma": _NOT_NEGATIVE, "p_min": _INSIDE},
    "jal_ce": {**_PAIR, "a": _POSITIVE},
    "jal_fl": {**_PAIR, "gamma": _NOT_NEGATIVE, "a": _POSITIVE},
    "label_smoothing": {"epsilon": _FRACTION},
    "confidence_penalty": {"beta": _NOT_NEGATIVE},
    "bootstrap_soft": {"beta": _FRACTION},
    "bootstrap_hard": {"beta": _FRACTION},
    "epsilon_softmax": {**_PAIR, "m": _NOT_NEGATIVE, "mae_scale": _POSITIVE, "p_min": _INSIDE},
    "proselflc": {"trust": _FRACTION},
    "forward_correction": {"transition": _FRACTION},
    "backward_correction": {"transition": _FRACTION},
    "gjs": {"pi": _INSIDE},
    "bi_tempered": {"t1": _FRACTION, "t2": "[1, 5]"},
    "logit_clip": {"delta": _POSITIVE, "threshold": _POSITIVE},
    "ldr_kl": {"lam": _POSITIVE, "margin": _NOT_NEGATIVE},
    "elr": {"lam": _NOT_NEGATIVE, "beta": _MOMENTUM},
    "self_adaptive": {"momentum": _MOMENTUM, "begin_steps": _NOT_NEGATIVE},
    "truncated_gce_pruned": {
        "q": _POSITIVE, "k": _INSIDE,
        "begin_steps": _NOT_NEGATIVE, "every_steps": _FROM_1, "window_steps": _FROM_1,
    },
}  # fmt: skip


def check_ranges(name: str, options: Mapping[str, Any]) -> None:
    """Checks the hyper-parameters of a loss that are numbers, or lists of them, against its ranges.

    What is traced, an array or a schedule passes: its values are not looked at.

    Raises:
      ConfigError: one is out of its range.
    """
    for key, interval in RANGES.get(name, {}).items():
        for number in _numbers(options.get(key)):
            if not contains(interval, number):
                raise ConfigError(f"loss.{key}: must be in {interval}, got {number}")


def contains(interval: str, number: float) -> bool:
    """Whether a number is in an interval, written as '[0, 1)'."""
    low, high = (float(end) for end in interval[1:-1].split(","))
    above = number >= low if interval[0] == "[" else number > low
    below = number <= high if interval[-1] == "]" else number < high
    return above and below


def _numbers(value: Any) -> list[Any]:
    """A number as a list of one, all numbers of a nested list; none of anything else."""
    if isinstance(value, list | tuple):
        return [number for element in value for number in _numbers(element)]
    return [value] if isinstance(value, numbers.Real) else []
