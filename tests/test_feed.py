"""The feeds: the same batches however the images reach the devices."""

import os
import time
import tracemalloc

import jax
import numpy as np
import PIL.Image
import pytest

from grjax import config, data, experiment
from grjax.data import Dataset, Split, feed
from grjax.errors import ConfigError
from grjax.train import train_and_evaluate


class Images:
    """Images that are made when they are asked for, and counted."""

    def __init__(self, shape, broken=()):
        self.shape, self.dtype, self.loaded, self._broken = shape, np.dtype(np.uint8), [], broken

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, positions):
        self.loaded.extend(positions.tolist())
        bad = [position for position in positions.tolist() if position in self._broken]
        if bad:
            raise ConfigError(f"image {bad[0]} cannot be decoded")
        return np.broadcast_to(positions[:, None, None, None], (len(positions), *self.shape[1:])).astype(
            np.uint8
        )


def dataset(images):
    train = Split(images, np.zeros(len(images), np.int32), np.arange(len(images)))
    test = Split(np.zeros((4, *images.shape[1:]), np.uint8), np.zeros(4, np.int32), np.arange(4))
    return Dataset("made up", ("a", "b"), {"train": train, "test": test})


def batches_of_eight(number):
    return (np.arange(8) + 8 * number).astype(np.int32)


@pytest.mark.parametrize("max_steps_per_call", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_resident_and_streaming_train_the_same_bits(tmp_path, max_steps_per_call):
    layer = {
        "model.features": (4,), "model.hidden": 8, "noise.rate": 0.4,
        "data.augmentation": ("pad_crop", "flip"),
        "train_steps": 8, "eval_every_steps": 4, "checkpoint_every_steps": 4, "tensorboard": False,
        "max_steps_per_call": max_steps_per_call,
    }  # fmt: skip
    rows = {}
    for name in ("resident", "streaming"):
        run_config = config.resolve(config.unflatten(layer | {"data.feed": name}))
        summary = train_and_evaluate(run_config, tmp_path / name)
        rows[name] = {key: value for key, value in summary.items() if "second" not in key}
    assert rows["resident"] == rows["streaming"]
    # A run goes on with the other feed: it is no part of what is trained.
    (tmp_path / "resident" / "summary.json").unlink()
    train_and_evaluate(run_config, tmp_path / "resident")
    parts = experiment.create(run_config)
    assert isinstance(parts.feed, feed.Streaming)
    assert parts.feed.device_images() is None


def test_streamed_images_are_those_of_their_positions_on_every_device():
    images = Images((64, 2, 2, 1))
    found = list(feed.create("streaming", dataset(images), 3).batches("train", batches_of_eight, 2, 8))
    assert len(found) == 6
    for number, batch in enumerate(found, start=2):
        assert batch.positions.shape == (jax.local_device_count(), 2)
        np.testing.assert_array_equal(batch.positions.ravel(), batches_of_eight(number))
        np.testing.assert_array_equal(batch.images[..., 0, 0, 0], batch.positions)
    assert sorted(images.loaded) == list(range(16, 64))


def test_a_resident_batch_is_positions_among_the_images_of_all_splits():
    source = feed.create("resident", dataset(Images((16, 2, 2, 1))), 1)
    assert source.device_images().shape == (20, 2, 2, 1)
    [batch] = source.batches("test", lambda number: np.arange(4, dtype=np.int32), 0, 1)
    np.testing.assert_array_equal(batch.positions.ravel(), np.arange(16, 20))
    assert batch.images is None


def test_resident_images_are_those_of_the_splits_in_turn_and_are_copied_once():
    images = np.random.default_rng(0).integers(0, 256, (6500, 32, 32, 3), np.uint8)
    made_up = dataset(images)
    tracemalloc.start()
    copied = feed.create("resident", made_up, 1).device_images()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(copied, np.concatenate([images, made_up.splits["test"].images]))
    assert peak < 1.2 * images.nbytes


def test_streaming_loads_no_more_than_two_batches_a_worker_ahead():
    images = Images((8 * 1000, 2, 2, 1))
    batches = feed.create("streaming", dataset(images), 2).batches("train", batches_of_eight, 0, 1000)
    next(batches)
    time.sleep(0.2)  # it would load them all by now
    assert len(images.loaded) <= 8 * (1 + 2 * 2 + 2)


def test_an_image_that_cannot_be_loaded_stops_training_with_its_own_error():
    images = Images((64, 2, 2, 1), broken={20})
    batches = feed.create("streaming", dataset(images), 2).batches("train", batches_of_eight, 0, 8)
    next(batches), next(batches)
    with pytest.raises(ConfigError, match="image 20 cannot be decoded"):
        next(batches)


def test_auto_is_resident_unless_the_images_fill_the_devices():
    assert isinstance(feed.create("auto", dataset(Images((64, 2, 2, 1))), 1), feed.Resident)
    huge = Images((10**7, 512, 512, 3))
    many = dataset(Images((64, 2, 2, 1)))
    many.splits["train"] = Split(huge, np.zeros(1, np.int32), np.zeros(1, np.int64))
    assert isinstance(feed.create("auto", many, 1), feed.Streaming)


@pytest.mark.parametrize(("share", "kind"), [(0.2, feed.Resident), (0.3, feed.Streaming)])
def test_auto_leaves_a_cpu_three_quarters_of_its_memory(share, kind):
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    megabytes = int(share * machine / jax.local_device_count() / 2**20)
    assert isinstance(feed.create("auto", dataset(Images((megabytes, 1024, 1024, 1))), 1), kind)


@pytest.mark.parametrize(
    ("name", "workers", "message"),
    [
        ("resident", 0, "data.workers: must be at least 1, got 0"),
        ("device", 1, "data.feed: must be .* 'device'"),
    ],
)
def test_unknown_feeds(name, workers, message):
    with pytest.raises(ConfigError, match=message):
        feed.create(name, dataset(Images((64, 2, 2, 1))), workers)


@pytest.fixture(scope="module")
def tree_folder(tmp_path_factory):
    """Images of 40 x 30 whose red is their column and whose green is their row."""
    folder = tmp_path_factory.mktemp("tree")
    columns, rows = np.meshgrid(np.arange(40), np.arange(30))
    for number in range(40):
        path = folder / str(number % 2) / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        PIL.Image.fromarray(
            np.stack([columns * 6, rows * 8, np.full_like(rows, number)], -1).astype(np.uint8)
        ).save(path)
    return folder


@pytest.fixture(scope="module")
def tree(tree_folder):
    return data.load("folder", dir=str(tree_folder), image_size=8, test_fraction=0.2)


def crops_of(tree, seed=0, stop=2):
    source = feed.create("streaming", tree, 2, seed)
    return list(
        source.batches("train", lambda number: np.arange(8, dtype=np.int32)[None], 0, stop, training=True)
    )


def test_random_resized_crops_are_parts_of_the_image_and_differ_by_example_step_and_seed(tree):
    first, second = (batch.images.reshape(8, 8, 8, 3).astype(float) for batch in crops_of(tree))
    other = crops_of(tree, seed=1)[0].images.reshape(first.shape)
    whole = tree.splits["train"].images[np.arange(8)]
    np.testing.assert_array_equal(first[..., 2], whole[..., 2])  # of the right image
    for image in first:
        columns, rows = image[0, :, 0] / 6, image[:, 0, 1] / 8  # where the part was
        assert (np.diff(columns) >= 0).all()
        assert (np.diff(rows) >= 0).all()
        width, height = np.ptp(columns) * 8 / 7, np.ptp(rows) * 8 / 7
        assert 0.05 < width * height / 1200 < 1.1
        assert 0.6 < width / height < 1.7
    assert all((first[k] != second[k]).any() and (first[k] != other[k]).any() for k in range(8))
    assert len({image[..., :2].tobytes() for image in first}) == 8
    again = crops_of(tree)[0].images.reshape(first.shape)
    np.testing.assert_array_equal(first, again)


def test_random_crops_do_not_depend_on_how_many_steps_a_call_has(tree):
    source = feed.create("streaming", tree, 2, 0)
    steps = [np.arange(8, dtype=np.int32) + k for k in range(4)]
    single = list(source.batches("train", lambda number: steps[number][None], 0, 4, training=True))
    pairs = [np.stack(steps[:2]), np.stack(steps[2:])]
    double = list(source.batches("train", lambda number: pairs[number], 0, 2, training=True))
    for k in range(4):
        np.testing.assert_array_equal(single[k].images[:, 0], double[k // 2].images[:, k % 2])


@pytest.mark.parametrize("split", ["train", "test"])
def test_evaluation_sees_whole_images(tree, split):
    source = feed.create("streaming", tree, 1, 0)
    [batch] = source.batches(split, lambda number: np.arange(8, dtype=np.int32), 0, 1)
    np.testing.assert_array_equal(batch.images.reshape(8, 8, 8, 3), tree.splits[split].images[np.arange(8)])


def test_a_run_with_random_crops_trains_and_evaluates(tree_folder, tmp_path):
    layer = {
        "data.name": "folder", "data.dir": str(tree_folder), "data.image_size": 8,
        "data.random_resized_crop": True, "model.features": (4,), "model.hidden": 8, "batch_size": 16,
        "eval_batch_size": 16, "train_steps": 2, "eval_every_steps": 2, "checkpoint_every_steps": 2,
        "tensorboard": False,
    }  # fmt: skip
    summary = train_and_evaluate(config.resolve(config.unflatten(layer)), tmp_path / "run")
    assert summary["num_steps"] == 2


@pytest.mark.parametrize("name", ["resident", "streaming"])
def test_random_crops_need_files_and_streaming(tree, name):
    with pytest.raises(ConfigError, match=r"data\.random_resized_crop: needs data\.feed='streaming'"):
        feed.create(name, tree if name == "resident" else dataset(Images((64, 2, 2, 1))), 1, 0)
