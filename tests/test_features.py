"""Features of any offset and size: nothing is lost where they become float32."""

import warnings

import numpy as np
import pytest

from grjax import analysis, data
from grjax.data import features, from_arrays
from grjax.estimator import GRClassifier

RNG = np.random.default_rng(0)
N = 200
LABELS = np.arange(N) % 2
PLAIN = (LABELS + 0.2 * RNG.normal(size=N))[:, None]
COLUMNS = {
    "Unix time": 1.7e9 + 1e-3 * PLAIN,
    "Unix time in nanoseconds": 1.7e18 + 1e5 * PLAIN,
    "negative offset": -4e12 + PLAIN,
    "tiny": 1e-42 * PLAIN,
    "smaller than float32": 1e-200 * PLAIN,
    "large": 1e30 * PLAIN,
    "larger than float32": 1e200 * PLAIN,
    "largest": 1.7e308 * np.clip(PLAIN, 0, 1),
    "tiny float32": (1e-40 * PLAIN).astype(np.float32),
    "large float32": (1e37 * PLAIN).astype(np.float32),
    "offset integers": (10**12 + 1000 * PLAIN).astype(np.int64),
}


def standardised(column):
    return (column - column.mean()) / column.std()


@pytest.mark.parametrize("name", COLUMNS)
def test_what_float32_cannot_hold_is_centred_and_scaled_first(name):
    column = COLUMNS[name]
    found = features.scaling(column)(column)
    assert found.dtype == np.float32
    assert 1e-3 < np.abs(found).max() < 100  # of smaller ones, XLA makes 0
    exact = np.clip(PLAIN, 0, 1) if name == "largest" else PLAIN
    np.testing.assert_allclose(standardised(found.astype(np.float64)), standardised(exact), atol=0.02)
    np.testing.assert_array_equal(features.scaling(found)(found), found)  # no second time


@pytest.mark.parametrize("column", [PLAIN, 1e6 * PLAIN, 1e-6 * PLAIN, 100 + PLAIN, 0 * PLAIN, 0 * PLAIN + 7])
def test_what_float32_holds_stays_as_it_is(column):
    np.testing.assert_array_equal(features.scaling(column)(column), column.astype(np.float32))


@pytest.mark.parametrize("value", [0.3, 1e40, 1e-50, 1.7e9])
def test_a_column_that_is_constant_up_to_rounding_stays_constant(value):
    column = np.full((N, 1), value)
    column[::3] = np.nextafter(value, np.inf)
    found = features.scaling(column)(column)
    assert np.isfinite(found).all()
    assert np.ptp(found) <= 1e-6 * max(1, np.abs(found).max())


def test_splits_have_the_scaling_of_training():
    column = COLUMNS["Unix time"]
    dataset = from_arrays(column[:150], LABELS[:150], test=(column[150:], LABELS[150:]))
    images = np.concatenate([split.images[:, 0, 0] for split in dataset.splits.values()])
    np.testing.assert_allclose(standardised(images.astype(np.float64)), standardised(PLAIN), atol=0.02)


def test_features_of_a_file_and_channels_of_images(tmp_path):
    np.savez(tmp_path / "a.npz", images=COLUMNS["Unix time"], labels=LABELS)
    images = data.load("npz", dir=str(tmp_path / "a.npz")).splits["train"].images
    assert len(np.unique(images)) > 0.9 * len(images)
    pictures = np.broadcast_to(COLUMNS["Unix time"][:, None, None], (N, 4, 4, 1)) * [1, 1e-12]
    images = from_arrays(pictures, LABELS).splits["train"].images
    assert np.abs(images[..., 0]).max() < 100
    assert len(np.unique(images[:, 0, 0, 0])) > 0.9 * len(images)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int32, np.uint16, np.bool_, np.uint8])
def test_a_table_may_be_of_any_numbers(dtype):
    table = RNG.integers(0, 2, (N, 3)).astype(dtype)
    images = from_arrays(table, LABELS, test=(table, LABELS)).splits["train"].images
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images[:, 0, 0], table)


FAST = {"model.hidden": (16,), "batch_size": 20}


@pytest.mark.parametrize("name", ["Unix time", "tiny", "large", "larger than float32"])
def test_the_estimator_learns_from_them(name):
    column = np.hstack([COLUMNS[name], RNG.normal(size=(N, 1))])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="overflow encountered", category=RuntimeWarning)
        model = GRClassifier(epochs=20, config=FAST, random_state=0).fit(column, LABELS)
        assert (model.predict(column) == LABELS).mean() > 0.95


def test_the_audit_learns_from_them():
    labels = LABELS.copy()
    labels[:10] = 1 - labels[:10]
    for name in ("Unix time", "large"):
        audit = analysis.audit(COLUMNS[name], labels, {**FAST, "train_epochs": 20})
        assert audit.suspected[:10].mean() > 0.7
        assert audit.suspected[10:].mean() < 0.1
