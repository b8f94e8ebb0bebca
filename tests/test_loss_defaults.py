"""Published hyper-parameters: every entry makes a loss, in Python and from a config."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from grjax import config, experiment, losses
from grjax.errors import ConfigError
from grjax.losses.defaults import _PUBLISHED

ENTRIES = [(name, dataset) for name, of_datasets in _PUBLISHED.items() for dataset in of_datasets]
LOGITS, LABELS = np.linspace(-1, 1, 20, dtype=np.float32).reshape(2, 10), np.array([0, 1])


@pytest.mark.parametrize(("name", "dataset"), ENTRIES)
def test_entry(name, dataset):
    found = losses.published(name, dataset)
    assert found.source
    assert found.options
    assert losses.defaults(name, dataset) == found.options
    loss = losses.for_training(name, defaults=dataset)
    rows = jax.eval_shape(lambda labels: loss.init(labels, 10), LABELS)
    value, _ = jax.eval_shape(loss.apply, LOGITS, LABELS, rows, jnp.int32(0))
    assert value.shape == (2,)
    if name in losses.names():
        same, explicit = losses.create(name, defaults=dataset), losses.create(name, **found.options)
        assert same.keywords == explicit.keywords


@pytest.mark.parametrize(("name", "dataset"), ENTRIES)
def test_entry_from_a_config(name, dataset):
    run_config = config.resolve({"loss": {"name": name, "defaults": dataset}})
    loss = experiment.create_loss(run_config.loss, steps_per_epoch=10, total_steps=100)
    rows = jax.eval_shape(lambda labels: loss.init(labels, 10), LABELS)
    value, _ = jax.eval_shape(loss.apply, LOGITS, LABELS, rows, jnp.int32(0))
    assert value.shape == (2,)


def test_what_is_given_goes_before_what_is_published():
    loss = losses.create("sce", defaults="cifar100", beta=0.5)
    assert loss.keywords == {"alpha": 6.0, "beta": 0.5, "axis_name": None}


def test_changing_the_defaults_that_were_given_out_changes_nothing():
    losses.defaults("gce", "cifar10")["q"] = 0.1
    assert losses.defaults("gce", "cifar10") == {"q": 0.7}


def test_nothing_is_published():
    assert losses.published("gce", "imagenet") is None
    with pytest.raises(ConfigError, match=r"loss.defaults: 'gce'.*'imagenet'.*Known: cifar10, cifar100"):
        losses.create("gce", defaults="imagenet")
    with pytest.raises(ConfigError, match="'nce' has no published hyper-parameters for 'cifar10'"):
        losses.defaults("nce", "cifar10")


def test_defaults_of_an_unknown_loss():
    with pytest.raises(ConfigError, match=r"loss.name: unknown name 'gcee'; did you mean 'gce'\?"):
        losses.defaults("gcee", "cifar10")


@pytest.mark.parametrize("given", [3, ["cifar10"]])
def test_a_data_set_that_is_no_name(given):
    with pytest.raises(ConfigError, match=r"loss\.defaults: must be the name of a data set, got"):
        losses.create("gce", defaults=given)


# Whose signatures have the plain loss, or no default.
OTHERWISE = {"js", "gjs", "focal", "ldr_kl", "logit_clip", "ngce", "gradient_rescaling", "imae"}


def test_signatures_have_the_published_defaults_of_cifar10():
    differing = set()
    for name, dataset in ENTRIES:
        function = getattr(losses, name)
        defaults = {key: each.default for key, each in inspect.signature(function).parameters.items()}
        if dataset == "cifar10" and any(
            defaults[key] != value for key, value in losses.defaults(name, dataset).items()
        ):
            differing.add(name)
    assert differing == OTHERWISE - {"imae"}
