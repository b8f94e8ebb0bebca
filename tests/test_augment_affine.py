"""Resampling against SciPy, and the angle of rotation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats

from grjax.data.affine import resample, rotation

MATRICES = np.array(
    [np.eye(2), [[0, 1], [-1, 0]], [[0.8, -0.6], [0.6, 0.8]], [[1, 0], [-0.4, 1]], [[0.5, 0.1], [-0.2, 1.7]]]
)
SHIFTS = np.array([[0, 0], [0, 0], [1.25, -2.5], [0, 40.3], [0.4, 0.3]])


def scipys(image, matrix, shift):
    """`resample` in SciPy's coordinates, whose origin is the first pixel."""
    centre = (np.array(image.shape[:2]) - 1) / 2
    offset = centre + shift - matrix @ centre
    channels = [
        scipy.ndimage.affine_transform(channel, matrix, offset, order=1, mode="grid-constant")
        for channel in np.moveaxis(image.astype(np.float64), -1, 0)
    ]
    return np.stack(channels, -1)


@pytest.mark.parametrize("shape", [(9, 12, 3), (8, 8, 1)])
def test_resample_is_scipys_affine_transform(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    def both(matrix, shift):
        matrix, shift = matrix.astype(jnp.float32), shift.astype(jnp.float32)
        return resample(image.astype(np.float32), matrix, shift), resample(jnp.asarray(image), matrix, shift)

    floating, rounded = jax.jit(jax.vmap(both))(MATRICES, SHIFTS)
    expected = np.stack([scipys(image, *each) for each in zip(MATRICES, SHIFTS, strict=True)])
    assert (floating.dtype, rounded.dtype) == (np.float32, np.uint8)
    np.testing.assert_allclose(floating, expected, atol=2e-3)
    np.testing.assert_allclose(rounded, expected, atol=0.502)
    np.testing.assert_array_equal(rounded[0], image)  # the identity is exact
    assert not rounded[3].any()  # far outside


def test_rotation_is_scipys_by_a_uniform_angle():
    keys = jax.random.split(jax.random.key(0), 2000)
    rows, columns = np.mgrid[:15, :15] - 7.0
    image = np.stack([rows, columns], -1).astype(np.float32)
    turned = np.asarray(jax.jit(jax.vmap(lambda key: rotation(image, key, degrees=30)))(keys))
    # One pixel right of the centre lies where the input's (row, column) is that of the turn.
    angles = np.rad2deg(np.arctan2(-turned[:, 7, 8, 0], turned[:, 7, 8, 1]))
    assert scipy.stats.kstest(angles, scipy.stats.uniform(-30, 60).cdf).pvalue > 1e-4
    for angle, output in list(zip(angles, turned, strict=True))[:20]:
        options = {"reshape": False, "order": 1, "mode": "grid-constant"}
        np.testing.assert_allclose(output, scipy.ndimage.rotate(image, -angle, (1, 0), **options), atol=1e-4)
