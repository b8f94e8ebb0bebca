"""Files that are damaged, or of another data set, are refused in one line."""

import os
import pickle

import numpy as np
import pytest
from small_archives import CIFAR, COLOURED, assert_holds, cifar_at, gzipped, idx_files, pack, small, write

from grjax import data
from grjax.data.cifar import Cifar100
from grjax.data.mnist_family import FashionMnist, Kmnist, Mnist
from grjax.data.tfds_source import read
from grjax.errors import ConfigError


def corrupt(content):
    return content[:-1] + bytes([content[-1] ^ 1])


DAMAGE = {
    "a flipped bit": lambda path: path.write_bytes(corrupt(path.read_bytes())),
    "shuffled examples": lambda path: shuffle(path),
    "a file cut short": lambda path: os.truncate(path, 5000),
}


def shuffle(path):
    stored = pickle.loads(path.read_bytes())
    stored["data"] = stored["data"][::-1]
    stored["fine_labels"] = stored["fine_labels"][::-1]
    path.write_bytes(pickle.dumps(stored, protocol=2))


@pytest.mark.parametrize("damage", list(DAMAGE))
def test_files_that_are_not_the_published_ones_are_refused(tmp_path, tfds_dir, damage):
    builder, files, *_ = CIFAR["cifar100"]
    folder = cifar_at(tmp_path, "cifar100", "python folder")
    DAMAGE[damage](folder / "train")
    message = r"train is damaged, or belongs to another data set: train must have md5 \w+, has \w+"
    with pytest.raises(ConfigError, match=message):
        read(builder, str(folder), small(builder, files))
    assert not list(tfds_dir.glob("cifar100/*"))
    write(folder, files["python"])  # and mended, it is prepared
    assert_holds(read(builder, str(folder), small(builder, files)), COLOURED)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.95])
def test_a_truncated_archive_is_refused(tmp_path, tfds_dir, share):
    builder, files, *_ = CIFAR["cifar100"]
    archive = cifar_at(tmp_path, "cifar100", "python archive")
    os.truncate(archive, int(share * archive.stat().st_size))
    with pytest.raises(ConfigError, match=rf"data\.dir: .*{archive.name} is .*truncated"):
        read(builder, str(archive), small(builder, files))
    assert not list(tfds_dir.glob("cifar100/*"))


def test_a_truncated_gzip_is_refused(tmp_path, tfds_dir):
    files = idx_files()
    folder = write(tmp_path / "given", gzipped(files))
    os.truncate(folder / "train-images-idx3-ubyte.gz", 1000)
    with pytest.raises(ConfigError, match=r"train-images-idx3-ubyte\.gz is damaged or truncated"):
        read(Mnist, str(folder), small(Mnist, {"idx": files}))


def test_an_archive_without_a_member_is_refused(tmp_path, tfds_dir):
    builder, files, *_ = CIFAR["cifar100"]
    archive = pack(tmp_path / "a.tar.gz", "cifar-100-python", {"train": files["python"]["train"]})
    with pytest.raises(ConfigError, match=r"the archive .*a\.tar\.gz has no test"):
        read(builder, str(archive), small(builder, files))


def test_a_file_that_is_something_else_is_refused(tmp_path, tfds_dir):
    (tmp_path / "notes.txt").write_text("no archive")
    with pytest.raises(ConfigError, match=r"data\.dir: .*notes\.txt is no archive, or a truncated one"):
        data.load("cifar100", dir=str(tmp_path / "notes.txt"))
    with pytest.raises(
        ConfigError,
        match=r"data\.dir: .*notes\.txt is not one of its files; 'mnist' takes mnist\.npz, or a folder",
    ):
        data.load("mnist", dir=str(tmp_path / "notes.txt"))


def test_an_archive_that_is_not_there_is_refused_rather_than_made_a_folder(tmp_path, tfds_dir):
    with pytest.raises(
        ConfigError, match=r"data\.dir: .*cifar-100-pyton\.tar\.gz does not exist; 'cifar100'"
    ):
        data.load("cifar100", dir=str(tmp_path / "cifar-100-pyton.tar.gz"))
    assert not list(tmp_path.iterdir())


def test_mnist_and_fashion_mnist_are_never_taken_for_each_other(tmp_path, tfds_dir):
    files = idx_files()
    folder = write(tmp_path / "given", files)
    with pytest.raises(ConfigError, match="belongs to another data set"):
        data.load("fashion_mnist", dir=str(folder))
    other = write(tmp_path / "other", {name: corrupt(content) for name, content in files.items()})
    one = read(Mnist, str(folder), small(Mnist, {"idx": files}))
    two = read(
        FashionMnist, str(other), small(FashionMnist, {"idx": {n: corrupt(c) for n, c in files.items()}})
    )
    assert (one.splits["train"].images != two.splits["train"].images).any()


def test_unpacked_files_of_another_data_set_are_not_kmnists(tmp_path, tfds_dir, monkeypatch):
    files = idx_files()
    monkeypatch.setattr(FashionMnist, "DISTRIBUTION", small(FashionMnist, {"idx": files}, digest="sha256"))
    folder = write(tmp_path / "given", files)
    with pytest.raises(
        ConfigError, match=r"is not 'kmnist': train-images-idx3-ubyte is that of 'fashion_mnist'"
    ):
        read(Kmnist, str(folder), small(Kmnist, {}))


def idx(*header, content):
    return np.array(header, ">i4").tobytes() + content


LABELS, IMAGES = "train-labels-idx1-ubyte", "train-images-idx3-ubyte"


STRUCTURE = {
    "fewer labels": (LABELS, idx(2049, 49, content=bytes(49)), "49 labels for 50 images"),
    "a label too high": (LABELS, idx(2049, 50, content=bytes([10] * 50)), r"in \[0, 10\), are in \[10, 10\]"),
    "other sizes": (IMAGES, idx(2051, 50, 8, 8, content=bytes(3200)), r"28, 28, 1\], holds \[50, 8, 8, 1\]"),
    "another magic number": (IMAGES, bytes(50), "the magic number is 0, must be 2051"),
}  # fmt: skip


@pytest.mark.parametrize("what", list(STRUCTURE))
def test_what_has_no_checksum_is_checked_for_its_structure(tmp_path, tfds_dir, what):
    member, content, message = STRUCTURE[what]
    folder = write(tmp_path / "given", {**idx_files(), member: content})
    with pytest.raises(ConfigError, match=message):
        read(Kmnist, str(folder), small(Kmnist, {}))


def test_a_pickle_that_would_run_something_is_refused(tmp_path, tfds_dir):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    content = {split: pickle.dumps(Evil(), protocol=2) for split in ("train", "test")}
    folder = write(tmp_path / "given", content)
    with pytest.raises(ConfigError, match=r"is not 'cifar100': it holds posix\.mkdir"):
        read(Cifar100, str(folder), small(Cifar100, {"python": content}))
    assert not (tmp_path / "made").exists()
