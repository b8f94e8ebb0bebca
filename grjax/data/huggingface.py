"""Data sets of the Hugging Face `datasets` library: on disk, or by name from the hub."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from grjax.data import class_labels
from grjax.data.dataset import Dataset, Images
from grjax.data.encoded_images import EncodedImages
from grjax.data.own import of_splits, split_named
from grjax.data.pixels import to_rgb
from grjax.errors import ConfigError, require
from grjax.registry import closest

# Sides, up to which images that all have one size stay unchanged, in memory.
_SMALL = 128
_READERS = {".parquet": "parquet", ".csv": "csv", ".json": "json", ".jsonl": "json", ".arrow": "arrow"}


class Choice(NamedTuple):
    """What of a data set is read; None and () leave it to the reader.

    Attributes:
      columns: what is learned from: one of images or arrays, or several of numbers.
      label_column: the clean labels.
      annotations: other labels of the training examples.
      train_split, test_split: names of splits.
      subset: of a data set of the hub that has several, which one.
    """

    columns: Sequence[str] = ()
    label_column: str | None = None
    annotations: Sequence[str] = ()
    train_split: str | None = None
    test_split: str | None = None
    subset: str | None = None


def from_huggingface(
    source: str, choice: Choice, *, image_size: int, test_fraction: float, test_seed: int
) -> Dataset:
    """A data set that the `datasets` library reads.

    Args:
      source: a folder that `save_to_disk` wrote; a folder of parquet files, or of images, as `load_dataset`
        takes it; one parquet, CSV, JSON or Arrow file; or a name on the hub, which needs a network.
      choice: of columns and splits. By default the columns are the one of images, or else the one of lists
        or arrays of numbers, and the label is the one class label, or else 'label'. Splits are named as those
        of a folder of images.
      image_size: of images that differ in size or are large: they stay encoded until a batch needs them.
        Images of one size of at most 128 pixels a side keep it, and grey ones their one channel.
      test_fraction: of each class, where there is no test split.
      test_seed: of that choice.

    An example's id is its integer in a column 'id', where there is one, else its row in its split.

    Raises:
      ConfigError: the library is missing or cannot read the source; a column or split that is not there, or
        holds something else; or see `from_arrays`.
    """
    require("datasets", "huggingface")
    found = _splits(_open(source, choice.subset), choice)
    where = f"data.dir: {source}"
    train = found["train"]
    label = _label_column(train, choice, where)
    columns = _input_columns(train, choice, {label, *choice.annotations}, where)
    for split, table in found.items():
        _require(table, [*columns, label], f"{where}, split {split!r}", "data.columns and data.label_column")
    _require(train, choice.annotations, f"{where}, split 'train'", "noise.column")
    names = getattr(train.features[label], "names", None)
    splits = {}
    for split, table in found.items():
        at = f"{split} column"
        inputs = _inputs(table, columns, image_size, at)
        splits[split] = inputs, _labels(table, label, f"{at} {label!r}"), _ids(table)
    return of_splits(
        splits,
        where,
        annotations={name: _labels(train, name, f"noise.column {name!r}") for name in choice.annotations},
        class_names=names,
        name=class_labels.readable(Path(source).stem),
        test_fraction=test_fraction,
        test_seed=test_seed,
    )


def _open(source: str, subset: str | None) -> Any:
    """A Dataset or a DatasetDict."""
    import datasets

    path = Path(source).expanduser()
    try:
        if (path / "dataset_dict.json").exists() or (path / "state.json").exists():
            return datasets.load_from_disk(str(path))
        if path.is_file():
            if path.suffix not in _READERS:
                raise ConfigError(f"data.dir: {path} must be a folder, or end in {', '.join(_READERS)}")
            return datasets.load_dataset(_READERS[path.suffix], data_files=str(path))
        if not path.exists() and (path.is_absolute() or source[:1] in "./~" or source.count("/") > 1):
            raise ConfigError(
                f"data.dir: {path} does not exist; it must be a folder, a file or a name on the hub"
            )
        return datasets.load_dataset(str(path) if path.exists() else source, subset)
    except ConfigError:
        raise
    except Exception as error:  # whatever the reader of the format raises, or the network
        raise ConfigError(
            f"data.dir: {source} cannot be read by the datasets library: {type(error).__name__}: {error}"
        ) from error


def _splits(opened: Any, choice: Choice) -> dict[str, Any]:
    """The tables of the splits 'train', and 'validation' and 'test' where they are there."""
    every = opened if isinstance(opened, Mapping) else {"train": opened}
    named = {"train": choice.train_split, "test": choice.test_split, "validation": None}
    found = {}
    for split, name in named.items():
        if name is not None and name not in every:
            raise ConfigError(f"data.{split}_split: no split {name!r}; {closest(name, every)}")
        chosen = {choice.train_split, choice.test_split}
        fitting = [each for each in every if split_named(each) == split and each not in chosen]
        if name is None and len(fitting) > 1:
            raise ConfigError(f"data.{split}_split: must be one of {', '.join(fitting)}, got None")
        if name is not None or fitting:
            found[split] = every[name or fitting[0]]
    if "train" not in found:
        raise ConfigError(f"data.train_split: must be one of {', '.join(every)}, got None")
    return found


def _label_column(table: Any, choice: Choice, where: str) -> str:
    if choice.label_column is not None:
        _require(table, [choice.label_column], where, "data.label_column")
        feature = table.features[choice.label_column]
        if not (_is_value(feature) or hasattr(feature, "names")):
            raise ConfigError(
                f"data.label_column: {choice.label_column!r} must be of integers, names or class labels, got "
                f"{_type(feature)}; {where} has {_described(table)}"
            )
        return choice.label_column
    others = set(choice.annotations)
    classes = [name for name, each in table.features.items() if hasattr(each, "names") and name not in others]
    if len(classes) == 1:
        return str(classes[0])
    if "label" in table.features:
        return "label"
    raise ConfigError(
        f"data.label_column: must be the column of the labels, got None; {where} has {_described(table)}"
    )


def _input_columns(table: Any, choice: Choice, labels: set[str], where: str) -> list[str]:
    if choice.columns:
        _require(table, choice.columns, where, "data.columns")
        if taken := labels.intersection(choice.columns):
            raise ConfigError(f"data.columns: {min(taken)!r} is a column of labels, and no input")
        return list(choice.columns)
    for kind in (_is_image, _is_array):
        fitting = [name for name, each in table.features.items() if kind(each) and name not in labels]
        if len(fitting) == 1:
            return fitting
    raise ConfigError(
        "data.columns: must name the columns to learn from, one of images or arrays, or several of numbers, "
        f"got none; {where} has {_described(table)}"
    )


def _require(table: Any, names: Sequence[str], where: str, key: str) -> None:
    for name in names:
        if name not in table.features:
            raise ConfigError(f"{key}: no column {name!r} in {where}, which has {_described(table)}")


def _described(table: Any) -> str:
    """The columns with their types, for an error."""
    return ", ".join(f"{name} ({_type(each)})" for name, each in table.features.items())


def _type(feature: Any) -> str:
    return (
        str(getattr(feature, "dtype", type(feature).__name__))
        if _is_value(feature)
        else type(feature).__name__
    )


def _is_value(feature: Any) -> bool:
    return type(feature).__name__ == "Value"


def _is_image(feature: Any) -> bool:
    return type(feature).__name__ == "Image"


def _is_array(feature: Any) -> bool:
    """Whether a feature is of lists or arrays."""
    kind = type(feature).__name__
    return kind in ("List", "LargeList", "Sequence", "Array2D", "Array3D", "Array4D", "Array5D")


def _inputs(table: Any, columns: Sequence[str], image_size: int, where: str) -> Images:
    if len(columns) == 1 and _is_image(table.features[columns[0]]):
        return _images(table, columns[0], image_size, f"{where} {columns[0]!r}")
    arrays = []
    for name in columns:
        if _is_image(table.features[name]):
            raise ConfigError(f"data.columns: {name!r} is of images, which stand alone; name it alone")
        array = _array(table, name, f"{where} {name!r}")
        arrays.append(array)
    if len(arrays) == 1 and arrays[0].ndim > 1:
        return arrays[0]
    return np.concatenate([array.reshape(len(array), -1) for array in arrays], axis=1)


def _images(table: Any, name: str, image_size: int, where: str) -> Images:
    """Small images of one size as an array, others as they are encoded."""
    encoded = EncodedImages(table, name, image_size, where)
    grey, decoded = True, []
    for position in range(len(encoded)):
        image = encoded.opened(position)
        if max(image.size) > _SMALL:
            return encoded
        grey = grey and image.mode in ("1", "L")
        decoded.append(np.asarray(to_rgb(image)))
        if decoded[-1].shape != decoded[0].shape:
            return encoded
    pixels = np.stack(decoded) if decoded else np.zeros((0, 1, 1, 3), np.uint8)
    return pixels[..., :1] if grey else pixels


def _array(table: Any, name: str, where: str) -> np.ndarray:
    """Numbers [N], or of lists and arrays [N, ...]."""
    import pyarrow as pa
    import pyarrow.compute as pc

    array = table.with_format("arrow")[:].column(name).combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([])
    shape = [len(array)]
    while True:
        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        if array.null_count:
            row = int(np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))[0]) // int(
                np.prod(shape[1:])
            )
            raise ConfigError(f"{where}: is missing in row {row}; leave these examples out, or fill them in")
        kind = array.type
        if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
            break
        lengths = np.unique(pc.list_value_length(array).to_numpy(zero_copy_only=False))
        if len(lengths) > 1:
            raise ConfigError(
                f"{where}: must have as many numbers in every row, got {lengths[0]} to {lengths[-1]}"
            )
        shape.append(int(lengths[0]) if len(lengths) else 0)
        array = pc.list_flatten(array)
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise ConfigError(f"{where}: must be images or numbers, got {kind}")
    return array.to_numpy(zero_copy_only=False).reshape(shape)


def _labels(table: Any, name: str, where: str) -> np.ndarray:
    """Labels as `class_labels.read` has them; of a class label the names."""
    found = class_labels.read(table.with_format("arrow")[:].column(name).to_pylist(), where)
    names = getattr(table.features[name], "names", None)
    if names is None:
        return found
    class_labels.check_numbers(found, where)
    if found.size and found.max() >= len(names):
        raise ConfigError(
            f"{where}: must be in [0, {len(names)}) for its {len(names)} names, got {found.max()}"
        )
    return np.array(class_labels.class_names(names))[found]


def _ids(table: Any) -> np.ndarray | None:
    feature = table.features.get("id")
    if feature is None or not _is_value(feature) or "int" not in feature.dtype:
        return None
    return _array(table, "id", "column 'id'")
