"""Crops, flip and cutout against NumPy; of all augmentations whose randomness is whose, and their options."""

import functools
import json
import math
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from grjax.config import resolve
from grjax.data import augment
from grjax.errors import ConfigError

KEYS = jax.random.split(jax.random.key(0), 4000)

# A name alone serves those that need no options.
OPTIONS = {
    "cutout": {"size": 5},
    "randaugment": {"layers": 1},  # compiles in half the time of 2
    "random_crop": {"size": 6},
    "rotation": {"degrees": 30},
}
SECTIONS = [{"name": name, **OPTIONS[name]} if name in OPTIONS else name for name in augment.names()]


def numbered(shape, dtype=np.uint8):
    """An image whose values are all different and none of them 0, which is what padding is."""
    return np.arange(1, 1 + np.prod(shape)).reshape(shape).astype(dtype)


def crop(image, top, left, padding, mode="zeros"):
    """Of `image` padded: its size, from (top, left) on."""
    height, width, _ = image.shape
    padded = np.pad(
        image, ((padding, padding), (padding, padding), (0, 0)), mode.replace("zeros", "constant")
    )
    return padded[top : top + height, left : left + width]


def applied(function, image, keys=KEYS, **options):
    return np.asarray(jax.jit(jax.vmap(lambda key: function(jnp.asarray(image), key, **options)))(keys))


def assert_equally_often(outputs, places):
    """Each output is one of `places` {bytes: how many draws make it}, and all draws are equally likely."""
    assert {output.tobytes() for output in outputs} == set(places)
    found = Counter(output.tobytes() for output in outputs)
    for place, ways in places.items():
        p = ways / sum(places.values())
        # 4.5 rather than 4 sigma: up to 120 counts at once.
        assert abs(found[place] / len(outputs) - p) < 4.5 * np.sqrt(p * (1 - p) / len(outputs))


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((8, 8, 1), {}),
        ((6, 9, 3), {"padding": 4}),
        ((6, 9, 3), {"padding": 1}),
        ((6, 9, 3), {"padding": 2, "mode": "edge"}),
        ((6, 9, 3), {"padding": 2, "mode": "reflect"}),
    ],
)
def test_pad_crop_is_one_of_all_crops_each_equally_often(shape, options):
    image, padding = numbered(shape), options.get("padding", 4)
    places, mode = 2 * padding + 1, options.get("mode", "zeros")
    crops = [crop(image, top, left, padding, mode) for top in range(places) for left in range(places)]
    assert len({output.tobytes() for output in crops}) == places**2
    assert_equally_often(
        applied(augment.pad_crop, image, **options), Counter(output.tobytes() for output in crops)
    )


@pytest.mark.parametrize("length", [1, 2, 5])
def test_a_line_is_mirrored_over_and_over(length):
    wanted = np.pad(np.arange(length), 12, "reflect")
    np.testing.assert_array_equal(augment._mirrored(jnp.arange(-12, length + 12), length), wanted)


@pytest.mark.parametrize(("shape", "size"), [((8, 8, 1), 6), ((6, 9, 3), 6)])
def test_random_crop_is_one_of_all_crops_each_equally_often(shape, size):
    image = numbered(shape)
    crops = [
        image[top : top + size, left : left + size]
        for top in range(shape[0] - size + 1)
        for left in range(shape[1] - size + 1)
    ]
    outputs = applied(augment.random_crop, image, size=size)
    assert outputs.shape[1:] == (size, size, shape[2])
    assert_equally_often(outputs, Counter(output.tobytes() for output in crops))


def test_center_crop_is_the_middle():
    images = numbered((2, 7, 10, 3), np.int32)
    np.testing.assert_array_equal(augment.center_crop(images, 4), images[:, 1:5, 3:7])
    np.testing.assert_array_equal(augment.center_crop(images[0], 7), images[0, :, 1:8])


def test_a_crop_larger_than_the_images_is_refused():
    message = r"^data\.augmentation\.size: must be at most that of the images, 6 x 9, got 7"
    with pytest.raises(ConfigError, match=message + "$"):
        augment.center_crop(numbered((6, 9, 3)), 7)
    with pytest.raises(ConfigError, match=message):
        applied(augment.random_crop, numbered((6, 9, 3)), size=7)


def cut(image, row, column, size, value):
    """`image` with the square around (row, column) set to `value`."""
    image, (top, left) = image.copy(), (row - size // 2, column - size // 2)
    image[max(top, 0) : top + size, max(left, 0) : left + size] = value
    return image


@pytest.mark.parametrize(("shape", "size"), [((8, 8, 1), 3), ((6, 9, 3), 4)])
def test_cutout_is_around_each_pixel_equally_often(shape, size):
    image = numbered(shape)
    cuts = [cut(image, row, column, size, 0) for row in range(shape[0]) for column in range(shape[1])]
    assert_equally_often(
        applied(augment.cutout, image, size=size), Counter(output.tobytes() for output in cuts)
    )


def test_cutout_fills_with_what_it_is_told():
    image = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    mean = image.mean((0, 1))
    cases = [(7, 7, image), ([1, 2, 3], [1, 2, 3], image), ("mean", mean.round(), image)]
    cases += [("mean", mean, image.astype(np.float32))]

    def each_case(image, key):
        return [augment.cutout(image.astype(given.dtype), key, 3, fill) for fill, _, given in cases]

    for outputs, (_, value, given) in zip(
        jax.jit(jax.vmap(each_case, (None, 0)))(image, KEYS[:50]), cases, strict=True
    ):
        cuts = np.array([cut(given, row, column, 3, value) for row in range(6) for column in range(9)])
        distances = np.abs(np.asarray(outputs)[:, None].astype(float) - cuts).max((2, 3, 4)).min(1)
        assert outputs.dtype == given.dtype
        np.testing.assert_allclose(distances, 0, atol=0 if given.dtype == np.uint8 else 1e-4)


def test_flip_mirrors_left_and_right_half_the_time():
    image = numbered((4, 6, 2))
    outputs = applied(augment.flip, image)
    mirrored = np.array([np.array_equal(output, image[:, ::-1]) for output in outputs])
    np.testing.assert_array_equal(outputs[~mirrored], np.broadcast_to(image, outputs[~mirrored].shape))
    assert abs(mirrored.mean() - 0.5) < 4 * 0.5 / np.sqrt(len(KEYS))


@pytest.mark.parametrize("chosen", [(), *[(section,) for section in SECTIONS], tuple(SECTIONS)], ids=str)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_shape_and_dtype_are_kept(chosen, channels, dtype):
    if dtype == np.float32 and "randaugment" in str(chosen):
        pytest.skip("its operations are those of uint8 images")
    images = jax.ShapeDtypeStruct((5, 6, 8, channels), dtype)
    outputs = jax.eval_shape(augment.create(chosen), images, jnp.arange(5), jax.random.key(0))
    width = 6 if "random_crop" in str(chosen) else 8
    assert (outputs.shape, outputs.dtype) == ((5, 6, width, channels), dtype)


def test_no_augmentation_is_the_identity():
    images = np.stack([numbered((6, 8, 3))] * 5)
    outputs = augment.create(())(jnp.asarray(images), jnp.arange(5), jax.random.key(0))
    np.testing.assert_array_equal(outputs, images)


@functools.cache
def compiled(*chosen):
    return jax.jit(augment.create([json.loads(section) for section in chosen]))


@pytest.fixture(params=[*[(section,) for section in SECTIONS], ("pad_crop", "flip")], ids=str)
def function(request):
    """Each augmentation, compiled once for all tests."""
    return compiled(*map(json.dumps, request.param))


def batch(size=32, seed=0):
    return np.random.default_rng(seed).integers(1, 256, (size, 8, 8, 1), np.uint8)


def test_an_example_is_augmented_alike_wherever_it_stands(function):
    key = jax.random.key(1)
    images, positions = batch(), np.arange(100, 132, dtype=np.int32)
    outputs = np.asarray(function(images, positions, key))
    order = np.random.default_rng(0).permutation(32)
    np.testing.assert_array_equal(function(images[order], positions[order], key), outputs[order])
    # Among others, and in a batch of another size.
    others, other_positions = batch(seed=1), positions + 1000
    others[7], other_positions[7] = images[3], positions[3]
    np.testing.assert_array_equal(function(others, other_positions, key)[7], outputs[3])
    np.testing.assert_array_equal(function(others[7:8], other_positions[7:8], key)[0], outputs[3])


def test_examples_and_steps_are_augmented_differently(function):
    images, positions = np.stack([numbered((8, 8, 1))] * 32), np.arange(32, dtype=np.int32)
    outputs = np.stack([function(images, positions, jax.random.key(step)) for step in range(8)])
    assert len({output.tobytes() for output in outputs}) == 8  # steps
    assert len({outputs[:, k].tobytes() for k in range(32)}) > 16  # examples: of a flip, 8 bits each


def test_augmentations_are_applied_in_turn(monkeypatch):
    monkeypatch.setitem(augment._AUGMENTATIONS, "multiply", lambda image, key, by=2: by * image)
    monkeypatch.setitem(augment._AUGMENTATIONS, "increment", lambda image, key: image + 1)
    images, positions, key = jnp.ones((1, 2, 2, 1)), jnp.zeros(1, jnp.int32), jax.random.key(0)
    for chosen, expected in (
        (("multiply", "increment"), 3),
        (["increment", "multiply"], 4),
        ([{"name": "increment"}, {"name": "multiply"}], 4),
        (("increment", {"name": "multiply", "by": 5}), 10),
    ):
        np.testing.assert_array_equal(augment.create(chosen)(images, positions, key), expected * images)


def test_each_augmentation_draws_for_itself():
    # One pixel that two crops move: with one randomness for both it would move by even steps only.
    image = np.zeros((17, 17, 1), np.uint8)
    image[8, 8] = 1
    images = jnp.asarray(np.stack([image] * 100))
    outputs = jax.jit(augment.create(("pad_crop", "pad_crop")))(images, jnp.arange(100), jax.random.key(0))
    _, rows, columns, _ = np.nonzero(outputs)
    assert len(rows) == 100
    assert 20 < np.sum(rows % 2) < 80
    assert 20 < np.sum(columns % 2) < 80


def test_unknown_name_gives_the_closest():
    message = r"data\.augmentation: unknown name 'flop'; did you mean 'flip'\? Known: cutout, flip, pad_crop"
    for wrong in ("flop", {"name": "flop"}):
        with pytest.raises(ConfigError, match=message):
            augment.create(("pad_crop", wrong))


def test_a_config_holds_sections():
    chosen = ["pad_crop", {"name": "cutout", "size": 16, "fill": [1, 2, 3]}, "flip"]
    for given in (chosen, tuple(chosen)):
        config = resolve({"data": {"augmentation": given}})
        augment.create(config.data.augmentation)
        assert json.loads(json.dumps(config.to_dict()))["data"]["augmentation"] == chosen


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (3, "must be names, or sections with a 'name'; got 3"),
        ({"size": 16}, "must be names, or sections with a 'name'; got {'size': 16}"),
        ({"name": 3}, "must be names, or sections with a 'name'; got {'name': 3}"),
        ("cutout", ".size: 'cutout' needs a value for it, none is given"),
        ({"name": "cutout", "sise": 16}, ".sise: 'cutout' has no such option; did you mean 'size'?"),
        ({"name": "cutout", "size": 1.5}, ".size: 'cutout' takes a whole number, got 1.5"),
        ({"name": "cutout", "size": 0}, ".size: must be in [1, inf), got 0"),
        ({"name": "cutout", "size": 2, "fill": "median"}, ".fill: 'cutout' takes a whole number or "),
        ({"name": "cutout", "size": 2, "fill": 256}, ".fill: must be in [0, 255], got 256"),
        ({"name": "cutout", "size": 2, "fill": [0, -1, 0]}, ".fill: must be in [0, 255], got -1"),
        ({"name": "pad_crop", "padding": -1}, ".padding: must be in [0, inf), got -1"),
        ({"name": "pad_crop", "image": 1}, ".image: 'pad_crop' has no such option"),
        ({"name": "rotation", "degrees": 181}, ".degrees: must be in [0, 180], got 181"),
        ({"name": "rotation", "degrees": math.nan}, ".degrees: must be in [0, 180], got nan"),
        ({"name": "randaugment", "layers": 0}, ".layers: must be in [1, inf), got 0"),
        ({"name": "randaugment", "magnitude": 31}, ".magnitude: must be in [0, 30], got 31"),
        ({"name": "randaugment", "probability": 2}, ".probability: must be in [0, 1], got 2"),
    ],
)  # fmt: skip
def test_bad_sections_are_refused(section, message):
    with pytest.raises(ConfigError) as caught:
        augment.create(("flip", section))
    assert str(caught.value).startswith("data.augmentation")
    assert message in str(caught.value)


def test_a_fill_for_each_channel_fits_the_channels():
    message = r"^data\.augmentation\.fill: must have a value for each of 1 channels, got \[1, 2\]"
    with pytest.raises(ConfigError, match=message):
        applied(augment.cutout, numbered((6, 9, 1)), size=3, fill=[1, 2])


@pytest.mark.parametrize("dataset", sorted(augment._PUBLISHED))
def test_published_augmentations_are_registered(dataset):
    augment.create(augment.defaults(dataset))
    assert resolve({"data": {"augmentation": augment.defaults(dataset)}})


def test_a_data_set_without_a_protocol_is_named():
    with pytest.raises(ConfigError, match=r"no protocol is known for 'cifar-10'; did you mean 'cifar10'\?"):
        augment.defaults("cifar-10")
