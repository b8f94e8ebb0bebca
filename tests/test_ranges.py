"""Ranges beside the types of options: one validator for everything that is made by name."""

from collections.abc import Sequence
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.typing import ArrayLike

from grjax import losses, noise, optimizers
from grjax.data import augment, mixing
from grjax.errors import ConfigError
from grjax.noise import imbalance
from grjax.ranges import In, in_range, ranges_of
from grjax.registry import check_options


def declared(
    x,
    *,
    share: Annotated[float, In("[0, 1)")] = 0.5,
    norm: Annotated[float, In("(0, inf]")] | None = None,
    sizes: Annotated[Sequence[int], In("[1, inf)")] = (1,),
    fill: Annotated[int | Literal["mean"], In("[0, 255]")] = 0,
    beta: Annotated[ArrayLike, In("(-inf, inf)")] = 0.0,
    begin_steps: Annotated[int, In("[0, inf)")] = 0,
):
    return x


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": 1.0}, r"^thing\.share: must be in \[0, 1\), got 1\.0$"),
        ({"share": np.float32(-1)}, r"^thing\.share: must be in \[0, 1\), got -1\.0$"),
        ({"norm": 0}, r"^thing\.norm: must be in \(0, inf\], got 0$"),
        ({"sizes": [3, 0]}, r"^thing\.sizes: must be in \[1, inf\), got 0$"),
        ({"fill": 256}, r"^thing\.fill: must be in \[0, 255\], got 256$"),
        ({"beta": [[1.0, float("nan")]]}, r"^thing\.beta: must be in \(-inf, inf\), got nan$"),
        ({"beta": jnp.array([1.0, jnp.inf])}, r"^thing\.beta: must be in \(-inf, inf\), got inf$"),
        ({"begin_steps": -1}, r"^thing\.begin_steps or begin_epochs: must be in \[0, inf\), got -1$"),
        ({"share": "0.5"}, r"^thing\.share: 'some' takes a number, got '0\.5'$"),
        ({"fill": "median"}, r"^thing\.fill: 'some' takes a whole number or one of 'mean', got 'median'$"),
    ],
)
def test_what_is_out_of_range(options, message):
    with pytest.raises(ConfigError, match=message):
        check_options("thing", "some", declared, options, supplied=("x",))


def test_what_is_in_range():
    for options in (
        {"share": 0, "norm": None, "sizes": (), "fill": "mean", "begin_steps": 0},
        {"share": 0.99, "norm": float("inf"), "fill": 255, "beta": np.zeros((2, 3))},
    ):
        check_options("thing", "some", declared, options, supplied=("x",))


def test_a_function_that_checks_itself():
    guarded = in_range(declared)
    assert guarded(3, share=0.2) == 3
    with pytest.raises(ValueError, match=r"^share: must be in \[0, 1\), got 1$"):
        guarded(3, share=1)
    assert ranges_of(guarded).keys() == declared.__annotations__.keys()
    jax.jit(lambda share: guarded(share, share=share))(2.0)  # traced, it has no value yet


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: losses.create("gce", q=-1), r"loss\.q: must be in \[0, inf\), got -1"),
        (lambda: noise.create("pair_flip", rate=1.5), r"noise\.rate: must be in \[0, 1\], got 1\.5"),
        (
            lambda: noise.create("symmetric", rate=0.1, seed=-1),
            r"noise\.seed: must be in \[0, 2\*\*64\), got",
        ),
        (
            lambda: noise.create("compose", parts=[{"name": "symmetric", "rate": 2}]),
            r"noise\.parts\[0\]\.rate: must be in \[0, 1\], got 2",
        ),
        (lambda: imbalance.create("step", ratio=0.5), r"imbalance\.ratio: must be in \[1, inf\), got 0\.5"),
        (
            lambda: optimizers.create("adam", schedule=lambda step: 1.0, learning_rate=0.1, b1=1.0),
            r"optimizer\.b1: must be in \[0, 1\), got 1\.0",
        ),
        (
            lambda: optimizers.create_schedule("cosine", total_steps=9, period_steps=0),
            r"schedule\.period_steps or period_epochs: must be in \[1, inf\), got 0",
        ),
        (
            lambda: augment.create([{"name": "cutout", "size": 0}]),
            r"data\.augmentation\.size: must be in \[1, inf\), got 0",
        ),
        (
            lambda: augment.create([{"name": "rotation", "degrees": 200.0}]),
            r"data\.augmentation\.degrees: must be in \[0, 180\], got 200",
        ),
        (
            lambda: mixing.create({"name": "mixup", "alpha": 0.0}),
            r"data\.mixing\.alpha: must be in \(0, inf\), got 0",
        ),
    ],
)
def test_every_registry_has_the_same_validator(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
