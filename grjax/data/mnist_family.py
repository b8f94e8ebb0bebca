"""MNIST and what is distributed in its format: Fashion-MNIST and Kuzushiji-MNIST, as TFDS data sets."""

import hashlib
import io
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from grjax.data.source_builder import Arrays, SourceBuilder
from grjax.data.source_files import Distribution, Download, Layout

_IMAGES_MAGIC, _LABELS_MAGIC = 2051, 2049


def _idx(
    base: str, folders: tuple[str, ...], gzipped: Mapping[str, str], content: Mapping[str, str]
) -> Layout:
    """The four idx files; their sha256 as published with gzip, and of their content."""
    return Layout(
        "idx",
        {name: (f"sha256:{content[name]}", f"sha256:{gzipped[name]}") for name in gzipped},
        folders=folders,
        downloads={f"{name}.gz": Download(f"{base}/{name}.gz", digest) for name, digest in gzipped.items()},
    )


_MNIST = Distribution(
    layouts=(
        _idx(
            "https://storage.googleapis.com/cvdf-datasets/mnist",
            (".", "MNIST/raw", "raw", "mnist"),
            {
                "train-images-idx3-ubyte": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "train-labels-idx1-ubyte": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "t10k-images-idx3-ubyte": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "t10k-labels-idx1-ubyte": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            },
            {
                "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            },
        ),
        Layout(
            "npz",
            {"mnist.npz": ("sha256:731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",)},
        ),
    ),
    num_examples={"train": 60_000, "test": 10_000},
)
_FASHION_MNIST = Distribution(
    layouts=(
        _idx(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
            (".", "FashionMNIST/raw", "raw", "fashion-mnist"),
            {
                "train-images-idx3-ubyte": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                "train-labels-idx1-ubyte": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                "t10k-images-idx3-ubyte": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                "t10k-labels-idx1-ubyte": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            },
            {
                "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            },
        ),
    ),
    num_examples={"train": 60_000, "test": 10_000},
)
_KMNIST_FOLDERS = (".", "KMNIST/raw", "raw", "kmnist")
_KMNIST_GZIPPED = {
    "train-images-idx3-ubyte.gz": "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
    "train-labels-idx1-ubyte.gz": "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
    "t10k-images-idx3-ubyte.gz": "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
    "t10k-labels-idx1-ubyte.gz": "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
}
_KMNIST = Distribution(
    layouts=(
        Layout(
            "gzip",
            {name: (f"sha256:{digest}",) for name, digest in _KMNIST_GZIPPED.items()},
            folders=_KMNIST_FOLDERS,
            downloads={
                name: Download(f"http://codh.rois.ac.jp/kmnist/dataset/kmnist/{name}", digest)
                for name, digest in _KMNIST_GZIPPED.items()
            },
        ),
        # No digest of the content is published.
        Layout("idx", {name.removesuffix(".gz"): () for name in _KMNIST_GZIPPED}, folders=_KMNIST_FOLDERS),
    ),
    num_examples={"train": 60_000, "test": 10_000},
)


class Mnist(SourceBuilder):
    """MNIST: 70,000 grey-scale images 28 x 28 of handwritten digits.

    From the idx files, gzipped or not, or Keras' mnist.npz. Ids are positions in the files of a split.

    Source: Y. LeCun, C. Cortes, C. Burges, The MNIST database of handwritten digits, 1998.
    """

    DISTRIBUTION = _MNIST
    IMAGE_SHAPE = (28, 28, 1)
    CLASS_NAMES: ClassVar[tuple[str, ...]] = tuple("0123456789")
    HOMEPAGE = "http://yann.lecun.com/exdb/mnist"

    def parse(self, layout: str, contents: Mapping[str, bytes]) -> dict[str, Arrays]:
        """See `SourceBuilder`."""
        if layout == "npz":
            with np.load(io.BytesIO(contents["mnist.npz"])) as stored:
                return {
                    split: {"image": stored[f"x_{split}"][..., None], "label": stored[f"y_{split}"]}
                    for split in ("train", "test")
                }
        contents = {name.removesuffix(".gz"): content for name, content in contents.items()}
        return {
            split: {
                "image": _array(contents[f"{prefix}-images-idx3-ubyte"], _IMAGES_MAGIC, 3)[..., None],
                "label": _array(contents[f"{prefix}-labels-idx1-ubyte"], _LABELS_MAGIC, 1),
            }
            for split, prefix in (("train", "train"), ("test", "t10k"))
        }


class FashionMnist(Mnist):
    """Fashion-MNIST: 70,000 grey-scale images 28 x 28 of 10 kinds of clothing.

    Its files have MNIST's names; what they hold tells them apart. Ids are positions in the files of a split.

    Source: H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST, arXiv:1708.07747, 2017.
    """

    DISTRIBUTION = _FASHION_MNIST
    CLASS_NAMES = (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
        "Ankle boot",
    )  # fmt: skip
    HOMEPAGE = "https://github.com/zalandoresearch/fashion-mnist"


class Kmnist(Mnist):
    """Kuzushiji-MNIST: 70,000 grey-scale images 28 x 28 of 10 cursive hiragana.

    Digests are published for the gzipped files alone. Unpacked files are checked for their structure
    only, and that they are not MNIST's or Fashion-MNIST's; `info.metadata` keeps their sha256. Ids are
    positions in the files of a split.

    Source: T. Clanuwat et al., Deep Learning for Classical Japanese Literature, arXiv:1812.01718, 2018.
    """

    DISTRIBUTION = _KMNIST
    CLASS_NAMES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
    HOMEPAGE = "http://codh.rois.ac.jp/kmnist"

    def parse(self, layout: str, contents: Mapping[str, bytes]) -> dict[str, Arrays]:
        """See `SourceBuilder`."""
        for other in (Mnist, FashionMnist):
            known = other.DISTRIBUTION.layouts[0].members
            for name, content in contents.items():
                if f"sha256:{hashlib.sha256(content).hexdigest()}" in known.get(name, ()):
                    raise ValueError(f"{name} is that of {other.name!r}")
        return super().parse(layout, contents)


def _array(content: bytes, magic: int, ndim: int) -> np.ndarray:
    """An idx file: big-endian magic number and sizes, then bytes."""
    header = np.frombuffer(content, ">i4", 1 + ndim)
    if header[0] != magic:
        raise ValueError(f"the magic number is {header[0]}, must be {magic}")
    return np.frombuffer(content, np.uint8, offset=header.nbytes).reshape(header[1:])
