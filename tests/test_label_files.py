"""Label files in the wild: each is read, or refused with the reason in one line."""

import json
import pickle

import numpy as np
import pytest

from grjax import noise
from grjax.errors import ConfigError
from grjax.noise.cifar100 import superclass_of

RNG = np.random.default_rng(0)
IDS = RNG.permutation(2000)[:500]
CLEAN = RNG.integers(0, 10, 500)
NOISY = np.where(RNG.random(500) < 0.4, (CLEAN + 1) % 10, CLEAN)
ASCENDING = NOISY[np.argsort(IDS)]
TFDS_IDS = [f"train_{each:05d}" for each in IDS]


def write(path, value):
    """By the ending of the name."""
    if path.suffix == ".json":
        plain = json.dumps(value, default=lambda array: array.tolist())
        path.write_text(plain, "utf-8")
    elif path.suffix == ".npy":
        np.save(path, value, allow_pickle=True)
    elif path.suffix in (".pt", ".pth"):
        pytest.importorskip("torch").save(value, path)
    else:
        path.write_bytes(pickle.dumps(value))
    return str(path)


def from_file(path, labels=CLEAN, ids=IDS, num_classes=10):
    return noise.create("file", path=str(path))(labels, num_classes, ids).labels


def tensor(array):
    return pytest.importorskip("torch").tensor(array)


PAIRS = {int(one): int(label) for one, label in zip(IDS, NOISY, strict=True)}


@pytest.mark.parametrize("ending", ["npy", "pt", "pth", "pkl", "pickle", "json"])
@pytest.mark.parametrize(
    "value",
    [
        ASCENDING,
        ASCENDING.tolist(),
        np.stack([IDS, NOISY], axis=1),
        {"ids": IDS, "labels": NOISY},
        {"ids": IDS.tolist(), "noisy_labels": NOISY.tolist(), "clean_labels": CLEAN.tolist()},
        {"id": TFDS_IDS, "label": NOISY.tolist()},
        PAIRS,
        [{"id": one, "label": label} for one, label in PAIRS.items()],
    ],
)
def test_label_files_are_read(tmp_path, ending, value):
    if ending == "npy" and isinstance(value, list) and isinstance(value[0], dict):
        pytest.skip("NumPy writes no list of dictionaries as one")
    np.testing.assert_array_equal(from_file(write(tmp_path / f"labels.{ending}", value)), NOISY)


@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_tensors_are_read(tmp_path, new_format, dtype):
    path = tmp_path / "labels.pt"
    save = pytest.importorskip("torch").save
    for value in (
        tensor(ASCENDING.astype(dtype)),
        {"ids": tensor(IDS), "labels": tensor(NOISY.astype(dtype))},
        [tensor(ASCENDING.astype(dtype))][0][::1],
    ):
        save(value, path, _use_new_zipfile_serialization=new_format)
        np.testing.assert_array_equal(from_file(path), NOISY)


def test_ids_as_tfds_writes_them_are_read_in_csv(tmp_path):
    rows = [f"{one},{label}" for one, label in zip(TFDS_IDS, NOISY, strict=True)]
    (tmp_path / "labels.csv").write_text("id,label\n" + "\n".join(rows))
    np.testing.assert_array_equal(from_file(tmp_path / "labels.csv"), NOISY)


def damaged(tmp_path, value, ending="json", **options):
    with pytest.raises(ConfigError) as caught:
        from_file(write(tmp_path / f"labels.{ending}", value), **options)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"noise.path: {tmp_path}")
    return line


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"labels": ASCENDING}, "must hold 'ids' and 'noisy_labels' or 'labels', holds labels"),
        ({"id": IDS}, "must hold 'id' and 'noisy_label' or 'label', holds id"),
        ({"clean_label": CLEAN, "worse_label": NOISY}, "is a file of CIFAR-N; set noise.name=cifar10_n"),
        (
            {"clean_label": CLEAN, "noisy_label": NOISY, "noisy_coarse_label": NOISY},
            "is a file of CIFAR-N; set noise.name=cifar100_n",
        ),
        (ASCENDING[:-1], "holds 499 labels, there are 500 training examples"),
        (np.eye(10)[ASCENDING], "labels must be [N], got [500, 10]"),
        (ASCENDING + 0.5, "labels must be whole numbers, got float64"),
        (["cat"] * 500, "labels must be whole numbers: "),
        ([None] * 500, "labels must be whole numbers, got object"),
        (ASCENDING + 1, "(50 are out of range; these are 1 to C, subtract 1)"),
        ([[1], [1, 2]], "cannot be read as labels: no array"),
        ("text", "cannot be read as labels: holds a str where an array or a list should be"),
        ({**PAIRS, 3000: 1}, "has labels for 1 ids that are no training examples, as 3000"),
    ],
)
@pytest.mark.parametrize("ending", ["json", "pkl"])
def test_what_does_not_fit_is_refused(tmp_path, value, message, ending):
    if isinstance(value, np.ndarray) and value.max() == 10:
        message = message.replace("50", str((value == 10).sum()))
    assert message in damaged(tmp_path, value, ending)


def test_a_damaged_json_is_refused(tmp_path):
    (tmp_path / "labels.json").write_text("[1, 2")
    with pytest.raises(ConfigError, match=r"labels.json: cannot be read as labels: Expecting"):
        from_file(tmp_path / "labels.json")


def test_another_object_is_not_built(tmp_path):
    assert "asks for fractions.Fraction" in damaged(tmp_path, __import__("fractions").Fraction(1, 3), "pkl")


@pytest.mark.parametrize("num_classes", [2, 10])
def test_labels_in_another_order_are_recognised(tmp_path, num_classes):
    ids = np.arange(5000)
    clean = RNG.integers(0, num_classes, 5000)
    noisy = noise.create("symmetric", rate=0.2)(clean, num_classes).labels
    options = {"labels": clean, "ids": ids, "num_classes": num_classes}
    np.testing.assert_array_equal(from_file(write(tmp_path / "a.npy", noisy), **options), noisy)
    shuffled = RNG.permutation(5000)  # as TFDS stores its examples
    message = damaged(tmp_path, noisy[shuffled], **options)
    assert (
        f"agree with the data set's as by chance, at {100 * np.mean(noisy[shuffled] == clean):.1f}%"
        in message
    )
    with_ids = np.stack([shuffled, noisy[shuffled]], axis=1)
    np.testing.assert_array_equal(from_file(write(tmp_path / "a.json", with_ids), **options), noisy)


@pytest.mark.parametrize("rate", [0.0, 0.8, 1.0])
@pytest.mark.parametrize("name", ["symmetric", "pair_flip"])
def test_strong_noise_is_no_other_order(tmp_path, name, rate):
    clean = RNG.integers(0, 10, 20_000)
    noisy = noise.create(name, rate=rate)(clean, 10).labels
    path = write(tmp_path / "labels.npy", noisy)
    np.testing.assert_array_equal(from_file(path, clean, np.arange(20_000)), noisy)


def test_few_labels_are_not_tested_for_their_order(tmp_path):
    path = write(tmp_path / "labels.json", [0, 1, 1])
    np.testing.assert_array_equal(from_file(path, np.array([1, 0, 1]), np.arange(3), 2), [0, 1, 1])


def test_coarse_where_fine_is_expected_and_the_other_way_round(tmp_path):
    fine = RNG.permutation(20_000) % 100
    coarse = superclass_of(fine)
    ids = np.arange(20_000)
    noisy = np.where(RNG.random(20_000) < 0.6, RNG.integers(0, 20, 20_000), coarse)
    message = damaged(tmp_path, noisy, labels=fine, ids=ids, num_classes=100)
    assert "holds coarse labels of CIFAR-100, the 20 superclasses" in message
    message = damaged(tmp_path, fine, labels=coarse, ids=ids, num_classes=20)
    assert "these look like the 100 fine classes of CIFAR-100" in message
    np.testing.assert_array_equal(from_file(write(tmp_path / "a.json", fine), fine, ids, 100), fine)
