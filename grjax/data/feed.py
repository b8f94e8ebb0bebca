"""Feeds: how the images of a batch reach the devices.

Resident, all images lie in device memory, pixels as uint8, and a batch is the positions of its examples.
Streaming, threads of the host load the images of the batches to come, and a batch carries them along. Both
take the same positions from the same sampler, so a run does not depend on which of them feeds it.
"""

import os
from collections.abc import Callable, Iterator
from typing import Protocol, cast

import flax.struct
import grain
import jax
import jax.numpy as jnp
import numpy as np

from grjax.data import Dataset, ImageFiles
from grjax.devices import split_over_devices
from grjax.errors import ConfigError

# The share of a device's memory; the rest is for the model, its activations and the optimiser.
_RESIDENT_SHARE = 0.5
# The share of a CPU's memory, which holds the data set that the images are copied from as well.
_RESIDENT_SHARE_ON_CPU = 0.25
_CHUNK = 256  # images that are copied at a time


class DeviceData(flax.struct.PyTreeNode):
    """What stays in device memory for the whole run. Clean labels are not here: no step can see them."""

    images: jax.Array | None  # [N of all splits, height, width, C], training first; None: streamed
    labels: jax.Array  # int32 [N of the training split], noisy
    mean: jax.Array  # float32 [channels], of the training pixels
    std: jax.Array  # float32 [channels]

    def standardise(self, images: jax.Array) -> jax.Array:
        """Pixels or features to float32 of mean 0 and standard deviation 1 in each channel."""
        mean, std = self.mean[None, None, None], self.std[None, None, None]
        return (images.astype(jnp.float32) - mean) / std


class Batch(flax.struct.PyTreeNode):
    """Examples of one batch, or of the batches of several steps."""

    positions: jax.Array  # int32 [..., B], of the examples in `DeviceData.images`, or else in their split
    images: jax.Array | None = None  # [..., B, height, width, C]; None: `DeviceData` has them

    def pixels(self, data: DeviceData) -> jax.Array:
        """The images, as the data set has them."""
        if self.images is not None:
            return self.images
        assert data.images is not None, "a feed gives images to the devices once, or with each batch"
        return data.images[self.positions]


class Feed(Protocol):
    """What both feeds are."""

    def device_images(self) -> np.ndarray | None:
        """What `DeviceData` keeps for the whole run: images [sum of N, height, width, C], or None."""
        ...

    def batches(
        self,
        split: str,
        positions: Callable[[int], np.ndarray],
        start: int,
        stop: int,
        *,
        training: bool = False,
    ) -> Iterator[Batch]:
        """The batches `start` to `stop` - 1 in host memory, each this host's part: [local devices, ..., B].

        Args:
          split: name of the split.
          positions: of the examples of a batch in their split: number of the batch -> int32 [..., B], the
            same on every host.
          start: number of the first batch.
          stop: number after the last.
          training: whether the images are to be trained on, positions [K, B], and may be cropped at random.
        """
        ...


def create(name: str, dataset: Dataset, workers: int, random_resized_crop: int | None = None) -> Feed:
    """The feed that a config names.

    Args:
      name: 'resident', 'streaming', or 'auto': resident if the images take at most half the memory of a
        device, on a CPU a quarter.
      dataset: whose splits are fed.
      workers: threads that load images when streaming; each holds up to two batches.
      random_resized_crop: seed of random parts of the training images, see `ImageFiles`, drawn by the workers
        anew for each example of each step: such a feed streams. None: whole images.

    Raises:
      ConfigError: another name, less than one worker, or random crops that are not possible.
    """
    if name not in ("auto", "resident", "streaming"):
        raise ConfigError(f"data.feed: must be 'auto', 'resident' or 'streaming', got {name!r}")
    if workers < 1:
        raise ConfigError(f"data.workers: must be at least 1, got {workers}")
    if random_resized_crop is not None:
        if name == "resident" or not isinstance(dataset.splits["train"].images, ImageFiles):
            raise ConfigError(
                "data.random_resized_crop: needs data.feed='streaming' and images in files of their own; "
                "for others data.augmentation has random_crop and pad_crop"
            )
        return Streaming(dataset, workers, random_resized_crop)
    if name == "auto":
        arrays = [split.images for split in dataset.splits.values()]
        size = sum(int(np.prod(images.shape)) * images.dtype.itemsize for images in arrays)
        name = "resident" if size <= _resident_limit() else "streaming"
    return Resident(dataset) if name == "resident" else Streaming(dataset, workers)


class Resident:
    """All images in device memory; see the module."""

    def __init__(self, dataset: Dataset):
        self._dataset = dataset

    def device_images(self) -> np.ndarray | None:
        """What `DeviceData` keeps: the images of all splits in turn, [sum of N, height, width, C]."""
        splits = self._dataset.splits.values()
        train = self._dataset.splits["train"].images
        images = np.empty((sum(len(split) for split in splits), *train.shape[1:]), train.dtype)
        first = 0
        for split in splits:
            for start in range(0, len(split), _CHUNK):
                positions = np.arange(start, min(start + _CHUNK, len(split)))
                images[first + positions] = split.images[positions]
            first += len(split)
        return images

    def batches(
        self,
        split: str,
        positions: Callable[[int], np.ndarray],
        start: int,
        stop: int,
        *,
        training: bool = False,
    ) -> Iterator[Batch]:
        """See `Feed`."""
        del training  # what is random happens on the devices
        names = list(self._dataset.splits)
        first = sum(len(self._dataset.splits[name]) for name in names[: names.index(split)])
        for number in range(start, stop):
            in_all_splits = (first + positions(number)).astype(np.int32)
            yield Batch(split_over_devices(in_all_splits))  # type: ignore[arg-type]  # on the host


class Streaming:
    """The images of a batch travel with it; see the module."""

    def __init__(self, dataset: Dataset, workers: int, random_resized_crop: int | None = None):
        self._dataset = dataset
        self._workers = workers
        self._crop_seed = random_resized_crop

    def device_images(self) -> np.ndarray | None:
        """None: no images stay on the devices."""
        return None

    def batches(
        self,
        split: str,
        positions: Callable[[int], np.ndarray],
        start: int,
        stop: int,
        *,
        training: bool = False,
    ) -> Iterator[Batch]:
        """See `Feed`; up to two batches a worker are loaded ahead."""
        images = self._dataset.splits[split].images

        def load(number: int) -> tuple[np.ndarray, np.ndarray]:
            shares = split_over_devices(positions(number))
            cropped = training and self._crop_seed is not None
            found = self._cropped(shares, number) if cropped else images[shares.ravel()]
            return shares, found.reshape(*shares.shape, *found.shape[1:])

        options = grain.ReadOptions(num_threads=self._workers, prefetch_buffer_size=2 * self._workers)
        for loaded in grain.MapDataset.range(start, stop).map(load).to_iter_dataset(options):
            yield Batch(*loaded)

    def _cropped(self, positions: np.ndarray, number: int) -> np.ndarray:
        """Random parts of the training images at positions [devices, K, B] of the K steps of a call."""
        images = cast(ImageFiles, self._dataset.splits["train"].images)
        steps = number * positions.shape[1] + np.broadcast_to(
            np.arange(positions.shape[1])[:, None], positions.shape
        )
        crops = []
        for step, position in zip(steps.ravel().tolist(), positions.ravel().tolist(), strict=True):
            # A function of (seed, step, position): the same after a resume, and on any number of devices.
            bits = np.random.Philox(key=[cast(int, self._crop_seed), step], counter=[0, 0, position, 3])
            crops.append(images.random_resized_crop(position, np.random.Generator(bits)))
        return np.stack(crops)


def _resident_limit() -> float:
    """Bytes that images may take on each device; virtual devices of a CPU share the machine's memory."""
    device = jax.local_devices()[0]
    stats = device.memory_stats()
    if stats and "bytes_limit" in stats:
        return _RESIDENT_SHARE * stats["bytes_limit"]
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    share = _RESIDENT_SHARE_ON_CPU if device.platform == "cpu" else _RESIDENT_SHARE
    return share * machine / jax.local_device_count()
