"""IMDB's movie reviews as TFDS data sets: a vector for each, by PV-DBOW or by skip-gram."""

import dataclasses
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from grjax.data import document_vectors, skip_gram, vocabulary
from grjax.data.source_builder import Arrays, SourceBuilder
from grjax.data.source_files import Distribution, Download, Layout
from grjax.errors import ConfigError, require
from grjax.progress import counted

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
_WITH_UNLABELLED = dataclasses.replace(
    _IMDB,
    layouts=tuple(
        dataclasses.replace(layout, members={**layout.members, "train/unsup": ()}) for layout in _IMDB.layouts
    ),
    num_examples={**_IMDB.num_examples, "unsup": 50_000},
)


class Imdb(SourceBuilder):
    """IMDB, the Large Movie Review Dataset: 25,000 training and 25,000 test reviews, half of each positive.

    A review is a vector float32 [1, 1, 100], an image of one pixel with 100 channels, by PV-DBOW on the
    25,000 training reviews alone: see `grjax.data.document_vectors`. Test reviews are inferred, and the
    50,000 reviews without labels are not used. Those of the Gradient Rescaling paper are `ImdbSkipGram`'s.

    Ids: the files of a split, all of neg, then all of pos, each sorted by name as text, are 0, 1, ...: '0_3'
    comes before '10_4', and that before '1_1'.

    The sha256 of the archive is the one that TFDS checks; none is known of the single files. In an unpacked
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

        texts = _labelled(contents, self.distribution, document_vectors.words)
        vectors = document_vectors.document_vectors(texts["train"], texts["test"])
        self.info.metadata["gensim"] = gensim.__version__
        return _examples(vectors)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        require("gensim", "text")  # before anything is read or downloaded
        return super()._split_generators(dl_manager)


class ImdbSkipGram(Imdb):
    """IMDB with vectors of all 100,000 reviews: 25,000 for training, 25,000 for testing, 50,000 unlabelled.

    A review is a vector float32 [1, 1, 100]; all are trained together, beside those of words: see
    `grjax.data.skip_gram`. No label has a part in them, but the text of every test review has. So does the
    public code that the Gradient Rescaling paper names for IMDB; its vectors are not published.

    Training takes most of an hour on two cores, with a bar that says how much longer. Stopped, it goes on
    from its last iteration when the data are prepared again. `info.metadata` keeps how it was done.

    Ids and checksums: as of `Imdb`.
    """

    DISTRIBUTION = _WITH_UNLABELLED

    def parse(self, layout: str, contents: Mapping[str, bytes]) -> dict[str, Arrays]:
        """See `SourceBuilder`."""
        import numba  # only here: preparing happens once

        labelled = _labelled(contents, self.distribution, vocabulary.tokens)
        unlabelled = _files(contents, "train/unsup", self.distribution.num_examples["unsup"])
        texts = [vocabulary.tokens(text) for split in labelled.values() for text in split]
        texts += [vocabulary.tokens(_text(name, contents[name], vocabulary.tokens)) for name in unlabelled]
        settings, threads = skip_gram.Settings(), _num_cores()
        with counted("document vectors, words") as report:
            vectors = skip_gram.skip_gram(
                texts, settings, threads=threads, keep_in=self._unfinished, report=report
            )
        self.info.metadata["document_vectors"] = {
            **dataclasses.asdict(settings), "size": skip_gram.SIZE, "threads": threads,
            "documents": len(texts), "tokens": sum(map(len, texts)), "numba": numba.__version__,
        }  # fmt: skip
        sizes = [len(split) for split in labelled.values()]
        return _examples(np.split(vectors, np.cumsum(sizes))[:2])

    def download_and_prepare(self, **kwargs: Any) -> None:
        """As of every TFDS builder; what was kept of an unfinished training is gone afterwards."""
        super().download_and_prepare(**kwargs)
        shutil.rmtree(self._unfinished, ignore_errors=True)

    @property
    def _unfinished(self) -> Any:
        return self.data_path.parent / "unfinished"

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        require("numba", "text")  # before anything is read or downloaded
        return SourceBuilder._split_generators(self, dl_manager)


def _labelled(
    contents: Mapping[str, bytes], distribution: Distribution, words: Callable[[str], Sequence[str]]
) -> dict[str, list[str]]:
    """The reviews of 'train' and 'test', those of neg first, each by the names of its files."""
    return {
        split: [
            _text(name, contents[name], words)
            for of_class in _CLASSES
            for name in _files(contents, f"{split}/{of_class}", distribution.num_examples[split] // 2)
        ]
        for split in ("train", "test")
    }


def _examples(vectors: Sequence[np.ndarray]) -> dict[str, Arrays]:
    """The features of 'train' and 'test', half of which are neg."""
    return {
        split: {"image": found[:, None, None], "label": np.repeat(np.arange(2), len(found) // 2)}
        for split, found in zip(("train", "test"), vectors, strict=True)
    }


def _num_cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _files(contents: Mapping[str, bytes], folder: str, count: int) -> list[str]:
    names = sorted(name for name in contents if name.startswith(f"{folder}/"))
    if len(names) != count:
        raise ConfigError(f"data.dir: {folder} of 'imdb' must hold {count} .txt files, holds {len(names)}")
    return names


def _text(name: str, content: bytes, words: Callable[[str], Sequence[str]]) -> str:
    text = content.decode()
    if not words(text):
        raise ConfigError(f"data.dir: {name} of 'imdb' must be a review, it holds no word")
    return text
