"""Augmentations whose pixels would depend on the device: what is found in their trace, and the error."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_augment import SECTIONS

from grjax.data import augment, eight_bits
from grjax.errors import ConfigError

IMAGE = jax.ShapeDtypeStruct((4, 4, 1), np.uint8)


def brighter(image):
    return jnp.minimum(1.2 * image, 255).astype(image.dtype)


def through_int32(image):
    return jnp.minimum(1.2 * image, 255).astype(jnp.int32).astype(image.dtype)


def in_a_loop(image):
    return jax.lax.fori_loop(0, 2, lambda _, inner: brighter(inner), image)


def in_a_branch(image):
    return jax.lax.cond(image.sum() > 3, brighter, lambda other: other, image)


@pytest.mark.parametrize(
    "function", [brighter, in_a_loop, in_a_branch, jax.vmap(brighter), jax.jit(brighter)]
)
def test_a_conversion_is_found_wherever_it_stands(function):
    assert eight_bits.converted(jax.make_jaxpr(function)(IMAGE))


@pytest.mark.parametrize(
    "function", [through_int32, lambda image: 255 - image, lambda image: image.astype(jnp.bfloat16)]
)
def test_what_gives_the_same_everywhere_is_none(function):
    assert not eight_bits.converted(jax.make_jaxpr(function)(IMAGE))


@pytest.mark.parametrize("section", SECTIONS, ids=str)
def test_no_augmentation_of_the_registry_has_one(section):
    assert augment.shape_after(augment.create([section]), (8, 8, 3))[-1] == 3


def test_one_that_has_is_refused_before_training(monkeypatch):
    monkeypatch.setitem(augment._AUGMENTATIONS, "brighter", lambda image, key: brighter(image))
    with pytest.raises(ConfigError, match=r"data\.augmentation: .*convert to int32 first"):
        augment.shape_after(augment.create(["brighter"]), (8, 8, 3))
