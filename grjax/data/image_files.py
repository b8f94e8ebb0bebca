"""Images that stay on disk until they are asked for, for data sets that no memory holds."""

import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from grjax.data import class_labels
from grjax.data.pixels import to_rgb
from grjax.errors import ConfigError

# The share of the shorter side: 224 of 256, the centre crop with which the field evaluates.
_CROPPED = 0.875
# Ranges for a random part of an image: its area as a fraction of the image's, and width over height.
_AREA, _RATIO = (0.08, 1.0), (3 / 4, 4 / 3)


class ImageFiles:
    """Image files, indexed like a uint8 array [N, size, size, 3].

    `images[positions]` decodes, in RGB (`grjax.data.pixels`), and brings to size what has another, see `fit`.
    `images.encoded(position)` is a file's content, for random crops in a worker. It pickles to paths, not to
    pixels.

    Args:
      root: the folder that the paths are below.
      paths: of the files, relative to `root`.
      size: height and width of the decoded images, in pixels.
    """

    def __init__(self, root: str | os.PathLike[str], paths: Sequence[str] | np.ndarray, size: int):
        if not 1 <= size <= 4096:
            raise ConfigError(f"data.image_size: must be in [1, 4096], got {size}")
        self.root = os.fspath(root)
        # As bytes: a million str objects would be copied to every worker, at three times the size.
        self._paths = paths if isinstance(paths, np.ndarray) else np.array([os.fsencode(p) for p in paths])
        self.size = size

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, size, size, 3)."""
        return (len(self._paths), self.size, self.size, 3)

    @property
    def dtype(self) -> np.dtype:
        """uint8."""
        return np.dtype(np.uint8)

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, positions: np.ndarray) -> np.ndarray:
        """The decoded images at `positions`, integer [B]: uint8 [B, size, size, 3].

        Raises:
          ConfigError: a file is gone, or does not decode; it names the file.
        """
        positions = np.asarray(positions)
        images = np.empty((len(positions), self.size, self.size, 3), np.uint8)
        for row, position in enumerate(positions.tolist()):
            images[row] = fit(self._open(position), self.size)
        return images

    def random_resized_crop(self, position: int, generator: np.random.Generator) -> np.ndarray:
        """A random part of an image, resized: uint8 [size, size, 3].

        Its area is uniform in [0.08, 1] of the image's, the logarithm of its aspect ratio in [log 3/4,
        log 4/3]; what does not fit within the image is drawn again, ten times at most, then it is the centre.

        Args:
          position: of the image.
          generator: of the draw.

        Raises:
          ConfigError: see `__getitem__`.

        Reference: Szegedy et al., CVPR 2015, section 6, with the constants that are used since.
        """
        image = self._open(position)
        for _ in range(10):
            area = generator.uniform(*_AREA) * image.width * image.height
            ratio = np.exp(generator.uniform(*np.log(_RATIO)))
            width, height = round(np.sqrt(area * ratio)), round(np.sqrt(area / ratio))
            if 0 < width <= image.width and 0 < height <= image.height:
                left = int(generator.integers(0, image.width - width + 1))
                top = int(generator.integers(0, image.height - height + 1))
                box = (left, top, left + width, top + height)
                return np.asarray(image.resize((self.size, self.size), Image.Resampling.BILINEAR, box))
        return fit(image, self.size)

    def take(self, positions: np.ndarray) -> "ImageFiles":
        """The files at `positions`, in that order, still undecoded."""
        return ImageFiles(self.root, self._paths[positions], self.size)

    def path(self, position: int) -> Path:
        """Where the file of an image is."""
        return Path(self.root, os.fsdecode(self._paths[position]))

    def file_name(self, position: int) -> str | None:
        """The path of an image's file as text for a table or a page; None where it has no file of its own."""
        return class_labels.readable(self.path(position))

    def encoded(self, position: int) -> bytes:
        """The content of an image's file, not decoded.

        Raises:
          ConfigError: the file cannot be read.
        """
        path = self.path(position)
        try:
            return path.read_bytes()
        except OSError as error:
            raise ConfigError(f"data.dir: cannot read the image {path}: {error.strerror}") from error

    def _open(self, position: int) -> Image.Image:
        try:
            with Image.open(io.BytesIO(self.encoded(position))) as opened:
                return to_rgb(opened)
        except ConfigError:
            raise
        except Exception as error:  # Pillow raises half a dozen kinds
            raise ConfigError(
                f"data.dir: {self.path(position)} does not decode as an image: {error}; "
                "replace the file, or take it out of the list"
            ) from error


def fit(image: Image.Image, size: int) -> np.ndarray:
    """An image as uint8 [size, size, channels]; one of that size stays unchanged.

    Otherwise the shorter side is resized to size / 0.875, bilinearly, and the centre is cut out.
    """
    if image.size == (size, size):
        return np.asarray(image)
    scale = size / _CROPPED / min(image.size)
    width, height = (max(size, round(scale * side)) for side in image.size)
    left, top = (width - size) // 2, (height - size) // 2
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image.crop((left, top, left + size, top + size)))
