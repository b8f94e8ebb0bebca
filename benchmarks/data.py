"""Examples a second of each feed, beside tf.data and a PyTorch DataLoader that do the same work.

  python -m benchmarks.data                   made-up images as CIFAR; stores docs/results/data/data_cpu.json
  python -m benchmarks.data --jpegs 20000     also streams a generated tree of so many JPEGs
  python -m benchmarks.data --no-store --seconds 1

The work: batches of 256 images, uint8 32 x 32 x 3, in random order, each padded by 4, cropped and mirrored at
random, then float32 of mean 0 and standard deviation 1, on the device that trains. Each pipeline is run for
some seconds in turn, over several rounds; the figure is the median of the rounds, the ratio that of the
resident feed to it, as a median over rounds. tensorflow and torch are compared with if they are installed;
neither is needed otherwise. On two CPU cores: about two minutes, with 20,000 JPEGs three more.
"""

import argparse
import functools
import importlib
import importlib.util
import json
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from grjax import host

host.tune()  # before jax is imported

import jax
import numpy as np

from benchmarks.environment import environment
from benchmarks.folders import RESULTS
from grjax import data
from grjax.data import Dataset, Split, augment, feed
from grjax.data.feed import Batch, DeviceData
from grjax.data.sampler import Sampler
from grjax.devices import parallelize, replicate, spread

BATCH, PADDING = 256, 4
NUM_IMAGES = 50_000
# Many more batches than are taken.
ENDLESS = 10**9

Pipeline = Iterator[Any]


def made_up(num_images: int = NUM_IMAGES) -> Dataset:
    """Random images in CIFAR's shape."""
    images = np.random.default_rng(0).integers(0, 256, (num_images, 32, 32, 3), np.uint8)
    labels = (np.arange(num_images) % 10).astype(np.int32)
    train = Split(images, labels, np.arange(num_images))
    return Dataset("made up", tuple("0123456789"), {"train": train, "test": train.take(np.arange(BATCH))})


def of_feed(dataset: Dataset, name: str, workers: int) -> Pipeline:
    """A feed of ours, and the part of the train step that makes a batch of it."""
    source = feed.create(name, dataset, workers)
    mean, std = dataset.channel_statistics()
    device_data = DeviceData(*replicate((source.device_images(), dataset.splits["train"].labels, mean, std)))
    function = augment.create(("pad_crop", "flip"))

    def prepare(step: jax.Array, device_data: DeviceData, batch: Batch) -> tuple[jax.Array, jax.Array]:
        key = jax.random.fold_in(jax.random.key(0), step)
        images = function(batch.pixels(device_data), batch.positions, key)
        return device_data.standardise(images), device_data.labels[batch.positions]

    sampler = Sampler(len(dataset.splits["train"]), BATCH, seed=0)
    p_prepare = parallelize(prepare)
    for step, batch in enumerate(source.batches("train", sampler.__getitem__, 0, ENDLESS)):
        yield jax.block_until_ready(p_prepare(np.int32(step), device_data, spread(batch)))


def of_tensorflow(dataset: Dataset) -> Pipeline:
    """tf.data, an example at a time, in parallel."""
    import tensorflow as tf  # type: ignore[import-not-found]

    split = dataset.splits["train"]
    mean, std = dataset.channel_statistics()
    mean, std = tf.constant(mean), tf.constant(std)

    def prepare(image: Any, label: Any) -> Any:
        padded = tf.pad(image, [[PADDING, PADDING], [PADDING, PADDING], [0, 0]])
        image = tf.image.random_flip_left_right(tf.image.random_crop(padded, (32, 32, 3)))
        return (tf.cast(image, tf.float32) - mean) / std, label

    pipeline = tf.data.Dataset.from_tensor_slices((split.images, split.labels))
    pipeline = pipeline.shuffle(len(split)).repeat().map(prepare, tf.data.AUTOTUNE).batch(BATCH)
    return iter(pipeline.prefetch(tf.data.AUTOTUNE))


def of_torch(dataset: Dataset) -> Pipeline:
    """A DataLoader with a worker process a core."""
    import torch

    split = dataset.splits["train"]
    images = torch.from_numpy(split.images).permute(0, 3, 1, 2).contiguous()
    mean, std = (torch.from_numpy(each)[:, None, None] for each in dataset.channel_statistics())

    class Augmented(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, index: int) -> Any:
            padded = torch.nn.functional.pad(images[index], (PADDING,) * 4)
            top, left, mirrored = torch.randint(0, 2 * PADDING + 1, (3,)).tolist()
            image = padded[:, top : top + 32, left : left + 32]
            if mirrored % 2:
                image = image.flip(2)
            return (image.float() - mean) / std, int(split.labels[index])

    loader = torch.utils.data.DataLoader(
        Augmented(), BATCH, shuffle=True, drop_last=True, num_workers=os.cpu_count() or 1,
        persistent_workers=True,
    )  # fmt: skip
    while True:
        yield from loader


def rate(pipeline: Pipeline, seconds: float) -> float:
    """Examples a second, after the first batches."""
    for _ in range(3):
        next(pipeline)
    start, batches = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        next(pipeline)
        batches += 1
    return batches * BATCH / (time.perf_counter() - start)


def write_jpegs(folder: Path, first: int, last: int, side: int) -> None:
    """Photograph-like JPEGs: smooth, of some texture, in a folder for each of ten classes."""
    from PIL import Image

    for number in range(first, last):
        rng = np.random.default_rng(number)
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
        pixels = np.asarray(coarse.resize((side * 4 // 3, side), Image.Resampling.BICUBIC), np.int16)
        noisy = np.clip(pixels + rng.integers(-12, 13, pixels.shape), 0, 255).astype(np.uint8)
        path = folder / str(number % 10) / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noisy).save(path, quality=90)


def stream_jpegs(number: int, workers: int, side: int = 256) -> dict[str, float]:
    """One epoch over a tree of JPEGs: images a second and a core, and what memory it took."""
    with tempfile.TemporaryDirectory() as name:
        edges = np.linspace(0, number, 9).astype(int).tolist()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(functools.partial(write_jpegs, Path(name), side=side), edges[:-1], edges[1:]))
        dataset = data.load("folder", dir=name, image_size=224)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sampler = Sampler(len(dataset.splits["train"]), 128, seed=0)
        batches = feed.create("streaming", dataset, workers).batches(
            "train", sampler.__getitem__, 0, sampler.steps_per_epoch
        )
        start, seen = time.perf_counter(), 0
        for batch in batches:
            assert batch.images is not None
            seen += batch.positions.size
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "images": seen,
        "images_per_second": seen / seconds,
        "images_per_second_a_core": seen / seconds / (os.cpu_count() or 1),
        "peak_megabytes": peak / 1024,
        "of_them_streaming": (peak - before) / 1024,
        "decoded_megabytes": seen * 224 * 224 * 3 / 2**20,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--jpegs", type=int, default=0)
    parser.add_argument("--no-store", action="store_true")
    flags = parser.parse_args()

    results: dict[str, Any] = {"environment": environment()}
    if flags.jpegs:  # first: the peak of memory is the process'
        results["jpegs"] = stream_jpegs(flags.jpegs, flags.workers)
        print("\n".join(f"{key:28} {value:,.0f}" for key, value in results["jpegs"].items()), flush=True)
    dataset = made_up()
    pipelines: dict[str, Callable[[], Pipeline]] = {
        "resident feed": lambda: of_feed(dataset, "resident", flags.workers),
        "streaming feed": lambda: of_feed(dataset, "streaming", flags.workers),
    }
    for package, name, make in (
        ("tensorflow", "tf.data", of_tensorflow),
        ("torch", "PyTorch DataLoader", of_torch),
    ):
        if importlib.util.find_spec(package):
            results["environment"][package] = importlib.import_module(package).__version__
            pipelines[name] = functools.partial(make, dataset)
    running = {name: start() for name, start in pipelines.items()}
    rates: dict[str, list[float]] = {name: [] for name in running}
    for _ in range(flags.rounds):
        for name, pipeline in running.items():
            rates[name].append(rate(pipeline, flags.seconds))
    print("\n| pipeline | examples/s | resident feed ÷ it |\n|---|---|---|")
    for name, found in rates.items():
        ratios = [resident / other for resident, other in zip(rates["resident feed"], found, strict=True)]
        results[name] = {"examples_per_second": found, "resident_over_it": statistics.median(ratios)}
        print(f"| {name} | {statistics.median(found):,.0f} | {statistics.median(ratios):.1f} |")
    if not flags.no_store:
        RESULTS.mkdir(parents=True, exist_ok=True)
        text = json.dumps(results, indent=1)
        (RESULTS / f"data_{jax.devices()[0].platform}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
