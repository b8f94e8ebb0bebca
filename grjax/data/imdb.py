"""IMDB's movie reviews as a TFDS data set: a vector for each, by PV-DBOW."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from grjax.data import document_vectors
from grjax.data.source_builder import Arrays, SourceBuilder
from grjax.data.source_files import Distribution, Download, Layout
from grjax.errors import ConfigError, require

_CLASSES = ("neg", "pos")
_IMDB = Distribution(
    layouts=(
        Layout(
            "text",
            {f"{split}/{name}": () for split in ("train", "test") for name in _CLASSES},
            file_ending=".txt",
            folders=(".", "aclImdb"),
            archives=("aclImdb_v1.tar.gz",),
            downloads={
                "aclImdb_v1.tar.gz": Download(
                    "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
                    "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
                )
            },
        ),
    ),
    num_examples={"train": 25_000, "test": 25_000},
)


class Imdb(SourceBuilder):
    """IMDB, the Large Movie Review Dataset: 25,000 training and 25,000 test reviews, half of each positive.

    A review is a vector float32 [1, 1, 100], an image of one pixel with 100 channels, by PV-DBOW on the
    25,000 training reviews alone: see `grjax.data.document_vectors`. Test reviews are inferred, and the
    50,000 reviews without labels are not used. The Gradient Rescaling paper has PV-DBOW vectors, too; by
    which reviews, words and settings is not known here, the choice is ours.

    Ids: the files of a split, all of neg, then all of pos, each sorted by name as text, are 0, 1, ...: '0_3'
    comes before '10_4', and that before '1_1'.

    The sha256 of the archive is the one that TFDS checks; none is known of the single files. Of an unpacked
    folder only the number of files in each class is checked, and that each holds words. `info.metadata` keeps
    a digest of the files of each class (that of their list as sha256sum writes it), and gensim's version.

    Source: A. Maas et al., Learning Word Vectors for Sentiment Analysis, ACL 2011.
    """

    DISTRIBUTION = _IMDB
    IMAGE_SHAPE = (1, 1, document_vectors.SIZE)
    IMAGE_DTYPE = np.float32
    CLASS_NAMES = _CLASSES
    HOMEPAGE = "https://ai.stanford.edu/~amaas/data/sentiment"

    def parse(self, layout: str, contents: Mapping[str, bytes]) -> dict[str, Arrays]:
        """See `SourceBuilder`."""
        import gensim  # only here: preparing happens once

        texts: dict[str, list[str]] = {}
        labels: dict[str, np.ndarray] = {}
        for split, count in self.distribution.num_examples.items():
            of_class = [_files(contents, f"{split}/{name}", count // 2) for name in _CLASSES]
            texts[split] = [_text(name, contents[name]) for names in of_class for name in names]
            labels[split] = np.repeat(np.arange(2), [len(names) for names in of_class])
        vectors = document_vectors.document_vectors(texts["train"], texts["test"])
        self.info.metadata["gensim"] = gensim.__version__
        return {
            split: {"image": found[:, None, None], "label": labels[split]}
            for split, found in zip(("train", "test"), vectors, strict=True)
        }

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        require("gensim", "text")  # before anything is read or downloaded
        return super()._split_generators(dl_manager)


def _files(contents: Mapping[str, bytes], folder: str, count: int) -> list[str]:
    names = sorted(name for name in contents if name.startswith(f"{folder}/"))
    if len(names) != count:
        raise ConfigError(f"data.dir: {folder} of 'imdb' must hold {count} .txt files, holds {len(names)}")
    return names


def _text(name: str, content: bytes) -> str:
    text = content.decode()
    if not document_vectors.words(text):
        raise ConfigError(f"data.dir: {name} of 'imdb' must be a review, it holds no word")
    return text
