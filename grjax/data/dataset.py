"""A data set: images, labels and ids of its splits."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from grjax.data.image_files import ImageFiles
from grjax.errors import ConfigError

# Both have shape, dtype and a length, and give [B, height, width, channels] for integer positions [B].
Images = np.ndarray | ImageFiles

_CHUNK = 64  # images of which sums are taken at a time, so that they need little memory


@dataclasses.dataclass(frozen=True)
class Split:
    """Examples with their labels, before any noise of ours.

    Attributes:
      images: [N, height, width, channels]: an array, uint8 or, as of vectors [N, 1, 1, D], finite float32;
        or `ImageFiles`, uint8, that decode when indexed.
      labels: clean labels, int32 [N]; of data sets that are distributed with wrong labels, those.
      ids: distinct example ids, int64 [N], ascending.
      annotations: other labels of the same examples, int32 [N] each, by the name of their column.
    """

    images: Images
    labels: np.ndarray
    ids: np.ndarray
    annotations: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, positions: np.ndarray) -> "Split":
        """The examples at `positions`, in that order; images on disk stay there."""
        images = self.images
        chosen = images.take(positions) if isinstance(images, ImageFiles) else images[positions]
        annotations = {name: each[positions] for name, each in self.annotations.items()}
        return Split(chosen, self.labels[positions], self.ids[positions], annotations)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Named splits of one classification problem; 'train' is the first, and 'test' is always there.

    Raises `ConfigError` when built from other splits, or from splits that are empty, do not have images of
    one shape and dtype, or have numbers that are not finite, labels out of range, or ids that are not
    distinct.
    """

    name: str
    class_names: tuple[str, ...]
    splits: dict[str, Split]

    def __post_init__(self) -> None:
        # Positions of training examples index labels and, in a resident feed, the images of all splits.
        if next(iter(self.splits), None) != "train" or "test" not in self.splits:
            raise ConfigError(
                f"data set {self.name!r}: the first split must be 'train', and 'test' one of the others, "
                f"got {list(self.splits)}"
            )
        for name, split in self.splits.items():
            where = f"data set {self.name!r}, split {name!r}"
            if not len(split):
                raise ConfigError(f"{where}: has no examples")
            images, first = split.images, next(iter(self.splits.values())).images
            if images.dtype not in (np.uint8, np.float32) or len(images.shape) != 4:
                raise ConfigError(
                    f"{where}: images must be uint8 or float32 [N, height, width, channels], "
                    f"got {images.dtype} {list(images.shape)}"
                )
            if (images.dtype, images.shape[1:]) != (first.dtype, first.shape[1:]):
                raise ConfigError(
                    f"{where}: images are {images.dtype} {list(images.shape[1:])}, those of the other splits "
                    f"{first.dtype} {list(first.shape[1:])}; they must be alike"
                )
            if not len(split.images) == len(split.labels) == len(split.ids):
                raise ConfigError(
                    f"{where}: {len(split.images)} images, {len(split.labels)} labels and "
                    f"{len(split.ids)} ids; the numbers must be equal"
                )
            if isinstance(images, np.ndarray) and images.dtype == np.float32:
                finite = np.isfinite(images).all((1, 2, 3))
                if not finite.all():
                    raise ConfigError(
                        f"{where}: example {split.ids[finite.argmin()]} holds NaN or infinity; "
                        "features must be finite"
                    )
            bad = np.flatnonzero((split.labels < 0) | (split.labels >= self.num_classes))
            if bad.size:
                raise ConfigError(
                    f"{where}: example {split.ids[bad[0]]} has label {split.labels[bad[0]]}; "
                    f"labels must be in [0, {self.num_classes})"
                )
            if len(np.unique(split.ids)) != len(split.ids):
                raise ConfigError(f"{where}: ids are not distinct")

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self.class_names)

    def channel_statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each channel over the training pixels: float32 [channels] each.

        A channel that is constant has standard deviation 1: where a test image differs there, it is not made
        huge. Of images on disk, 1,024 that are spread evenly over the split stand for all.
        """
        images = self.splits["train"].images
        if isinstance(images, np.ndarray) and images.dtype != np.uint8:  # vectors, which are few
            mean, std = images.mean((0, 1, 2), dtype=np.float64), images.std((0, 1, 2), dtype=np.float64)
            constant = std <= 1e-7 * np.abs(mean)  # to the resolution of float32
            return mean.astype(np.float32), np.where(constant, 1, std).astype(np.float32)
        if isinstance(images, ImageFiles):
            few = np.unique(np.linspace(0, len(images) - 1, 1024).round().astype(np.int64))
            parts = (images[few[i : i + 1]] for i in range(len(few)))
        else:
            parts = (images[i : i + _CHUNK] for i in range(0, len(images), _CHUNK))
        pixels, (total, squares) = 0, np.zeros((2, images.shape[-1]), np.int64)
        for part in parts:
            pixels += part[..., 0].size
            total += part.sum(0, dtype=np.int64).sum((0, 1))
            squares += np.square(part, dtype=np.uint16).sum(0, dtype=np.int64).sum((0, 1))
        # As integers of Python, whose products are exact: nothing is lost in the difference.
        total, squares = total.astype(object), squares.astype(object)
        mean = (total / pixels).astype(np.float64)
        std = np.sqrt(((pixels * squares - total**2) / pixels**2).astype(np.float64))
        return mean.astype(np.float32), np.where(std == 0, 1, std).astype(np.float32)
