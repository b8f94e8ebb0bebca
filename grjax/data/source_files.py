"""The files a data set is distributed as: finding them on disk, reading and verifying their content."""

import dataclasses
import gzip
import hashlib
import os
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from tensorflow_datasets.core.download import resource

from grjax.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Download:
    """Where a file comes from, and the sha256 that is published for it."""

    url: str
    sha256: str


@dataclasses.dataclass(frozen=True)
class Layout:
    """One form in which a data set is distributed.

    Attributes:
      name: of the form.
      members: the names of its files, with the digests ('md5:...' or 'sha256:...') that are accepted, of the
        file or of what gzip makes of it; none where none is published.
      folders: where, below a folder that is given, the files may lie: glob patterns, tried in turn.
      archives: names of the tar archive that holds them, as its authors and others call it.
      downloads: where the archive, or else each member, comes from.
    """

    name: str
    members: Mapping[str, tuple[str, ...]]
    folders: tuple[str, ...] = (".",)
    archives: tuple[str, ...] = ()
    downloads: Mapping[str, Download] = dataclasses.field(default_factory=dict)

    @property
    def verified(self) -> bool:
        """Whether every member has a published digest."""
        return all(self.members.values())


@dataclasses.dataclass(frozen=True)
class Distribution:
    """What the authors of a data set distribute.

    Attributes:
      layouts: its forms, the one to download first.
      num_examples: of each split.
    """

    layouts: tuple[Layout, ...]
    num_examples: Mapping[str, int]

    @property
    def single_files(self) -> list[str]:
        """The files that hold all of the data set by themselves: an archive, or a layout's only member."""
        names: list[str] = []
        for layout in self.layouts:
            names += layout.archives or (layout.members if len(layout.members) == 1 else ())
        return names


@dataclasses.dataclass(frozen=True)
class Source:
    """Files of a data set that were found: `paths` are the members', or that of one archive of them."""

    layout: Layout
    paths: tuple[Path, ...]
    archive: bool


def find(path: Path, distribution: Distribution) -> Source | None:
    """The files of a data set at `path`, which is an archive, or a folder in or just below which they lie.

    Names that TensorFlow Datasets gives to its downloads are known too.
    """
    if path.is_file():
        return _of_file(path, distribution)
    for layout in distribution.layouts:
        for pattern in layout.folders:
            for folder in sorted(path.glob(pattern)) if pattern != "." else [path]:
                found = [_first_file(folder, _names(layout, member)) for member in layout.members]
                if all(found):
                    return Source(layout, tuple(p for p in found if p), archive=False)
        archive = _first_file(path, [name for each in layout.archives for name in _names(layout, each)])
        if archive:
            return Source(layout, (archive,), archive=True)
    return None


def read(source: Source) -> dict[str, bytes]:
    """The content of each member, verified.

    Raises:
      ConfigError: a file or archive that is damaged, or is not what was published.
    """
    contents: dict[str, bytes] = {}
    for path, member, content in _members_of_archive(source) if source.archive else _members(source):
        contents[member] = _verified(path, member, content, source.layout.members[member])
    missing = [member for member in source.layout.members if member not in contents]
    if missing:
        raise ConfigError(f"data.dir: the archive {source.paths[0]} has no {missing[0]}")
    return contents


def _of_file(path: Path, distribution: Distribution) -> Source | None:
    """A single file: an archive, whatever it is called, or the only member of a layout."""
    for layout in distribution.layouts:
        if len(layout.members) == 1 and path.name in layout.members:
            return Source(layout, (path,), archive=False)
    layouts = [layout for layout in distribution.layouts if layout.archives]
    if not layouts:
        return None
    try:
        # The first member tells the layout; a gzipped archive is not read further for it.
        with tarfile.open(path) as archive:
            for entry in archive:
                for layout in layouts:
                    if os.path.basename(entry.name) in layout.members:
                        return Source(layout, (path,), archive=True)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ConfigError(f"data.dir: {path} is no archive, or a truncated one: {error}") from error
    return None


def _names(layout: Layout, name: str) -> list[str]:
    """What a file may be called on disk."""
    names = [f"{name}.gz", name]
    for key in names:
        if key in layout.downloads:
            download = layout.downloads[key]
            digests = (download.sha256, None)  # None: of the URL, for files that it does not know
            return [*names, *(resource.get_dl_fname(download.url, digest) for digest in digests)]
    return names


def _first_file(folder: Path, names: list[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _members(source: Source) -> Iterator[tuple[Path, str, bytes]]:
    for member, path in zip(source.layout.members, source.paths, strict=True):
        try:
            yield path, member, path.read_bytes()
        except OSError as error:
            raise ConfigError(f"data.dir: cannot read {path}: {error.strerror}") from error


def _members_of_archive(source: Source) -> Iterator[tuple[Path, str, bytes]]:
    (path,) = source.paths
    try:
        with tarfile.open(path) as archive:
            for entry in archive:
                member = os.path.basename(entry.name)
                file = archive.extractfile(entry) if member in source.layout.members else None
                if file is not None:
                    yield path, member, file.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ConfigError(f"data.dir: the archive {path} is damaged or truncated: {error}") from error


def _verified(path: Path, member: str, content: bytes, accepted: tuple[str, ...]) -> bytes:
    """The content without gzip, if its digest is accepted or none is published."""
    known = _has_digest(content, accepted)
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise ConfigError(f"data.dir: {path} is damaged or truncated: {error}") from error
    if accepted and not known and not _has_digest(content, accepted):
        algorithm, _, expected = accepted[0].partition(":")
        raise ConfigError(
            f"data.dir: {path} is damaged, or belongs to another data set: {member} must have {algorithm} "
            f"{expected}, has {hashlib.new(algorithm, content).hexdigest()}"
        )
    return content


def _has_digest(content: bytes, accepted: tuple[str, ...]) -> bool:
    return any(
        hashlib.new(algorithm, content).hexdigest() == digest
        for algorithm, _, digest in (each.partition(":") for each in accepted)
    )
