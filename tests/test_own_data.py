"""Data of the user: arrays, .npz, folders, CSV, what TFDS has prepared; splits; docs/reference/data.md."""

import ast
import io
import json
import os
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

import grjax.config
from grjax import data, experiment
from grjax.data import from_arrays
from grjax.errors import ConfigError, DataWarning

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (20, 8, 8, 3), np.uint8)
LABELS = np.arange(20) % 3


def test_arrays_get_a_stratified_test_split_and_keep_their_ids():
    ids = 7 * np.arange(20)
    dataset = from_arrays(IMAGES, LABELS, ids=ids, test_fraction=0.3, test_seed=1)
    train, test = dataset.splits["train"], dataset.splits["test"]
    np.testing.assert_array_equal(np.sort(np.concatenate([train.ids, test.ids])), ids)
    np.testing.assert_array_equal(np.bincount(test.labels), [2, 2, 2])
    for split in (train, test):
        np.testing.assert_array_equal(split.images, IMAGES[split.ids // 7])
        np.testing.assert_array_equal(split.labels, LABELS[split.ids // 7])
        assert (split.labels.dtype, split.ids.dtype) == (np.int32, np.int64)
    assert dataset.class_names == ("0", "1", "2")


def test_the_test_split_is_its_seeds_and_not_the_validation_splits():
    chosen = [
        from_arrays(IMAGES, LABELS * 0, test_fraction=0.5, test_seed=seed).splits["test"].ids
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(chosen[0], chosen[1])
    assert set(chosen[0]) != set(chosen[2])
    whole = from_arrays(IMAGES, LABELS * 0, test=(IMAGES, LABELS * 0))
    assert set(data.hold_out(whole, 0.5, seed=0).splits["validation"].ids) != set(chosen[0])


def test_the_test_split_never_changes_between_versions():
    assert from_arrays(IMAGES, LABELS).splits["test"].ids.tolist() == [0, 13, 14]


def test_examples_are_sorted_by_id():
    order = RNG.permutation(20)
    one = from_arrays(IMAGES, LABELS)
    other = from_arrays(IMAGES[order], LABELS[order], ids=order)
    for name, split in one.splits.items():
        np.testing.assert_array_equal(other.splits[name].ids, np.sort(other.splits[name].ids))
        np.testing.assert_array_equal(IMAGES[other.splits[name].ids], other.splits[name].images)
        np.testing.assert_array_equal(split.images, other.splits[name].images)


def test_a_test_split_that_is_given_stays():
    dataset = from_arrays(IMAGES[:15], LABELS[:15], test=(IMAGES[15:], LABELS[15:]), class_names=list("abcd"))
    assert dataset.class_names == tuple("abcd")
    np.testing.assert_array_equal(dataset.splits["train"].images, IMAGES[:15])
    np.testing.assert_array_equal(dataset.splits["test"].images, IMAGES[15:])
    np.testing.assert_array_equal(dataset.splits["test"].ids, np.arange(5))


def test_a_class_may_have_no_training_example_when_it_is_named():
    dataset = from_arrays(IMAGES, LABELS + 1, class_names=["none", "a", "b", "c"])
    assert dataset.class_names == ("none", "a", "b", "c")
    assert set(dataset.splits["train"].labels.tolist()) == {1, 2, 3}
    test = (IMAGES[:1], ["b"])
    assert from_arrays(IMAGES, ["a", "c"] * 10, test=test, class_names=list("abc")).num_classes == 3


def test_grey_images_get_a_channel_and_names_become_numbers():
    dataset = from_arrays(IMAGES[..., 0], np.array(["b", "c", "a"])[LABELS])
    assert dataset.class_names == ("a", "b", "c")
    train = dataset.splits["train"]
    assert train.images.shape[1:] == (8, 8, 1)
    np.testing.assert_array_equal(train.labels, np.array([1, 2, 0])[LABELS[train.ids]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": IMAGES / 1j}, "train images: must be uint8, of values 0..255, or features of any"),
        ({"labels": LABELS[:-1]}, "train: 20 images, 19 labels, 19 ids; the numbers must be equal"),
        ({"ids": np.arange(19)}, "train: 20 images, 20 labels, 19 ids; the numbers must be equal"),
        ({"ids": np.zeros(20, int)}, "ids are not distinct"),
        ({"ids": np.arange(20) - 1}, "train ids: must be in [0, 2**31), got -1"),
        ({"ids": np.arange(20) / 2}, "train ids: must be integers [N], got float64 [20]"),
        ({"ids": np.arange(20) + 2**31 - 19}, "train ids: must be in [0, 2**31), got 2147483648"),
        ({"test": (IMAGES, LABELS), "test_ids": np.arange(20) + 2**32}, "test ids: must be in [0, 2**31)"),
        ({"labels": LABELS + 1}, "train labels: class 0 of 0..3 has no training example; number the"),
        ({"labels": LABELS * 10**8}, "train labels: class 1 of 0..200000000 has no training example"),
        ({"test": (IMAGES, LABELS + 1)}, "train labels: class 3 of 0..3 has no training example"),
        ({"labels": ["a", "c"] * 10, "test": (IMAGES[:1], ["b"])}, "class 'b' of 'a'..'c' has no training"),
        ({"labels": LABELS / 1}, "train labels: must be integers or names of classes, got float64"),
        ({"labels": LABELS[:, None]}, "train labels: must be [N], got [20, 1]"),
        ({"labels": LABELS - 1}, "train labels: -1 is no class (rows 0, 3, 6, 9, 12, ... (7 of 20));"),
        ({"labels": -LABELS - 1}, "train labels: -1 is no class (rows 0, 1, 2, 3, 4, ... (20 of 20));"),
        ({"class_names": ["a", "b"]}, "train labels: must be in [0, 2) for 2 classes, got 2 in row 2"),
        ({"labels": ["a"] * 20, "class_names": ["b"]}, "train labels: 'a' is none of the classes ['b']"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "has no examples"),
        ({"test": (IMAGES, LABELS[1:])}, "test: 20 images, 19 labels, 19 ids; the numbers must be equal"),
        ({"test_fraction": 0.0}, "data.test_fraction: must be in (0, 1), got 0.0"),
        ({"test_fraction": 0.99}, "data.test_fraction: 0.99 leaves no training example of class 0"),
        ({"test_seed": -1}, "data.test_seed: must be in [0, 2**64), got -1"),
        ({"images": IMAGES[0, 0, 0]}, "train images: must be [N, D], [N, height, width] or"),
        ({"images": IMAGES.reshape(20, 2, 2, 4, 12)}, "train images: must be [N, D], [N, height, width] or"),
    ],
)  # fmt: skip
def test_bad_arrays_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        from_arrays(**{"images": IMAGES, "labels": LABELS, **arguments})


def test_npz(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, images=IMAGES, labels=LABELS, ids=np.arange(20) + 5, class_names=["x", "y", "z"])
    dataset = data.load("npz", dir=str(path), test_seed=3)
    expected = from_arrays(IMAGES, LABELS, ids=np.arange(20) + 5, test_seed=3)
    assert (dataset.name, dataset.class_names) == ("mine", ("x", "y", "z"))
    for name, split in expected.splits.items():
        np.testing.assert_array_equal(dataset.splits[name].ids, split.ids)
        np.testing.assert_array_equal(dataset.splits[name].images, split.images)
    np.savez(path, images=IMAGES, labels=LABELS, test_images=IMAGES[:4], test_labels=LABELS[:4])
    np.testing.assert_array_equal(data.load("npz", dir=str(path)).splits["test"].images, IMAGES[:4])


def test_a_bad_npz_is_refused(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, images=IMAGES, label=LABELS)
    with pytest.raises(
        ConfigError, match=r"mine\.npz must hold images, labels and may .* holds images, label$"
    ):
        data.load("npz", dir=str(path))
    np.savez(path, images=IMAGES, labels=LABELS, test_images=IMAGES)
    with pytest.raises(ConfigError, match="must hold images, labels, test_images, test_labels"):
        data.load("npz", dir=str(path))
    np.savez(path, images=np.array([None] * 3), labels=LABELS)
    with pytest.raises(ConfigError, match=r"mine\.npz: cannot be read as \.npz: .*allow_pickle"):
        data.load("npz", dir=str(path))
    np.savez(path, images=IMAGES, labels=LABELS)
    os.truncate(path, 500)
    with pytest.raises(ConfigError, match=r"mine\.npz: cannot be read as \.npz"):
        data.load("npz", dir=str(path))


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def test_a_folder_for_each_class(tmp_path):
    for number, (image, label) in enumerate(zip(IMAGES, LABELS, strict=True)):
        save(tmp_path / "cba"[label] / ("deep" if number % 2 else ".") / f"{number:02d}.png", image)
    (tmp_path / "a" / "notes.txt").write_text("no image")
    with pytest.warns(
        DataWarning, match=r"1 files are no images that can be read, and are left out: 1 \.txt"
    ):
        dataset = data.load("folder", dir=str(tmp_path), image_size=8)
    assert dataset.class_names == ("a", "b", "c")
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 17, "test": 3}
    ids = np.concatenate([split.ids for split in dataset.splits.values()])
    np.testing.assert_array_equal(np.sort(ids), np.arange(20))
    for split in dataset.splits.values():
        numbers = [int(split.images.path(position).stem) for position in range(len(split))]
        np.testing.assert_array_equal(split.images[np.arange(len(split))], IMAGES[numbers])
        np.testing.assert_array_equal(split.labels, 2 - LABELS[numbers])


def test_folders_of_train_and_test(tmp_path):
    for split, rows in (("train", range(15)), ("test", range(15, 20))):
        for row in rows:
            save(tmp_path / split / "abc"[LABELS[row]] / f"{row:02d}.png", IMAGES[row])
    dataset = data.load("folder", dir=str(tmp_path), image_size=8)
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 15, "test": 5}
    np.testing.assert_array_equal(dataset.splits["test"].images[np.array([0])][0], IMAGES[15])


def csv_of(tmp_path, header, rows):
    for number, image in enumerate(IMAGES):
        save(tmp_path / "pictures" / f"{number}.png", image)
    (tmp_path / "list.csv").write_text("\n".join([header, *rows]) + "\n")
    return str(tmp_path / "list.csv")


def test_csv(tmp_path):
    rows = [
        f"{90 - n},pictures{'/' * (1 + n % 2)}{n}.png,{'xyz'[LABELS[n]]},{'test' if n > 14 else 'train'}"
        for n in range(20)
    ]
    dataset = data.load("csv", dir=csv_of(tmp_path, "id,image,label,split", rows), image_size=8)
    assert dataset.class_names == ("x", "y", "z")
    for name, count in (("train", 15), ("test", 5)):
        split = dataset.splits[name]
        assert len(split) == count
        np.testing.assert_array_equal(split.images[np.arange(count)], IMAGES[90 - split.ids])
        np.testing.assert_array_equal(split.labels, LABELS[90 - split.ids])
        assert (np.diff(split.ids) > 0).all()


def test_csv_with_numbers_for_classes_and_no_split(tmp_path):
    path = csv_of(tmp_path, "image,label", [f"pictures/{n}.png,{LABELS[n]}" for n in range(20)])
    dataset = data.load("csv", dir=path, image_size=8)
    assert dataset.num_classes == 3
    assert len(dataset.splits["test"]) == 3  # a fifth of 7, 7 and 6
    np.testing.assert_array_equal(dataset.splits["test"].labels, LABELS[dataset.splits["test"].ids])
    path = csv_of(tmp_path, "image,label", [f"pictures/{n}.png,{LABELS[n] + 9}" for n in range(20)])
    with pytest.raises(ConfigError, match=r"class 0 of 0\.\.11 has no training example"):
        data.load("csv", dir=path, image_size=8)


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        (
            "image,class",
            "pictures/1.png,a",
            "columns 'image' and 'label' in its header, found 'image', 'class'",
        ),
        ("height,label", "1.5,a", "found 'height', 'label'; a table of numbers is read by data.name"),
        ("image,label", "pictures/99.png,a", "1 of the 1 images that list.csv lists are not in .*99.png"),
        ("image,label", "pictures/1.png", "line 2 must have 2 values as the header has, got 1"),
        (
            "image,label,split",
            "pictures/1.png,a,dev",
            "line 2: split must be 'train', .* or 'test', got 'dev'",
        ),
        ("image,label,id", "pictures/1.png,a,one", "id must be a whole number: .*'one'"),
        ("image,label,id", "pictures/1.png,a,-1", r"train ids: must be in \[0, 2\*\*31\), got -1"),
    ],
)
def test_a_bad_csv_is_refused(tmp_path, header, row, message):
    with pytest.raises(ConfigError, match=message):
        data.load("csv", dir=csv_of(tmp_path, header, [row]))


def stock(shape, splits):
    """A builder as TFDS has them: text ids, encoded images."""

    class StockThings(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("2.0.0")

        def _info(self):
            features = {
                "id": tfds.features.Text(),
                "image": tfds.features.Image(shape=shape, encoding_format="png"),
                "label": tfds.features.ClassLabel(names=["a", "b", "c"]),
            }
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {name: self._generate_examples(count) for name, count in splits.items()}

        def _generate_examples(self, count):
            for row in range(count):
                stored = io.BytesIO()
                Image.fromarray(IMAGES[row]).save(stored, "PNG")
                stored.seek(0)
                yield row, {"id": f"train_{row}", "image": stored, "label": int(LABELS[row])}

    return StockThings


@pytest.mark.parametrize("shape", [(8, 8, 3), (None, None, 3)])
@pytest.mark.parametrize(
    ("stored", "sizes"),
    [
        ({"train": 16, "test": 4}, {"train": 16, "test": 4}),
        ({"train": 16, "validation": 4, "other": 1}, {"train": 16, "test": 4}),
        ({"train": 15, "validation": 4, "test": 5}, {"train": 15, "validation": 4, "test": 5}),
        ({"train": 20}, {"train": 17, "test": 3}),
    ],
)
def test_what_tfds_has_prepared_is_read_by_name(tmp_path, shape, stored, sizes):
    builder = stock(shape, stored)(data_dir=str(tmp_path), file_format="array_record")
    builder.download_and_prepare()
    dataset = data.load("stock_things", dir=str(tmp_path), image_size=8)
    assert (dataset.name, dataset.class_names) == ("stock_things", ("a", "b", "c"))
    assert {name: len(split) for name, split in dataset.splits.items()} == sizes
    known = {image.tobytes(): label for image, label in zip(IMAGES, LABELS, strict=True)}
    for split in dataset.splits.values():
        assert [known[image.tobytes()] for image in split.images] == split.labels.tolist()
    if None in shape:
        small = data.load("stock_things", dir=str(tmp_path), image_size=6)
        assert small.splits["train"].images.shape[1:] == (6, 6, 3)


def test_what_needs_tensorflow_is_refused_with_the_way_out(tmp_path):
    builder = stock((8, 8, 3), {"train": 4})(data_dir=str(tmp_path), file_format="array_record")
    builder.download_and_prepare()
    (path,) = tmp_path.glob("stock_things/*/dataset_info.json")
    info = json.loads(path.read_text())
    path.write_text(json.dumps({**info, "fileFormat": "tfrecord"}))
    message = (
        r"'stock_things' is stored as tfrecord, which needs TensorFlow; .* tfds convert_format --root_data"
    )
    with pytest.raises(ConfigError, match=message):
        data.load("stock_things", dir=str(tmp_path))
    path.write_text("{")
    with pytest.raises(ConfigError, match="stock_things is no data set of TFDS"):
        data.load("stock_things", dir=str(tmp_path))
    with pytest.raises(ConfigError, match=r"data\.name: unknown name 'stock_thing'"):
        data.load("stock_thing", dir=str(tmp_path))


def small_config(path, **changes):
    section = {"name": "npz", "dir": str(path), "validation_fraction": 0.5, **changes}
    return grjax.config.resolve(
        {"data": section, "noise": {"name": "symmetric", "rate": 0.5}, "batch_size": 4, "eval_batch_size": 4}
    )


def test_validation_labels_are_clean_or_have_the_training_noise(tmp_path):
    path = tmp_path / "mine.npz"
    rng = np.random.default_rng(0)
    np.savez(path, images=rng.integers(0, 256, (300, 8, 8, 3), np.uint8), labels=np.arange(300) % 3)
    clean = experiment.create(small_config(path))
    noisy = experiment.create(small_config(path, validation_labels="noisy"))
    assert list(clean.dataset.splits) == ["train", "validation", "test"]
    assert list(noisy.dataset.splits) == ["train", "validation_noisy", "test"]
    np.testing.assert_array_equal(
        clean.dataset.splits["validation"].labels, clean.dataset.splits["validation"].ids % 3
    )
    assert noisy.noise.sha256 == clean.noise.sha256  # the training labels are the same
    np.testing.assert_array_equal(noisy.feed.device_images(), clean.feed.device_images())
    # As if the noise had been drawn before the split.
    whole = grjax.noise.create("symmetric", rate=0.5, seed=0)(np.arange(300) % 3, 3)
    for split, labels in (
        (noisy.dataset.splits["train"], noisy.noise.labels),
        (noisy.dataset.splits["validation_noisy"], noisy.dataset.splits["validation_noisy"].labels),
    ):
        np.testing.assert_array_equal(labels, whole.labels[split.ids])
    assert 0.3 < np.mean(labels != split.ids % 3) < 0.7
    np.testing.assert_array_equal(noisy.dataset.splits["test"].labels, clean.dataset.splits["test"].labels)


def test_bad_choices_of_validation_labels_are_refused(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, images=IMAGES, labels=LABELS)
    with pytest.raises(
        ConfigError, match=r"data\.validation_labels: must be 'clean' or 'noisy', got 'clear'"
    ):
        small_config(path, validation_labels="clear")
    with pytest.raises(ConfigError, match=r"data\.validation_labels: 'noisy' needs a validation split"):
        experiment.create(small_config(path, validation_labels="noisy", validation_fraction=0.0))


GUIDE = (Path(__file__).parent.parent / "docs" / "reference" / "data.md").read_text()


def test_the_code_of_the_guide_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", GUIDE, flags=re.DOTALL)
    assert len(blocks) >= 3
    names = {}
    for block in blocks:
        exec(compile(block, "docs/reference/data.md", "exec"), names)
    assert names["dataset"].num_classes == 2


def test_the_commands_of_the_guide_have_valid_keys():
    commands = re.findall(r"^python run\.py (.*)$", GUIDE, flags=re.MULTILINE)
    assert len(commands) >= 4
    for command in commands:
        words = [word for word in shlex.split(command) if word.startswith("--config.")]
        layer = {}
        for key, value in (word.removeprefix("--config.").split("=", 1) for word in words):
            try:
                layer[key] = ast.literal_eval(value)
            except (ValueError, SyntaxError):
                layer[key] = value
        grjax.config.resolve(grjax.config.unflatten(layer))


def test_the_guide_names_every_data_set():
    for name in data.names():
        assert f"`{name}`" in GUIDE, name
