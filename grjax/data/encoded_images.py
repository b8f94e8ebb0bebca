"""Images that lie encoded in the rows of a table until they are asked for."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from grjax.data.image_files import ImageFiles
from grjax.errors import ConfigError


class EncodedImages(ImageFiles):
    """A column of images of a `datasets.Dataset`, indexed as `ImageFiles` are.

    Args:
      table: the data set.
      column: of images.
      size: height and width of the decoded images, in pixels.
      where: what names the column, to begin an error.
    """

    def __init__(self, table: Any, column: str, size: int, where: str):
        super().__init__("", np.arange(len(table)), size)
        import datasets

        self._table = table.select_columns([column]).cast_column(column, datasets.Image(decode=False))
        self._column, self._where = column, where

    def take(self, positions: np.ndarray) -> "EncodedImages":
        """The images at `positions`, in that order, still encoded."""
        chosen = object.__new__(EncodedImages)
        chosen.__dict__ |= self.__dict__
        chosen._paths = self._paths[positions]
        return chosen

    def path(self, position: int) -> Path:
        """The column and the row, as errors name an image."""
        return Path(f"{self._where}, row {int(self._paths[position])}")

    def file_name(self, position: int) -> None:
        """None: an image is a row of a table."""

    def encoded(self, position: int) -> bytes:
        """The content of an image's file, as it is.

        Raises:
          ConfigError: there is none in the row, or its file cannot be read.
        """
        row = self._table[int(self._paths[position])][self._column]
        if row is not None and row["bytes"] is not None:
            return bytes(row["bytes"])
        if row is None or row["path"] is None:
            raise ConfigError(f"{self.path(position)}: has no image; leave these examples out")
        try:
            return Path(row["path"]).read_bytes()
        except OSError as error:
            raise ConfigError(
                f"{self.path(position)}: cannot read {row['path']}: {error.strerror}"
            ) from error

    def opened(self, position: int) -> Image.Image:
        """The image with its size, format and mode, before its pixels are decoded.

        Raises:
          ConfigError: it is no image.
        """
        try:
            return Image.open(io.BytesIO(self.encoded(position)))
        except ConfigError:
            raise
        except Exception as error:  # Pillow raises half a dozen kinds
            raise ConfigError(f"{self.path(position)}: does not decode as an image: {error}") from error
