"""RandAugment's operations against Pillow's, and which are drawn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_sample_images

from grjax.data import randaugment as ra
from grjax.errors import ConfigError


def patches(channels):
    """Pieces of photographs, dim ones, noise, and images of one and of two values: uint8 [N, 24, 32, C]."""
    noise = np.random.default_rng(0).integers(0, 256, (1, 24, 32, 3))
    photographs = [
        image[200 + 60 * k : 224 + 60 * k, 100 * k : 100 * k + 32]
        for image in load_sample_images().images
        for k in range(3)
    ]
    two = np.where(np.arange(32)[None, None, :, None] < 5, [[[[10, 20, 30]]]], noise[:, :1, :1])
    images = [photographs, np.array(photographs) // 3 + 40, noise, np.full_like(noise, 77), two + 0 * noise]
    return np.concatenate(images).astype(np.uint8)[..., :channels]


def pillow(image):
    return Image.fromarray(image if image.shape[-1] == 3 else image[..., 0])


def array(image):
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., None]


MOVES = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
EXACT = ("identity", "equalize", "solarize", "posterize")


def pillows(name, s, size):
    """The operation `name` at strength s, as a function of Pillow images."""
    width, height = size

    def affine(a=1.0, b=0.0, c=0.0, d=0.0, e=1.0, f=0.0):
        method, bilinear = Image.Transform.AFFINE, Image.Resampling.BILINEAR
        return lambda image: image.transform(size, method, (a, b, c, d, e, f), bilinear)

    return {
        "identity": lambda image: image,
        "autocontrast": ImageOps.autocontrast,
        "equalize": ImageOps.equalize,
        "solarize": lambda image: ImageOps.solarize(image, 256 * (1 - abs(s))),
        "posterize": lambda image: ImageOps.posterize(image, 8 - round(4 * abs(s))),
        "color": lambda image: ImageEnhance.Color(image).enhance(1 + 0.9 * s),
        "contrast": lambda image: ImageEnhance.Contrast(image).enhance(1 + 0.9 * s),
        "brightness": lambda image: ImageEnhance.Brightness(image).enhance(1 + 0.9 * s),
        "sharpness": lambda image: ImageEnhance.Sharpness(image).enhance(1 + 0.9 * s),
        "rotate": lambda image: image.rotate(30 * s, Image.Resampling.BILINEAR),
        "shear_x": affine(b=0.3 * s),
        "shear_y": affine(d=0.3 * s),
        "translate_x": affine(c=150 / 331 * s * width),
        "translate_y": affine(f=150 / 331 * s * height),
    }[name]


@jax.jit
def outcomes(image, strength):
    """What each operation makes of an image in each direction: uint8 [operation, direction, H, W, C]."""
    operations, directions = jnp.arange(len(ra.OPERATIONS)), jnp.array([1.0, -1.0])
    each_direction = jax.vmap(ra.apply, (None, None, 0))
    return jax.vmap(each_direction, (None, 0, None))(image, operations, strength * directions)


def test_the_operations_are_those_of_the_paper():
    names = "identity autocontrast equalize rotate solarize color posterize contrast brightness sharpness"
    names += " shear_x shear_y translate_x translate_y"
    assert sorted(ra.OPERATIONS) == sorted(names.split())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("strength", [0.1, 0.6, 1.0])
def test_the_operations_are_pillows(channels, strength):
    images = patches(channels)
    found = np.stack([outcomes(image, strength) for image in images]).astype(int)
    wrong = []
    for index, name in enumerate(ra.OPERATIONS):
        for direction, sign in enumerate((1, -1)):
            theirs = pillows(name, sign * strength, (32, 24))
            expected = np.stack([array(theirs(pillow(image))) for image in images])
            differences = np.abs(found[:, index, direction] - expected)
            # Pillow's autocontrast, blending and sampling are in floating point and cut off.
            most, mean = (0, 0) if name in EXACT else (1, 0.02)
            if name in MOVES:
                # Pillow does not fade to the outside: compare at some distance from it.
                covered = array(theirs(pillow(np.full_like(images[0], 255)))).min(-1) == 255
                differences = differences[:, scipy.ndimage.binary_erosion(covered, iterations=2)]
                most, mean = 1, 0.6
            elif name == "autocontrast":
                mean = 0.1
            if differences.size < 1000 or differences.max() > most or differences.mean() > mean:
                wrong.append((name, sign))
    assert not wrong


def test_autocontrast_is_exact():
    image = patches(3)[0].astype(int)
    low, high = image.min((0, 1)), image.max((0, 1))
    expected = np.floor((image - low) * 255 / (high - low) + 1e-9)
    output = outcomes(patches(3)[0], 1.0)[ra.OPERATIONS.index("autocontrast"), 0]
    np.testing.assert_array_equal(output, expected)


def test_no_magnitude_no_effect():
    image = patches(3)[0]
    for name, output in zip(ra.OPERATIONS, outcomes(image, 0.0), strict=True):
        if name not in ("autocontrast", "equalize"):
            np.testing.assert_array_equal(output, np.stack([image, image]))


def test_one_by_one_is_all_at_once():
    image = patches(3)[0]
    operations, strengths = np.indices((len(ra.OPERATIONS), 2)).reshape(2, -1)
    strengths = (0.3 - 0.6 * strengths).astype(np.float32)
    function = jax.jit(jax.vmap(ra._one_by_one, (None, 0, 0)))
    found = np.asarray(function(image, operations, strengths)).reshape(-1, 2, *image.shape).astype(int)
    differences = np.abs(found - outcomes(image, 0.3))
    assert differences.max() <= 1
    assert differences.mean() < 1e-3


def test_layers_and_directions_are_drawn_independently_and_uniformly(monkeypatch):
    def record(image, operation, strength):
        as_told = jnp.abs(jnp.abs(strength) - 0.4) < 1e-6
        return jnp.where(as_told, 28 * image.astype(jnp.int32) + 2 * operation + (strength > 0), -(10**6))

    monkeypatch.setattr(ra, "apply", record)
    monkeypatch.setattr(ra, "_one_by_one", record)
    image, keys = jnp.zeros((1, 1, 1), jnp.uint8), jax.random.split(jax.random.key(0), 10_000)
    drawn = jax.jit(jax.vmap(lambda key: ra.randaugment(image, key, layers=2, magnitude=12.0)))(keys)
    counts = np.bincount(np.ravel(drawn), minlength=28**2)
    assert len(counts) == 28**2
    assert scipy.stats.chisquare(counts).pvalue > 1e-4


def test_operations_are_left_out_and_magnitudes_drawn_as_told(monkeypatch):
    def record(image, operation, strength):
        return jnp.stack([operation.astype(jnp.float32), strength])

    monkeypatch.setattr(ra, "apply", record)
    monkeypatch.setattr(ra, "_one_by_one", record)
    image, keys = jnp.zeros((1, 1, 1), jnp.uint8), jax.random.split(jax.random.key(1), 4_000)
    options = {"layers": 1, "least_magnitude": 3.0, "magnitude": 12.0, "probability": 0.5}
    operations, strengths = jax.jit(jax.vmap(lambda key: ra.randaugment(image, key, **options)))(keys).T
    left_out = (operations == ra.OPERATIONS.index("identity")).mean()
    assert left_out == pytest.approx(0.5 + 0.5 / len(ra.OPERATIONS), abs=0.03)
    magnitudes = 30 * np.abs(np.asarray(strengths))
    assert scipy.stats.kstest((magnitudes - 3) / 9, "uniform").pvalue > 1e-4
    with pytest.raises(ConfigError, match=r"least_magnitude: must be at most magnitude=2.0, got 3.0"):
        ra.randaugment(image, keys[0], magnitude=2.0, least_magnitude=3.0)


def test_only_a_cpu_goes_through_the_images_one_by_one():
    images, keys = np.zeros((4, 8, 8, 3), np.uint8), jax.random.split(jax.random.key(0), 4)
    traced = jax.jit(jax.vmap(lambda image, key: ra.randaugment(image, key, layers=1))).trace(images, keys)
    for platform in ("cpu", "cuda", "tpu"):
        lowered = traced.lower(lowering_platforms=(platform,)).as_text()
        assert ("stablehlo.while" in lowered) == (platform == "cpu")


def test_images_that_are_not_uint8_are_refused():
    with pytest.raises(ValueError, match="randaugment: images must be uint8, got float32"):
        ra.randaugment(jnp.zeros((8, 8, 3)), jax.random.key(0))
