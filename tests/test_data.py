"""Data sets: digits against scikit-learn, its folder on disk, and what every `Dataset` checks."""

import ast
import dataclasses
import os
import re
import shutil
import subprocess
import sys
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
import sklearn.datasets
import tensorflow_datasets

from grjax import data
from grjax.data import Dataset, Split, hold_out
from grjax.data.digits import Digits
from grjax.errors import ConfigError

FIELDS = [field.name for field in dataclasses.fields(Split)]


@pytest.fixture(scope="module")
def digits(data_dir):
    return data.load("digits", dir=data_dir)


@pytest.fixture(scope="module")
def original():
    return sklearn.datasets.load_digits()


@pytest.fixture
def copied_dir(digits, data_dir, tmp_path):
    """A data folder of its own that holds digits, to be damaged."""
    shutil.copytree(os.path.join(data_dir, "digits"), tmp_path / "digits")
    return tmp_path


def assert_same_split(one, other):
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field))


def one_file(folder, pattern):
    (path,) = folder.glob(f"digits/*/{pattern}")
    return path


def test_digits_has_the_documented_sizes_and_types(digits):
    assert digits.name == "digits"
    assert digits.class_names == tuple("0123456789")
    assert digits.num_classes == 10
    assert {name: len(split) for name, split in digits.splits.items()} == {"train": 1442, "test": 355}
    for split in digits.splits.values():
        assert (split.images.dtype, split.images.shape[1:]) == (np.uint8, (8, 8, 1))
        assert (split.labels.dtype, split.ids.dtype) == (np.int32, np.int64)
        assert (np.diff(split.ids) > 0).all()


def test_digits_is_scikit_learns(digits, original):
    ids = np.concatenate([split.ids for split in digits.splits.values()])
    np.testing.assert_array_equal(np.sort(ids), np.arange(1797))  # so the splits are disjoint
    for split in digits.splits.values():
        np.testing.assert_array_equal(split.images[..., 0], original.images[split.ids])
        np.testing.assert_array_equal(split.labels, original.target[split.ids])


def test_every_fifth_digit_of_a_class_is_a_test_image(digits, original):
    expected = [row for label in range(10) for row in np.flatnonzero(original.target == label)[4::5]]
    np.testing.assert_array_equal(digits.splits["test"].ids, sorted(expected))


def test_loading_twice_gives_the_same(digits, data_dir):
    again = data.load("digits", dir=data_dir)
    assert list(again.splits) == ["train", "test"]
    for name, split in digits.splits.items():
        assert_same_split(again.splits[name], split)


def test_four_processes_prepare_one_empty_folder(tmp_path, digits):
    # Forked after the imports, so that they prepare at the same time.
    script = """
import multiprocessing, sys
from grjax import data
def load(_):
    splits = data.load("digits", dir=sys.argv[1]).splits
    return {name: int(split.images.sum()) for name, split in splits.items()}
with multiprocessing.get_context("fork").Pool(4) as pool:
    print(pool.map(load, range(4), chunksize=1))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    expected = {name: int(split.images.sum()) for name, split in digits.splits.items()}
    assert ast.literal_eval(done.stdout) == [expected] * 4
    assert [path.name for path in (tmp_path / "digits").iterdir()] == ["1.0.0"]


@pytest.mark.parametrize(
    "moment",
    [
        # Between making the builder and looking whether its data are there.
        pytest.param((Digits, "is_prepared"), id="before_the_look"),
        # Between the look and TFDS's own.
        pytest.param((Digits, "download_and_prepare"), id="before_the_second_look"),
        # Between TFDS's last look and its move of the folder to its name.
        pytest.param((os, "rename"), id="before_the_move"),
    ],
)
def test_another_process_prepares_at_the_worst_moment(tmp_path, monkeypatch, digits, moment):
    where, what = moment
    real = getattr(where, what)

    def after_another_process(*args):
        monkeypatch.setattr(where, what, real)
        data.load("digits", dir=str(tmp_path))
        return real(*args)

    monkeypatch.setattr(where, what, after_another_process)
    assert_same_split(data.load("digits", dir=str(tmp_path)).splits["train"], digits.splits["train"])


def test_the_default_folder_is_tfds_and_tensorflow_is_never_imported(tmp_path, digits):
    # An empty package stands for TensorFlow, so that the test means something where it is not installed.
    (tmp_path / "stub" / "tensorflow").mkdir(parents=True)
    (tmp_path / "stub" / "tensorflow" / "__init__.py").touch()
    script = (
        "import sys, importlib.util; assert importlib.util.find_spec('tensorflow');"
        "from grjax import data; data.load('digits'); data.load('digits');"
        "assert 'tensorflow' not in sys.modules"
    )
    paths = [str(tmp_path / "stub"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {"PYTHONPATH": os.pathsep.join(paths), "TFDS_DATA_DIR": str(tmp_path / "data")}
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data" / "digits").is_dir()


def test_preparing_prints_nothing(tmp_path, capfd):
    data.load("digits", dir=str(tmp_path))
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("below", ["", "below"])
def test_a_dir_that_is_a_file_is_refused(tmp_path, below):
    (tmp_path / "file").touch()
    with pytest.raises(
        ConfigError, match=r"data\.dir: cannot prepare 'digits' in .*file.*\$TFDS_DATA_DIR, or"
    ):
        data.load("digits", dir=str(tmp_path / "file" / below))


def test_a_dir_that_cannot_be_written_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    if os.access(tmp_path, os.W_OK):
        pytest.skip("this user may write everywhere")
    with pytest.raises(ConfigError, match=r"data\.dir: cannot prepare 'digits' in .*[Pp]ermission"):
        data.load("digits", dir=str(tmp_path))


@pytest.mark.parametrize("size", [0, 1000, 100_000])
def test_a_truncated_data_file_is_refused(copied_dir, digits, size):
    path = one_file(copied_dir, "*train*array_record*")
    os.truncate(path, size)
    message = f"split 'train' under {path.parent}.*delete that folder to have it prepared again"
    with pytest.raises(ConfigError, match=message):
        data.load("digits", dir=str(copied_dir))
    shutil.rmtree(path.parent)  # as the message says
    assert_same_split(data.load("digits", dir=str(copied_dir)).splits["train"], digits.splits["train"])


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_missing_data_file_is_refused(copied_dir, split):
    one_file(copied_dir, f"*{split}*array_record*").unlink()
    with pytest.raises(ConfigError, match=rf"cannot read split '{split}'.*delete that folder"):
        data.load("digits", dir=str(copied_dir))


def test_overwritten_examples_are_refused(copied_dir):
    path = one_file(copied_dir, "*train*array_record*")
    content = bytearray(path.read_bytes())
    content[1000:1100] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"cannot read split 'train'.*delete that folder"):
        data.load("digits", dir=str(copied_dir))


@pytest.mark.parametrize("given", [True, False])
def test_truncated_metadata_are_refused(copied_dir, monkeypatch, given):
    path = one_file(copied_dir, "dataset_info.json")
    os.truncate(path, 20)
    if not given:
        monkeypatch.setattr(tensorflow_datasets.core.constants, "DATA_DIR", str(copied_dir))
    # The folder of this data set and version, not that of all data sets.
    with pytest.raises(ConfigError, match=f"under {re.escape(str(path.parent))}: .*; delete that folder"):
        data.load("digits", dir=str(copied_dir) if given else None)


def test_unknown_name_gives_the_closest():
    assert "digits" in data.names()
    with pytest.raises(ConfigError, match=r"data\.name: unknown name 'digit'; did you mean 'digits'"):
        data.load("digit")


def small_split(labels=(0, 1, 1, 0), **changes):
    labels = np.array(labels, np.int32)
    fields = {
        "images": np.zeros((len(labels), 2, 3, 1), np.uint8),
        "labels": labels,
        "ids": 10 * np.arange(len(labels)),
    }
    return Split(**{**fields, **changes})


def small_dataset(**changes):
    return Dataset("small", ("a", "b"), {"train": small_split(), "test": small_split(**changes)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [0, 1, 2, 0]}, r"example 20 has label 2; labels must be in [0, 2)"),
        ({"labels": [0, -1, 1, 2]}, r"example 10 has label -1; labels must be in [0, 2)"),
        (
            {"images": np.zeros((4, 2, 3, 1), np.float64)},
            "images must be uint8 or float32 [N, height, width, channels], got float64 [4, 2, 3, 1]",
        ),
        ({"images": np.zeros((4, 2, 3), np.uint8)}, "got uint8 [4, 2, 3]"),
        ({"labels": []}, "has no examples"),
        ({"ids": np.array([0, 10, 10, 20])}, "ids are not distinct"),
        ({"ids": np.array([0, 10, 20])}, "4 images, 4 labels and 3 ids"),
        ({"images": np.zeros((3, 2, 3, 1), np.uint8)}, "3 images, 4 labels and 4 ids"),
        ({"labels": [0, 1], "ids": np.arange(4), "images": np.zeros((4, 2, 3, 1), np.uint8)}, "2 labels"),
    ],
)
def test_a_dataset_refuses_unusable_splits(changes, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        small_dataset(**changes)
    assert str(caught.value).startswith("data set 'small', split 'test': ")


@pytest.mark.parametrize(
    "names", [[], ["train"], ["test"], ["test", "train"], ["validation", "train", "test"]]
)
def test_a_dataset_begins_with_train_and_has_a_test_split(names):
    message = f"data set 'small': the first split must be 'train', and 'test' one of the others, got {names}"
    with pytest.raises(ConfigError, match=re.escape(message)):
        Dataset("small", ("a", "b"), {name: small_split() for name in names})
    assert list(small_dataset().splits) == ["train", "test"]


def test_take_keeps_examples_together():
    split = small_split(images=np.arange(24, dtype=np.uint8).reshape(4, 2, 3, 1))
    taken = split.take(np.array([2, 0]))
    np.testing.assert_array_equal(taken.images, split.images[[2, 0]])
    np.testing.assert_array_equal(taken.labels, [1, 0])
    np.testing.assert_array_equal(taken.ids, [20, 0])


def test_channel_statistics_are_of_the_training_pixels():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 2, 3, 3), np.uint8)
    images[..., 2] = 7  # a constant channel
    dataset = Dataset(
        "colours",
        ("a", "b"),
        {
            "train": small_split(images=images),
            "test": small_split(images=np.full((4, 2, 3, 3), 255, np.uint8)),
        },
    )
    mean, std = dataset.channel_statistics()
    assert (mean.dtype, std.dtype) == (np.float32, np.float32)
    pixels = images.reshape(-1, 3).astype(np.float64)
    np.testing.assert_allclose(mean, pixels.mean(0), rtol=1e-6)
    expected = np.sqrt(((pixels - pixels.mean(0)) ** 2).mean(0))
    np.testing.assert_allclose(std, [*expected[:2], 1], rtol=1e-6)


def test_channel_statistics_of_digits(digits):
    mean, std = digits.channel_statistics()
    pixels = digits.splits["train"].images.astype(np.float64)
    np.testing.assert_allclose([mean[0], std[0]], [pixels.mean(), pixels.std()], rtol=1e-6)


def test_channel_statistics_are_exact_and_need_little_memory():
    images = np.random.default_rng(0).integers(0, 256, (6500, 32, 32, 3), np.uint8)
    split = small_split(labels=[0] * len(images), images=images)
    dataset = Dataset("random", ("a",), {"train": split, "test": split})
    tracemalloc.start()
    mean, std = dataset.channel_statistics()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.2 * images.nbytes
    for channel in range(3):
        # Moments of the values, by how often each occurs, as fractions.
        counts = np.bincount(images[..., channel].ravel(), minlength=256).tolist()
        number, total = sum(counts), sum(value * count for value, count in enumerate(counts))
        variance = Fraction(sum(value**2 * count for value, count in enumerate(counts)), number)
        variance -= Fraction(total, number) ** 2
        assert mean[channel] == np.float32(Fraction(total, number))
        assert std[channel] == np.float32(np.sqrt(float(variance)))


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_hold_out_is_a_stratified_part_of_the_training_split(digits, fraction):
    held = hold_out(digits, fraction, seed=0)
    assert list(held.splits) == ["train", "validation", "test"]
    train, validation = held.splits["train"], held.splits["validation"]
    whole = digits.splits["train"]
    of_class = np.bincount(whole.labels)
    np.testing.assert_array_equal(
        np.bincount(validation.labels), [round(fraction * n) for n in of_class.tolist()]
    )
    np.testing.assert_array_equal(np.sort(np.concatenate([train.ids, validation.ids])), whole.ids)
    for split in (train, validation):  # ids kept, labels clean
        assert_same_split(split, whole.take(np.searchsorted(whole.ids, split.ids)))
        assert (np.diff(split.ids) > 0).all()
    assert held.splits["test"] is digits.splits["test"]
    assert "validation" not in digits.splits


def test_hold_out_repeats_with_its_seed_and_differs_with_another(digits):
    ids = [hold_out(digits, 0.2, seed).splits["validation"].ids for seed in (0, 0, 1)]
    np.testing.assert_array_equal(ids[0], ids[1])
    overlap = np.isin(ids[0], ids[2]).mean()
    assert abs(overlap - 0.2) < 4 * np.sqrt(0.2 * 0.8 / len(ids[0]))


def test_hold_out_depends_on_no_global_seed(digits):
    before = hold_out(digits, 0.2, seed=0).splits["validation"].ids
    np.random.seed(1)
    np.testing.assert_array_equal(hold_out(digits, 0.2, seed=0).splits["validation"].ids, before)


def test_hold_out_never_changes_between_versions(digits):
    ids = hold_out(digits, 0.02, seed=0).splits["validation"].ids
    np.testing.assert_array_equal(ids[:8], [18, 25, 157, 380, 438, 588, 648, 713])


def test_hold_out_chooses_over_the_whole_split():
    dataset = Dataset("one", ("a",), {"train": small_split([0] * 2000), "test": small_split([0])})
    ids = hold_out(dataset, 0.5, seed=0).splits["validation"].ids
    assert abs(np.mean(ids < 10_000) - 0.5) < 4 * 0.5 / np.sqrt(1000)


def test_hold_out_takes_at_least_one_of_each_class():
    dataset = Dataset("small", ("a", "b"), {"train": small_split([0, 0, 1, 1, 1]), "test": small_split()})
    held = hold_out(dataset, 0.01, seed=0)
    np.testing.assert_array_equal(np.sort(held.splits["validation"].labels), [0, 1])


@pytest.mark.parametrize("labels", [[0, 0, 0, 1], [0, 0, 0, 1, 1]])
def test_hold_out_leaves_every_class_a_training_example(labels):
    dataset = Dataset("small", ("a", "b"), {"train": small_split(labels), "test": small_split()})
    message = r"data\.validation_fraction: 0\.8 leaves no training example of class 1"
    with pytest.raises(ConfigError, match=message):
        hold_out(dataset, 0.8, seed=0)


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 1.5, float("nan")])
def test_a_bad_fraction_is_refused(data_dir, fraction):
    message = re.escape(f"data.validation_fraction: must be in [0, 1), got {fraction}")
    with pytest.raises(ConfigError, match=message):
        data.load("digits", dir=data_dir, validation_fraction=fraction)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_bad_seed_is_refused(data_dir, seed):
    with pytest.raises(ConfigError, match=rf"data\.validation_seed: must be in \[0, 2\*\*64\), got {seed}"):
        data.load("digits", dir=data_dir, validation_fraction=0.2, validation_seed=seed)


def test_load_holds_out_what_hold_out_does(digits, data_dir):
    loaded = data.load("digits", dir=data_dir, validation_fraction=0.2, validation_seed=3)
    expected = hold_out(digits, 0.2, seed=3)
    assert list(loaded.splits) == list(expected.splits)
    for name, split in expected.splits.items():
        assert_same_split(loaded.splits[name], split)
