"""Data sets of the `datasets` library, from a disk: columns, splits, labels, and labels beside the labels."""

import re

import datasets
import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value
from PIL import Image
from small_runs import small

from grjax import data, experiment
from grjax.errors import ConfigError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (12, 8, 8), np.uint8)
LABELS = np.arange(12) % 3
CROWD = np.where(np.arange(12) % 4 == 0, (LABELS + 1) % 3, LABELS)
NAMES = ["cat", "dog", "emu"]


@pytest.fixture(autouse=True)
def _quiet_and_in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def pictures(pixels=PIXELS, labels=LABELS, **more):
    columns = {"picture": [Image.fromarray(each) for each in pixels], "animal": labels, **more}
    kinds = {"picture": datasets.Image(), "animal": ClassLabel(names=NAMES)}
    features = Features({**kinds, **{name: kind_of(values) for name, values in more.items()}})
    return Dataset.from_dict(columns, features=features)


def kind_of(values):
    return Value("string") if isinstance(values[0], str) else Value("int64")


def table(rows=12, **more):
    columns = {
        "height": RNG.normal(size=rows),
        "weight": RNG.integers(0, 9, rows),
        "embedding": RNG.normal(size=(rows, 4)).astype(np.float32).tolist(),
        "label": [NAMES[each] for each in LABELS[:rows]],
        **more,
    }
    kinds = {"embedding": List(Value("float32")), "label": Value("string")}
    return Dataset.from_dict(columns).cast_column("embedding", kinds["embedding"])


def saved(dataset, path):
    dataset.save_to_disk(path)
    return str(path)


def load(source, **options):
    return data.load("huggingface", dir=str(source), **options)


def test_a_saved_dictionary_of_splits(tmp_path):
    splits = DatasetDict(
        Training=pictures(), valid=pictures(PIXELS[:3], [0, 2, 1]), test=pictures(PIXELS[3:5], [1, 1])
    )
    found = load(saved(splits, tmp_path / "zoo"))
    assert (found.name, found.class_names) == ("zoo", tuple(NAMES))
    assert list(found.splits) == ["train", "validation", "test"]
    np.testing.assert_array_equal(found.splits["train"].images, PIXELS[..., None])
    np.testing.assert_array_equal(found.splits["train"].labels, LABELS)
    np.testing.assert_array_equal(found.splits["train"].ids, np.arange(12))
    np.testing.assert_array_equal(found.splits["validation"].labels, [0, 2, 1])
    np.testing.assert_array_equal(found.splits["test"].images, PIXELS[3:5, ..., None])


def test_splits_and_columns_by_name(tmp_path):
    splits = DatasetDict(a=pictures(crowd=CROWD), b=pictures(PIXELS[:2], [2, 0], crowd=[1, 1]))
    path = saved(splits, tmp_path / "zoo")
    found = load(path, train_split="a", test_split="b", label_column="crowd")
    assert found.class_names == ("0", "1", "2")  # plain numbers, without names
    np.testing.assert_array_equal(found.splits["train"].labels, CROWD)
    np.testing.assert_array_equal(found.splits["test"].labels, [1, 1])


@pytest.mark.parametrize("form", ["folder", "file"])
def test_parquet(tmp_path, form):
    path = tmp_path / "zoo"
    path.mkdir()
    pictures(id=(100 - np.arange(12)).tolist()).to_parquet(path / "train-00000.parquet")
    found = load(path if form == "folder" else path / "train-00000.parquet", test_fraction=0.25)
    assert sorted(np.concatenate([each.ids for each in found.splits.values()])) == list(range(89, 101))
    for split in found.splits.values():
        np.testing.assert_array_equal(split.images, PIXELS[100 - split.ids][..., None])
        np.testing.assert_array_equal(split.labels, LABELS[100 - split.ids])


def test_a_folder_of_images(tmp_path):
    for number, pixels in enumerate(PIXELS):
        part = tmp_path / "zoo" / ("test" if number > 8 else "train") / NAMES[LABELS[number]]
        part.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(part / f"{number:02d}.png")
    found = load(tmp_path / "zoo")
    assert found.class_names == tuple(NAMES)
    order = [0, 3, 6, 1, 4, 7, 2, 5, 8]
    np.testing.assert_array_equal(found.splits["train"].images, PIXELS[order][..., None])
    np.testing.assert_array_equal(found.splits["test"].images, PIXELS[[9, 10, 11]][..., None])


def test_images_of_several_sizes_are_decoded_when_they_are_needed(tmp_path):
    images = [Image.fromarray(np.full((10 + row, 9, 3), 20 * row, np.uint8)) for row in range(12)]
    features = Features({"image": datasets.Image(), "label": ClassLabel(names=NAMES)})
    dataset = Dataset.from_dict({"image": images, "label": LABELS}, features=features)
    found = load(saved(dataset, tmp_path / "zoo"), image_size=6)
    for split in found.splits.values():
        assert not isinstance(split.images, np.ndarray)
        assert split.images.shape == (len(split), 6, 6, 3)
        np.testing.assert_array_equal(split.images[np.arange(len(split))][:, 0, 0, 0], 20 * split.ids)
        part = split.take(np.array([1, 0]))
        np.testing.assert_array_equal(part.images[np.arange(2)][:, 3, 3, 1], 20 * part.ids)


def test_columns_of_numbers(tmp_path):
    dataset = table()
    path = saved(dataset, tmp_path / "table")
    found = load(path, columns=("height", "weight", "embedding"))
    wanted = np.column_stack([dataset["height"][:], dataset["weight"][:], dataset["embedding"][:]])
    for split in found.splits.values():
        np.testing.assert_allclose(split.images[:, 0, 0], wanted[split.ids], rtol=1e-6)
    assert load(path).splits["train"].images.shape[1:] == (1, 1, 4)  # the one of lists


def test_rows_that_were_chosen_and_mixed_keep_their_labels(tmp_path):
    dataset = pictures(crowd=[NAMES[each] for each in CROWD])
    rows = RNG.permutation(12)[:9]
    test = pictures(PIXELS[:1], [0], crowd=["cat"])
    found = load(
        saved(DatasetDict(train=dataset.select(rows), test=test), tmp_path / "zoo"), annotations=["crowd"]
    ).splits["train"]
    np.testing.assert_array_equal(found.images, PIXELS[rows][..., None])
    np.testing.assert_array_equal(found.labels, LABELS[rows])
    np.testing.assert_array_equal(found.annotations["crowd"], CROWD[rows])


@pytest.mark.parametrize("form", ["numbers", "names", "class label"])
@pytest.mark.parametrize("held_out", [0.0, 0.4])
def test_a_column_of_noisy_labels_is_trained_on(tmp_path, form, held_out):
    """Accuracies are measured against the clean labels, the column is the noise; ids hold both together."""
    crowd = CROWD if form == "numbers" else [NAMES[each] for each in CROWD]
    dataset = pictures(crowd=list(crowd))
    if form == "class label":  # whose names have another order
        dataset = dataset.cast_column("crowd", ClassLabel(names=NAMES[::-1]))
    validation = {"data.validation_fraction": held_out, "data.validation_labels": "noisy"} if held_out else {}
    config = small(
        **{
            "data.name": "huggingface",
            "data.dir": saved(dataset, tmp_path / "zoo"),
            "data.test_fraction": 0.25,
        },
        **{
            "noise": {"name": "column", "column": "crowd"},
            "batch_size": 4,
            "eval_batch_size": 4,
            **validation,
        },
    )
    made = experiment.create(config)
    ids = made.noise.ids
    np.testing.assert_array_equal(made.noise.labels, CROWD[ids])
    np.testing.assert_array_equal(made.noise.clean, LABELS[ids])
    assert made.noise.nominal_rate is None
    assert made.noise.realised_rate == np.mean(CROWD[ids] != LABELS[ids])
    np.testing.assert_array_equal(made.dataset.splits["test"].labels, LABELS[made.dataset.splits["test"].ids])
    if held_out:
        split = made.dataset.splits["validation_noisy"]
        np.testing.assert_array_equal(split.labels, CROWD[split.ids])


def test_npz_and_csv_have_such_columns_too(tmp_path):
    order = RNG.permutation(12)
    np.savez(tmp_path / "a.npz", images=PIXELS, labels=LABELS, ids=order, crowd=CROWD)
    lines = ["image,label,id,Crowd,split"]
    for row in range(12):
        Image.fromarray(PIXELS[row]).save(tmp_path / f"{row}.png")
        split = "test" if row > 8 else "train"
        lines.append(f"{row}.png,{NAMES[LABELS[row]]},{order[row]},{NAMES[CROWD[row]]},{split}")
    (tmp_path / "a.csv").write_text("\n".join(lines))
    rows = np.argsort(order)
    for name in ("npz", "csv"):
        train = data.load(name, dir=tmp_path / f"a.{name}", annotations=["crowd"], image_size=8).splits[
            "train"
        ]
        np.testing.assert_array_equal(train.labels, LABELS[rows[train.ids]])
        np.testing.assert_array_equal(train.annotations["crowd"], CROWD[rows[train.ids]])
        with pytest.raises(ConfigError, match=r"^noise\.column: .*'other'.*crowd"):
            data.load(name, dir=tmp_path / f"a.{name}", annotations=["other"])


COLUMNS = "picture (Image), animal (ClassLabel), crowd (string)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": ("pixels",)}, f"data.columns: no column 'pixels' in data.dir: DIR, which has {COLUMNS}"),
        ({"columns": ("crowd",)}, "train column 'crowd': must be images or numbers, got string"),
        ({"columns": ("animal",)}, "data.columns: 'animal' is a column of labels, and no input"),
        ({"columns": ("picture", "crowd")}, "data.columns: 'picture' is of images, which stand alone"),
        ({"label_column": "class"}, "data.label_column: no column 'class' in data.dir: DIR, which"),
        ({"label_column": "picture"}, "data.label_column: 'picture' must be of integers, names or"),
        ({"train_split": "trian"}, "data.train_split: no split 'trian'; did you mean 'train'? Known: other"),
        ({"test_split": "tests"}, "data.test_split: no split 'tests'; Known: other, train"),
        ({"annotations": ("noisy",)}, "noise.column: no column 'noisy' in data.dir: DIR, split 'train', "),
        ({"annotations": ("crowd",)}, "annotations 'crowd': 'fox' is none of the classes ['cat', 'dog'"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_named_with_what_is(tmp_path, options, message):
    both = pictures(crowd=["fox"] * 12)
    path = saved(DatasetDict(train=both, other=both), tmp_path / "zoo")
    with pytest.raises(ConfigError, match=re.escape(message.replace("DIR", path))):
        load(path, **options)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (
            lambda: DatasetDict(a=pictures(), b=pictures()),
            "data.train_split: must be one of a, b, got None",
        ),
        (
            lambda: DatasetDict(train=pictures(), Training=pictures()),
            "data.train_split: must be one of train, Training, got None",
        ),
        (
            lambda: table().remove_columns("embedding"),
            "data.columns: must name the columns to learn from, one of images or arrays, or several",
        ),
        (
            lambda: table().rename_column("label", "kind"),
            "data.label_column: must be the column of the labels, got None; data.dir: DIR has height (float",
        ),
        (
            lambda: table(embedding=[[1.0]] * 6 + [[1.0, 2.0]] * 6),
            "train column 'embedding': must have as many numbers in every row, got 1 to 2",
        ),
        (
            lambda: table(embedding=[[1.0, 2.0]] * 6 + [[1.0, None]] * 6),
            "train column 'embedding': is missing in row 6",
        ),
        (
            lambda: pictures(labels=[0, 1, 2, -1] * 3),
            "train column 'animal': -1 is no class (rows 3, 7, 11 (3 of 12)); classes are numbered from 0",
        ),
        (
            lambda: table(label=["a", None] * 6),
            "train column 'label': each example must have one, missing or blank in rows 1, 3",
        ),
        (
            lambda: DatasetDict(train=pictures(), test=table()),
            "data.columns and data.label_column: no column 'picture' in data.dir: DIR, split 'test', which",
        ),
    ],
)
def test_unusable_data_are_refused(tmp_path, dataset, message):
    path = saved(dataset(), tmp_path / "zoo")
    with pytest.raises(ConfigError, match=re.escape(message.replace("DIR", path))):
        load(path)


def test_a_picture_that_is_damaged_is_named(tmp_path):
    features = Features({"image": datasets.Image(), "label": Value("int64")})
    rows = [{"bytes": b"no picture", "path": None}] * 2
    path = saved(Dataset.from_dict({"image": rows, "label": [0, 1]}, features=features), tmp_path / "zoo")
    with pytest.raises(ConfigError, match="train column 'image', row 0: does not decode as an image"):
        load(path)
    rows = [None, None]
    path = saved(Dataset.from_dict({"image": rows, "label": [0, 1]}, features=features), tmp_path / "none")
    with pytest.raises(ConfigError, match="train column 'image', row 0: has no image"):
        load(path)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("/nowhere/zoo", "data.dir: /nowhere/zoo does not exist; it must be a folder, a file or a"),
        ("FOLDER/a.txt", "data.dir: FOLDER/a.txt must be a folder, or end in .parquet, .csv"),
        ("FOLDER/empty", "data.dir: FOLDER/empty cannot be read by the datasets library: "),
        ("FOLDER/a.parquet", "data.dir: FOLDER/a.parquet cannot be read by the datasets library: "),
    ],
)  # fmt: skip
def test_a_source_that_cannot_be_read(tmp_path, source, message):
    (tmp_path / "empty").mkdir()
    for name in ("a.txt", "a.parquet"):
        (tmp_path / name).write_text("no parquet")
    with pytest.raises(ConfigError, match="^" + re.escape(message.replace("FOLDER", str(tmp_path)))):
        load(source.replace("FOLDER", str(tmp_path)))


def test_what_other_data_sets_do_not_take():
    with pytest.raises(ConfigError, match=r"^data\.label_column: must be left out for 'digits'"):
        data.load("digits", label_column="animal")
    with pytest.raises(
        ConfigError, match=r"^noise\.column: 'digits' has no columns of other labels; csv, npz and"
    ):
        experiment.create(small(noise={"name": "column", "column": "crowd"}))


def test_the_library_must_be_there(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda package: None)
    with pytest.raises(ConfigError, match=r"^datasets: must be installed for this; .*\[huggingface\]"):
        load("zoo")
