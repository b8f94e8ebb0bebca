"""Hyper-parameters of a loss that change over training: functions step -> value, as optax has them.

In a config a hyper-parameter is then a section, its durations in steps or epochs of the run:

    config.loss.beta = {"name": "linear", "start": 0.0, "end": 16.0, "transition_epochs": 10}

In Python any function of the step will do: `losses.for_training("gradient_rescaling", lam=1., beta=f)`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from grjax.errors import ConfigError
from grjax.registry import check_options, lookup

Schedule = Callable[[Any], Any]


def linear(
    total_steps: int, *, start: float, end: float, begin_steps: int = 0, transition_steps: int | None = None
) -> Schedule:
    """From `start` to `end` along a line, from `begin_steps` on in `transition_steps` (None: the rest)."""
    steps = _rest(total_steps, begin_steps, transition_steps)
    return lambda step: (start - end) * (1 - jnp.clip(step - begin_steps, 0, steps) / steps) + end


def cosine(
    total_steps: int, *, start: float, end: float, begin_steps: int = 0, transition_steps: int | None = None
) -> Schedule:
    """As `linear`, along half a cosine."""
    steps = _rest(total_steps, begin_steps, transition_steps)

    def value(step: Any) -> jax.Array:
        fraction = jnp.clip((step - begin_steps) / steps, 0, 1)
        return end + (start - end) * 0.5 * (1 + jnp.cos(jnp.pi * fraction))

    return value


def piecewise(total_steps: int, *, values: Sequence[float], boundaries_steps: Sequence[int]) -> Schedule:
    """`values[i]` from boundary i - 1 up to before boundary i."""
    del total_steps
    if len(values) != len(boundaries_steps) + 1:
        raise ConfigError(
            f"values: must be one more than the {len(boundaries_steps)} boundaries, got {len(values)}"
        )
    if list(boundaries_steps) != sorted(set(boundaries_steps)):
        raise ConfigError(f"boundaries: must increase, got {list(boundaries_steps)}")
    return lambda step: jnp.asarray(values)[
        jnp.searchsorted(jnp.asarray(boundaries_steps), step, side="right")
    ]


def proselflc(total_steps: int, *, sharpness: float = 10.0, transition: float = 0.5) -> Schedule:
    """ProSelfLC's global trust: sigmoid(sharpness (t / T - transition)), from distrust to trust.

    Reference: Wang et al., CVPR 2021 (arXiv:2005.03788), with transition 1/2.
    """
    return lambda step: jax.nn.sigmoid(sharpness * (step / total_steps - transition))


_SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "cosine": cosine,
    "linear": linear,
    "piecewise": piecewise,
    "proselflc": proselflc,
}


def names() -> list[str]:
    """The registered schedules."""
    return sorted(_SCHEDULES)


def create(name: str, *, total_steps: int, where: str = "schedule", **options: Any) -> Schedule:
    """The schedule registered as `name`: a function step -> value.

    Args:
      name: one of `names()`.
      total_steps: of the run.
      where: what is scheduled, for errors, as 'loss.beta'.
      **options: keywords of the schedule.

    Raises:
      ConfigError: unknown name or option.
    """
    schedule = lookup(f"{where}.name", _SCHEDULES, name)
    options = check_options(where, name, schedule, options, supplied=("total_steps",))
    try:
        return schedule(total_steps, **options)
    except ConfigError as error:
        raise ConfigError(f"{where}.{error}") from error


def _rest(total_steps: int, begin_steps: int, transition_steps: int | None) -> int:
    steps = total_steps - begin_steps if transition_steps is None else transition_steps
    if begin_steps < 0 or steps <= 0:
        raise ConfigError(
            f"begin_steps, transition_steps: must leave a transition within the run's {total_steps} steps, "
            f"got {begin_steps} and {transition_steps}"
        )
    return steps
