"""Clothing1M: a million product photographs with labels from their surrounding text."""

from pathlib import Path

from grjax.data.dataset import Dataset, Split
from grjax.data.image_lists import read_lines, read_pairs, require, split_of_files
from grjax.errors import ConfigError

_CLASS_NAMES = (
    "T-Shirt", "Shirt", "Knitwear", "Chiffon", "Sweater", "Hoodie", "Windbreaker", "Jacket", "Downcoat",
    "Suit", "Shawl", "Dress", "Vest", "Underwear",
)  # fmt: skip


def clothing1m(path: Path, image_size: int) -> Dataset:
    """Clothing1M in the layout of its authors: 14 classes, noisy training labels, clean validation and test.

    `path` holds images/ and, beside it or in annotations/, for SPLIT noisy_train, clean_val and clean_test
    the lists SPLIT_key_list.txt with noisy_label_kv.txt and clean_label_kv.txt, or SPLIT_kv.txt with paths
    and labels in one.

    An example's id is its position in the list of its split. The 50,000 images with clean training labels are
    `clothing1m_clean`'s.

    Source: T. Xiao et al., Learning from Massive Noisy Labeled Data for Image Classification, CVPR 2015.
    """
    return _read(path, image_size, "noisy_train", "clothing1m")


def clothing1m_clean(path: Path, image_size: int) -> Dataset:
    """Clothing1M with the training images that have clean labels, instead of those with noisy ones."""
    return _read(path, image_size, "clean_train", "clothing1m_clean")


def _read(path: Path, image_size: int, train: str, name: str) -> Dataset:
    lists = path / "annotations" if (path / "annotations").is_dir() else path
    splits = {"train": train, "validation": "clean_val", "test": "clean_test"}
    return Dataset(
        name, _CLASS_NAMES, {split: _split(path, lists, key, image_size) for split, key in splits.items()}
    )


def _split(path: Path, lists: Path, key: str, image_size: int) -> Split:
    listed = lists / f"{key}_kv.txt"
    if listed.is_file():
        labels = read_pairs(listed, len(_CLASS_NAMES))
        paths = list(labels)
    else:
        listed = lists / f"{key}_key_list.txt"
        layout = (
            f"images/ and, beside it or in annotations/, {key}_key_list.txt with noisy_label_kv.txt and "
            f"clean_label_kv.txt, or {key}_kv.txt"
        )
        require(lists, [listed.name, f"{key.partition('_')[0]}_label_kv.txt"], layout)
        paths = read_lines(listed)
        pairs = lists / f"{key.partition('_')[0]}_label_kv.txt"
        labels = read_pairs(pairs, len(_CLASS_NAMES))
        unlabelled = [each for each in paths if each not in labels]
        if unlabelled:
            raise ConfigError(f"data.dir: {pairs} has no label of {unlabelled[0]}, which {listed.name} lists")
    return split_of_files(path, paths, [labels[each] for each in paths], image_size, listed.name)
