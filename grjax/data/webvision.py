"""mini-WebVision: the first 50 classes of WebVision 1.0, images found by Google."""

from pathlib import Path

from grjax.data.dataset import Dataset
from grjax.data.image_lists import read_lines, read_pairs, require, split_of_files
from grjax.errors import ConfigError

_CLASSES, _ALL_CLASSES = 50, 1000


def mini_webvision(path: Path, image_size: int) -> Dataset:
    """mini-WebVision in the layout of its authors: noisy training labels, clean test labels.

    `path` holds info/ (train_filelist_google.txt, val_filelist.txt, synsets.txt), google/, and
    val_images_256/ or val_images/. The test split is WebVision's validation set. Where imagenet/ or
    imagenet/val/ holds a folder for each synset of ILSVRC 2012's validation set, that is split 'ilsvrc'.

    An example's id is its position among those of the 50 classes in the list of its split.

    Source: W. Li et al., WebVision Database, arXiv:1708.02862, 2017.
    """
    lists = [f"info/{name}" for name in ("synsets.txt", "train_filelist_google.txt", "val_filelist.txt")]
    require(path, [*lists, "google"], f"{', '.join(lists)}, google/, and val_images_256/ or val_images/")
    synsets = [line.split() for line in read_lines(path / "info" / "synsets.txt")][:_CLASSES]
    if len(synsets) < _CLASSES:
        raise ConfigError(f"data.dir: {path / 'info' / 'synsets.txt'} must have {_CLASSES} lines or more")
    below = next((each for each in ("val_images_256", "val_images") if (path / each).is_dir()), "val_images")
    splits = {}
    for split, name, folder in (
        ("train", "train_filelist_google.txt", ""),
        ("test", "val_filelist.txt", f"{below}/"),
    ):
        labels = read_pairs(path / "info" / name, _ALL_CLASSES)
        chosen = {f"{folder}{key}": label for key, label in labels.items() if label < _CLASSES}
        splits[split] = split_of_files(path, list(chosen), list(chosen.values()), image_size, name)
    if (path / "imagenet").is_dir():
        root = path / "imagenet" / "val" if (path / "imagenet" / "val").is_dir() else path / "imagenet"
        files: dict[str, int] = {}
        for label, (synset, *_) in enumerate(synsets):
            if not (root / synset).is_dir():
                raise ConfigError(f"data.dir: {root} must have a folder {synset}, for class {label}")
            files |= {f"{synset}/{file.name}": label for file in sorted((root / synset).iterdir())}
        splits["ilsvrc"] = split_of_files(root, list(files), list(files.values()), image_size, str(root))
    return Dataset("mini_webvision", tuple(" ".join(words[1:]) or words[0] for words in synsets), splits)
