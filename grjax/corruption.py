"""What is trained on: a data set without some examples, with other labels, and images of another one."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
from ml_collections import ConfigDict

from grjax import data, noise
from grjax.errors import ConfigError
from grjax.noise import imbalance, open_set
from grjax.registry import check_options


def load(config: ConfigDict) -> data.Dataset:
    """The data set of a config, as it is before anything is left out, corrupted or replaced.

    Raises:
      ConfigError: see `data.load`.
    """
    return data.load(
        config.data.name,
        dir=config.data.dir,
        image_size=config.data.image_size,
        test_fraction=config.data.test_fraction,
        test_seed=config.data.test_seed,
        validation_fraction=config.data.validation_fraction,
        validation_seed=config.data.validation_seed,
        columns=config.data.columns,
        label_column=config.data.label_column,
        train_split=config.data.train_split,
        test_split=config.data.test_split,
        subset=config.data.subset,
        annotations=noise_columns(config),
    )


def noise_columns(config: ConfigDict) -> list[str]:
    """The columns of the data set that hold the noisy labels of a config."""
    sections = [config.noise, *config.noise.get("parts", ())]
    columns = [part.get("column") for part in sections if isinstance(part, Mapping | ConfigDict)]
    return [column for column in columns if isinstance(column, str)]


def corrupted_data(
    config: ConfigDict, dataset: data.Dataset | None = None
) -> tuple[data.Dataset, noise.NoisyLabels]:
    """The data set of a config and the labels that its training split is given.

    First some training examples are left out (`config.imbalance`), then labels are corrupted
    (`config.noise`), then images are replaced by those of another data set (`config.open_set`); noise that
    depends on the image sees the original one. Other splits stay unchanged.

    Args:
      config: of the run.
      dataset: what `load` gives for it, where it is loaded already.

    Raises:
      ConfigError: see the parts.
    """
    for section in (config.noise, *config.noise.get("parts", ())):
        if isinstance(section, Mapping | ConfigDict) and isinstance(section.get("matrix"), np.ndarray):
            raise ConfigError(
                "noise.matrix: an array cannot be kept in config.json, give nested lists or the path of a "
                f".npy file; got an array {list(section['matrix'].shape)}"
            )
    select = imbalance.create(**config.imbalance)
    corrupt = noise.create(**config.noise)
    replacing = {key: value for key, value in config.open_set.items() if key not in ("name", "dir")}
    if config.open_set.name != "none":
        supplied = ("images", "ids", "others", "other_ids")
        check_options("open_set", config.open_set.name, open_set.replace_images, replacing, supplied)
    elif replacing:
        raise ConfigError(
            f"open_set.{next(iter(replacing))}: needs open_set.name, the data set of the images"
        )

    dataset = load(config) if dataset is None else dataset
    train = dataset.splits["train"]
    all_ids, validation_sha256 = train.ids, None
    if config.data.validation_fraction > 0:
        all_ids = np.concatenate([all_ids, dataset.splits["validation"].ids])
    if config.data.validation_labels == "noisy":
        if config.data.validation_fraction == 0:
            # Ids of a list of its own would be drawn for as those of training examples.
            raise ConfigError(
                "data.validation_labels: 'noisy' needs a validation split that is held out of the training "
                "split; set data.validation_fraction"
            )
        dataset, validation_sha256 = _with_noisy_validation(dataset, corrupt, all_ids)
    kept = select(train.labels, dataset.num_classes, train.ids)
    if not kept.all():
        train = train.take(np.flatnonzero(kept))
    noisy = corrupt(
        train.labels, dataset.num_classes, train.ids, train.images, all_ids, annotations=train.annotations
    )
    convention = dict(noisy.convention)
    if config.imbalance.name != "none":
        convention["imbalance"] = config.imbalance.to_dict()
    if config.open_set.name != "none":
        convention["open_set"] = config.open_set.to_dict()
        source = _other_data(config).splits["train"]
        if not isinstance(train.images, np.ndarray) or not isinstance(source.images, np.ndarray):
            raise ConfigError(
                f"open_set.name: {config.data.name!r} and {config.open_set.name!r} must both lie in memory, "
                "images in files of their own cannot be replaced"
            )
        images, replaced_by = open_set.replace_images(
            train.images, train.ids, source.images, source.ids, **replacing
        )
        train = dataclasses.replace(train, images=images)
        digest = open_set.digest(images, train.ids, replaced_by)
        noisy = dataclasses.replace(noisy, replaced_by=replaced_by, replaced_sha256=digest)
    noisy = dataclasses.replace(noisy, convention=convention, validation_sha256=validation_sha256)
    return dataclasses.replace(dataset, splits={**dataset.splits, "train": train}), noisy


def _other_data(config: ConfigDict) -> data.Dataset:
    """The data set whose images replace others; its errors name `open_set`, not `data`."""
    folder = config.open_set.get("dir")
    if not isinstance(folder, str | None):
        raise ConfigError(f"open_set.dir: must be a folder, a file or None, got {folder!r}")
    try:
        return data.load(
            config.open_set.name,
            dir=folder,
            image_size=config.data.image_size,
            test_fraction=config.data.test_fraction,
            test_seed=config.data.test_seed,
        )
    except ConfigError as error:
        raise ConfigError(str(error).replace("data.", "open_set.", 1)) from error


def _with_noisy_validation(
    dataset: data.Dataset, corrupt: Callable[..., noise.NoisyLabels], all_ids: np.ndarray
) -> tuple[data.Dataset, str]:
    """Gives the validation split noisy labels, and the name 'validation_noisy', which its metrics then bear.

    The noise is that of the training labels: a draw depends on seed and id, not on the split. Its hash comes
    with the data set.
    """
    held_out = dataset.splits["validation"]
    noisy = corrupt(
        held_out.labels,
        dataset.num_classes,
        held_out.ids,
        held_out.images,
        all_ids,
        annotations=held_out.annotations,
    )
    splits = {
        "validation_noisy" if name == "validation" else name: split for name, split in dataset.splits.items()
    }
    splits["validation_noisy"] = dataclasses.replace(held_out, labels=noisy.labels)
    return dataclasses.replace(dataset, splits=splits), noisy.sha256
