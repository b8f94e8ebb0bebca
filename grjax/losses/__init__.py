"""Per-example losses, (logits `[..., C]`, integer labels `[...]`) -> `[...]`, and their registry.

Adding one: write it as such a function, with its hyper-parameters as keywords that carry their range and
default, and give it a row in `_ROWS`; one of p alone with its weight; one that remembers its examples is a
function from its hyper-parameters to a `TrainingLoss`. Names, types, ranges and defaults are read from there.
"""

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
from jax.typing import ArrayLike

from grjax.emphasis import Combined, Emphasis, PowerExponential
from grjax.errors import ConfigError
from grjax.losses import agreement, asymmetric, divergences, generalized, schedules, symmetric
from grjax.losses.agreement import combined, cross_entropy, imae, mae, mse
from grjax.losses.asymmetric import ael, agce, aul
from grjax.losses.bi_tempered import bi_tempered
from grjax.losses.defaults import Published, published, published_datasets
from grjax.losses.divergences import brier, gjs, js, rll
from grjax.losses.dmi import dmi
from grjax.losses.focal import focal, focal_weight
from grjax.losses.generalized import gce, phuber_ce, phuber_gce, poly_1, taylor_ce, truncated_gce
from grjax.losses.inputs import Loss
from grjax.losses.ldr_kl import ldr_kl
from grjax.losses.logit_clip import logit_clip
from grjax.losses.memory import (
    TrainingLoss,
    elr,
    ldam,
    nlnl,
    sat_sce,
    self_adaptive,
    truncated_gce_pruned,
    without_memory,
)
from grjax.losses.normalized import (
    active_passive,
    amse,
    anl_ce,
    anl_ce_er,
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


class _Row(NamedTuple):
    """A registered loss."""

    loss: Callable[
        ..., Any
    ]  # (logits, labels, *, ...) -> [...]; one that remembers: (*, ...) -> TrainingLoss
    # For a loss of p alone: from its hyper-parameters, by their names, to its weight.
    weight: Callable[..., Emphasis] | None = None
    remembers: bool = False


_ROWS: dict[str, _Row] = {
    row.loss.__name__: row
    for row in (
        # of p alone: a weight on cross-entropy's direction
        _Row(gradient_rescaling, PowerExponential),
        _Row(imae, functools.partial(PowerExponential, 1.0)),
        _Row(combined, Combined),
        _Row(cross_entropy, agreement.CrossEntropy),
        _Row(mae, agreement.MAE),
        _Row(mse, agreement.MSE),
        _Row(gce, generalized.GCE),
        _Row(truncated_gce, generalized.TruncatedGCE),
        _Row(rce, symmetric.RCE),
        _Row(sce, symmetric.SCE),
        _Row(focal, focal_weight),
        _Row(taylor_ce, generalized.TaylorCE),
        _Row(phuber_ce, generalized.PHuberCE),
        _Row(phuber_gce, generalized.PHuberGCE),
        _Row(agce, asymmetric.AGCE),
        _Row(aul, asymmetric.AUL),
        _Row(ael, asymmetric.AEL),
        _Row(js, divergences.JS),
        _Row(poly_1, generalized.Poly1),
        # of p and of C
        _Row(nmae), _Row(nrce),
        # normalised, active and passive
        _Row(nce), _Row(nfl), _Row(ngce), _Row(nnce), _Row(nnfl), _Row(amse),
        _Row(nce_mae), _Row(nce_rce), _Row(nfl_mae), _Row(nfl_rce),
        _Row(nce_agce), _Row(nce_aul), _Row(nce_ael),
        _Row(anl_ce), _Row(anl_ce_er), _Row(anl_fl), _Row(jal_ce), _Row(jal_fl),
        # with other targets, with a transition matrix, and others
        _Row(label_smoothing), _Row(confidence_penalty), _Row(bootstrap_soft), _Row(bootstrap_hard),
        _Row(epsilon_softmax), _Row(proselflc), _Row(forward_correction), _Row(backward_correction),
        _Row(brier), _Row(dmi), _Row(gjs), _Row(rll), _Row(bi_tempered), _Row(logit_clip), _Row(ldr_kl),
        # with a memory of each example
        _Row(elr, remembers=True), _Row(self_adaptive, remembers=True), _Row(sat_sce, remembers=True),
        _Row(ldam, remembers=True), _Row(nlnl, remembers=True),
        _Row(truncated_gce_pruned, remembers=True),
    )
}  # fmt: skip

__all__ = [
    "Loss",
    "Published",
    "TrainingLoss",
    "active_passive",
    "array_hyperparameters",
    "create",
    "defaults",
    "estimate_transition",
    "for_training",
    "from_emphasis",
    "names",
    "names_of_p_alone",
    "names_with_memory",
    "published",
    "rescale",
    "schedules",
    "weight",
    *_ROWS,
]


def names() -> list[str]:
    """The registered losses without a memory: those of `create`."""
    return sorted(name for name, row in _ROWS.items() if not row.remembers)


def names_with_memory() -> list[str]:
    """The registered losses with a memory of each example: `for_training` makes them, as all others."""
    return sorted(name for name, row in _ROWS.items() if row.remembers)


def names_of_p_alone() -> list[str]:
    """The registered losses that depend on p alone whatever C is: those of `weight`."""
    return sorted(name for name, row in _ROWS.items() if row.weight is not None)


def array_hyperparameters(name: str) -> dict[str, Any]:
    """The hyper-parameters of a registered loss that may be arrays, and so traced, with their defaults.

    Those without a default are given `inspect.Parameter.empty`.
    """
    loss = lookup("loss.name", _ROWS, name).loss
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
    if name in _ROWS and _ROWS[name].remembers:
        raise ConfigError(f"loss.name: {name!r} remembers its examples: make it with losses.for_training")
    hyperparameters = _checked(name, hyperparameters)
    for key, value in hyperparameters.items():
        if callable(value):
            raise ConfigError(
                f"loss.{key}: a schedule needs the step of training: make {name!r} with losses.for_training"
            )
    return functools.partial(_ROWS[name].loss, **_with_axis(_ROWS[name].loss, axis_name, hyperparameters))


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
    loss, _, remembers = _ROWS[name]

    def at_step(step: jax.Array) -> TrainingLoss:
        values = {key: value(step) if callable(value) else value for key, value in hyperparameters.items()}
        values = _with_axis(loss, axis_name, values)
        return loss(**values) if remembers else without_memory(functools.partial(loss, **values))

    return TrainingLoss(
        # No memory's beginning depends on a schedule.
        init=lambda labels, num_classes: at_step(jax.numpy.zeros((), int)).init(labels, num_classes),
        apply=lambda logits, labels, rows, step, **views: at_step(step).apply(
            logits, labels, rows, step, **views
        ),
        evaluate=lambda logits, labels, step: at_step(step).evaluate(logits, labels, step),
        targets=at_step(jax.numpy.zeros((), int)).targets if remembers else None,
    )


def weight(name: str, **hyperparameters: Any) -> Emphasis:
    """The weight w(p) of a loss of p alone, as a pytree of its hyper-parameters.

    Args:
      name: one of `names_of_p_alone()`.
      **hyperparameters: keywords of the loss, its defaults for those that are not given; `normalization`,
        `epsilon` and `per_class` are not of the weight.

    Returns:
      An emphasis with `log_weight`; one with `value(log_odds)` too where the loss has a written value, that
      is for all except 'gradient_rescaling', 'imae' and 'combined'.

    Raises:
      ConfigError: unknown name or hyper-parameter, a required one is missing, or a number is out of its
        range.

    Example:
      >>> from grjax import emphasis, losses
      >>> emphasis.mode(losses.weight('gce', q=0.5)).round(3)
      Array(0.333, dtype=float32)
    """
    loss, of_loss, _ = lookup("loss.name", {known: _ROWS[known] for known in names_of_p_alone()}, name)
    assert of_loss is not None
    given = _checked(name, hyperparameters, supplied=_NOT_OF_THE_WEIGHT)
    own = {
        key: each.default
        for key, each in inspect.signature(loss).parameters.items()
        if key not in (*_SUPPLIED, *_NOT_OF_THE_WEIGHT)
    }
    return of_loss(**own | given)


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
    lookup("loss.name", _ROWS, name)
    found = published(name, dataset)
    if found is None:
        raise ConfigError(
            f"loss.defaults: {name!r} has no published hyper-parameters for {dataset!r}; "
            f"{closest(dataset, published_datasets(name))}"
        )
    return dict(found.options)


_SUPPLIED = ("logits", "labels", "views", "axis_name")  # what whoever trains passes
_NOT_OF_THE_WEIGHT = ("epsilon", "normalization", "per_class")


def _checked(name: str, hyperparameters: Mapping[str, Any], supplied: tuple[str, ...] = ()) -> dict[str, Any]:
    """The hyper-parameters with published ones laid under, checked against the loss' signature."""
    loss = lookup("loss.name", _ROWS, name).loss
    options = dict(hyperparameters)
    dataset = options.pop("defaults", None)
    if dataset is not None:
        if not isinstance(dataset, str):
            raise ConfigError(f"loss.defaults: must be the name of a data set, got {dataset!r}")
        options = defaults(name, dataset) | options
    return check_options("loss", name, loss, options, supplied=(*_SUPPLIED, *supplied))


def _with_axis(loss: Callable[..., Any], axis_name: str | None, options: dict[str, Any]) -> dict[str, Any]:
    takes_it = "axis_name" in inspect.signature(loss).parameters
    return options | ({"axis_name": axis_name} if takes_it else {})
