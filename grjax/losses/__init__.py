"""Per-example losses, (logits `[..., C]`, integer labels `[...]`) -> `[...]`, and their registry.

Adding one: write it as such a function with its hyper-parameters as keywords, name it in `_LOSSES`, and give
the ranges of its hyper-parameters in `ranges.py`; one that remembers its examples, as a function from its
hyper-parameters to a `TrainingLoss` in `_WITH_MEMORY`.
"""

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

import jax
from jax.typing import ArrayLike

from grjax.emphasis import Combined, Emphasis, PowerExponential
from grjax.errors import ConfigError
from grjax.losses import agreement, asymmetric, divergences, generalized, schedules, symmetric
from grjax.losses.agreement import combined, cross_entropy, imae, mae, mse
from grjax.losses.asymmetric import ael, agce, aul
from grjax.losses.bi_tempered import bi_tempered
from grjax.losses.defaults import Published, published, published_datasets
from grjax.losses.divergences import brier, gjs, js
from grjax.losses.focal import Focal, FocalDetached, focal
from grjax.losses.generalized import gce, phuber_ce, phuber_gce, taylor_ce, truncated_gce
from grjax.losses.ldr_kl import ldr_kl
from grjax.losses.logit_clip import logit_clip
from grjax.losses.memory import (
    TrainingLoss,
    elr,
    gather,
    scatter,
    self_adaptive,
    truncated_gce_pruned,
    without_memory,
)
from grjax.losses.normalized import (
    active_passive,
    amse,
    anl_ce,
    anl_fl,
    jal_ce,
    jal_fl,
    nce,
    nce_ael,
    nce_agce,
    nce_aul,
    nce_mae,
    nce_rce,
    nfl,
    nfl_mae,
    nfl_rce,
    ngce,
    nnce,
    nnfl,
)
from grjax.losses.ranges import check_ranges
from grjax.losses.rescaling import from_emphasis, gradient_rescaling, rescale
from grjax.losses.symmetric import nmae, nrce, rce, sce
from grjax.losses.targets import (
    bootstrap_hard,
    bootstrap_soft,
    confidence_penalty,
    epsilon_softmax,
    label_smoothing,
    proselflc,
)
from grjax.losses.transition import backward_correction, estimate_transition, forward_correction
from grjax.registry import check_options, closest, lookup

__all__ = [
    "Loss",
    "Published",
    "TrainingLoss",
    "active_passive",
    "ael",
    "agce",
    "amse",
    "anl_ce",
    "anl_fl",
    "array_hyperparameters",
    "aul",
    "backward_correction",
    "bi_tempered",
    "bootstrap_hard",
    "bootstrap_soft",
    "brier",
    "combined",
    "confidence_penalty",
    "create",
    "cross_entropy",
    "defaults",
    "elr",
    "emphasis",
    "epsilon_softmax",
    "estimate_transition",
    "focal",
    "for_training",
    "forward_correction",
    "from_emphasis",
    "gather",
    "gce",
    "gjs",
    "gradient_rescaling",
    "imae",
    "jal_ce",
    "jal_fl",
    "js",
    "label_smoothing",
    "ldr_kl",
    "logit_clip",
    "mae",
    "mse",
    "names",
    "names_of_p_alone",
    "names_with_memory",
    "nce",
    "nce_ael",
    "nce_agce",
    "nce_aul",
    "nce_mae",
    "nce_rce",
    "nfl",
    "nfl_mae",
    "nfl_rce",
    "ngce",
    "nmae",
    "nnce",
    "nnfl",
    "nrce",
    "phuber_ce",
    "phuber_gce",
    "proselflc",
    "published",
    "rce",
    "rescale",
    "scatter",
    "sce",
    "schedules",
    "self_adaptive",
    "taylor_ce",
    "truncated_gce",
    "truncated_gce_pruned",
]

Loss = Callable[[jax.Array, jax.Array], jax.Array]

_LOSSES: dict[str, Callable[..., jax.Array]] = {
    loss.__name__: loss
    for loss in (
        # of p alone: a weight on cross-entropy's direction
        gradient_rescaling, imae, combined, cross_entropy, mae, mse, gce, truncated_gce, rce, sce, focal,
        taylor_ce, phuber_ce, phuber_gce, agce, aul, ael, js, nmae, nrce,
        # normalised, active and passive
        nce, nfl, ngce, nnce, nnfl, amse, nce_mae, nce_rce, nfl_mae, nfl_rce, nce_agce, nce_aul, nce_ael,
        anl_ce, anl_fl, jal_ce, jal_fl,
        # with other targets, with a transition matrix, and others
        label_smoothing, confidence_penalty, bootstrap_soft, bootstrap_hard, epsilon_softmax, proselflc,
        forward_correction, backward_correction, brier, gjs, bi_tempered, logit_clip, ldr_kl,
    )
}  # fmt: skip

_WITH_MEMORY: dict[str, Callable[..., TrainingLoss]] = {
    "elr": elr,
    "self_adaptive": self_adaptive,
    "truncated_gce_pruned": truncated_gce_pruned,
}

_ALL: dict[str, Callable[..., Any]] = {**_LOSSES, **_WITH_MEMORY}

# The weight of each loss of p alone, by its hyper-parameters.
_EMPHASES: dict[str, Callable[..., Emphasis]] = {
    "gradient_rescaling": PowerExponential,
    "imae": functools.partial(PowerExponential, 1.0),
    "combined": Combined,
    "cross_entropy": agreement.CrossEntropy,
    "mae": agreement.MAE,
    "mse": agreement.MSE,
    "gce": generalized.GCE,
    "truncated_gce": generalized.TruncatedGCE,
    "rce": symmetric.RCE,
    "sce": symmetric.SCE,
    "focal": lambda gamma=0.5, detached=False: FocalDetached(gamma) if detached else Focal(gamma),
    "taylor_ce": generalized.TaylorCE,
    "phuber_ce": generalized.PHuberCE,
    "phuber_gce": generalized.PHuberGCE,
    "agce": asymmetric.AGCE,
    "aul": asymmetric.AUL,
    "ael": asymmetric.AEL,
    "js": divergences.JS,
}


def names() -> list[str]:
    """The registered losses without a memory: those of `create`."""
    return sorted(_LOSSES)


def names_with_memory() -> list[str]:
    """The registered losses with a memory of each example: `for_training` makes them, as all others."""
    return sorted(_WITH_MEMORY)


def names_of_p_alone() -> list[str]:
    """The registered losses that depend on p alone whatever C is: those of `emphasis`."""
    return sorted(_EMPHASES)


def array_hyperparameters(name: str) -> dict[str, Any]:
    """The hyper-parameters of a registered loss that may be arrays, and so traced, with their defaults.

    Those without a default are given `inspect.Parameter.empty`.
    """
    loss = lookup("loss.name", _ALL, name)
    hints = typing.get_type_hints(loss)
    return {
        key: parameter.default
        for key, parameter in inspect.signature(loss).parameters.items()
        if hints[key] == ArrayLike and key not in ("logits", "labels")
    }


def create(name: str, *, axis_name: str | None = None, **hyperparameters: Any) -> Loss:
    """The loss registered as `name`, with its hyper-parameters bound.

    Args:
      name: one of `names()`.
      axis_name: the pmapped axis over which a batch is spread, for losses that couple its examples;
        others do without.
      **hyperparameters: keywords of the loss, checked against its signature; may be traced. With
        `defaults='cifar10'` the published ones for that data set stand in for those that are not given.

    Returns:
      A function (logits `[..., C]`, labels `[...]`) -> `[...]`.

    Raises:
      ConfigError: unknown name or hyper-parameter, a required one is missing, or a number is out of its
        range.

    Example:
      >>> from grjax import losses
      >>> loss = losses.create('gradient_rescaling', lam=1., beta=8.)
      >>> loss = losses.create('nce_rce', defaults='cifar100', beta=1.)
    """
    if name in _WITH_MEMORY:
        raise ConfigError(f"loss.name: {name!r} remembers its examples: make it with losses.for_training")
    hyperparameters = _checked(name, hyperparameters)
    for key, value in hyperparameters.items():
        if callable(value):
            raise ConfigError(
                f"loss.{key}: a schedule needs the step of training: make {name!r} with losses.for_training"
            )
    return functools.partial(_LOSSES[name], **_with_axis(_LOSSES[name], axis_name, hyperparameters))


def for_training(name: str, *, axis_name: str | None = None, **hyperparameters: Any) -> TrainingLoss:
    """Any registered loss, with or without memory, as a train step uses it; see `grjax.losses.memory`.

    Args:
      name: one of `names()` or `names_with_memory()`.
      axis_name: see `create`.
      **hyperparameters: as of `create`; one that may be traced may also be a schedule, a function of the
        step.

    Raises:
      ConfigError: see `create`.

    Example:
      >>> import optax
      >>> from grjax import losses
      >>> beta = optax.linear_schedule(0., 16., transition_steps=1000)
      >>> loss = losses.for_training('gradient_rescaling', lam=1., beta=beta)
    """
    hyperparameters = _checked(name, hyperparameters)

    def at_step(step: jax.Array) -> TrainingLoss:
        values = {key: value(step) if callable(value) else value for key, value in hyperparameters.items()}
        if name in _WITH_MEMORY:
            return _WITH_MEMORY[name](**_with_axis(_WITH_MEMORY[name], axis_name, values))
        return without_memory(
            functools.partial(_LOSSES[name], **_with_axis(_LOSSES[name], axis_name, values))
        )

    return TrainingLoss(
        # No memory's beginning depends on a schedule.
        init=lambda labels, num_classes: at_step(jax.numpy.zeros((), int)).init(labels, num_classes),
        apply=lambda logits, labels, rows, step, **views: at_step(step).apply(
            logits, labels, rows, step, **views
        ),
        evaluate=lambda logits, labels, step: at_step(step).evaluate(logits, labels, step),
    )


def emphasis(name: str, **hyperparameters: Any) -> Emphasis:
    """The weight w(p) of a loss of p alone, as a pytree of its hyper-parameters.

    Args:
      name: one of `names_of_p_alone()`.
      **hyperparameters: keywords of the loss; `normalization` and `epsilon` are not of the weight.

    Returns:
      An emphasis with `log_weight`; one with `value(log_odds)` too where the loss has a written value, that
      is for all but 'gradient_rescaling', 'imae' and 'combined'.

    Raises:
      ConfigError: unknown name or hyper-parameter, a required one is missing, or a number is out of its
        range.

    Example:
      >>> from grjax import emphasis, losses
      >>> emphasis.mode(losses.emphasis('gce', q=0.5)).round(3)
      Array(0.333, dtype=float32)
    """
    if name not in _EMPHASES:
        lookup("loss.name", _EMPHASES, name)
    return _EMPHASES[name](
        **_checked(name, hyperparameters, supplied=("epsilon", "normalization", "per_class"))
    )


def defaults(name: str, dataset: str) -> dict[str, Any]:
    """The published hyper-parameters of a loss for a data set.

    Args:
      name: a registered loss.
      dataset: 'cifar10', 'cifar100', 'mnist', 'clothing1m', 'webvision', 'digits'.

    Returns:
      Keywords for `create`; hyper-parameters that are not among them keep the defaults of the signature.

    Raises:
      ConfigError: an unknown loss, or nothing is published for it; the error names the data sets with
        published values.

    Example:
      >>> from grjax import losses
      >>> losses.defaults('sce', 'cifar100')
      {'alpha': 6.0, 'beta': 0.1}
    """
    lookup("loss.name", _ALL, name)
    found = published(name, dataset)
    if found is None:
        raise ConfigError(
            f"loss.defaults: {name!r} has no published hyper-parameters for {dataset!r}; "
            f"{closest(dataset, published_datasets(name))}"
        )
    return dict(found.options)


def _checked(name: str, hyperparameters: Mapping[str, Any], supplied: tuple[str, ...] = ()) -> dict[str, Any]:
    """The hyper-parameters with published ones laid under, checked against the loss' signature and ranges."""
    loss = lookup("loss.name", _ALL, name)
    options = dict(hyperparameters)
    dataset = options.pop("defaults", None)
    if dataset is not None:
        if not isinstance(dataset, str):
            raise ConfigError(f"loss.defaults: must be the name of a data set, got {dataset!r}")
        options = defaults(name, dataset) | options
    check_options("loss", name, loss, options, supplied=("logits", "labels", "views", "axis_name", *supplied))
    check_ranges(name, options)
    return options


def _with_axis(loss: Callable[..., Any], axis_name: str | None, options: dict[str, Any]) -> dict[str, Any]:
    takes_it = "axis_name" in inspect.signature(loss).parameters
    return options | ({"axis_name": axis_name} if takes_it else {})
