"""Learning-rate schedules and optimisers, all of them optax's.

A schedule is a factor of step, 1 at its height; the optimiser's `learning_rate` is what it multiplies. So
one changes the learning rate or the shape of its course without touching the other.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import optax

from grjax.errors import ConfigError
from grjax.losses.schedules import Schedule
from grjax.ranges import In, in_range
from grjax.registry import check_options, closest, lookup


def constant(total_steps: int) -> Schedule:
    """1 throughout."""
    del total_steps
    return optax.constant_schedule(1.0)


def piecewise(
    total_steps: int,
    *,
    boundaries_steps: Sequence[int],
    factor: Annotated[float, In("[0, inf)")] = 0.1,
    rate: Annotated[float, In("[0, inf)")] = 0.0,
) -> Schedule:
    """1, times `factor` at each boundary, over 1 + rate t, t in steps: what Keras' SGD calls `decay`."""
    del total_steps
    steps = optax.piecewise_constant_schedule(1.0, {int(step): factor for step in boundaries_steps})
    return lambda step: steps(step) / (1.0 + rate * jnp.maximum(step, 0))


def cosine(
    total_steps: int,
    *,
    final: Annotated[float, In("[0, inf)")] = 0.0,
    period_steps: Annotated[int, In("[1, inf)")] | None = None,
) -> Schedule:
    """From 1 to `final`, reached after the last step, along half a cosine.

    With a period it begins anew every so many steps: warm restarts (Loshchilov & Hutter, ICLR 2017).
    """
    if period_steps is None:
        return optax.cosine_decay_schedule(1.0, total_steps, alpha=final)
    period = optax.cosine_decay_schedule(1.0, period_steps, alpha=final)
    return lambda step: period(jnp.maximum(step, 0) % period_steps)


def exponential(
    total_steps: int, *, factor: Annotated[float, In("[0, inf)")], every_steps: Annotated[int, In("[1, inf)")]
) -> Schedule:
    """factor^(t / every_steps), t in steps."""
    del total_steps
    return lambda step: factor ** (jnp.maximum(step, 0) / every_steps)


def polynomial(
    total_steps: int,
    *,
    power: Annotated[float, In("[0, inf)")] = 1.0,
    final: Annotated[float, In("[0, inf)")] = 0.0,
    begin_steps: Annotated[int, In("[0, inf)")] = 0,
) -> Schedule:
    """1 for `begin_steps`, then to `final`, reached after the last step, as (1 - t / T)^power in T steps."""
    if begin_steps >= total_steps:
        raise ConfigError(
            "schedule.begin_steps or begin_epochs: must be less than the "
            f"{total_steps} steps of the schedule, got {begin_steps} steps"
        )
    return optax.polynomial_schedule(1.0, final, power, total_steps - begin_steps, begin_steps)


def inverse_time(
    total_steps: int, *, rate: Annotated[float, In("[0, inf)")], power: Annotated[float, In("[0, inf)")] = 1.0
) -> Schedule:
    """(1 + rate t)^-power, t in steps; Caffe's 'inv' policy."""
    del total_steps
    # During a warm-up the schedule proper is computed too, at negative steps, and not used.
    return lambda step: (1.0 + rate * jnp.maximum(step, 0)) ** -power


_SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "constant": constant,
    "cosine": cosine,
    "exponential": exponential,
    "inverse_time": inverse_time,
    "piecewise": piecewise,
    "polynomial": polynomial,
}


def schedule_names() -> list[str]:
    """The registered schedules."""
    return sorted(_SCHEDULES)


def create_schedule(
    name: str,
    *,
    total_steps: int,
    warmup_steps: int = 0,
    hold_steps: Annotated[int, In("[1, inf)")] = 1,
    **options: Any,
) -> Schedule:
    """The factor that multiplies the learning rate: a function step -> factor.

    Args:
      name: one of `schedule_names()`.
      total_steps: of the run, warm-up included.
      warmup_steps: linear from 0 to 1 in so many steps, before the schedule proper. The schedule proper
        counts its own steps from there, but `boundaries_steps` are steps of the run.
      hold_steps: the schedule proper changes only every so many of its steps; an epoch's are what a scheduler
        of PyTorch does that is stepped once an epoch.
      **options: keywords of the schedule.

    Raises:
      ConfigError: unknown name or option, or a warm-up that is not shorter than the run.
    """
    schedule = lookup("schedule.name", _SCHEDULES, name)
    given = {"warmup_steps": warmup_steps, "hold_steps": hold_steps, **options}
    options = check_options("schedule", name, (schedule, create_schedule), given, ("name", "total_steps"))
    warmup_steps, hold_steps = options.pop("warmup_steps"), options.pop("hold_steps")
    if not 0 <= warmup_steps < total_steps:
        raise ConfigError(
            f"schedule.warmup_steps or warmup_epochs: must be from 0 to less than the {total_steps} steps of "
            f"the run, got {warmup_steps} steps"
        )
    if "boundaries_steps" in options:
        options["boundaries_steps"] = [step - warmup_steps for step in options["boundaries_steps"]]
    proper = schedule(total_steps - warmup_steps, **options)
    after = proper if hold_steps == 1 else lambda step: proper(step - step % hold_steps)
    if not warmup_steps:
        return after
    return optax.join_schedules([optax.linear_schedule(0.0, 1.0, warmup_steps), after], [warmup_steps])


def sgd() -> optax.GradientTransformation:
    """The gradient, unchanged."""
    return optax.identity()


def momentum(*, momentum: Annotated[float, In("[0, 1)")] = 0.9) -> optax.GradientTransformation:
    """Heavy-ball momentum: m <- momentum m + g, PyTorch's convention."""
    return optax.trace(momentum)


def nesterov(*, momentum: Annotated[float, In("[0, 1)")] = 0.9) -> optax.GradientTransformation:
    """Nesterov's momentum, PyTorch's convention."""
    return optax.trace(momentum, nesterov=True)


def adam(
    *,
    b1: Annotated[float, In("[0, 1)")] = 0.9,
    b2: Annotated[float, In("[0, 1)")] = 0.999,
    eps: Annotated[float, In("[0, inf)")] = 1e-8,
) -> optax.GradientTransformation:
    """Adam. Weight decay is L2, added to the gradient; under the name 'adamw' it is decoupled."""
    return optax.scale_by_adam(b1, b2, eps)


_OPTIMIZERS: dict[str, Callable[..., optax.GradientTransformation]] = {
    "adam": adam,
    "adamw": adam,  # the same moments; create() decouples the weight decay
    "momentum": momentum,
    "nesterov": nesterov,
    "sgd": sgd,
}


def names() -> list[str]:
    """The registered optimisers."""
    return sorted(_OPTIMIZERS)


@in_range
def clipped_decayed(
    moments: optax.GradientTransformation,
    schedule: Schedule,
    *,
    learning_rate: Annotated[float, In("[0, inf)")],
    weight_decay: Annotated[float, In("[0, inf)")] = 0.0,
    decay: Literal["all", "kernels"] | Sequence[str] = "all",
    l1: Annotated[float, In("[0, inf)")] = 0.0,
    clip_norm: Annotated[float, In("(0, inf]")] | None = None,
    decoupled: bool = False,
) -> optax.GradientTransformation:
    """What every optimiser shares: L1 -> clip -> weight decay -> moments -> learning rate.

    Args:
      moments: what makes the direction of the gradient.
      schedule: step -> factor of the learning rate.
      learning_rate: at the height of the schedule.
      weight_decay: added to the gradient as weight_decay * parameter (L2, as in PyTorch).
      decay: which parameters decay: 'all'; 'kernels': arrays of two axes and more, so neither biases nor
        norms; or those of the layers with these names.
      l1: a penalty l1 * (sum of |parameter|) on the loss, whose gradient is clipped with the rest.
      clip_norm: largest global norm of the gradient; None: no clipping.
      decoupled: add the weight decay after the moments instead of before them.
    """
    clip = optax.identity() if clip_norm is None else optax.clip_by_global_norm(clip_norm)
    decayed = optax.add_decayed_weights(weight_decay, _decaying(decay))
    return optax.chain(
        _l1(l1),
        clip,
        *((moments, decayed) if decoupled else (decayed, moments)),
        optax.scale_by_learning_rate(lambda step: learning_rate * schedule(step)),
    )


def create(name: str, *, schedule: Schedule, **options: Any) -> optax.GradientTransformation:
    """The optimiser registered as `name`.

    Args:
      name: one of `names()`.
      schedule: step -> factor of the learning rate.
      **options: keywords of the optimiser and of `clipped_decayed`, checked against their signatures.

    Raises:
      ConfigError: unknown name or option, a required one is missing, or a value is out of range.
    """
    optimizer = lookup("optimizer.name", _OPTIMIZERS, name)
    supplied = ("moments", "schedule", "decoupled")
    options = check_options("optimizer", name, (optimizer, clipped_decayed), options, supplied)
    if name == "adamw" and "weight_decay" not in options:
        raise ConfigError("optimizer.weight_decay: 'adamw' needs a value for it, none is given")
    own = {key: value for key, value in options.items() if key in inspect.signature(optimizer).parameters}
    shared = {key: value for key, value in options.items() if key not in own}
    return clipped_decayed(optimizer(**own), schedule, decoupled=name == "adamw", **shared)


def _decaying(decay: str | Sequence[str]) -> Callable[[Any], Any] | None:
    """Parameters to a tree of whether each decays; None: all of them."""
    if decay == "all":
        return None
    if decay == "kernels":
        return lambda params: jax.tree.map(lambda parameter: parameter.ndim > 1, params)

    def of_layers(params: Any) -> Any:
        for name in decay:
            if name not in params:
                raise ConfigError(f"optimizer.decay: no layer {name!r} in the model; {closest(name, params)}")
        return {name: jax.tree.map(lambda _, n=name: n in decay, layer) for name, layer in params.items()}

    return of_layers


def _l1(penalty: float) -> optax.GradientTransformation:
    """Adds the gradient of penalty * (sum of |parameter|)."""
    if not penalty:
        return optax.identity()
    return optax.stateless(
        lambda updates, params: jax.tree.map(lambda g, p: g + penalty * jnp.sign(p), updates, params)
    )
