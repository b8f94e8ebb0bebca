"""IMDB: reviews in an archive or a folder, their vectors, and training on vectors."""

import dataclasses
import hashlib
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow_datasets as tfds

import grjax.config
from grjax import data, evaluate, experiment
from grjax.data import feed, from_arrays, skip_gram
from grjax.data.dataset import Dataset, Split
from grjax.data.feed import DeviceData
from grjax.data.imdb import Imdb, ImdbSkipGram
from grjax.data.source_files import Download
from grjax.data.tfds_source import read
from grjax.errors import ConfigError

ROOT = Path(__file__).parent.parent
SIZES = {"train": 48, "test": 16}
needs_gensim = pytest.mark.skipif(not importlib.util.find_spec("gensim"), reason="needs gensim")


def reviews():
    """{path: text}: common words, and some that tell the class; sorted as text, names are not by number."""
    rng = np.random.default_rng(0)
    files = {}
    for split, count in SIZES.items():
        for label, name in enumerate(("neg", "pos")):
            for number in range(count // 2):
                words = [f"common{i}" for i in rng.integers(0, 30, 30)]
                words += [f"{'bad' if label == 0 else 'good'}{i}" for i in rng.integers(0, 5, 30)]
                text = " ".join(rng.permutation(words).tolist()) + ".<br /><br />The End"
                files[f"{split}/{name}/{number}_{3 + 5 * label}.txt"] = text.encode()
    return files


REVIEWS = reviews()


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def pack(path, files):
    """As the authors pack it, with files that are no labelled reviews; the order is not sorted."""
    others = {"README": b"...", "imdb.vocab": b"the", "train/unsup/0_0.txt": b"x", "test/neg/urls.md": b"x"}
    with tarfile.open(path, "w:gz") as archive:
        for name, content in reversed({**others, **files}.items()):
            entry = tarfile.TarInfo(f"aclImdb/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def small(archive=None, num_examples=SIZES):
    """The distribution with these numbers, and the checksum of this archive."""
    (layout,) = Imdb.DISTRIBUTION.layouts
    if archive is not None:
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        layout = dataclasses.replace(layout, downloads={layout.archives[0]: Download("http://none", digest)})
    return dataclasses.replace(Imdb.DISTRIBUTION, layouts=(layout,), num_examples=num_examples)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """(where it is prepared, the data set), from a folder."""
    pytest.importorskip("gensim")
    root = tmp_path_factory.mktemp("imdb")
    folder = write(root / "given" / "aclImdb", REVIEWS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tfds.core.constants, "DATA_DIR", str(root / "tfds"))
        return root / "tfds", read(Imdb, str(folder.parent), small())


def test_reviews_become_vectors_that_tell_their_class(prepared):
    _, dataset = prepared
    assert (dataset.name, dataset.class_names) == ("imdb", ("neg", "pos"))
    train, test = dataset.splits["train"], dataset.splits["test"]
    for split, count in ((train, 48), (test, 16)):
        assert (split.images.dtype, split.images.shape) == (np.float32, (count, 1, 1, 100))
        np.testing.assert_array_equal(split.ids, np.arange(count))
        np.testing.assert_array_equal(split.labels, np.arange(count) >= count // 2)
    vectors = train.images[:, 0, 0]
    towards = vectors[train.labels == 1].mean(0) - vectors[train.labels == 0].mean(0)
    for split in (train, test):  # a test vector lies as if it had been trained
        shares = (split.images[:, 0, 0] - vectors.mean(0)) @ towards
        assert np.mean((shares > 0) == split.labels) > 0.9
    assert 0.5 < np.linalg.norm(test.images) / np.sqrt(16) / (np.linalg.norm(vectors) / np.sqrt(48)) < 2


def test_ids_go_by_class_and_by_the_names_of_files_as_text(prepared):
    from grjax.data.document_vectors import document_vectors

    _, dataset = prepared
    texts = {
        split: [
            REVIEWS[f"{split}/{name}/{file}"].decode()
            for name in ("neg", "pos")
            for file in sorted(os.path.basename(key) for key in REVIEWS if key.startswith(f"{split}/{name}/"))
        ]
        for split in SIZES
    }
    for split, vectors in zip(SIZES, document_vectors(texts["train"], texts["test"]), strict=True):
        np.testing.assert_array_equal(dataset.splits[split].images[:, 0, 0], vectors)


def test_an_archive_and_a_folder_give_the_same_vectors_and_digests(tmp_path, tfds_dir, prepared):
    where, expected = prepared
    archive = pack(tmp_path / "reviews.tgz", REVIEWS)
    dataset = read(Imdb, str(archive), small(archive))
    for name, split in expected.splits.items():
        np.testing.assert_array_equal(dataset.splits[name].images, split.images)
        np.testing.assert_array_equal(dataset.splits[name].labels, split.labels)
    of_archive, of_folder = (
        json.loads((root / "imdb" / "1.0.0" / "metadata.json").read_text()) for root in (tfds_dir, where)
    )
    assert (of_archive["verified"], of_folder["verified"]) == (True, False)
    assert of_archive["sha256"] == of_folder["sha256"]
    listing = "".join(
        f"{hashlib.sha256(content).hexdigest()}  {os.path.basename(name)}\n"
        for name, content in sorted(REVIEWS.items())
        if name.startswith("test/pos/")
    )
    assert of_folder["sha256"]["test/pos"] == hashlib.sha256(listing.encode()).hexdigest()
    assert set(of_folder["sha256"]) == {"train/neg", "train/pos", "test/neg", "test/pos"}
    assert re.fullmatch(r"\d+\.\d+.*", of_folder["gensim"])


def unlabelled():
    """{path: text} of reviews without a label, twice as many as there are for training."""
    return {f"train/unsup/{i}_0.txt": f"The end of {i}: common{i % 30} good1".encode() for i in range(96)}


def all_reviews(**changes):
    return dataclasses.replace(ImdbSkipGram.DISTRIBUTION, num_examples={**SIZES, "unsup": 96, **changes})


@pytest.fixture
def few_iterations(monkeypatch):
    pytest.importorskip("numba")
    few = skip_gram.Settings(iterations=5)
    monkeypatch.setattr(skip_gram, "Settings", lambda: few)
    monkeypatch.setattr("grjax.data.imdb._num_cores", lambda: 1)
    return few


def test_vectors_of_all_reviews_go_by_split_class_and_name(tmp_path, tfds_dir, few_iterations):
    from grjax.data.vocabulary import tokens

    every = {**REVIEWS, **unlabelled()}
    folder = write(tmp_path / "aclImdb", every)
    dataset = read(ImdbSkipGram, str(folder), all_reviews())
    assert (dataset.name, dataset.class_names) == ("imdb_skip_gram", ("neg", "pos"))
    names = sorted(every, key=lambda name: ("test" in name, "unsup" in name, "pos" in name, name))
    labelled = [name for name in names if "unsup" not in name]
    names = labelled + [name for name in names if "unsup" in name]
    texts = [tokens(every[name].decode()) for name in names]
    vectors = skip_gram.skip_gram(texts, few_iterations, threads=1)
    for split, first in (("train", 0), ("test", 48)):
        found = dataset.splits[split]
        expected = vectors[first : first + SIZES[split]]
        np.testing.assert_array_equal(found.images[:, 0, 0], expected)
        np.testing.assert_array_equal(
            found.labels, [("pos" in name) for name in labelled[first:][: len(found)]]
        )
    metadata = json.loads((tfds_dir / "imdb_skip_gram" / "1.0.0" / "metadata.json").read_text())
    assert set(metadata["sha256"]) == {"train/neg", "train/pos", "train/unsup", "test/neg", "test/pos"}
    provenance = metadata["document_vectors"]
    assert provenance.items() >= dataclasses.asdict(few_iterations).items()
    assert (provenance["documents"], provenance["threads"], provenance["size"]) == (160, 1, 100)
    assert provenance["tokens"] == sum(map(len, texts))


def test_preparing_goes_on_where_it_was_stopped_and_leaves_nothing(
    tmp_path, tfds_dir, few_iterations, monkeypatch
):
    folder = write(tmp_path / "aclImdb", {**REVIEWS, **unlabelled()})
    whole, calls = skip_gram.skip_gram, []

    def stopped(texts, settings, *, report, **options):
        def interrupt(done, total):
            calls.append(done / total)
            if done > 0.5 * total:
                raise KeyboardInterrupt

        whole(texts, settings, report=interrupt, **options)

    with monkeypatch.context() as patch:
        patch.setattr(skip_gram, "skip_gram", stopped)
        with pytest.raises(KeyboardInterrupt):
            read(ImdbSkipGram, str(folder), all_reviews())
    assert len(list(tfds_dir.glob("imdb_skip_gram/unfinished/*.npz"))) == 1
    begun = []

    def counted(texts, settings, *, report, **options):
        return whole(texts, settings, report=lambda done, total: begun.append(done / total), **options)

    monkeypatch.setattr(skip_gram, "skip_gram", counted)
    read(ImdbSkipGram, str(folder), all_reviews())
    assert min(begun) > 0.4
    assert [path.name for path in (tfds_dir / "imdb_skip_gram").iterdir()] == ["1.0.0"]


def test_reviews_without_a_label_must_all_be_there(tmp_path, tfds_dir, few_iterations):
    folder = write(tmp_path / "aclImdb", {**REVIEWS, **unlabelled()})
    with pytest.raises(ConfigError, match=r"train/unsup of 'imdb' must hold 97 .txt files, holds 96"):
        read(ImdbSkipGram, str(folder), all_reviews(unsup=97))


def test_numba_missing_is_one_error_before_anything_is_read(tmp_path, tfds_dir, monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setattr("grjax.data.source_files.read", None)
    folder = write(tmp_path / "aclImdb", {**REVIEWS, **unlabelled()})
    with pytest.raises(ConfigError, match=r"numba: must be installed .*'grjax\[text\]'"):
        read(ImdbSkipGram, str(folder), all_reviews())


TEXTS = [" ".join(f"w{(i * j) % 17}" for j in range(40)) for i in range(30)]


@needs_gensim
def test_vectors_do_not_depend_on_the_hash_seed_of_the_process(tmp_path):
    from grjax.data.document_vectors import document_vectors

    script = f"""
import sys
import numpy as np
from grjax.data.document_vectors import document_vectors
np.savez(sys.argv[1], *document_vectors({TEXTS[:20]}, {TEXTS[20:]}))
"""
    path, seed = str(tmp_path / "vectors.npz"), "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    environment = {**os.environ, "PYTHONHASHSEED": seed}  # of this process: random, or another one
    subprocess.run([sys.executable, "-c", script, path], env=environment, cwd=ROOT, check=True)
    with np.load(path) as stored:
        for name, vectors in zip(stored.files, document_vectors(TEXTS[:20], TEXTS[20:]), strict=True):
            np.testing.assert_array_equal(stored[name], vectors)


@needs_gensim
def test_a_test_vector_is_a_function_of_its_text_alone():
    from grjax.data.document_vectors import document_vectors

    train, test = document_vectors(TEXTS[:20], TEXTS[20:])
    same, alone = document_vectors(TEXTS[:20], [TEXTS[23], "unknown"])
    np.testing.assert_array_equal(same, train)
    np.testing.assert_array_equal(alone, [test[3], np.zeros(100)])
    assert len(set(map(bytes, test))) == 10


@needs_gensim
def test_training_documents_are_not_visited_class_by_class(monkeypatch):
    from gensim.models.doc2vec import Doc2Vec

    from grjax.data.document_vectors import document_vectors

    visited, train = [], Doc2Vec.train

    def record(model, documents, **options):
        visited.extend(document.tags[0] for document in documents)
        train(model, documents, **options)

    monkeypatch.setattr(Doc2Vec, "train", record)
    document_vectors(TEXTS, TEXTS[:1])
    assert sorted(visited) == list(range(30))
    assert 3 < np.sum(np.array(visited[:15]) < 15) < 12


@needs_gensim
def test_texts_without_a_word_that_comes_twice_are_refused():
    from grjax.data.document_vectors import document_vectors

    with pytest.raises(ConfigError, match="no word comes twice"):
        document_vectors(["one two", "three"], ["one"])


def test_gensim_missing_is_one_error_before_anything_is_read(tmp_path, tfds_dir, monkeypatch):
    monkeypatch.setitem(sys.modules, "gensim", None)
    monkeypatch.setattr("grjax.data.source_files.read", None)
    folder = write(tmp_path / "aclImdb", REVIEWS)
    with pytest.raises(ConfigError, match=r"gensim: must be installed .*'grjax\[text\]'"):
        read(Imdb, str(folder), small())
    assert not list(tfds_dir.glob("imdb/*"))


DAMAGE = {
    "an empty review": ({"train/pos/3_8.txt": b""}, "train/pos/3_8.txt of 'imdb' must be a review, it holds"),
    "marks alone": ({"test/neg/3_3.txt": b"<br />..."}, "test/neg/3_3.txt of 'imdb' must be a review"),
    "bytes that are no text": ({"test/neg/3_3.txt": b"\xff\xfe"}, "is not 'imdb': .* can't decode byte 0xff"),
    "one too many": ({"test/pos/99_8.txt": b"good"}, "test/pos of 'imdb' must hold 8 .txt files, holds 9"),
    "one too few": ({"train/neg/3_3.txt": None}, "train/neg of 'imdb' must hold 24 .txt files, holds 23"),
    "an empty folder": (dict.fromkeys(n for n in REVIEWS if "test/neg" in n), "has no .txt file of test/neg"),
}  # fmt: skip


@needs_gensim
@pytest.mark.parametrize("what", list(DAMAGE))
def test_a_folder_that_is_damaged_is_refused(tmp_path, tfds_dir, what):
    changes, message = DAMAGE[what]
    folder = write(tmp_path / "aclImdb", REVIEWS)
    for name, content in changes.items():
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content)
    with pytest.raises(ConfigError, match=rf"^data\.dir: .*{message}"):
        read(Imdb, str(folder), small())
    assert not list(tfds_dir.glob("imdb/*"))


def test_a_missing_folder_is_named(tmp_path):
    folder = write(tmp_path / "aclImdb", REVIEWS)
    shutil.rmtree(folder / "test" / "pos")
    for given in (folder, tmp_path):
        with pytest.raises(ConfigError, match=r"data\.dir: .*aclImdb has no folder test/pos$"):
            data.load("imdb", dir=str(given))


@needs_gensim
@pytest.mark.parametrize("share", [0.0, 0.3, 0.95])
def test_a_truncated_archive_is_refused(tmp_path, tfds_dir, share):
    archive = pack(tmp_path / "aclImdb_v1.tar.gz", REVIEWS)
    distribution = small(archive)
    os.truncate(archive, int(share * archive.stat().st_size))
    with pytest.raises(ConfigError, match=r"data\.dir: .*aclImdb_v1\.tar\.gz is .*truncated"):
        read(Imdb, str(archive), distribution)
    assert not list(tfds_dir.glob("imdb/*"))


@needs_gensim
def test_another_archive_is_refused_by_the_published_digest(tmp_path, tfds_dir):
    archive = pack(tmp_path / "aclImdb_v1.tar.gz", REVIEWS)
    (layout,) = Imdb.DISTRIBUTION.layouts
    message = f"it must have sha256 {layout.downloads[layout.archives[0]].sha256}, has "
    with pytest.raises(ConfigError, match=message):
        data.load("imdb", dir=str(archive))


def test_run_py_trains_the_mlp_on_vectors(tmp_path, prepared):
    where, _ = prepared
    command = [
        sys.executable, "run.py", f"--workdir={tmp_path / 'run'}", "--config.data.name=imdb",
        f"--config.data.dir={where}", "--config.model.name=mlp", "--config.batch_size=16",
        "--config.eval_batch_size=16", "--config.train_epochs=10", "--config.eval_every_epochs=10",
        "--config.noise.rate=0.1", "--config.optimizer.learning_rate=0.1",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["test_accuracy"] > 0.8


FEATURES = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32) * [1, 10, 1e-9, 0, 1] + 3
FEATURES = FEATURES.astype(np.float32)
LABELS = np.arange(20) % 2


def config(path, **changes):
    layer = {
        "data": {"name": "npz", "dir": str(path), **changes.pop("data", {})},
        "model": {"name": "mlp"},
        "batch_size": 4,
        "eval_batch_size": 4,
    }
    return grjax.config.resolve({**layer, **changes})


def test_features_of_ones_own_are_standardised(tmp_path):
    np.savez(tmp_path / "table.npz", images=FEATURES, labels=LABELS)
    parts = experiment.create(config(tmp_path / "table.npz"))
    assert parts.parts.image_shape == (1, 1, 5)
    train = parts.dataset.splits["train"].images
    assert (train.dtype, train.shape) == (np.float32, (16, 1, 1, 5))
    mean, std = parts.dataset.channel_statistics()
    seen = DeviceData(None, jnp.zeros(0), jnp.asarray(mean), jnp.asarray(std)).standardise(jnp.asarray(train))
    np.testing.assert_allclose(seen.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(np.std(np.asarray(seen), (0, 1, 2))[[0, 1, 4]], 1, rtol=1e-5)
    assert std[3] == 1  # constant
    assert std[2] == 1  # or so to the resolution of float32, about a mean of 3


@pytest.mark.parametrize("standardise", [True, False])
def test_features_may_be_left_as_they_are(tmp_path, standardise):
    np.savez(tmp_path / "table.npz", images=FEATURES, labels=LABELS)
    parts = experiment.create(config(tmp_path / "table.npz", data={"standardise": standardise}))
    features = parts.dataset.splits["train"].images
    seen = np.asarray(evaluate.device_data(parts).standardise(jnp.asarray(features)))
    assert np.array_equal(seen, features) == (not standardise)


def test_raw_features_are_not_looked_at_for_their_scale(tmp_path, monkeypatch):
    np.savez(tmp_path / "table.npz", images=FEATURES, labels=LABELS)
    monkeypatch.setattr(Dataset, "channel_statistics", None)
    evaluate.device_data(experiment.create(config(tmp_path / "table.npz", data={"standardise": False})))


def test_the_scale_of_small_features_is_kept():
    dataset = from_arrays(((FEATURES - 3) * np.float32(1e-9)).astype(np.float32), LABELS)
    _, std = dataset.channel_statistics()
    np.testing.assert_allclose(std[0], dataset.splits["train"].images[..., 0].std(), rtol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(bad):
    features = FEATURES.copy()
    features[7, 2] = bad
    with pytest.raises(ConfigError, match="split 'train': example 7 holds NaN or infinity"):
        from_arrays(features, LABELS, test=(FEATURES, LABELS))


@pytest.mark.parametrize("other", [np.zeros((20, 1, 1, 5), np.uint8), FEATURES[:, :4]])
def test_splits_of_different_kinds_are_refused(other):
    with pytest.raises(ConfigError, match=r"split 'test': images are .* they must be alike"):
        from_arrays(FEATURES, LABELS, test=(other, LABELS))


def test_augmentation_of_features_is_refused(tmp_path):
    np.savez(tmp_path / "table.npz", images=FEATURES, labels=LABELS)
    with pytest.raises(ConfigError, match=r"data\.augmentation: must be empty for 'npz'.* are float32$"):
        experiment.create(config(tmp_path / "table.npz", data={"augmentation": ("flip",)}))


def test_the_size_of_features_is_that_of_their_bytes(monkeypatch):
    images = np.zeros((10, 1, 1, 5), np.float32)
    split = Split(images, np.zeros(10, np.int32), np.arange(10))
    dataset = Dataset("features", ("a",), {"train": split, "test": split})
    for limit, expected in (
        (2 * images.nbytes, feed.Resident),
        (2 * images.nbytes - 1, feed.Streaming),
    ):
        monkeypatch.setattr(feed, "_resident_limit", lambda limit=limit: limit)
        assert isinstance(feed.create("auto", dataset, workers=1), expected)


def test_a_feed_that_streams_features_gives_the_same_as_one_that_keeps_them():
    dataset = from_arrays(FEATURES, LABELS, test=(FEATURES[:4], LABELS[:4]))
    positions = np.arange(8).reshape(1, 8)[:, ::-1]
    (streamed,) = feed.Streaming(dataset, 1).batches("train", lambda number: positions, 0, 1)
    resident = feed.Resident(dataset)
    (kept,) = resident.batches("train", lambda number: positions, 0, 1)
    assert streamed.images.dtype == np.float32
    np.testing.assert_array_equal(resident.device_images()[kept.positions], streamed.images)
