"""Augmentation against NumPy, and whose randomness is whose."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from grjax.data import augment
from grjax.errors import ConfigError

KEYS = jax.random.split(jax.random.key(0), 4000)


def numbered(shape, dtype=np.uint8):
    """An image whose values are all different and none of them 0, which is what padding is."""
    return np.arange(1, 1 + np.prod(shape)).reshape(shape).astype(dtype)


def crop(image, top, left, padding):
    """Of `image` padded by zeros: its size, from (top, left) on."""
    height, width, channels = image.shape
    padded = np.zeros((height + 2 * padding, width + 2 * padding, channels), image.dtype)
    padded[padding : padding + height, padding : padding + width] = image
    return padded[top : top + height, left : left + width]


def applied(function, image, keys=KEYS, **options):
    return np.asarray(jax.vmap(lambda key: function(jnp.asarray(image), key, **options))(keys))


@pytest.mark.parametrize(
    ("shape", "options"), [((8, 8, 1), {}), ((6, 9, 3), {"padding": 4}), ((6, 9, 3), {"padding": 1})]
)
def test_pad_crop_is_one_of_all_crops_each_equally_often(shape, options):
    image, padding = numbered(shape), options.get("padding", 4)
    places = 2 * padding + 1
    names = {
        crop(image, top, left, padding).tobytes(): (top, left)
        for top in range(places)
        for left in range(places)
    }
    assert len(names) == places**2
    drawn = [names[output.tobytes()] for output in applied(augment.pad_crop, image, **options)]
    counts = np.zeros((places, places))
    np.add.at(counts, tuple(np.transpose(drawn)), 1)
    p = 1 / places**2
    # 4.5 rather than 4 sigma: up to 81 counts, small ones, at once.
    np.testing.assert_allclose(counts / len(KEYS), p, atol=4.5 * np.sqrt(p * (1 - p) / len(KEYS)))
    assert counts.all()


def test_flip_mirrors_left_and_right_half_the_time():
    image = numbered((4, 6, 2))
    outputs = applied(augment.flip, image)
    mirrored = np.array([np.array_equal(output, image[:, ::-1]) for output in outputs])
    np.testing.assert_array_equal(outputs[~mirrored], np.broadcast_to(image, outputs[~mirrored].shape))
    assert abs(mirrored.mean() - 0.5) < 4 * 0.5 / np.sqrt(len(KEYS))


@pytest.mark.parametrize("chosen", [(), *[(name,) for name in augment.names()], tuple(augment.names())])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_shape_and_dtype_are_kept(chosen, dtype):
    images = np.stack([numbered((6, 8, 3), dtype)] * 5)
    outputs = jax.jit(augment.create(chosen))(images, jnp.arange(5), jax.random.key(0))
    assert (outputs.shape, outputs.dtype) == (images.shape, dtype)


def test_no_augmentation_is_the_identity():
    images = np.stack([numbered((6, 8, 3))] * 5)
    outputs = augment.create(())(jnp.asarray(images), jnp.arange(5), jax.random.key(0))
    np.testing.assert_array_equal(outputs, images)


def batch(size=32, seed=0):
    return np.random.default_rng(seed).integers(1, 256, (size, 8, 8, 1), np.uint8)


each = pytest.mark.parametrize("chosen", [*[(name,) for name in augment.names()], ("pad_crop", "flip")])


@each
def test_an_example_is_augmented_alike_wherever_it_stands(chosen):
    function, key = jax.jit(augment.create(chosen)), jax.random.key(1)
    images, positions = batch(), np.arange(100, 132, dtype=np.int32)
    outputs = np.asarray(function(images, positions, key))
    order = np.random.default_rng(0).permutation(32)
    np.testing.assert_array_equal(function(images[order], positions[order], key), outputs[order])
    # Among others, and in a batch of another size.
    others, other_positions = batch(seed=1), positions + 1000
    others[7], other_positions[7] = images[3], positions[3]
    np.testing.assert_array_equal(function(others, other_positions, key)[7], outputs[3])
    np.testing.assert_array_equal(function(others[7:8], other_positions[7:8], key)[0], outputs[3])


@each
def test_examples_and_steps_are_augmented_differently(chosen):
    function = jax.jit(augment.create(chosen))
    images = np.stack([numbered((8, 8, 1))] * 64)
    outputs = np.stack([function(images, np.arange(64), jax.random.key(step)) for step in range(8)])
    assert len({output.tobytes() for output in outputs}) == 8  # steps
    assert len({outputs[:, k].tobytes() for k in range(64)}) > 32  # examples: of a flip, 8 bits each


def test_augmentations_are_applied_in_turn(monkeypatch):
    monkeypatch.setitem(augment._AUGMENTATIONS, "double", lambda image, key: 2 * image)
    monkeypatch.setitem(augment._AUGMENTATIONS, "increment", lambda image, key: image + 1)
    images, positions, key = jnp.ones((1, 2, 2, 1)), jnp.zeros(1, jnp.int32), jax.random.key(0)
    for chosen, expected in ((("double", "increment"), 3), (["increment", "double"], 4)):
        np.testing.assert_array_equal(augment.create(chosen)(images, positions, key), expected * images)


def test_each_augmentation_draws_for_itself():
    # One pixel that two crops move: with one randomness for both it would move by even steps only.
    image = np.zeros((17, 17, 1), np.uint8)
    image[8, 8] = 1
    images = jnp.asarray(np.stack([image] * 100))
    outputs = augment.create(("pad_crop", "pad_crop"))(images, jnp.arange(100), jax.random.key(0))
    _, rows, columns, _ = np.nonzero(outputs)
    assert len(rows) == 100
    assert 20 < np.sum(rows % 2) < 80
    assert 20 < np.sum(columns % 2) < 80


def test_unknown_name_gives_the_closest():
    message = r"data\.augmentation: unknown name 'flop'; did you mean 'flip'\? Known: flip, pad_crop"
    with pytest.raises(ConfigError, match=message):
        augment.create(("pad_crop", "flop"))
