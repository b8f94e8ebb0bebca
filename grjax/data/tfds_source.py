"""Reading a TFDS data set into memory, without TensorFlow."""

import contextlib
import io
import logging
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from grjax.data import source_files
from grjax.data.dataset import Dataset, Split
from grjax.data.source_builder import SourceBuilder
from grjax.data.source_files import Distribution
from grjax.errors import ConfigError

# The format that neither needs TensorFlow nor loses examples.
_FORMAT = "array_record"
# Examples are read so many at a time: as objects of Python they take several times their memory.
_CHUNK = 4096
# What would be the name of a file, not of a folder that is yet to be made.
_ARCHIVE = re.compile(r"\.(gz|tgz|tar|zip|npz|mat)$")


def read(
    builder_class: type[tfds.core.GeneratorBasedBuilder],
    dir: str | None,
    distribution: Distribution | None = None,
) -> Dataset:
    """Prepares a data set on disk unless it is there, and reads its 'train' and 'test' splits.

    Args:
      builder_class: a builder with integer features 'id' and 'label' and a uint8 or float32 'image'.
      dir: the data set's files, an archive or a folder, if they are found there; else where TFDS keeps data;
        None: its default, ~/tensorflow_datasets or $TFDS_DATA_DIR.
      distribution: instead of the builder's own, as for a smaller copy of a data set.

    Returns:
      The data set, each split in the order of its ids, whatever the order on disk.

    Raises:
      ConfigError: `dir` cannot be written, or holds a damaged copy or other files; or the files are neither
        on disk nor to be downloaded.
    """
    builder = _prepare(builder_class, _options(builder_class, dir, distribution))
    return Dataset(
        name=builder.name,
        class_names=tuple(builder.info.features["label"].names),
        splits={name: _read_split(builder, name) for name in ("train", "test")},
    )


def _options(
    builder_class: type[tfds.core.GeneratorBasedBuilder], dir: str | None, distribution: Distribution | None
) -> dict[str, Any]:
    """What the builder is made with: `dir` is the data set's files, or the folder of prepared data."""
    if not issubclass(builder_class, SourceBuilder):
        return {"data_dir": dir, "file_format": _FORMAT}
    distribution = distribution or builder_class.DISTRIBUTION
    source = None
    if dir is not None:
        path = Path(dir).expanduser()
        if not (path / builder_class.name / str(builder_class.VERSION)).exists():
            source = source_files.find(path, distribution)
            if source is None:
                source_files.refuse_deeper(path, distribution)
        if source is None and (path.is_file() or _ARCHIVE.search(path.name)):
            folder = f"a folder with {', '.join(distribution.layouts[0].members)}"
            raise ConfigError(
                f"data.dir: {path} {'is not one of its files' if path.exists() else 'does not exist'}; "
                f"{builder_class.name!r} takes {', or '.join([*distribution.single_files, folder])}"
            )
    data_dir = dir if source is None else None
    return {"source": source, "distribution": distribution, "data_dir": data_dir, "file_format": _FORMAT}


def _prepare(
    builder_class: type[tfds.core.GeneratorBasedBuilder], options: dict[str, Any]
) -> tfds.core.GeneratorBasedBuilder:
    try:
        builder = _open(builder_class, options)
        if builder.is_prepared():
            return _open(builder_class, options)
        logging.info("Preparing %s in %s", builder.name, builder.data_dir)
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare()
    except OSError as error:
        # Another process may have prepared the same data meanwhile, and have been first to move them.
        if not _open(builder_class, options).is_prepared():
            root = options["data_dir"] or tfds.core.constants.DATA_DIR
            raise ConfigError(
                f"data.dir: cannot prepare {builder_class.name!r} in {root}: {error}; set $TFDS_DATA_DIR, or "
                "--config.data.dir, to a folder that can be written"
            ) from error
    # A builder that was opened before the data were there does not know them.
    return _open(builder_class, options)


def _open(
    builder_class: type[tfds.core.GeneratorBasedBuilder], options: dict[str, Any]
) -> tfds.core.GeneratorBasedBuilder:
    try:
        return builder_class(**options)
    except OSError:
        raise
    except Exception as error:  # damaged metadata
        root = options["data_dir"] or tfds.core.constants.DATA_DIR
        folder = os.path.join(root, builder_class.name, str(builder_class.VERSION))
        raise ConfigError(
            f"data set {builder_class.name!r}: cannot read the metadata under {folder}: {error}; "
            "delete that folder to have it prepared again"
        ) from error


def _read_split(builder: tfds.core.GeneratorBasedBuilder, name: str) -> Split:
    try:
        source = builder.as_data_source(name)
        feature = builder.info.features["image"]
        images = np.empty((len(source), *feature.shape), feature.np_dtype)
        labels, ids = np.empty(len(source), np.int32), np.empty(len(source), np.int64)
        for start in range(0, len(source), _CHUNK):
            rows = range(start, min(start + _CHUNK, len(source)))
            for row, example in zip(rows, source.__getitems__(rows), strict=True):
                images[row], labels[row], ids[row] = (example[key] for key in ("image", "label", "id"))
    except Exception as error:  # a damaged file fails deep inside, and differently each time
        raise ConfigError(
            f"data set {builder.name!r}: cannot read split {name!r} under {os.fspath(builder.data_dir)}: "
            f"{error}; delete that folder to have it prepared again"
        ) from error
    order = np.argsort(ids)
    return Split(images[order], labels[order], ids[order])
