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
from grjax.ranges import In, ranges_of

RANGES = {
    name: {key: found.interval for key, found in ranges_of(getattr(losses, name)).items()}
    for name in losses.names() + losses.names_with_memory()
}
ENTRIES = [(name, key, interval) for name, of_loss in RANGES.items() for key, interval in of_loss.items()]
REQUIRED = {
    "gradient_rescaling": {"lam": 1.0, "beta": 8.0},
    "imae": {"beta": 8.0},
    "proselflc": {"trust": 0.5},
    "forward_correction": {"transition": 0.4},
    "backward_correction": {"transition": 0.4},
    "self_adaptive": {"begin_steps": 5},
    "sat_sce": {"begin_steps": 5},
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
        f"give the hyper-parameters of {name!r} their ranges, as Annotated[ArrayLike, In('[0, inf)')]"
    )


@pytest.mark.parametrize(("name", "key", "interval"), ENTRIES)
def test_ends_of_a_range(name, key, interval):
    def make(value, makers):
        for maker in makers:
            maker(name, **REQUIRED.get(name, {}) | {key: value})

    makers = [losses.for_training]
    makers += [losses.create] if name in losses.names() else []
    makers += [losses.weight] if name in losses.names_of_p_alone() and key != "epsilon" else []
    low, high = In(interval).ends
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
                epochs = f" or {key.removesuffix('steps')}epochs" if key.endswith("_steps") else ""
                assert str(caught.value) == f"loss.{key}{epochs}: must be in {interval}, got {value}"
    if not whole:
        with pytest.raises(ConfigError, match="got nan"):
            make(math.nan, makers)


def test_lists_of_numbers_are_looked_into():
    with pytest.raises(ConfigError, match=r"loss.lam: must be in \[0, inf\), got -1.0"):
        losses.create("gradient_rescaling", lam=[0.5, -1.0], beta=8.0)
    with pytest.raises(ConfigError, match=r"loss.transition: must be in \[0, 1\], got -0.5"):
        losses.create("forward_correction", transition=((-0.5, 1.5), (0.0, 1.0)))


def test_arrays_are_looked_into():
    for beyond in (jnp.array(-1.0), np.array([0.5, -1.0]), np.float32(-1)):
        with pytest.raises(ConfigError, match=r"loss.q: must be in \[0, inf\), got -1.0"):
            losses.create("gce", q=beyond)


def test_what_has_no_value_yet_passes():
    losses.for_training("gce", q=lambda step: -1.0)
    losses.create("logit_clip", threshold=None)
    jax.eval_shape(lambda q: losses.create("gce", q=q)(jnp.zeros((2, 3)), jnp.zeros(2, int)), jnp.array(-0.5))


@pytest.mark.parametrize(("name", "key", "interval"), [each for each in ENTRIES if each[0] in losses.names()])
def test_a_direct_call_checks_too(name, key, interval):
    low, high = In(interval).ends
    outside = low - 1 if math.isfinite(low) else high + 1 if math.isfinite(high) else math.nan
    options = REQUIRED.get(name, {}) | {key: outside}
    with pytest.raises(ValueError, match=rf"^{key}: must be in .*, got "):
        getattr(losses, name)(np.zeros((2, 3), np.float32), np.zeros(2, int), **options)


def test_intervals():
    assert 0 in In("[0, 1)")
    assert 1 not in In("[0, 1)")
    assert 0 not in In("(0, inf)")
    assert math.inf not in In("(0, inf)")
    assert math.nan not in In("(-inf, inf)")
    assert 2**64 - 1 in In("[0, 2**64)")
    assert 2**64 not in In("[0, 2**64)")
