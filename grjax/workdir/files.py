"""Writing files whole or not at all, and reading them so that damage is one clear error."""

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np

from grjax.errors import DiskFullError, GrjaxError, WorkdirError

PathLike = str | os.PathLike[str]


@contextmanager
def written_whole(path: PathLike) -> Iterator[BinaryIO]:
    """Within it a file is written; who looks finds the old one or, afterwards, the new one, never a part.

    Args:
      path: of the file. What is written lies beside it, with '.tmp' at the end, until it is complete.
    """
    temporary = f"{os.fspath(path)}.tmp"
    with open(temporary, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())  # or a power cut could leave an empty file under the new name
    os.replace(temporary, path)


def no_room(error: BaseException | None) -> bool:
    """Whether an error, or one that it came from, says that a disk is full; not all are an OSError."""
    full_disk = [os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT)]
    while error is not None:
        if any(text in str(error) for text in full_disk):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def a_full_disk_named(folder: PathLike) -> Iterator[None]:
    """Within it, an error from a full disk becomes a `DiskFullError` about the folder written to."""
    try:
        yield
    except GrjaxError:
        raise
    except Exception as error:
        if not no_room(error):
            raise
        raise DiskFullError(
            f"--workdir={folder}: no space is left on the disk; make room and start the same command to go on"
        ) from error


def write_text(path: PathLike, text: str) -> None:
    """Writes text as UTF-8, whole or not at all; what UTF-8 lacks, as a name of other bytes, as escapes."""
    with written_whole(path) as file:
        file.write(text.encode(errors="backslashreplace"))


def write_json(path: PathLike, content: Any, indent: int | None = 2) -> None:
    """Writes plain values as JSON, whole or not at all."""
    write_text(path, json.dumps(content, indent=indent) + "\n")


def write_npz(path: PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays to an .npz file, whole or not at all; the same arrays give the same bytes."""
    with written_whole(path) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def read_json(path: PathLike) -> Any:
    """The content of a JSON file.

    Raises:
      WorkdirError: it is not there, or damaged.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except OSError as error:
        raise WorkdirError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # JSON, or UTF-8
        raise WorkdirError(f"{path}: is damaged: {error}; delete it and start again") from error


def read_npz(
    path: PathLike, *, kind: type[GrjaxError] = WorkdirError, where: str = "", what: str = ".npz"
) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by name; none of them may be a pickle.

    Args:
      path: of the file.
      kind: of the error about a file that is missing or damaged.
      where: the error's beginning, as 'data.dir: '.
      what: the file should be, in the error.

    Raises:
      GrjaxError: of that kind.
    """
    try:
        # A file of our own to close: np.load leaves one open that it finds broken.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}
    except Exception as error:  # damage shows as whatever the part that was hit raises
        raise kind(f"{where}{path}: cannot be read as {what}: {error}") from error
