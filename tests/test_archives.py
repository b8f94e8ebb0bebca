"""Data sets prepared from archives on disk: small copies in every layout, damage, and the real CIFAR-100."""

import dataclasses
import functools
import gzip
import hashlib
import http.server
import io
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import tensorflow_datasets as tfds

from grjax import data, noise
from grjax.data import source_builder, source_files
from grjax.data.cifar import Cifar10, Cifar100, Cifar100Coarse, Vehicles10
from grjax.data.mnist_family import FashionMnist, Kmnist, Mnist
from grjax.data.source_files import Download
from grjax.data.svhn import Svhn
from grjax.data.tfds_source import read
from grjax.errors import ConfigError

SIZES = {"train": 50, "test": 20}
RNG = np.random.default_rng(0)


def images(shape, labels):
    """Random images, and labels that count through the classes."""
    return {
        split: (RNG.integers(0, 256, (n, *shape), np.uint8), np.arange(n) % labels)
        for split, n in SIZES.items()
    }


COLOURED = images((32, 32, 3), 100)
GREY = images((28, 28, 1), 10)


def channels_first(values):
    return values.transpose(0, 3, 1, 2).reshape(len(values), -1)


def cifar100_files():
    """{layout: {member: content}} of a small CIFAR-100; the coarse label is the fine one modulo 20."""
    python, binary = {}, {}
    for split, (pixels, fine) in COLOURED.items():
        flat, coarse = channels_first(pixels), fine % 20
        stored = {"data": flat, "fine_labels": fine.tolist(), "coarse_labels": coarse.tolist()}
        python[split] = pickle.dumps(stored, protocol=2)
        binary[f"{split}.bin"] = np.column_stack([coarse, fine, flat]).astype(np.uint8).tobytes()
    return {"python": python, "binary": binary}


def cifar10_files():
    python, binary = {}, {}
    for split, (pixels, fine) in COLOURED.items():
        flat, labels = channels_first(pixels), fine % 10
        parts = [("test_batch", slice(None))]
        if split == "train":
            parts = [(f"data_batch_{i + 1}", slice(10 * i, 10 * i + 10)) for i in range(5)]
        for member, rows in parts:
            stored = {"data": flat[rows], "labels": labels[rows].tolist()}
            python[member] = pickle.dumps(stored, protocol=2)
            binary[f"{member}.bin"] = np.column_stack([labels, flat])[rows].astype(np.uint8).tobytes()
    return {"python": python, "binary": binary}


def idx_files():
    files = {}
    for prefix, (pixels, labels) in zip(("train", "t10k"), GREY.values(), strict=True):
        header = np.array([2051, len(pixels), 28, 28], ">i4").tobytes()
        files[f"{prefix}-images-idx3-ubyte"] = header + pixels.tobytes()
        header = np.array([2049, len(labels)], ">i4").tobytes()
        files[f"{prefix}-labels-idx1-ubyte"] = header + labels.astype(np.uint8).tobytes()
    return files


def gzipped(files):
    return {f"{name}.gz": gzip.compress(content) for name, content in files.items()}


def npz_file():
    stored = io.BytesIO()
    (x_train, y_train), (x_test, y_test) = GREY.values()
    np.savez(stored, x_train=x_train[..., 0], y_train=y_train, x_test=x_test[..., 0], y_test=y_test)
    return {"mnist.npz": stored.getvalue()}


def mat_files():
    files = {}
    for split, (pixels, labels) in COLOURED.items():
        stored = io.BytesIO()
        digits = labels % 10
        scipy.io.savemat(
            stored, {"X": pixels.transpose(1, 2, 3, 0), "y": np.where(digits, digits, 10)[:, None]}
        )
        files[f"{split}_32x32.mat"] = stored.getvalue()
    return files


def small(builder, files, num_examples=SIZES, digest="md5"):
    """The distribution of a builder with the checksums of these files, {layout: {member: content}}."""
    layouts = []
    for layout in builder.DISTRIBUTION.layouts:
        contents = files.get(layout.name, {})
        members = {
            name: (f"{digest}:{hashlib.new(digest, contents[name]).hexdigest()}",)
            if name in contents and digests
            else ()
            for name, digests in layout.members.items()
        }
        layouts.append(dataclasses.replace(layout, members=members))
    return dataclasses.replace(builder.DISTRIBUTION, layouts=tuple(layouts), num_examples=num_examples)


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def pack(path, folder, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


@pytest.fixture
def tfds_dir(tmp_path, monkeypatch):
    """A default folder of TFDS that is empty."""
    folder = tmp_path / "tfds"
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(folder))
    return folder


def assert_holds(dataset, expected):
    for split, (pixels, labels) in expected.items():
        found = dataset.splits[split]
        np.testing.assert_array_equal(found.images, pixels)
        np.testing.assert_array_equal(found.labels, labels)
        np.testing.assert_array_equal(found.ids, np.arange(len(labels)))


CIFAR = {
    "cifar10": (Cifar10, cifar10_files(), "cifar-10-batches-py", "cifar-10-batches-bin", "cifar-10"),
    "cifar100": (Cifar100, cifar100_files(), "cifar-100-python", "cifar-100-binary", "cifar-100"),
}


def cifar_at(root, name, layout):
    """Writes a small CIFAR in one of the ways it is found; returns what data.dir would be."""
    _, files, python, binary, stem = CIFAR[name]
    if layout == "python folder":
        return write(root / python, files["python"])
    if layout == "torchvision":
        pack(root / f"{stem}-python.tar.gz", python, {})  # an archive beside its folder is not looked at
        return write(root / python, files["python"]).parent
    if layout == "python archive":
        return pack(root / f"{stem}-python.tar.gz", python, files["python"])
    if layout == "archive of another name":
        return pack(root / "download", binary, files["binary"])
    if layout == "folder of an archive":
        return pack(root / f"{stem}-binary.tar.gz", binary, files["binary"]).parent
    if layout == "keras":
        return write(root / f"{python}-target" / python, files["python"]).parent.parent
    if layout == "keras archive":
        return pack(root / f"{python}-target_archive", python, files["python"]).parent
    assert layout == "binary folder"
    return write(root / binary, files["binary"])


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
    # The digests are those of the content, but for KMNIST.
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


@pytest.mark.parametrize("dir", [None, "data"])
def test_files_in_the_manual_folder_are_found(tmp_path, tfds_dir, dir):
    root = tfds_dir if dir is None else tmp_path / dir
    builder, files, *_ = CIFAR["cifar10"]
    cifar_at(root / "downloads" / "manual", "cifar10", "python archive")
    dataset = read(builder, None if dir is None else str(root), small(builder, files))
    assert len(dataset.splits["train"]) == SIZES["train"]
    assert (root / "cifar10" / "1.0.0").is_dir()


def test_what_is_not_on_disk_is_downloaded(tmp_path, tfds_dir):
    builder, files, *_ = CIFAR["cifar100"]
    served = cifar_at(tmp_path / "served", "cifar100", "python archive")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(served.parent))
    handler.log_message = lambda *args: None
    with http.server.ThreadingHTTPServer(("localhost", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://localhost:{server.server_port}/{served.name}"
        digest = hashlib.sha256(served.read_bytes()).hexdigest()
        distribution = small(builder, files)
        layout = dataclasses.replace(distribution.layouts[0], downloads={served.name: Download(url, digest)})
        distribution = dataclasses.replace(distribution, layouts=(layout, *distribution.layouts[1:]))
        assert_holds(read(builder, None, distribution), COLOURED)
        server.shutdown()
    shutil.rmtree(tfds_dir / "cifar100")
    assert_holds(read(builder, None, distribution), COLOURED)  # from the file that was downloaded


def test_without_network_one_line_says_what_to_fetch_within_seconds(tmp_path, tfds_dir):
    distribution = small(Svhn, {})
    (layout,) = distribution.layouts
    downloads = {
        name: Download(f"http://localhost:9/{name}", each.sha256) for name, each in layout.downloads.items()
    }
    distribution = dataclasses.replace(
        distribution, layouts=(dataclasses.replace(layout, downloads=downloads),)
    )
    start = time.monotonic()
    with pytest.raises(ConfigError) as caught:
        read(Svhn, None, distribution)
    assert time.monotonic() - start < 100  # where downloads are tried again and again, it is minutes
    message = str(caught.value)
    assert "\n" not in message
    assert str(tfds_dir / "downloads" / "manual") in message
    for name, each in layout.downloads.items():
        assert f"http://localhost:9/{name} (sha256 {each.sha256})" in message
    assert not list(tfds_dir.glob("svhn/*"))


def test_a_server_that_never_answers_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(source_builder, "_SECONDS_TO_ANSWER", 0.2)
    with http.server.HTTPServer(("localhost", 0), None) as silent:
        assert "localhost" in source_builder._unreachable(f"http://localhost:{silent.server_port}/file")
    # Looking up a name may take long, and knows no timeout.
    over = threading.Event()

    def look_up(*args, **kwargs):
        over.wait()
        raise OSError("nowhere")

    monkeypatch.setattr(urllib.request, "urlopen", look_up)
    assert source_builder._unreachable("http://nowhere/file") == "no answer from nowhere in 0.2 s"
    over.set()  # so it was not waited for


@pytest.mark.parametrize(("status", "reachable"), [(200, True), (403, True), (405, True), (503, False)])
def test_a_server_that_only_dislikes_to_be_asked_is_reachable(status, reachable):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(status)
            self.end_headers()

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("localhost", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        reason = source_builder._unreachable(f"http://localhost:{server.server_port}/file")
        server.shutdown()
    assert (reason == "") is reachable


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
        match=r"data\.dir: .*notes\.txt is none of its files; 'mnist' takes mnist\.npz, or a folder",
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
