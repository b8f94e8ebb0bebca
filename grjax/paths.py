"""Paths as people give them."""

import os
from pathlib import Path


def as_path(path: str | os.PathLike[str]) -> Path:
    """A path in text or of pathlib, with ~ for the home folder, as a `Path`."""
    return Path(path).expanduser()
