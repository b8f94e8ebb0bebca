"""mixup and cutmix against NumPy, and the distribution of their shares."""

import functools

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import scipy.stats

from grjax.data import mixing
from grjax.errors import ConfigError

KEYS = jax.random.split(jax.random.key(0), 3000)
HEIGHT, WIDTH = 12, 9


# Compiled once for every alpha.
MIXUP = jax.jit(jax.vmap(lambda images, key, alpha: mixing.mixup(images, key, alpha=alpha), (None, 0, None)))
CUTMIX = jax.jit(
    jax.vmap(lambda images, key, alpha: mixing.cutmix(images, key, alpha=alpha), (None, 0, None))
)


@functools.cache
def drawn(mix, alpha):
    """Of 3,000 batches of images (1, 1, ...), (2, 2, ...), (4, 4, ...): those mixed, and their shares."""
    images = jnp.broadcast_to(jnp.array([1.0, 2.0, 4.0])[:, None, None, None], (3, HEIGHT, WIDTH, 2))
    mixed, share = mix(images, KEYS, alpha)
    assert (mixed.dtype, share.dtype, share.shape) == (np.float32, np.float32, (len(KEYS), 3))
    return np.asarray(mixed), np.asarray(share)


OWN = np.array([1, 2, 4])[:, None, None, None]
PARTNERS = np.array([4, 1, 2])[:, None, None, None]  # the example before, in a circle


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_mixup_is_the_weighted_mean_with_the_example_before(alpha):
    mixed, share = drawn(MIXUP, alpha)
    weight = share[:, :, None, None, None]
    np.testing.assert_allclose(mixed, weight * OWN + (1 - weight) * PARTNERS + 0 * mixed, rtol=1e-6)


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_mixup_draws_one_share_from_a_beta_distribution(alpha):
    _, share = drawn(MIXUP, alpha)
    np.testing.assert_array_equal(share, share[:, :1] + 0 * share)
    assert scipy.stats.kstest(share[:, 0], scipy.stats.beta(alpha, alpha).cdf).pvalue > 1e-4


@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_cutmix_share_is_the_fraction_of_pixels_kept(alpha):
    mixed, share = drawn(CUTMIX, alpha)
    kept = mixed == OWN
    assert (kept | (mixed == PARTNERS)).all()
    np.testing.assert_allclose(share, kept.mean((2, 3, 4)), atol=1e-6)


@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_cutmix_cuts_the_papers_box(alpha):
    mixed, share = drawn(CUTMIX, alpha)
    cut = mixed != OWN
    np.testing.assert_array_equal(cut, cut[:, :1, :, :, :1] + 0 * cut)  # one box for batch and channels
    # How often each pixel is cut and how many are, by the paper's steps with draws of NumPy's.
    random = np.random.default_rng(0)
    side = np.sqrt(1 - random.beta(alpha, alpha, 100_000))
    covered = []
    for length in (HEIGHT, WIDTH):
        centre, half = random.integers(0, length, len(side)), (length * side).astype(int) // 2
        low, high = np.clip(centre - half, 0, length), np.clip(centre + half, 0, length)
        covered.append((low[:, None] <= np.arange(length)) & (np.arange(length) < high[:, None]))
    rows, columns = covered
    expected = rows.T.astype(float) @ columns / len(side)
    np.testing.assert_allclose(cut[:, 0, :, :, 0].mean(0), expected, atol=5 * 0.5 / np.sqrt(len(KEYS)))
    pixels = rows.sum(1) * columns.sum(1)
    assert scipy.stats.ks_2samp(np.rint((1 - share[:, 0]) * HEIGHT * WIDTH), pixels).pvalue > 1e-4
    # A box, not a scatter: what is cut is all rows of it times all columns.
    box = cut[:, 0, :, :, 0]
    np.testing.assert_array_equal(box, box.any(2)[:, :, None] & box.any(1)[:, None, :])


@pytest.mark.parametrize("name", sorted(set(mixing.names()) - {"none"}))
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_shape_and_dtype_are_kept(name, dtype):
    images = jax.ShapeDtypeStruct((5, 6, 8, 3), dtype)
    mixed, share = jax.eval_shape(mixing.create({"name": name, "alpha": 1.0}), images, jax.random.key(0))
    assert (mixed.shape, mixed.dtype) == (images.shape, dtype)
    assert (share.shape, share.dtype) == ((5,), np.float32)


def test_partners_are_the_examples_before():
    np.testing.assert_array_equal(mixing.partners(jnp.array([3, 1, 4, 5])), [5, 3, 1, 4])
    np.testing.assert_array_equal(mixing.partners(jnp.array([[3, 1], [4, 5]])), [[4, 5], [3, 1]])


def test_none_is_none():
    assert mixing.create({"name": "none"}) is None
    images, share = mixing.none(jnp.ones((2, 3, 3, 1)), jax.random.key(0))
    np.testing.assert_array_equal(images, np.ones((2, 3, 3, 1)))
    np.testing.assert_array_equal(share, [1, 1])


def test_mixup_of_integers_is_refused():
    with pytest.raises(ValueError, match="mixup: images must be floating, got uint8"):
        mixing.mixup(jnp.ones((2, 3, 3, 1), jnp.uint8), jax.random.key(0), alpha=1.0)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({}, "data.mixing.name: needs a value for it, one of cutmix, mixup, none"),
        ({"name": "mixap", "alpha": 1.0}, "data.mixing.name: unknown name 'mixap'; did you mean 'mixup'?"),
        ({"name": "mixup"}, "data.mixing.alpha: 'mixup' needs a value for it, none is given"),
        ({"name": "none", "alpha": 1.0}, "data.mixing.alpha: 'none' has no such option"),
        ({"name": "cutmix", "beta": 1.0}, "data.mixing.beta: 'cutmix' has no such option; Known: alpha"),
        ({"name": "cutmix", "alpha": "1"}, "data.mixing.alpha: 'cutmix' takes a number, got '1'"),
        ({"name": "mixup", "alpha": 0.0}, "data.mixing.alpha: must be in (0, inf), got 0.0"),
        ({"name": "mixup", "alpha": float("nan")}, "data.mixing.alpha: must be in (0, inf), got nan"),
        ({"name": "mixup", "key": 1, "alpha": 1.0}, "data.mixing.key: 'mixup' has no such option"),
    ],
)
def test_bad_sections_are_refused(section, message):
    with pytest.raises(ConfigError) as caught:
        mixing.create(section)
    assert message in str(caught.value)
