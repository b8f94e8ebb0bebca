"""A folder of images for each class: which of its folders are splits, which files are images."""

import collections
import os
import warnings
from pathlib import Path

from PIL import Image

from grjax.data import class_labels
from grjax.data.dataset import Dataset
from grjax.data.image_files import ImageFiles
from grjax.data.own import of_splits, split_named
from grjax.errors import ConfigError, DataWarning

# What systems and programs leave beside people's files, in lower case; so is all that begins with a dot.
_NO_IMAGES = ("thumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "system volume information")


def from_folder(path: Path, image_size: int, test_fraction: float, test_seed: int) -> Dataset:
    """A folder of images for each class, below `path` or below its folders 'train', 'val' and 'test'.

    Those are splits where all folders of `path` are called so, see `split_named`, and hold folders; a
    validation split without a test is the test. Classes are sorted by name, and so are the files of a split:
    an example's id is its place there. Links to folders are followed. What begins with a dot, and what
    systems leave behind, as Thumbs.db and __MACOSX, does not count; a `DataWarning` counts other files that
    are no images.

    Raises:
      ConfigError: folders that are neither classes nor splits, a class without an image, or no image at all.
    """
    roots = _splits(path)
    trees, left_out = {}, collections.Counter[str]()
    for split, root in roots.items():
        trees[split] = _tree(root, left_out)
    if left_out:
        counts = ", ".join(f"{count} {ending}" for ending, count in sorted(left_out.items()))
        warnings.warn(
            f"data.dir: {class_labels.readable(path)}: {left_out.total()} files are no images that can be "
            f"read, and are left out: {counts}",
            DataWarning,
            stacklevel=2,
        )
    return of_splits(
        {
            split: (ImageFiles(roots[split], list(tree), image_size), list(tree.values()), None)
            for split, tree in trees.items()
        },
        f"data.dir: {path}",
        name=class_labels.readable(path.resolve().name),
        test_fraction=test_fraction,
        test_seed=test_seed,
    )


def _splits(path: Path) -> dict[str, Path]:
    """The folders of the splits; of a path whose folders are classes, itself as 'train'."""
    if not path.is_dir():
        raise ConfigError(f"data.dir: {path} must be a folder that holds a folder of images for each class")
    folders = _folders(path)
    splits = [folder for folder in folders if split_named(folder.name) and _folders(folder)]
    splits = [folder for folder in splits if not _holds_images(folder)]
    if not splits:
        if len(folders) == 1 and _folders(folders[0]) and not _holds_images(folders[0]):
            raise ConfigError(
                f"data.dir: {path} holds one folder, in which there are others; give {folders[0]} if "
                "those are the classes"
            )
        return {"train": path}
    others = [folder.name for folder in folders if folder not in splits]
    found: dict[str, Path] = {}
    for folder in splits:
        split = str(split_named(folder.name))
        if others or split in found:
            why = f"beside them {', '.join(others)}" if others else f"two for {split}"
            raise ConfigError(
                f"data.dir: {path} has folders of splits, {', '.join(each.name for each in splits)}, and "
                f"{why}; it must hold a folder for each class, or train/ and test/ (and val/) with a folder "
                "for each class in each"
            )
        found[split] = folder
    if "train" not in found:
        raise ConfigError(
            f"data.dir: {path} holds {', '.join(each.name for each in splits)} and no train; give the folder "
            "that holds a folder for each class, or add train/"
        )
    return found


def _folders(path: Path) -> list[Path]:
    return sorted(each for each in path.iterdir() if _counts(each.name) and each.is_dir())


def _holds_images(path: Path) -> bool:
    return any(_is_image(each.name) for each in path.iterdir() if _counts(each.name) and each.is_file())


def _counts(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _NO_IMAGES


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in Image.registered_extensions()


def _tree(root: Path, left_out: collections.Counter[str]) -> dict[str, str]:
    """The classes of the images below the folders of `root`, by their paths relative to it, sorted."""
    found: dict[str, str] = {}
    for folder in _folders(root):
        images, others = _below(folder)
        if not images:
            counts = ", ".join(f"{count} {ending}" for ending, count in sorted(others.items())) or "no file"
            raise ConfigError(
                f"data.dir: {folder} must hold images, as a folder of a class does; it holds {counts}. "
                "Convert them to JPEG or PNG, or take the folder away"
            )
        left_out += others
        found |= {os.path.relpath(image, root): folder.name for image in images}
    if not found:
        raise ConfigError(f"data.dir: {root} must hold a folder of images for each class, it holds none")
    # By their bytes: the order, and with it the ids, is the same whatever encoding the system has.
    return dict(sorted(found.items(), key=lambda item: os.fsencode(item[0])))


def _below(folder: Path) -> tuple[list[str], collections.Counter[str]]:
    """The images below a folder, links followed, and how many other files there are of each ending."""
    images: list[str] = []
    others = collections.Counter[str]()
    above: dict[str, frozenset[tuple[int, int]]] = {}  # what a folder lies in: a link there is not followed
    for at, folders, files in os.walk(folder, followlinks=True):
        status = os.stat(at)
        chain = above.get(os.path.dirname(at), frozenset()) | {(status.st_dev, status.st_ino)}
        above[at] = chain
        folders[:] = [
            name for name in folders if _counts(name) and not _within(os.path.join(at, name), chain)
        ]
        for name in files:
            if _counts(name):
                if _is_image(name):
                    images.append(os.path.join(at, name))
                else:
                    others[os.path.splitext(name)[1].lower() or "without an ending"] += 1
    return images, others


def _within(path: str, chain: frozenset[tuple[int, int]]) -> bool:
    status = os.stat(path)
    return (status.st_dev, status.st_ino) in chain
