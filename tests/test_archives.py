"""Data sets prepared from files on disk: small copies in every layout, and the real CIFAR-100."""

import hashlib
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from small_archives import (
    CIFAR,
    COLOURED,
    GREY,
    SIZES,
    assert_holds,
    cifar100_files,
    cifar_at,
    gzipped,
    idx_files,
    mat_files,
    npz_file,
    pack,
    small,
    write,
)

from grjax import data, noise
from grjax.data import source_files
from grjax.data.cifar import Cifar10, Cifar100, Cifar100Coarse, Vehicles10
from grjax.data.mnist_family import FashionMnist, Kmnist, Mnist
from grjax.data.svhn import Svhn
from grjax.data.tfds_source import read
from grjax.errors import ConfigError

CIFAR_LAYOUTS = [
    "python folder", "torchvision", "python archive", "archive of another name", "folder of an archive",
    "keras", "keras archive", "binary folder",
]  # fmt: skip


@pytest.mark.parametrize("layout", CIFAR_LAYOUTS)
@pytest.mark.parametrize("name", list(CIFAR))
def test_every_layout_of_cifar_gives_the_same_examples(tmp_path, tfds_dir, name, layout):
    builder, files, *_ = CIFAR[name]
    found = cifar_at(tmp_path / "given", name, layout)
    dataset = read(builder, str(found), small(builder, files))
    num_classes = {"cifar10": 10, "cifar100": 100}[name]
    assert (dataset.name, dataset.num_classes) == (name, num_classes)
    assert_holds(dataset, {split: (x, y % num_classes) for split, (x, y) in COLOURED.items()})
    assert (tfds_dir / name / "1.0.0").is_dir()
    again = read(builder, None, small(builder, files))  # prepared: no files are needed any more
    np.testing.assert_array_equal(again.splits["train"].images, dataset.splits["train"].images)


def test_the_builder_keeps_superclasses_and_checksums(tmp_path, tfds_dir):
    builder, files, *_ = CIFAR["cifar100"]
    read(builder, str(cifar_at(tmp_path, "cifar100", "python folder")), small(builder, files))
    opened = Cifar100(file_format="array_record")
    assert len(Cifar100.COARSE_NAMES) == 20
    for example in opened.as_data_source("train"):
        assert example["coarse_label"] == example["label"] % 20
    assert opened.info.metadata["layout"] == "python"
    assert opened.info.metadata["verified"] is True
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files["python"].items()}
    assert opened.info.metadata["sha256"] == digests


@pytest.mark.parametrize("layout", ["python", "binary"])
def test_cifar100_coarse_has_the_superclasses_as_labels(tmp_path, tfds_dir, layout):
    files = cifar100_files()
    folder = write(tmp_path / f"cifar-100-{layout}", files[layout])
    dataset = read(Cifar100Coarse, str(folder), small(Cifar100Coarse, files))
    assert (dataset.name, dataset.num_classes) == ("cifar100_coarse", 20)
    assert dataset.class_names == Cifar100.COARSE_NAMES
    assert_holds(dataset, {split: (x, y % 20) for split, (x, y) in COLOURED.items()})
    fine = COLOURED["train"][1]
    for example in Cifar100Coarse(file_format="array_record").as_data_source("train"):
        assert example["fine_label"] == fine[example["id"]]
    # The coarse labels of CIFAR-100N are those of its examples.
    human = {"clean_coarse_label": fine % 20, "noisy_coarse_label": (fine + 1) % 20}
    np.savez(tmp_path / "human.npz", **human)
    corrupt = noise.create("cifar100_n", path=str(tmp_path / "human.npz"), annotation="coarse")
    train = dataset.splits["train"]
    noisy = corrupt(train.labels, dataset.num_classes, train.ids)
    np.testing.assert_array_equal(noisy.labels, (fine + 1) % 20)


def test_vehicles10_are_the_vehicles_with_their_ids_in_cifar100(tmp_path, tfds_dir):
    files = cifar100_files()
    pixels, fine = COLOURED["train"]
    chosen = {split: np.flatnonzero(np.isin(y, Vehicles10.FINE_LABELS)) for split, (_, y) in COLOURED.items()}
    sizes = {split: len(ids) for split, ids in chosen.items()}
    folder = write(tmp_path / "cifar-100-python", files["python"])
    train = read(Vehicles10, str(folder), small(Vehicles10, files, sizes)).splits["train"]
    np.testing.assert_array_equal(train.ids, chosen["train"])
    np.testing.assert_array_equal(train.images, pixels[chosen["train"]])
    np.testing.assert_array_equal(np.array(Vehicles10.FINE_LABELS)[train.labels], fine[chosen["train"]])
    names = tuple(Cifar100.CLASS_NAMES[label] for label in Vehicles10.FINE_LABELS)
    assert names == Vehicles10.CLASS_NAMES


@pytest.mark.parametrize(
    ("builder", "below"),
    [
        (Mnist, ""), (Mnist, "MNIST/raw"), (Kmnist, "KMNIST/raw"),
        (FashionMnist, "FashionMNIST/raw"), (FashionMnist, "fashion-mnist"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("zipped", [True, False])
def test_every_layout_of_the_mnist_family(tmp_path, tfds_dir, builder, below, zipped):
    files = idx_files()
    write(tmp_path / "given" / below, gzipped(files) if zipped else files)
    # The digests are those of the content, except for KMNIST.
    distribution = small(builder, {"idx": files, "gzip": {f"{name}.gz": c for name, c in files.items()}})
    dataset = read(builder, str(tmp_path / "given"), distribution)
    assert dataset.num_classes == 10
    assert_holds(dataset, GREY)
    verified = json.loads((tfds_dir / builder.name / "1.0.0" / "metadata.json").read_text())["verified"]
    assert verified is (zipped or builder is not Kmnist)


def test_gzipped_files_are_accepted_by_their_own_digest_too(tmp_path, tfds_dir):
    files = gzipped(idx_files())
    distribution = small(Mnist, {"idx": {name.removesuffix(".gz"): c for name, c in files.items()}})
    assert_holds(read(Mnist, str(write(tmp_path / "given", files)), distribution), GREY)


def test_keras_mnist(tmp_path, tfds_dir):
    files = npz_file()
    distribution = small(Mnist, {"npz": files})
    folder = write(tmp_path / "given", files)
    for found in (folder, folder / "mnist.npz"):
        assert_holds(read(Mnist, str(found), distribution), GREY)
        shutil.rmtree(tfds_dir)


def test_svhn_calls_its_tens_zero(tmp_path, tfds_dir):
    files = mat_files()
    dataset = read(Svhn, str(write(tmp_path / "given", files)), small(Svhn, {"mat": files}))
    assert_holds(dataset, {split: (x, y % 10) for split, (x, y) in COLOURED.items()})


def test_names_that_tfds_gives_to_downloads_are_known(tmp_path, tfds_dir):
    builder, files, *_ = CIFAR["cifar100"]
    layout = builder.DISTRIBUTION.layouts[1]
    (download,) = layout.downloads.values()
    name = tfds.core.download.resource.get_dl_fname(download.url, download.sha256)
    pack(tfds_dir / "downloads" / name, "cifar-100-binary", files["binary"])
    assert_holds(read(builder, None, small(builder, files)), COLOURED)


@pytest.mark.parametrize("below", ["outer", "outer/inner"])
def test_files_that_lie_too_deep_are_named(tmp_path, tfds_dir, below):
    builder, files, *_ = CIFAR["cifar100"]
    write(tmp_path / "given" / below / "cifar-100-binary", files["binary"])
    with pytest.raises(ConfigError, match=f"they lie deeper: give {tmp_path}/given/{below}/cifar-100-binary"):
        read(builder, str(tmp_path / "given"), small(builder, files))
    assert not tfds_dir.exists()


@pytest.mark.parametrize("dir", [None, "data"])
def test_files_in_the_manual_folder_are_found(tmp_path, tfds_dir, dir):
    root = tfds_dir if dir is None else tmp_path / dir
    builder, files, *_ = CIFAR["cifar10"]
    cifar_at(root / "downloads" / "manual", "cifar10", "python archive")
    dataset = read(builder, None if dir is None else str(root), small(builder, files))
    assert len(dataset.splits["train"]) == SIZES["train"]
    assert (root / "cifar10" / "1.0.0").is_dir()


def test_a_prepare_that_was_killed_is_done_again(tmp_path, tfds_dir):
    folder = write(tmp_path / "given", cifar100_files()["python"])
    script = """
import os, signal, sys
from grjax.data.cifar import Cifar100
from grjax.data.source_files import Distribution, Layout
from grjax.data.tfds_source import read
class Killed(Cifar100):
    name = "cifar100"
    def _generate_examples(self, arrays):
        for number, example in enumerate(super()._generate_examples(arrays)):
            if number == 30:
                os.kill(os.getpid(), signal.SIGKILL)
            yield example
files = Layout("python", {"train": (), "test": ()})
read(Killed, sys.argv[1], Distribution((files,), {"train": 50, "test": 20}))
"""
    environment = {**os.environ, "TFDS_DATA_DIR": str(tfds_dir)}
    done = subprocess.run([sys.executable, "-c", script, str(folder)], env=environment, capture_output=True)
    assert done.returncode == -9, done.stderr
    assert list(tfds_dir.glob("cifar100/*"))
    assert not (tfds_dir / "cifar100" / "1.0.0").exists()
    assert_holds(read(Cifar100, str(folder), small(Cifar100, cifar100_files())), COLOURED)


def test_every_registered_builder_states_its_files():
    for name in (
        "cifar10", "cifar100", "cifar100_coarse", "fashion_mnist", "kmnist", "mnist", "svhn", "vehicles10",
    ):  # fmt: skip
        assert name in data.names()
    for builder in (Cifar10, Cifar100, Cifar100Coarse, FashionMnist, Kmnist, Mnist, Svhn, Vehicles10):
        for layout in builder.DISTRIBUTION.layouts:
            for digest in [d for digests in layout.members.values() for d in digests]:
                assert re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", digest)
        assert builder.DISTRIBUTION.layouts[0].downloads


def test_a_folder_that_holds_prepared_data_is_not_searched(tmp_path, monkeypatch):
    builder, files, *_ = CIFAR["cifar100"]
    root = tmp_path / "data"
    cifar_at(root / "downloads" / "manual", "cifar100", "binary folder")
    read(builder, str(root), small(builder, files))
    monkeypatch.setattr(source_files, "find", None)
    assert_holds(read(builder, str(root), small(builder, files)), COLOURED)


@pytest.fixture(scope="module")
def real_cifar100():
    """The unpacked archive of CIFAR-100, in the folder that $GRJAX_TEST_DATA names."""
    folder = Path(os.environ.get("GRJAX_TEST_DATA", "/nowhere"), "cifar-100-python")
    if not folder.is_dir():
        pytest.skip("$GRJAX_TEST_DATA does not name a folder that holds cifar-100-python")
    return folder


def test_the_real_cifar100_is_the_same_in_both_layouts(tmp_path, tfds_dir, real_cifar100):
    python = data.load("cifar100", dir=str(real_cifar100))
    assert {name: len(split) for name, split in python.splits.items()} == {"train": 50_000, "test": 10_000}
    names = pickle.loads((real_cifar100 / "meta").read_bytes())
    assert names["fine_label_names"] == list(Cifar100.CLASS_NAMES)
    assert names["coarse_label_names"] == list(Cifar100.COARSE_NAMES)
    binary = tmp_path / "cifar-100-binary"
    binary.mkdir()
    for split in ("train", "test"):
        stored = pickle.loads((real_cifar100 / split).read_bytes(), encoding="latin1")
        records = np.column_stack([stored["coarse_labels"], stored["fine_labels"], stored["data"]])
        (binary / f"{split}.bin").write_bytes(records.astype(np.uint8).tobytes())
    shutil.rmtree(tfds_dir)
    other = data.load("cifar100", dir=str(binary))  # which has the MD5s that are published
    for name, split in python.splits.items():
        for field in ("images", "labels", "ids"):
            np.testing.assert_array_equal(getattr(other.splits[name], field), getattr(split, field))


def test_the_real_vehicles10_are_two_superclasses(tfds_dir, real_cifar100):
    dataset = data.load("vehicles10", dir=str(real_cifar100))
    for split, count in (("train", 500), ("test", 100)):
        np.testing.assert_array_equal(np.bincount(dataset.splits[split].labels), [count] * 10)
        stored = pickle.loads((real_cifar100 / split).read_bytes(), encoding="latin1")
        coarse = np.array(stored["coarse_labels"])
        vehicles = [Cifar100.COARSE_NAMES.index(name) for name in ("vehicles_1", "vehicles_2")]
        np.testing.assert_array_equal(dataset.splits[split].ids, np.flatnonzero(np.isin(coarse, vehicles)))
