"""Folders of images as people have them: splits, links, and what systems leave behind."""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from grjax import data
from grjax.errors import ConfigError, DataWarning


def picture(path, colour=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (colour, 0, 0)).save(path)


def classes(root, number=10):
    for name in ("cat", "dog"):
        for k in range(number):
            picture(root / name / f"{k}.png", k)


def load(path):
    return data.load("folder", dir=path, image_size=4)


def sizes(dataset):
    return {name: len(split) for name, split in dataset.splits.items()}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["train", "val"], {"train": 20, "test": 20}),
        (["Training", "Validation", "TESTING"], {"train": 20, "validation": 20, "test": 20}),
        (["TRAIN", "valid", "Test"], {"train": 20, "validation": 20, "test": 20}),
        (["train", "test"], {"train": 20, "test": 20}),
        (["train"], {"train": 16, "test": 4}),
    ],
)
def test_folders_of_splits_are_splits(tmp_path, names, expected):
    for name in names:
        classes(tmp_path / name)
    dataset = load(tmp_path)
    assert dataset.class_names == ("cat", "dog")
    assert sizes(dataset) == expected


@pytest.mark.parametrize("below", ["pictures", "pictures/train"])
def test_one_folder_too_many_is_named(tmp_path, below):
    classes(tmp_path / below)
    with pytest.raises(ConfigError, match=f"holds one folder, in which there are others; give {tmp_path}/p"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["val", "test"], "holds test, val and no train; give the folder that holds"),
        (
            ["train", "other"],
            "has folders of splits, train, and beside them other; it must hold a folder for",
        ),
        (
            ["train", "val", "validation"],
            "has folders of splits, train, val, validation, and two for validat",
        ),
        (
            ["pictures"],
            "holds one folder, in which there are others; give .*pictures if those are the classes",
        ),
    ],
)
def test_folders_that_are_neither_are_refused(tmp_path, names, message):
    for name in names:
        classes(tmp_path / name)
    with pytest.raises(ConfigError, match=message):
        load(tmp_path)


def test_a_class_may_be_called_as_a_split(tmp_path):
    classes(tmp_path)
    for k in range(10):
        picture(tmp_path / "train" / f"{k}.png")
    assert load(tmp_path).class_names == ("cat", "dog", "train")


def test_what_systems_leave_behind_is_no_class_and_no_image(tmp_path):
    classes(tmp_path)
    for folder in (".ipynb_checkpoints", "__MACOSX", ".git", "cat/.ipynb_checkpoints", "dog/__MACOSX"):
        picture(tmp_path / folder / "x.png")
    for name in ("._0.png", ".DS_Store", "Thumbs.db", "desktop.ini", ".hidden.png"):
        (tmp_path / "cat" / name).write_bytes(b"no image")
        (tmp_path / name).write_bytes(b"no image")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = load(tmp_path)
    assert dataset.class_names == ("cat", "dog")
    assert sum(sizes(dataset).values()) == 20
    for split in dataset.splits.values():
        split.images[np.arange(len(split))]


def test_links_to_folders_are_followed_and_circles_are_not(tmp_path):
    classes(tmp_path / "real" / "more")
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        os.symlink(tmp_path / "real" / "more" / name, tmp_path / "data" / name / "link")
        os.symlink(tmp_path / "data" / name, tmp_path / "data" / name / "circle")
    os.symlink(tmp_path / "real" / "more" / "cat", tmp_path / "data" / "cow")  # a class that is a link
    dataset = load(tmp_path / "data")
    assert dataset.class_names == ("cat", "cow", "dog")
    assert sum(sizes(dataset).values()) == 30


def test_a_class_of_which_no_file_can_be_read_is_refused(tmp_path):
    classes(tmp_path)
    (tmp_path / "cow").mkdir()
    for k in range(3):
        (tmp_path / "cow" / f"{k}.HEIC").write_bytes(b"x")
    (tmp_path / "cow" / "notes").write_bytes(b"x")
    with pytest.raises(ConfigError, match=r"cow must hold images.*it holds 3 \.heic, 1 without an ending"):
        load(tmp_path)


def test_files_left_out_are_counted_by_their_ending(tmp_path):
    classes(tmp_path)
    for k in range(3):
        (tmp_path / "cat" / f"{k}.HEIC").write_bytes(b"x")
    (tmp_path / "dog" / "notes.txt").write_bytes(b"x")
    with pytest.warns(DataWarning, match=r"4 files are no images .* left out: 3 \.heic, 1 \.txt$"):
        assert sum(sizes(load(tmp_path)).values()) == 20


def test_names_that_are_no_utf8(tmp_path):
    classes(tmp_path)
    latin = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    for k in range(10):
        picture(latin / f"{k}.png")
    dataset = load(tmp_path)
    assert dataset.class_names == ("caf\\xe9", "cat", "dog")
    dataset.splits["train"].images[np.arange(24)]


def test_ids_follow_the_bytes_of_the_names(tmp_path):
    # The last is no UTF-8: as a surrogate it comes after the first, as a byte before.
    for name in ("\u00e9.png", "\U0001f600.png", "\uff21.png", os.fsdecode(b"\x80.png")):
        picture(tmp_path / "cat" / name)
    for k in range(4):
        picture(tmp_path / "dog" / f"{k}.png")
    splits = load(tmp_path).splits.values()
    paths = {i: str(s.images.path(k)) for s in splits for k, i in enumerate(s.ids.tolist())}
    assert [paths[k] for k in range(8)] == sorted(paths.values(), key=os.fsencode)
