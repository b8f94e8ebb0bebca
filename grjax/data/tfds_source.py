"""Reading a TFDS data set into memory, without TensorFlow."""

import contextlib
import io
import logging
import os

import numpy as np
import tensorflow_datasets as tfds

from grjax.data.dataset import Dataset, Split
from grjax.errors import ConfigError


def read(builder_class: type[tfds.core.GeneratorBasedBuilder], data_dir: str | None) -> Dataset:
    """Prepares a data set on disk unless it is there, and reads its 'train' and 'test' splits.

    Args:
      builder_class: a builder with integer features 'id' and 'label' and a uint8 'image'.
      data_dir: where TFDS keeps data; None: its default, ~/tensorflow_datasets or $TFDS_DATA_DIR.

    Returns:
      The data set, each split in the order of its ids, whatever the order on disk.

    Raises:
      ConfigError: `data_dir` cannot be written, or holds a damaged copy.
    """
    builder = _prepare(builder_class, data_dir)
    return Dataset(
        name=builder.name,
        class_names=tuple(builder.info.features["label"].names),
        splits={name: _read_split(builder, name) for name in ("train", "test")},
    )


def _prepare(
    builder_class: type[tfds.core.GeneratorBasedBuilder], data_dir: str | None
) -> tfds.core.GeneratorBasedBuilder:
    try:
        builder = _open(builder_class, data_dir)
        if builder.is_prepared():
            return _open(builder_class, data_dir)
        logging.info("Preparing %s in %s", builder.name, builder.data_dir)
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare()
    except OSError as error:
        # Another process may have prepared the same data meanwhile, and have been first to move them.
        if not _open(builder_class, data_dir).is_prepared():
            raise ConfigError(f"data.dir: cannot prepare {builder_class.name!r} there: {error}") from error
    # A builder that was opened before the data were there does not know them.
    return _open(builder_class, data_dir)


def _open(
    builder_class: type[tfds.core.GeneratorBasedBuilder], data_dir: str | None
) -> tfds.core.GeneratorBasedBuilder:
    try:
        # array_record is the format that neither needs TensorFlow nor loses examples.
        return builder_class(data_dir=data_dir, file_format="array_record")
    except OSError:
        raise
    except Exception as error:  # damaged metadata
        root = data_dir or tfds.core.constants.DATA_DIR
        folder = os.path.join(root, builder_class.name, str(builder_class.VERSION))
        raise ConfigError(
            f"data set {builder_class.name!r}: cannot read the metadata under {folder}: {error}; "
            "delete that folder to have it prepared again"
        ) from error


def _read_split(builder: tfds.core.GeneratorBasedBuilder, name: str) -> Split:
    try:
        source = builder.as_data_source(name)
        examples = source.__getitems__(range(len(source)))
    except Exception as error:  # a damaged file fails deep inside, and differently each time
        raise ConfigError(
            f"data set {builder.name!r}: cannot read split {name!r} under {os.fspath(builder.data_dir)}: "
            f"{error}; delete that folder to have it prepared again"
        ) from error
    ids = np.array([example["id"] for example in examples], np.int64)
    order = np.argsort(ids)
    return Split(
        images=np.stack([examples[position]["image"] for position in order]),
        labels=np.array([examples[position]["label"] for position in order], np.int32),
        ids=ids[order],
    )
