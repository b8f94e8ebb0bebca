"""Hyper-parameters out of their range: one clear error for numbers; what is no number yet passes."""

import math
import typing

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.typing import ArrayLike

from grjax import losses
from grjax.errors import ConfigError
from grjax.losses.ranges import RANGES

ENTRIES = [(name, key, interval) for name, of_loss in RANGES.items() for key, interval in of_loss.items()]
REQUIRED = {
    "gradient_rescaling": {"lam": 1.0, "beta": 8.0},
    "imae": {"beta": 8.0},
    "proselflc": {"trust": 0.5},
    "forward_correction": {"transition": 0.4},
    "backward_correction": {"transition": 0.4},
    "self_adaptive": {"begin_steps": 5},
    "truncated_gce_pruned": {"begin_steps": 5, "every_steps": 5, "window_steps": 1},
}


def of_numbers(name):
    """The hyper-parameters of a loss that may be numbers."""
    hints = typing.get_type_hints(getattr(losses, name))
    arrays = {
        key for key, hint in hints.items() if set(typing.get_args(ArrayLike)) <= set(typing.get_args(hint))
    }
    whole = {key for key, hint in hints.items() if hint in (int, float)}
    return (arrays | whole) - {"logits", "labels", "views", "return"}


@pytest.mark.parametrize("name", losses.names() + losses.names_with_memory())
def test_every_hyperparameter_has_a_range(name):
    assert set(RANGES.get(name, {})) == of_numbers(name), (
        f"give the ranges of the hyper-parameters of {name!r} in grjax/losses/ranges.py"
    )


def test_every_range_is_of_a_registered_loss():
    assert set(RANGES) <= set(losses.names() + losses.names_with_memory())


@pytest.mark.parametrize(("name", "key", "interval"), ENTRIES)
def test_ends_of_a_range(name, key, interval):
    def make(value, makers):
        for maker in makers:
            maker(name, **REQUIRED.get(name, {}) | {key: value})

    makers = [losses.for_training]
    makers += [losses.create] if name in losses.names() else []
    makers += [losses.emphasis] if name in losses.names_of_p_alone() and key != "epsilon" else []
    low, high = (float(end) for end in interval[1:-1].split(","))
    whole = typing.get_type_hints(getattr(losses, name))[key] is int
    for end, belongs, outwards in ((low, interval[0] == "[", -1), (high, interval[-1] == "]", 1)):
        just_inside = end - outwards if whole else float(np.nextafter(end, -outwards * math.inf))
        inside = [just_inside] if math.isfinite(end) else []
        outside = [end + outwards] if math.isfinite(end) else []
        (inside if belongs else outside).append(end)
        for value in inside:
            make(int(value) if whole else value, makers)
        for value in [] if whole and math.isinf(end) else outside:
            value = int(value) if whole else value
            for maker in makers:
                with pytest.raises(ConfigError) as caught:
                    make(value, [maker])
                assert str(caught.value) == f"loss.{key}: must be in {interval}, got {value}"
    if not whole:
        with pytest.raises(ConfigError, match="got nan"):
            make(math.nan, makers)


def test_lists_of_numbers_are_looked_into():
    with pytest.raises(ConfigError, match=r"loss.lam: must be in \[0, inf\), got -1.0"):
        losses.create("gradient_rescaling", lam=[0.5, -1.0], beta=8.0)
    with pytest.raises(ConfigError, match=r"loss.transition: must be in \[0, 1\], got -0.5"):
        losses.create("forward_correction", transition=((-0.5, 1.5), (0.0, 1.0)))


def test_what_is_no_number_passes():
    losses.for_training("gce", q=lambda step: -1.0)
    losses.create("gce", q=jnp.array(-1.0))
    losses.create("gce", q=np.array([-1.0]))
    losses.create("logit_clip", threshold=None)
    jax.eval_shape(lambda q: losses.create("gce", q=q)(jnp.zeros((2, 3)), jnp.zeros(2, int)), jnp.array(0.5))
