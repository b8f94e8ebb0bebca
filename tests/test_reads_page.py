"""docs/reference/reads.md is true: each of its rows is done here, and what it says an error holds is held."""

import dataclasses
import os
import pickle
import re
import tarfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from small_archives import CIFAR, cifar_at, small, write
from small_runs import small as small_config

from grjax import config as config_lib
from grjax import data, noise
from grjax.data import ImageFiles, from_arrays
from grjax.data.tfds_source import read as read_archive
from grjax.errors import DataWarning, GrjaxError
from grjax.workdir import folder as workdir_lib

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "reads.md"
N = 20
NUMBERS = np.arange(N) % 2
GREY = np.zeros((N, 4, 4), np.uint8)


@dataclasses.dataclass(frozen=True)
class Case:
    """A row of the page: `read` raises if it is refused, and has assertions of its own if it is read."""

    what: str
    where: str
    read: Callable[[Path], object]


def _row(what, where):
    def add(read):
        CASES.append(Case(what, where, read))
        return read

    return add


CASES: list[Case] = []

# ------------------------------------------------------------------------------------------------- pictures


def pixel(folder, image, name="a.png", **options):
    image.save(folder / name, **options)
    return ImageFiles(folder, [name], max(image.size))[np.array([0])][0, 0, 0].tolist()


@_row("pictures", "16 bits a channel")
def _(folder):
    assert pixel(folder, Image.fromarray(np.full((2, 2), 45000, np.uint16))) == [175] * 3


@_row("pictures", "transparent ones (RGBA, LA, palettes)")
def _(folder):
    assert pixel(folder, Image.new("RGBA", (2, 2), (9, 9, 9, 0))) == [255] * 3
    assert pixel(folder, Image.new("LA", (2, 2), (9, 0))) == [255] * 3
    assert pixel(folder, Image.new("P", (2, 2), 0), transparency=0) == [255] * 3


@_row("pictures", "1 bit, CMYK, palettes")
def _(folder):
    assert pixel(folder, Image.new("1", (2, 2), 1)) == [255] * 3
    assert pixel(folder, Image.new("CMYK", (2, 2), (255, 0, 0, 0)), "a.tif") == [0, 255, 255]


@_row("pictures", "with an EXIF orientation")
def _(folder):
    image, exif = Image.new("RGB", (2, 2)), Image.Exif()
    image.putpixel((1, 1), (255, 0, 0))
    exif[0x0112] = 3
    assert pixel(folder, image, exif=exif) == [255, 0, 0]


@_row("pictures", "floating or 32-bit pixels")
def _(folder):
    pixel(folder, Image.fromarray(np.ones((2, 2), np.float32)), "a.tif")


@_row("pictures", "a file that is no picture")
def _(folder):
    (folder / "a.png").write_text("text")
    ImageFiles(folder, ["a.png"], 2)[np.array([0])]


# -------------------------------------------------------------------------------------------------- folders


def classes(root, names=("cat", "dog")):
    for name in names:
        (root / name).mkdir(parents=True)
        for k in range(10):
            Image.new("RGB", (2, 2)).save(root / name / f"{k}.png")
    return root


def load_folder(path):
    return data.load("folder", dir=path, image_size=2)


def sizes(dataset):
    return {name: len(split) for name, split in dataset.splits.items()}


@_row("folders", "`train` and `val`, in any case")
def _(folder):
    classes(folder / "Train"), classes(folder / "VAL")
    assert sizes(load_folder(folder)) == {"train": 20, "test": 20}


@_row("folders", "`val` or `test` without `train`")
def _(folder):
    load_folder(classes(folder / "val").parent)


@_row("folders", "one folder too many")
def _(folder):
    load_folder(classes(folder / "pictures").parent)


@_row("folders", "names that begin with a dot, `__MACOSX`, `Thumbs.db`, `desktop.ini`")
def _(folder):
    classes(folder, ("cat", "dog", ".ipynb_checkpoints", "__MACOSX"))
    for name in ("Thumbs.db", "desktop.ini", "._0.png"):
        (folder / "cat" / name).touch()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = load_folder(folder)
    assert (dataset.class_names, sum(sizes(dataset).values())) == (("cat", "dog"), 20)


@_row("folders", "links to folders")
def _(folder):
    classes(folder / "real")
    (folder / "data").mkdir()
    for name in ("cat", "dog"):
        os.symlink(folder / "real" / name, folder / "data" / name)
    os.symlink(folder / "real" / "cat", folder / "real" / "cat" / "circle")
    assert sum(sizes(load_folder(folder / "data")).values()) == 20


@_row("folders", "other files beside the pictures of a class")
def _(folder):
    (classes(folder) / "cat" / "a.HEIC").touch()
    with pytest.warns(DataWarning, match=r"1 files are no images .*left out: 1 \.heic"):
        assert sum(sizes(load_folder(folder)).values()) == 20


@_row("folders", "a class without a picture that can be read")
def _(folder):
    (classes(folder) / "cow").mkdir()
    (folder / "cow" / "a.HEIC").touch()
    load_folder(folder)


# --------------------------------------------------------------------------------------------------- tables

ROWS = [["image", "label"], *([f"{k}.png", "ab"[k % 2]] for k in range(10))]


def load_table(folder, content, name="a.csv"):
    for k in range(10):
        Image.new("RGB", (2, 2)).save(folder / f"{k}.png")
    (folder / name).write_bytes(content)
    return data.load("csv", dir=folder / name, image_size=2)


@_row("tables", "`,`, `;` or tab; any line ends; a byte-order mark; UTF-16; `.CSV`; blank lines")
def _(folder):
    for separator, ending, encoding in (
        (",", "\n", "utf-8"), (";", "\r\n", "utf-8-sig"), ("\t", "\n\n", "utf-16"),
    ):  # fmt: skip
        text = "".join(separator.join(row) + ending for row in ROWS)
        assert load_table(folder, text.encode(encoding), "a.CSV").class_names == ("a", "b")


@_row("tables", "text in Latin-1")
def _(folder):
    load_table(folder, b"image,label\n1.png,caf\xe9\n")


@_row("tables", "no column `label`")
def _(folder):
    load_table(folder, b"image,class\n1.png,a\n")


@_row("tables", "no column `image` beside `label`")
def _(folder):
    load_table(folder, b"height,label\n1.5,a\n")


@_row("tables", "a row of another length")
def _(folder):
    load_table(folder, b"image,label\n1.png\n")


# --------------------------------------------------------------------------------------------------- labels


@_row("labels", "integers of any type, `bool`, pandas, `bytes`, text")
def _(folder):
    names = np.array(["cat", "dog"])[NUMBERS]
    for labels in (NUMBERS.astype(np.uint8), NUMBERS.astype(bool), pd.Series(NUMBERS), NUMBERS.tolist()):
        assert from_arrays(GREY, labels).class_names == ("0", "1")
    for labels in (names, names.astype("S"), pd.Series(names), pd.Categorical(names), names.astype(object)):
        assert from_arrays(GREY, labels).class_names == ("cat", "dog")


@_row("labels", "`cat ` beside `cat`, é in two forms")
def _(folder):
    labels = ["cat", "cat ", "caf\u00e9", "cafe\u0301"] * 5
    assert from_arrays(GREY, labels).class_names == ("caf\u00e9", "cat")


@_row("labels", "None, NaN, blank")
def _(folder):
    from_arrays(GREY, ["a", None, float("nan"), ""] * 5)


@_row("labels", "-1 and 1")
def _(folder):
    from_arrays(GREY, 2 * NUMBERS - 1)


@_row("labels", "fractions")
def _(folder):
    from_arrays(GREY, NUMBERS / 2)


@_row("labels", "numbers beside names")
def _(folder):
    from_arrays(GREY, ["cat", 1] * 10)


@_row("labels", "a class that no training example has")
def _(folder):
    from_arrays(GREY, 2 * NUMBERS)


# ---------------------------------------------------------------------------------------------- label files

CLEAN = np.arange(5000) % 10
NOISY = noise.create("symmetric", rate=0.4)(CLEAN, 10).labels


def from_file(path):
    return noise.create("file", path=path)(CLEAN, 10).labels


def pickled(folder, value):
    (folder / "a.pkl").write_bytes(pickle.dumps(value))
    return folder / "a.pkl"


@_row("label files", ".npz, .csv, .npy, .pt, .pkl, .json; by id, or all in order")
def _(folder):
    ids = np.arange(5000)
    np.savez(folder / "a.npz", ids=ids, labels=NOISY)
    np.save(folder / "a.npy", NOISY)
    (folder / "a.json").write_text(str(NOISY.tolist()))
    lines = [f"{i},{label}" for i, label in zip(ids, NOISY, strict=True)]
    (folder / "a.csv").write_text("\n".join(["id,label", *lines]))
    pickled(folder, {"id": ids, "label": NOISY})
    for ending in ("npz", "npy", "json", "csv", "pkl"):
        np.testing.assert_array_equal(from_file(folder / f"a.{ending}"), NOISY)


@_row("label files", "in another order")
def _(folder):
    np.save(folder / "a.npy", np.random.default_rng(0).permutation(NOISY))
    from_file(folder / "a.npy")


@_row("label files", "numbered from 1")
def _(folder):
    from_file(pickled(folder, NOISY + 1))


@_row("label files", "a pickle of anything but arrays, lists, dictionaries")
def _(folder):
    from_file(pickled(folder, Path("a")))


@_row("label files", "those of CIFAR-N")
def _(folder):
    from_file(pickled(folder, {"clean_label": CLEAN, "worse_label": NOISY}))


# -------------------------------------------------------------------------------------------------- numbers


@_row("numbers", "features of any offset and size, as a Unix time")
def _(folder):
    images = from_arrays(1.7e9 + 1e-3 * np.arange(N)[:, None], NUMBERS).splits["train"].images
    assert len(np.unique(images)) == len(images)


@_row("numbers", "NaN or infinity in features")
def _(folder):
    from_arrays(np.where(np.arange(N) == 3, np.inf, 0)[:, None], NUMBERS)


@_row("numbers", "scalars of NumPy and jax as options")
def _(folder):
    made = noise.create("symmetric", rate=np.float32(0.5), seed=np.array(3))(CLEAN, 10)
    assert dict(made.convention) == {"name": "symmetric", "seed": 3, "rate": 0.5}


@_row("numbers", "an option out of its range")
def _(folder):
    noise.create("symmetric", rate=float("nan"))


# --------------------------------------------------------------------------------------------------- images


@_row("images", "[N, height, width], [N, height, width, channels]")
def _(folder):
    for images in (GREY, GREY[..., None], np.zeros((N, 4, 4, 3))):
        assert from_arrays(images, NUMBERS).splits["train"].images.shape[1:3] == (4, 4)


@_row("images", "[N, channels, height, width]")
def _(folder):
    from_arrays(np.zeros((N, 3, 32, 32), np.uint8), NUMBERS)


# ---------------------------------------------------------------------------------------------------- names


@_row("names", "bytes that are no UTF-8")
def _(folder):
    assert from_arrays(GREY, [b"caf\xe9", b"bar"] * 10).class_names == ("bar", "caf\\xe9")


@_row("names", "a list, an array, a dictionary either way round")
def _(folder):
    for names in (["b", "a"], np.array(["b", "a"]), {0: "b", 1: "a"}, {"a": 1, "b": 0}):
        assert from_arrays(GREY, NUMBERS, class_names=names).class_names == ("b", "a")


@_row("names", "two that are the same")
def _(folder):
    from_arrays(GREY, NUMBERS, class_names=["a", "a "])


# ---------------------------------------------------------------------------------------- paths and configs


@_row("paths", "text with `~`, any `os.PathLike`")
def _(folder):
    np.savez(folder / "a.npz", images=GREY, labels=NUMBERS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))
        for path in (str(folder / "a.npz"), folder / "a.npz", "~/a.npz"):
            assert data.load("npz", dir=path).num_classes == 2


@_row("paths", "a workdir whose name is no UTF-8")
def _(folder):
    workdir_lib.open_for(small_config(), folder / os.fsdecode(b"caf\xe9"))


@_row("configs", "a workdir of an earlier version that lacks a key")
def _(folder):
    (folder / "config.json").write_text('{"batch_size": 32}')
    assert workdir_lib.read_config(folder).keep_checkpoints == config_lib.resolve().keep_checkpoints


@_row("configs", "a workdir of another config")
def _(folder):
    workdir_lib.open_for(small_config(), folder)
    workdir_lib.open_for(small_config(batch_size=32), folder)


@_row("configs", "a `config.json` that is a list, or no JSON")
def _(folder):
    (folder / "config.json").write_bytes(b"\x89PNG\xff")
    with pytest.raises(GrjaxError, match="is damaged"):
        workdir_lib.read_config(folder)
    (folder / "config.json").write_text("[1]")
    workdir_lib.read_config(folder)


# ------------------------------------------------------------------------------------------------- archives


def archive(path):
    builder, files, *_ = CIFAR["cifar100"]
    return read_archive(builder, str(path), small(builder, files))


@_row("archives", "of any name, or unpacked, as torchvision and Keras leave them")
def _(folder):
    for layout in ("archive of another name", "torchvision", "keras"):
        assert archive(cifar_at(folder / layout, "cifar100", layout)).num_classes == 100


@_row("archives", "files some folders too deep")
def _(folder):
    write(folder / "a" / "b", CIFAR["cifar100"][1]["binary"])
    archive(folder)


@_row("archives", "truncated")
def _(folder):
    with tarfile.open(folder / "a.tar.gz", "w:gz") as made:
        made.add(__file__)
    (folder / "a.tar.gz").write_bytes((folder / "a.tar.gz").read_bytes()[:100])
    archive(folder / "a.tar.gz")


# ------------------------------------------------------------------------------------------------- the page


def rows():
    """{(what, where): what the page says of it}."""
    cells = re.findall(r"^\| (.*?) \| (.*) \| (.*) \|$", PAGE.read_text(), re.MULTILINE)[1:]
    return {(what, where): expected for what, where, expected in cells}


def test_the_page_has_a_row_for_each_case_and_no_other():
    assert list(rows()) == [(case.what, case.where) for case in CASES]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.what}: {case.where}")
def test_a_row_is_true(case, tmp_path, tfds_dir):
    expected = rows()[case.what, case.where]
    if not expected.startswith("refused: "):
        case.read(tmp_path)
        return
    with pytest.raises(GrjaxError) as caught:
        case.read(tmp_path)
    parts = re.fullmatch(r"refused: `(.*)`", expected).group(1).split("…")
    at = 0
    for part in parts:  # in this order
        at = str(caught.value).find(part, at)
        assert at >= 0, (part, str(caught.value))
