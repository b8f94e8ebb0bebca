"""Losses of p alone as members of one family: a traced point in it instead of a program for each loss.

    w = exp(log_c) p^a (1 - p)^b exp(beta p^lam (1 - p)) / norm        (grjax.emphasis.Combined)
    L = scale ((1 - p^q) / q)^power / norm, where the loss has a written value; else cross-entropy

and an epsilon, by which fitted examples stop contributing to the gradient.

Only losses for which both hold exactly are members; they differ from their own programs by rounding.
"""

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grjax import losses
from grjax.emphasis import Combined, log_integral
from grjax.losses import TrainingLoss, from_emphasis
from grjax.losses.agreement import LOG_2, family
from grjax.losses.generalized import GCE
from grjax.losses.memory import without_memory


@family
class Member:
    """A point of the family. Cross-entropy's by default."""

    a: ArrayLike = 0.0
    b: ArrayLike = 1.0
    lam: ArrayLike = 0.0
    beta: ArrayLike = 0.0
    log_c: ArrayLike = LOG_2
    scale: ArrayLike = 1.0
    q: ArrayLike = 0.0
    power: ArrayLike = 1.0
    divided: ArrayLike = 1.0  # whether the norm divides the value too: 1 or 0
    integral: ArrayLike = 0.0  # whether the norm is the integral of w, or else 1: 1 or 0

    def _log_norm(self, dtype: jax.typing.DTypeLike) -> jax.Array:
        weight = Combined(self.a, self.b, self.lam, self.beta, self.log_c)
        return jnp.where(jnp.asarray(self.integral) > 0, log_integral(weight, dtype), 0)

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        """See `Emphasis`."""
        weight = Combined(self.a, self.b, self.lam, self.beta, self.log_c)
        return weight.log_weight(log_odds) - self._log_norm(log_odds.dtype)

    def value(self, log_odds: jax.Array) -> jax.Array:
        """The loss for log-odds of the label [...]."""
        scale, power, divided = (
            jnp.asarray(each, log_odds.dtype) for each in (self.scale, self.power, self.divided)
        )
        written = scale * GCE(self.q).value(log_odds) ** power
        return written * jnp.exp(-divided * self._log_norm(log_odds.dtype))


def _rescaling(lam: float, beta: float) -> dict[str, float]:
    return {"b": 0.0, "lam": lam, "beta": beta, "log_c": 0.0, "divided": 0.0}


def _scaled_mae(scale: float) -> dict[str, float]:
    return {"a": 1.0, "log_c": LOG_2 + math.log(scale), "scale": scale, "q": 1.0}


# What is not cross-entropy's, from the hyper-parameters of a loss, those with a default too.
_MEMBERS: dict[str, Callable[..., dict[str, float]]] = {
    "combined": lambda a, b, lam, beta, log_c: {**_rescaling(lam, beta), "a": a, "b": b, "log_c": log_c},
    "cross_entropy": dict,
    "gce": lambda q: {"a": q, "q": q},
    "gradient_rescaling": _rescaling,
    "imae": functools.partial(_rescaling, 1.0),
    "mae": _scaled_mae,
    "mse": lambda: {"a": 1.0, "b": 2.0, "log_c": 2 * LOG_2, "q": 1.0, "power": 2.0},
    "rce": lambda log_zero: _scaled_mae(-log_zero),
}


def member(name: str, hyperparameters: Mapping[str, Any]) -> dict[str, float] | None:
    """The values of `Member` for a loss, and its epsilon; None: no member, or not of plain numbers.

    Args:
      name: of the loss.
      hyperparameters: of a config, checked, with published ones filled in.
    """
    if name not in _MEMBERS:
        return None
    parameters = inspect.signature(getattr(losses, name)).parameters
    options = {
        key: each.default
        for key, each in parameters.items()
        if key not in ("logits", "labels", "per_class", "axis_name")
    } | dict(hyperparameters)
    normalization, per_class = options.pop("normalization"), options.pop("per_class", False)
    if options["epsilon"] is None:  # of a loss with a written value
        options["epsilon"] = 0.0
    plain = all(isinstance(value, int | float) for value in options.values())
    if normalization == "batch" or per_class or not plain:
        return None
    epsilon = options.pop("epsilon")
    values = {key: float(getattr(Member, key)) for key in Member.__dataclass_fields__}
    values |= _MEMBERS[name](**options)
    return {**values, "epsilon": float(epsilon), "integral": float(normalization == "integral")}


def loss(values: Mapping[str, ArrayLike]) -> TrainingLoss:
    """The loss of a member, whose values may be traced."""
    point = {key: value for key, value in values.items() if key != "epsilon"}
    of_point = functools.partial(from_emphasis, emphasis=Member(**point), epsilon=values["epsilon"])
    return without_memory(of_point)
