"""The base of the TFDS builders of ours: examples from files on disk, or downloaded, without TensorFlow."""

import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from grjax.data import source_files
from grjax.data.source_files import Distribution, Source
from grjax.errors import ConfigError

Arrays = Mapping[str, np.ndarray]

_SECONDS_TO_ANSWER = 5.0


class SourceBuilder(tfds.core.GeneratorBasedBuilder):
    """A TFDS builder with features 'id', 'image' (raw numbers) and 'label'.

    A subclass sets the attributes below and writes `parse`. An example's id is its position in the files of
    its split. What is found on disk comes before what would be downloaded; the sha256 of every file, and
    whether it was compared with a published one, are kept in `info.metadata`.

    Attributes:
      DISTRIBUTION: the files.
      IMAGE_SHAPE: height, width, channels.
      IMAGE_DTYPE: uint8, or float32 for vectors.
      CLASS_NAMES: in the order of the labels.
      HOMEPAGE: of the data set.

    Args:
      source: the files to prepare from; None: looked for in TFDS's folder of downloads, or downloaded.
      distribution: other files in the same layouts, as a smaller copy of the data set; None: `DISTRIBUTION`.
      **kwargs: of every TFDS builder: data_dir, file_format, ...
    """

    VERSION = tfds.core.Version("1.0.0")
    DISTRIBUTION: ClassVar[Distribution]
    IMAGE_SHAPE: ClassVar[tuple[int, int, int]]
    IMAGE_DTYPE: ClassVar[type[np.generic]] = np.uint8
    CLASS_NAMES: ClassVar[tuple[str, ...]]
    HOMEPAGE: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # TFDS has builders of the same names, and refuses two in its registry.
        super().__init_subclass__(skip_registration=True, **kwargs)

    def __init__(
        self, *, source: Source | None = None, distribution: Distribution | None = None, **kwargs: Any
    ):
        self.source = source
        self.distribution = distribution or self.DISTRIBUTION
        super().__init__(**kwargs)

    def parse(self, layout: str, contents: Mapping[str, bytes]) -> dict[str, Arrays]:
        """The features of each split's examples, from the content of a layout's members.

        Returns:
          For 'train' and 'test': 'image' [N, height, width, channels], 'label' integer [N] and, where
          it is not 0..N-1, 'id' integer [N].

        Raises:
          ConfigError or ValueError: content of another structure.
        """
        raise NotImplementedError

    def extra_features(self) -> dict[str, Any]:
        """Features beside 'id', 'image' and 'label'."""
        return {}

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=type(self).__doc__ or "",
            features=tfds.features.FeaturesDict(
                {
                    "id": tfds.features.Scalar(np.int64),
                    # Raw bytes: an encoded image would need TensorFlow to be written.
                    "image": tfds.features.Tensor(
                        shape=self.IMAGE_SHAPE, dtype=self.IMAGE_DTYPE, encoding="bytes"
                    ),
                    "label": tfds.features.ClassLabel(names=self.CLASS_NAMES),
                    **self.extra_features(),
                }
            ),
            homepage=self.HOMEPAGE,
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        downloads = Path(dl_manager.download_dir)
        source = self.source
        for folder in (downloads / "manual", downloads / self.name, downloads):
            source = source or (source_files.find(folder, self.distribution) if folder.is_dir() else None)
        source = source or self._download(dl_manager, downloads / "manual")
        contents = source_files.read(source)
        try:
            splits = self.parse(source.layout.name, contents)
        except ConfigError:
            raise
        except Exception as error:  # bytes that are something else fail in many ways
            raise ConfigError(f"data.dir: {source.paths[0]} is not {self.name!r}: {error}") from error
        for name, arrays in splits.items():
            self._check(name, arrays, source.paths[0])
        self.info.metadata["layout"] = source.layout.name
        self.info.metadata["verified"] = source.verified
        self.info.metadata["sha256"] = source_files.digests(source.layout, contents)
        return {name: self._generate_examples(arrays) for name, arrays in splits.items()}

    def _generate_examples(self, arrays: Arrays) -> Iterator[tuple[int, dict[str, Any]]]:
        ids = arrays.get("id", np.arange(len(arrays["label"])))
        for row, key in enumerate(ids.tolist()):
            yield key, {"id": key, **{name: values[row] for name, values in arrays.items() if name != "id"}}

    def _check(self, split: str, arrays: Arrays, path: Path) -> None:
        images = arrays["image"]
        where = f"data.dir: {path}, split {split!r} of {self.name!r}"
        expected = (self.distribution.num_examples[split], *self.IMAGE_SHAPE)
        if images.shape != expected:
            raise ConfigError(f"{where}: must hold images {list(expected)}, holds {list(images.shape)}")
        for name, feature in self.info.features.items():
            if not isinstance(feature, tfds.features.ClassLabel):
                continue
            labels = arrays[name]
            if labels.shape != expected[:1]:
                raise ConfigError(f"{where}: {len(labels)} labels for {len(images)} images")
            if labels.min() < 0 or labels.max() >= feature.num_classes:
                raise ConfigError(
                    f"{where}: labels must be in [0, {feature.num_classes}), "
                    f"are in [{labels.min()}, {labels.max()}]"
                )

    def _download(self, dl_manager: tfds.download.DownloadManager, manual: Path) -> Source:
        layout = self.distribution.layouts[0]
        urls = {name: download.url for name, download in layout.downloads.items()}
        reason = _unreachable(next(iter(urls.values())))
        if not reason:
            try:
                paths = dl_manager.download(urls)
                return Source(layout, tuple(map(Path, paths.values())), archive=bool(layout.archives))
            except Exception as error:  # whatever the connection or the check of TFDS raises
                reason = str(error)
        files = ", ".join(f"{each.url} (sha256 {each.sha256})" for each in layout.downloads.values())
        raise ConfigError(
            f"data.dir: {self.name!r} is not prepared in {self.data_path.parent.parent}, its files are not "
            f"in {manual}, and they cannot be downloaded ({reason}); fetch {files}, and put it there, or set "
            "data.dir to where it is"
        )


def _unreachable(url: str) -> str:
    """Why a server does not answer within seconds; empty if it does. TFDS itself would retry for minutes."""
    reason = [f"no answer from {urllib.parse.urlsplit(url).hostname} in {_SECONDS_TO_ANSWER:g} s"]

    def ask() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD")
            urllib.request.urlopen(request, timeout=_SECONDS_TO_ANSWER).close()
            reason[0] = ""
        except (OSError, ValueError) as error:
            if isinstance(error, urllib.error.HTTPError) and error.code < 500:
                reason[0] = ""  # it answers, if only to say that it does not like to be asked so
                return
            reason[0] = f"{urllib.parse.urlsplit(url).hostname}: {error}"

    # In a thread: looking up a name takes no timeout.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_SECONDS_TO_ANSWER)
    return reason[0]
