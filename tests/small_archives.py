"""Small copies of the archives and files in which data sets are found, in every layout."""

import dataclasses
import gzip
import hashlib
import io
import pickle
import tarfile

import numpy as np
import scipy.io

from grjax.data.cifar import Cifar10, Cifar100

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
