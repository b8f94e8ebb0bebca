"""Images on disk, and the data sets that are folders of them, in generated trees of small files."""

import io
import os
import pickle
import re

import numpy as np
import pytest
from PIL import Image

from grjax import data
from grjax.data import Dataset, ImageFiles, Split, hold_out
from grjax.errors import ConfigError


def save(path, value=0, size=(12, 10), mode="RGB"):
    """A file of one grey value; JPEG keeps it within a level or two."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = value if mode in ("L", "P") else (value, value, value) + (255,) * (mode == "RGBA")
    Image.new(mode, size, colour).save(path)


def write_lines(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def levels(split):
    """The grey value of each image, in tens."""
    images = split.images[np.arange(len(split))]
    return np.rint(images.mean((1, 2, 3)) / 10).astype(int).tolist()


@pytest.fixture
def four(tmp_path):
    for number in range(4):
        save(tmp_path / "below" / f"{number}.jpg", 50 * number)
    return ImageFiles(tmp_path, [f"below/{number}.jpg" for number in range(4)], 8)


def test_image_files_look_like_an_array(four):
    assert (four.shape, four.dtype, len(four)) == ((4, 8, 8, 3), np.uint8, 4)
    images = four[np.array([3, 0, 0])]
    assert (images.shape, images.dtype) == ((3, 8, 8, 3), np.uint8)
    np.testing.assert_allclose(images.mean((1, 2, 3)), [150, 0, 0], atol=2)
    assert four[np.array([], int)].shape == (0, 8, 8, 3)


def test_they_stay_on_disk_when_taken_and_pickled(four):
    part = Split(four, np.arange(4, dtype=np.int32), np.arange(4)).take(np.array([2, 1]))
    assert isinstance(part.images, ImageFiles)
    copy = pickle.loads(pickle.dumps(part.images))
    np.testing.assert_array_equal(copy[np.arange(2)], four[np.array([2, 1])])
    assert copy.encoded(0) == four.path(2).read_bytes()


def test_a_million_paths_are_small(four):
    paths = np.array([f"images/{i % 10}/{i:09d}.jpg".encode() for i in range(10_000)])
    assert len(pickle.dumps(ImageFiles(four.root, paths, 8))) < 30 * len(paths)


def test_the_shorter_side_is_resized_and_the_centre_cut_out(tmp_path):
    # Three bands, the middle one with a gradient downwards that tells which part was taken.
    pixels = np.zeros((80, 240, 3), np.uint8)
    pixels[:, 80:160] = np.linspace(0, 255, 80).round().astype(np.uint8)[:, None, None]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (image,) = ImageFiles(tmp_path, ["a.png"], 35)[np.array([0])]
    # The shorter side becomes 40 pixels, of which rows 2 to 36 are kept.
    rows = np.linspace(0, 255, 80).reshape(40, 2).mean(1)[2:37]
    np.testing.assert_allclose(image[:, 17, 0], rows, atol=2)
    # Columns 42 to 76 of 120 lie in the middle band, from 40 to 80.
    assert np.ptp(image[:, :, 0].astype(int), axis=1).max() == 0


def test_an_image_of_the_size_stays_as_it_is(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(ImageFiles(tmp_path, ["a.png"], 8)[np.array([0])][0], pixels)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
@pytest.mark.parametrize("size", [(1, 30), (30, 1), (3, 3), (300, 200)])
def test_other_modes_and_shapes_become_rgb(tmp_path, mode, size):
    Image.new("L", size, 90).convert(mode).save(tmp_path / "a.tif")
    image = ImageFiles(tmp_path, ["a.tif"], 8)[np.array([0])]
    assert image.shape == (1, 8, 8, 3)
    np.testing.assert_allclose(image, 90, atol=1)


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_a_file_that_does_not_decode_is_named(four, content):
    path = four.path(2)
    path.write_bytes(path.read_bytes()[:400] if content is None else content)
    with pytest.raises(
        ConfigError, match=rf"data\.dir: {path} does not decode as an image: .*replace the file"
    ):
        four[np.array([1, 2])]
    path.unlink()
    with pytest.raises(ConfigError, match=f"cannot read the image {path}: No such file"):
        four[np.array([2])]


@pytest.mark.parametrize("size", [0, 5000])
def test_a_bad_image_size_is_refused(tmp_path, size):
    with pytest.raises(ConfigError, match=rf"data\.image_size: must be in \[1, 4096\], got {size}"):
        ImageFiles(tmp_path, ["a.jpg"], size)


def test_channel_statistics_of_files_are_those_of_their_pixels(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (5, 8, 8, 3), np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    files = ImageFiles(tmp_path, [f"{number}.png" for number in range(5)], 8)
    labels, ids = np.zeros(5, np.int32), np.arange(5)
    on_disk, in_memory = (
        Dataset("a", ("a",), dict.fromkeys(["train", "test"], Split(images, labels, ids)))
        for images in (files, pixels)
    )
    for one, other in zip(on_disk.channel_statistics(), in_memory.channel_statistics(), strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, rtol=1e-6)


CLOTHING = {"noisy_train": 5, "clean_train": 3, "clean_val": 2, "clean_test": 4}


def clothing1m(root, style):
    """The layout of Clothing1M; image number n of a list is of grey value 10 n, its label 13 - n."""
    labels = {"noisy": [], "clean": []}
    lists = root / "annotations" if style == "annotations" else root
    for key, count in CLOTHING.items():
        paths = [f"images/{n}/{n}/{key}{n},{n}.jpg" for n in range(count)]
        for n, path in enumerate(paths):
            save(root / path, 10 * n)
        pairs = [f"{path} {13 - n}" for n, path in enumerate(paths)]
        labels[key.partition("_")[0]] += pairs[::-1]
        write_lines(lists / (f"{key}_kv.txt" if style == "kv" else f"{key}_key_list.txt"),
                    pairs if style == "kv" else paths)  # fmt: skip
    if style != "kv":
        for kind, pairs in labels.items():
            write_lines(lists / f"{kind}_label_kv.txt", pairs)
    return root


@pytest.mark.parametrize("style", ["key_list", "kv", "annotations"])
@pytest.mark.parametrize("name", ["clothing1m", "clothing1m_clean"])
def test_clothing1m(tmp_path, name, style):
    dataset = data.load(name, dir=str(clothing1m(tmp_path, style)), image_size=8)
    train = "noisy_train" if name == "clothing1m" else "clean_train"
    assert (dataset.name, dataset.num_classes) == (name, 14)
    for split, key in (("train", train), ("validation", "clean_val"), ("test", "clean_test")):
        found, count = dataset.splits[split], CLOTHING[key]
        assert found.images.shape == (count, 8, 8, 3)
        assert levels(found) == list(range(count))
        np.testing.assert_array_equal(found.labels, 13 - np.arange(count))
        np.testing.assert_array_equal(found.ids, np.arange(count))
    with pytest.raises(ConfigError, match="has a validation split of its own"):
        data.load(name, dir=str(tmp_path), image_size=8, validation_fraction=0.2)


def test_a_label_that_is_missing_or_wrong_is_named(tmp_path):
    root = clothing1m(tmp_path, "key_list")
    lines = (root / "clean_label_kv.txt").read_text().splitlines()
    write_lines(root / "clean_label_kv.txt", [line for line in lines if "clean_test3" not in line])
    with pytest.raises(
        ConfigError, match=r"clean_label_kv\.txt has no label of images/3/3/clean_test3,3\.jpg"
    ):
        data.load("clothing1m", dir=str(root))
    write_lines(root / "clean_label_kv.txt", [*lines, "images/a.jpg 14"])
    message = rf"line {len(lines) + 1}: must be a path and a label in \[0, 14\), got 'images/a\.jpg 14'"
    with pytest.raises(ConfigError, match=message):
        data.load("clothing1m", dir=str(root))


def test_files_that_are_not_there_are_found_before_any_is_decoded(tmp_path):
    root = clothing1m(tmp_path, "kv")
    (root / "images/1/1/noisy_train1,1.jpg").unlink()
    (root / "images/2/2/noisy_train2,2.jpg").write_bytes(b"never looked at")
    message = (
        r"1 of the 5 images that noisy_train_kv\.txt lists are not in .*, the first is images/1/1/noisy_tr"
    )
    with pytest.raises(ConfigError, match=message):
        data.load("clothing1m", dir=str(root))
    (root / "noisy_train_kv.txt").unlink()
    with pytest.raises(ConfigError, match=r"has no noisy_train_key_list\.txt; it must hold images/ and"):
        data.load("clothing1m", dir=str(root))


@pytest.mark.parametrize(
    "name", ["animal10n", "clothing1m", "food101n", "mini_webvision", "folder", "npz", "csv"]
)
def test_a_folder_that_is_not_there_or_not_given_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match=rf"data\.dir: must say where the files of '{name}' are, got None"):
        data.load(name)
    with pytest.raises(ConfigError, match=rf"data\.dir: {tmp_path}/no does not exist; .*files of '{name}'"):
        data.load(name, dir=str(tmp_path / "no"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"data\.dir: .*empty"):
        data.load(name, dir=str(tmp_path / "empty"))


def food101n(root):
    noisy, clean = root / "Food-101N_release", root / "food-101"
    write_lines(noisy / "meta/classes.txt", ["class_name", "waffles", "apple_pie"])
    keys = [f"{name}/{n}.jpg" for n in range(3) for name in ("waffles", "apple_pie")]
    write_lines(noisy / "meta/imagelist.tsv", ["class_name/key", *keys])
    write_lines(noisy / "meta/verified_val.tsv",
                ["class_name/key\tverification_label", f"{keys[2]}\t0", f"{keys[1]}\t1"])  # fmt: skip
    write_lines(clean / "meta/test.txt", ["waffles/7", "apple_pie/8"])
    for number, key in enumerate(keys):
        save(noisy / "images" / key, 10 * number)
    for key, value in (("waffles/7", 70), ("apple_pie/8", 80)):
        save(clean / "images" / f"{key}.jpg", value)
    return root


def test_food101n(tmp_path):
    dataset = data.load("food101n", dir=str(food101n(tmp_path)), image_size=8)
    assert dataset.class_names == ("apple_pie", "waffles")
    found = {name: (levels(split), split.labels.tolist()) for name, split in dataset.splits.items()}
    assert found == {
        "train": ([0, 3, 4, 5], [1, 0, 1, 0]),  # without the verified images
        "validation": ([1], [0]),
        "test": ([7, 8], [1, 0]),
    }
    # Positions in imagelist.tsv, in verified_val.tsv and in test.txt.
    ids = {name: split.ids.tolist() for name, split in dataset.splits.items()}
    assert ids == {"train": [0, 3, 4, 5], "validation": [1], "test": [0, 1]}
    write_lines(tmp_path / "food-101/meta/test.txt", ["pizza/1"])
    with pytest.raises(ConfigError, match=r"'pizza/1' is of none of the classes of classes\.txt"):
        data.load("food101n", dir=str(tmp_path))


def webvision(root, folder):
    write_lines(root / "info/synsets.txt", [f"n{n:08d} thing {n}, other name" for n in range(60)])
    train = [(f"google/q{n:04d}/a{n}.jpg", n) for n in range(55)]
    test = [(f"val{n:06d}.jpg", 54 - n) for n in range(55)]
    write_lines(root / "info/train_filelist_google.txt", [f"{path} {label}" for path, label in train])
    write_lines(root / "info/val_filelist.txt", [f"{path} {label}" for path, label in test])
    for number, (path, _) in enumerate(train[:50]):
        save(root / path, number)
    for number, (path, label) in enumerate(test):
        if label < 50:
            save(root / folder / path, number)
    return root


@pytest.mark.parametrize("folder", ["val_images_256", "val_images"])
def test_mini_webvision(tmp_path, folder):
    root = webvision(tmp_path, folder)
    dataset = data.load("mini_webvision", dir=str(root), image_size=8)
    assert (dataset.num_classes, dataset.class_names[3]) == (50, "thing 3, other name")
    np.testing.assert_array_equal(dataset.splits["train"].labels, np.arange(50))
    np.testing.assert_array_equal(dataset.splits["test"].labels, np.arange(49, -1, -1))
    assert dataset.splits["test"].images.path(0) == root / folder / "val000005.jpg"
    assert list(dataset.splits) == ["train", "test"]
    for n in range(50):
        save(root / "imagenet" / "val" / f"n{n:08d}" / "ILSVRC2012_val_1.JPEG", n)
    dataset = data.load("mini_webvision", dir=str(root), image_size=8)
    np.testing.assert_array_equal(dataset.splits["ilsvrc"].labels, np.arange(50))


def test_animal10n(tmp_path):
    for folder, count in (("training", 12), ("testing", 3)):
        for n in range(count):
            save(tmp_path / folder / f"{n % 10}_{n:05d}.jpg", 10 * n)
    dataset = data.load("animal10n", dir=str(tmp_path), image_size=8)
    assert dataset.num_classes == 10
    train = dataset.splits["train"]
    assert levels(train) == [0, 10, 1, 11, 2, 3, 4, 5, 6, 7, 8, 9]  # sorted by name
    np.testing.assert_array_equal(train.labels, np.array(levels(train)) % 10)
    save(tmp_path / "testing" / "cat.jpg")
    with pytest.raises(ConfigError, match=r"cat\.jpg must be called LABEL_NUMBER\.jpg"):
        data.load("animal10n", dir=str(tmp_path))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("animal10n", "has no training; it must hold training/ and testing/"),
        (
            "clothing1m",
            "has no noisy_train_key_list.txt; it must hold images/ and, beside it or in annotations/",
        ),
        ("food101n", "has no Food-101N_release/images; it must hold Food-101N_release/images, Food"),
        (
            "mini_webvision",
            "has no info/synsets.txt; it must hold info/synsets.txt, info/train_filelist_google",
        ),
    ],
)
def test_what_a_folder_lacks_is_named_with_the_layout(tmp_path, name, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        data.load(name, dir=str(tmp_path))


def test_images_on_disk_can_be_held_out(tmp_path):
    for n in range(20):
        save(tmp_path / "training" / f"{n % 10}_{n:05d}.jpg", 10 * n)
        save(tmp_path / "testing" / f"{n % 10}_{n:05d}.jpg")
    whole = data.load("animal10n", dir=str(tmp_path), image_size=8)
    held = hold_out(whole, 0.5, seed=0)
    for name in ("train", "validation"):
        split = held.splits[name]
        assert isinstance(split.images, ImageFiles)
        assert levels(split) == [levels(whole.splits["train"])[i] for i in split.ids]


def test_the_scan_lists_folders_and_looks_at_no_file(tmp_path, monkeypatch):
    root = clothing1m(tmp_path, "kv")
    listed = []
    real = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: listed.append(path) or real(path))
    monkeypatch.setattr(io, "BytesIO", None)
    data.load("clothing1m", dir=str(root))
    assert len(listed) == 5 + 2 + 4
