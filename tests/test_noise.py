"""Symmetric noise's own convention, the options of `create`, and the labels of a draw with their file."""

import errno
import hashlib
import io
import pickle
import re

import numpy as np
import pytest
import scipy.stats

from grjax import noise
from grjax.data import Dataset, Split, hold_out
from grjax.data.sampler import Sampler
from grjax.errors import ConfigError, WorkdirError
from grjax.noise import NoisyLabels

NUM_CLASSES = 10
CLEAN = np.arange(4000) % NUM_CLASSES


def draw(name="symmetric", rate=0.4, seed=0, labels=CLEAN, num_classes=NUM_CLASSES, ids=None):
    return noise.create(name, rate=rate, seed=seed)(labels, num_classes, ids)


@pytest.mark.parametrize("num_classes", [2, 3, 10, 100])
@pytest.mark.parametrize("rate", [0.0, 0.2, 0.4, 0.8, 1.0])
def test_symmetric_transition_matrix(rate, num_classes):
    clean = np.arange(100_000) % num_classes
    declared = np.full((num_classes, num_classes), rate / (num_classes - 1))
    np.fill_diagonal(declared, 1 - rate)
    noisy = draw(rate=rate, labels=clean, num_classes=num_classes)
    counts, n = noisy.transition_counts, np.bincount(clean)[:, None]
    # Exact binomial tails rather than z scores: at C = 100 an entry is expected 40 times or fewer. The
    # level of 4 sigma is that of the whole matrix.
    tails = scipy.stats.binom.cdf(counts, n, declared), scipy.stats.binom.sf(counts - 1, n, declared)
    level = 2 * scipy.stats.norm.sf(4)
    assert np.minimum(*tails).min() > level / 2 / num_classes**2
    sigma = np.sqrt(rate * (1 - rate) / len(clean))
    assert abs(noisy.realised_rate - rate) <= 4 * sigma


@pytest.mark.parametrize("num_classes", [2, 3, 10])
def test_symmetric_noise_of_rate_one_leaves_no_label_intact(num_classes):
    noisy = draw(rate=1.0, labels=CLEAN % num_classes, num_classes=num_classes)
    assert noisy.mislabelled.all()
    assert noisy.realised_rate == 1


def test_symmetric_draw_is_the_documented_one():
    words = np.random.Philox(key=7).random_raw(2 * len(CLEAN)).reshape(-1, 2)
    flip, which = (words >> np.uint64(11)).T / 2.0**53
    expected = []
    for label, u, v in zip(CLEAN, flip, which, strict=True):
        others = [(label + k) % NUM_CLASSES for k in range(1, NUM_CLASSES)]
        expected.append(others[int(v * len(others))] if u < 0.4 else label)
    np.testing.assert_array_equal(draw(seed=7).labels, expected)


def test_a_rate_that_is_whole_or_numpys_is_a_rate():
    assert draw(rate=1).realised_rate == 1
    assert draw(rate=np.float64(0.4)).sha256 == draw(rate=0.4).sha256


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"rate": -0.1}, ["noise.rate", "-0.1", "[0, 1]"]),
        ({"rate": 1.1}, ["noise.rate", "1.1", "[0, 1]"]),
        ({"rate": float("nan")}, ["noise.rate", "nan", "[0, 1]"]),
        ({"rate": float("inf")}, ["noise.rate", "inf", "[0, 1]"]),
        ({"rate": "a"}, ["noise.rate", "'a'", "a number"]),
        ({"rate": True}, ["noise.rate", "True", "a number"]),
        ({"rate": None}, ["noise.rate", "None", "a number"]),
        ({}, ["noise.rate", "needs a value"]),
        ({"rate": 0.4, "seed": -1}, ["noise.seed", "-1", "[0, 2**64)"]),
        ({"rate": 0.4, "seed": 2**64}, ["noise.seed", "18446744073709551616", "[0, 2**64)"]),
        ({"rate": 0.4, "seed": 1.5}, ["noise.seed", "1.5", "a whole number"]),
        ({"rate": 0.4, "seed": "a"}, ["noise.seed", "'a'", "a whole number"]),
        ({"rat": 0.4}, ["noise.rat", "no such option", "'rate'"]),
        ({"rate": 0.4, "ids": [1]}, ["noise.ids", "no such option", "rate, seed"]),
    ],
)
def test_bad_options_name_the_field_the_value_and_what_is_right(options, parts):
    with pytest.raises(ConfigError) as caught:
        noise.create("symmetric", **options)
    assert all(part in str(caught.value) for part in parts)


@pytest.mark.parametrize("ids", [[0, 1, -1], [0, 1], [[0, 1, 2]], [0, 1, 2**31]])
def test_unusable_ids_are_refused(ids):
    with pytest.raises(ConfigError, match=r"noise: ids must be one for each label, in \[0, 2\*\*31\)"):
        draw(labels=np.zeros(3, int), ids=np.array(ids))


def test_an_id_that_occurs_twice_is_refused():
    with pytest.raises(ConfigError, match="noise: ids must be distinct"):
        draw(labels=np.zeros(3, int), ids=np.array([0, 1, 1]))


@pytest.mark.parametrize("labels", [[0, 1, -1], [0, 1, 10], [0.0, 1.0, 2.0], [True, False, True]])
def test_unusable_labels_are_refused(labels):
    with pytest.raises(ConfigError, match=r"noise: labels must be integers in \[0, 10\)"):
        noise.create("symmetric", rate=0.4)(np.array(labels), 10)


def test_unknown_name_gives_the_closest():
    with pytest.raises(ConfigError, match=r"noise.name: unknown name 'symetric'; did you mean 'symmetric'"):
        noise.create("symetric", rate=0.4)


def held_out(number, seed):
    images, labels = np.zeros((number, 1, 1, 1), np.uint8), np.zeros(number, np.int32)
    split = Split(images, labels, np.arange(number))
    dataset = Dataset("zeros", ("0",), {"train": split, "test": split})
    return hold_out(dataset, 0.2, seed).splits["validation"].ids


def first_batch(number, seed):
    return Sampler(number, number // 5, seed)[0]


@pytest.mark.parametrize("chosen", [held_out, first_batch])
def test_noise_is_independent_of_other_draws_with_the_same_seed(chosen):
    # A generator that both use gives words 2 j and 2 j + 1 to noise, word j to the others.
    wrong = draw(seed=0).mislabelled
    for word in (0, 1):
        positions = chosen(len(CLEAN), seed=0)
        seen = wrong[positions[positions % 2 == word] // 2]
        assert abs(seen.mean() - 0.4) < 4 * np.sqrt(0.4 * 0.6 / len(seen))


def test_order_and_validation_are_independent_with_the_same_seed():
    both = np.isin(held_out(len(CLEAN), seed=0), first_batch(len(CLEAN), seed=0))
    assert abs(both.mean() - 0.2) < 4 * np.sqrt(0.2 * 0.8 / len(both))


def by_hand(**changes):
    """Five examples, two of them mislabelled, in no order."""
    fields = {
        "ids": np.array([30, 10, 50, 20, 40]),
        "clean": np.array([0, 1, 2, 1, 0], np.int32),
        "labels": np.array([0, 2, 2, 0, 0], np.int32),
        "num_classes": 3,
        "nominal_rate": 0.4,
    }
    return NoisyLabels(**{**fields, **changes})


def test_statistics_by_hand():
    noisy = by_hand()
    np.testing.assert_array_equal(noisy.mislabelled, [False, True, False, True, False])
    assert noisy.realised_rate == 2 / 5
    assert noisy.transition_counts.dtype == np.int64
    np.testing.assert_array_equal(noisy.transition_counts, [[2, 0, 0], [1, 0, 1], [0, 0, 1]])


def test_transition_counts_against_a_loop():
    noisy = draw()
    counts = [
        [np.sum((noisy.clean == i) & (noisy.labels == j)) for j in range(NUM_CLASSES)]
        for i in range(NUM_CLASSES)
    ]
    np.testing.assert_array_equal(noisy.transition_counts, counts)
    assert noisy.realised_rate == 1 - np.trace(counts) / len(CLEAN)


def test_sha256_is_of_ids_and_noisy_labels_in_the_order_of_ids():
    ids, labels = [10, 20, 30, 40, 50], [2, 0, 0, 0, 2]
    assert by_hand().sha256 == hashlib.sha256(np.array(ids + labels, "<i8").tobytes()).hexdigest()


def test_sha256_does_not_depend_on_the_order_of_examples():
    order = np.random.default_rng(0).permutation(len(CLEAN))
    assert draw(labels=CLEAN[order], ids=order).sha256 == draw().sha256


def test_sha256_sees_every_label_and_id():
    hashes = {by_hand().sha256}
    for position in range(5):
        labels, ids = by_hand().labels.copy(), by_hand().ids.copy()
        labels[position] = 1
        ids[position] += 1
        hashes |= {by_hand(labels=labels).sha256, by_hand(ids=ids).sha256}
    assert len(hashes) == 11


def test_save_and_check(tmp_path):
    noisy = draw()
    noisy.save(tmp_path / "noise.npz")
    noisy.check_equals(tmp_path / "noise.npz")
    draw(rate=0.2).save(str(tmp_path / "noise.npz"))  # over the old one
    draw(rate=0.2).check_equals(str(tmp_path / "noise.npz"))
    assert [path.name for path in tmp_path.iterdir()] == ["noise.npz"]


def test_what_is_saved(tmp_path):
    by_hand().save(tmp_path / "noise.npz")
    with np.load(tmp_path / "noise.npz") as stored:
        assert set(stored) == {"ids", "clean_labels", "noisy_labels"}
        np.testing.assert_array_equal(stored["ids"], by_hand().ids)
        np.testing.assert_array_equal(stored["clean_labels"], by_hand().clean)
        np.testing.assert_array_equal(stored["noisy_labels"], by_hand().labels)


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    def disk_full(file, **arrays):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    by_hand().save(tmp_path / "noise.npz")
    monkeypatch.setattr(np, "savez_compressed", disk_full)
    with pytest.raises(OSError, match="No space"):
        draw().save(tmp_path / "noise.npz")
    by_hand().check_equals(tmp_path / "noise.npz")


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"ids": np.array([30, 10, 50, 20, 41])}, "other ids"),
        ({"clean": np.array([0, 1, 2, 1, 1], np.int32)}, "other clean labels"),
        ({"labels": np.array([0, 2, 2, 0, 1], np.int32)}, "other noisy labels"),
        (
            {key: getattr(by_hand(), key)[:-1] for key in ("ids", "clean", "labels")},
            "other ids",
        ),
    ],
)
def test_other_noise_is_refused(tmp_path, changes, what):
    by_hand().save(tmp_path / "noise.npz")
    with pytest.raises(WorkdirError, match=f"noise.npz.*{what}.*new workdir"):
        by_hand(**changes).check_equals(tmp_path / "noise.npz")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(WorkdirError, match=re.escape(str(tmp_path / "noise.npz"))):
        by_hand().check_equals(tmp_path / "noise.npz")


def as_npy(whole):
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


def overwritten(whole, start):
    return whole[:start] + bytes([255] * 20) + whole[start + 20 :]


def without_clean_labels(whole):
    file = io.BytesIO()
    np.savez(file, ids=np.arange(3), noisy_labels=np.arange(3))
    return file.getvalue()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # np.load leaves it open
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda whole: whole[:-1], id="last_byte"),
        pytest.param(lambda whole: whole[: len(whole) // 2], id="half"),
        pytest.param(lambda whole: whole[:4], id="four_bytes"),
        pytest.param(lambda whole: b"some text", id="text"),
        pytest.param(lambda whole: bytes(len(whole)), id="zeros"),
        pytest.param(lambda whole: pickle.dumps({"ids": 1}), id="pickle"),
        pytest.param(without_clean_labels, id="no_clean_labels"),
        pytest.param(lambda whole: b"", id="empty"),
        pytest.param(lambda whole: overwritten(whole, len(whole) // 2), id="checksum"),
        pytest.param(
            lambda whole: overwritten(whole, len(whole) // 10),
            id="compression",
        ),
        pytest.param(
            as_npy,
            id="npy",
        ),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, damage):
    path = tmp_path / "noise.npz"
    draw().save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(WorkdirError, match=r"noise.npz: cannot be read as the run's noise"):
        draw().check_equals(path)
