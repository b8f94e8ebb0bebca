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
      file_ending: where given, members are folders instead, as 'train/neg', of files with this ending. Their
        archive must have the digest of its download.
      folders: where, below a folder that is given, the files may lie: glob patterns, tried in turn.
      archives: names of the tar archive that holds them, as its authors and others call it.
      downloads: where the archive, or else each member, comes from.
    """

    name: str
    members: Mapping[str, tuple[str, ...]]
    file_ending: str = ""
    folders: tuple[str, ...] = (".",)
    archives: tuple[str, ...] = ()
    downloads: Mapping[str, Download] = dataclasses.field(default_factory=dict)

    def member_of(self, path: str) -> str | None:
        """The member that a file of an archive is, or lies in; None: it is no part of the data set."""
        folder, _, name = path.rpartition("/")
        if not self.file_ending:
            return name if name in self.members else None
        if not name.endswith(self.file_ending):
            return None
        return next((member for member in self.members if f"/{folder}".endswith(f"/{member}")), None)


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

    @property
    def verified(self) -> bool:
        """Whether all of it is compared with a published digest."""
        return self.digest is not None or all(self.layout.members.values())

    @property
    def digest(self) -> str | None:
        """The sha256 that is published for the archive; None: what counts are those of its members."""
        if not self.archive or not self.layout.file_ending:
            return None
        return self.layout.downloads[self.layout.archives[0]].sha256


def find(path: Path, distribution: Distribution) -> Source | None:
    """The files of a data set at `path`, which is an archive, or a folder in or just below which they lie.

    Names that TensorFlow Datasets gives to its downloads are known too.
    """
    if path.is_file():
        return _of_file(path, distribution)
    for layout in distribution.layouts:
        for pattern in layout.folders:
            for folder in sorted(path.glob(pattern)) if pattern != "." else [path]:
                found = {member: _member_at(folder, layout, member) for member in layout.members}
                if all(found.values()):
                    return Source(layout, tuple(p for p in found.values() if p), archive=False)
                if layout.file_ending and any(found.values()):
                    missing = next(member for member, at in found.items() if not at)
                    raise ConfigError(f"data.dir: {folder} has no folder {missing}")
        archive = _first_file(path, [name for each in layout.archives for name in _names(layout, each)])
        if archive:
            return Source(layout, (archive,), archive=True)
    return None


def refuse_deeper(path: Path, distribution: Distribution, folders: int = 2) -> None:
    """Raises `ConfigError` where the files lie one or two folders deeper than `find` looks."""
    try:
        below = sorted(each for each in path.iterdir() if each.is_dir() and each.name != "downloads")
    except OSError:  # no folder, or none that can be read
        return
    for folder in below:
        found = find(folder, distribution)
        if found is not None:
            raise ConfigError(
                f"data.dir: {path} must hold the files of the data set, or a folder in which they lie; they "
                f"lie deeper: give {found.paths[0].parent}"
            )
        if folders > 1:
            refuse_deeper(folder, distribution, folders - 1)


def read(source: Source) -> dict[str, bytes]:
    """The content of each member, verified; of members that are folders, by 'member/name' of each file.

    Raises:
      ConfigError: a file or archive that is damaged, or is not what was published.
    """
    contents: dict[str, bytes] = {}
    layout = source.layout
    if source.digest:
        _check_archive(source.paths[0], source.digest)
    for path, name, content in _members_of_archive(source) if source.archive else _members(source):
        contents[name] = _verified(path, name, content, layout.members.get(name, ()))
    found = {name.rpartition("/")[0] if layout.file_ending else name for name in contents}
    for number, member in enumerate(layout.members):
        if member not in found:
            what = f"{layout.file_ending} file of " if layout.file_ending else ""
            where = f"the archive {source.paths[0]}" if source.archive else source.paths[number]
            raise ConfigError(f"data.dir: {where} has no {what}{member}")
    return contents


def digests(layout: Layout, contents: Mapping[str, bytes]) -> dict[str, str]:
    """The sha256 of each member; of a folder, that of what `sha256sum *` prints there."""
    found = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    if not layout.file_ending:
        return found
    lists = {member: hashlib.sha256() for member in layout.members}
    for name in sorted(found):
        member, _, file = name.rpartition("/")
        lists[member].update(f"{found[name]}  {file}\n".encode())
    return {member: listed.hexdigest() for member, listed in lists.items()}


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
                    if layout.member_of(entry.name):
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


def _member_at(folder: Path, layout: Layout, member: str) -> Path | None:
    if layout.file_ending:
        return folder / member if (folder / member).is_dir() else None
    return _first_file(folder, _names(layout, member))


def _members(source: Source) -> Iterator[tuple[Path, str, bytes]]:
    for member, path in zip(source.layout.members, source.paths, strict=True):
        files = {member: path}
        if source.layout.file_ending:
            files = {f"{member}/{file.name}": file for file in path.glob(f"*{source.layout.file_ending}")}
        for name, file in files.items():
            try:
                yield file, name, file.read_bytes()
            except OSError as error:
                raise ConfigError(f"data.dir: cannot read {file}: {error.strerror}") from error


def _members_of_archive(source: Source) -> Iterator[tuple[Path, str, bytes]]:
    (path,) = source.paths
    try:
        with tarfile.open(path) as archive:
            for entry in archive:
                member = source.layout.member_of(entry.name)
                file = archive.extractfile(entry) if member else None
                if member and file is not None:
                    folder = f"{member}/" if source.layout.file_ending else ""
                    yield path, folder + os.path.basename(entry.name), file.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ConfigError(f"data.dir: the archive {path} is damaged or truncated: {error}") from error


def _check_archive(path: Path, sha256: str) -> None:
    try:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"data.dir: cannot read {path}: {error.strerror}") from error
    if found != sha256:
        raise ConfigError(
            f"data.dir: the archive {path} is damaged or truncated, or another one: it must have sha256 "
            f"{sha256}, has {found}"
        )


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
