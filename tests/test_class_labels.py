"""Labels and names of classes as people have them, at every door: arrays, .npz, CSV, audit and estimator."""

import json

import numpy as np
import pandas as pd
import pytest

from grjax import analysis, data
from grjax.data import class_labels, from_arrays
from grjax.errors import ConfigError
from grjax.estimator import GRClassifier

N = 20
IMAGES = np.random.default_rng(0).integers(0, 256, (N, 4, 4), np.uint8)
NUMBERS = np.arange(N) % 2
NAMES = np.array(["cat", "dog"])[NUMBERS]
TWO = {"cat": "0", "dog": "1"}


def by_id(dataset):
    """The labels of all examples in the order of their ids, and the classes."""
    splits = dataset.splits.values()
    ids, labels = (np.concatenate([getattr(each, name) for each in splits]) for name in ("ids", "labels"))
    return labels[np.argsort(ids)].tolist(), dataset.class_names


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i1", "i8", ">u4", "?", "O"])
def test_numbers_of_every_type(tmp_path, dtype):
    labels = NUMBERS.astype(dtype)
    assert by_id(from_arrays(IMAGES, labels)) == (NUMBERS.tolist(), ("0", "1"))
    if dtype != "O":
        np.savez(tmp_path / "a.npz", images=IMAGES, labels=labels)
        found = data.load("npz", dir=tmp_path / "a.npz")
        assert by_id(found) == (NUMBERS.tolist(), ("0", "1"))


KINDS = {
    "list": NAMES.tolist(),
    "text": NAMES,
    "objects": NAMES.astype(object),
    "bytes": NAMES.astype("S"),
    "objects of bytes": NAMES.astype("S").astype(object),
    "blanks": [f" {name}\t" for name in NAMES],
    "Series": pd.Series(NAMES, index=range(100, 100 + N)),
    "Series of objects": pd.Series(NAMES, dtype=object),
    "categorical": pd.Categorical(NAMES, categories=["dog", "cat", "cow"]),
    "Series of categoricals": pd.Series(NAMES).astype("category"),
    "StringDtype": pd.array(NAMES.tolist(), dtype="string"),
    "variable-width text": NAMES.astype(np.dtypes.StringDType()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_every_type(kind):
    assert by_id(from_arrays(IMAGES, KINDS[kind])) == (NUMBERS.tolist(), ("cat", "dog"))


@pytest.mark.parametrize(
    "labels",
    [
        pd.Series(NUMBERS, dtype="Int64"),
        pd.Series(NUMBERS, dtype="uint8"),
        pd.Series(NUMBERS).astype("category"),
        [np.int64(each) for each in NUMBERS],
        [np.array(each) for each in NUMBERS],
    ],
)
def test_numbers_of_pandas_and_in_lists(labels):
    assert by_id(from_arrays(IMAGES, labels)) == (NUMBERS.tolist(), ("0", "1"))


def test_jax_arrays_are_labels():
    import jax.numpy as jnp

    assert by_id(from_arrays(jnp.asarray(IMAGES), jnp.asarray(NUMBERS)))[0] == NUMBERS.tolist()


def test_the_same_letters_in_two_forms_are_one_class():
    labels = ["caf\u00e9", "cafe\u0301", "bar", "bar"] * 5
    assert from_arrays(IMAGES, labels).class_names == ("bar", "caf\u00e9")


def with_missing(kind, value):
    labels = NAMES.astype(object)
    labels[[3, 7]] = value
    return pd.Series(labels) if kind == "Series" else labels.tolist() if kind == "list" else labels


MISSING = {"None": None, "NaN": float("nan"), "NA": pd.NA, "NaT": pd.NaT, "blank": "", "blanks": " \t",
           "text of NaN": "nan", "bytes": b" "}  # fmt: skip


@pytest.mark.parametrize("kind", ["list", "objects", "Series"])
@pytest.mark.parametrize("value", MISSING)
def test_missing_labels_are_refused_with_their_rows(kind, value):
    labels = with_missing(kind, MISSING[value])
    message = r"labels: each example must have one, missing or blank in rows 3, 7 \(2 of 20\)"
    with pytest.raises(ConfigError, match=f"train {message}"):
        from_arrays(IMAGES, labels)
    with pytest.raises(ConfigError, match=f"test {message}"):
        from_arrays(IMAGES, NAMES, test=(IMAGES, labels))
    with pytest.raises(ConfigError, match=f"^{message}"):
        analysis.audit(IMAGES, labels)
    with pytest.raises(ConfigError, match=message.replace("labels", "y", 1)):
        GRClassifier().fit(IMAGES, labels)


@pytest.mark.parametrize(
    "labels",
    [
        np.where(np.arange(N) % 3 == 1, np.nan, NUMBERS),
        pd.Series(np.where(np.arange(N) % 3 == 1, np.nan, NUMBERS)),
        pd.Series([None if k % 3 == 1 else k % 2 for k in range(N)], dtype="Int64"),
        pd.Series(["" if k % 3 == 1 else "cat" for k in range(N)]).astype("category"),
        np.ma.array(NUMBERS, mask=np.arange(N) % 3 == 1),
        np.array(["cat", np.nan, "dog"] * 6 + ["cat", np.nan]),  # NumPy makes text of it
    ],
)
def test_missing_labels_are_refused_in_arrays_and_in_pandas(labels):
    with pytest.raises(ConfigError, match=r"missing or blank in rows 1, 4, 7, 10, 13, \.\.\. \(7 of 20\)"):
        from_arrays(IMAGES, labels)


def test_audit_and_estimator_take_what_arrays_take(tmp_path):
    fast = {"train_steps": 1, "model.features": (2,), "model.hidden": 4}
    for labels in (KINDS["Series of categoricals"], KINDS["objects of bytes"]):
        audit = analysis.audit(IMAGES, labels, fast, workdir=str(tmp_path / f"{id(labels)}"))
        assert audit.class_names == ("cat", "dog")
        assert audit.given.tolist() == NUMBERS.tolist()
    audit = analysis.audit(IMAGES, NUMBERS.astype(np.uint8), fast)
    assert audit.class_names == ("0", "1")
    model = GRClassifier(config={key: fast[key] for key in list(fast)[1:]}, epochs=1)
    for labels in (KINDS["Series of categoricals"], KINDS["bytes"], KINDS["blanks"]):
        assert model.fit(IMAGES, labels).classes_.tolist() == ["cat", "dog"]
        assert model.predict(IMAGES).dtype.kind == "U"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["cat", 1] * 10, "must be all numbers or all names, got 'cat' in row 0, 1 in row 1"),
        ([0, 1.5] * 10, "must be integers or names of classes, got float64; round them, or give names as"),
        ([("cat",), "dog"] * 10, "must be"),
        ([{"a": 1}] * 20, "must be integers or names of classes, got dict {'a': 1} in row 0"),
        (np.full(20, "2020-01-01", "M8[D]"), "must be integers or names of classes, got datetime64"),
        (np.full(20, 2**63, np.uint64), "must be below 2"),
        ([2**70] * 20, "must be below 2"),
        (2 * NUMBERS - 1, "-1 is no class .*: for labels -1 and 1 give .labels . 1. // 2"),
    ],
)
def test_what_is_no_label_is_refused(labels, message):
    with pytest.raises(ConfigError, match=message):
        from_arrays(IMAGES, labels)


@pytest.mark.parametrize(
    "names",
    [
        ("cat", "dog"),
        np.array(["cat", "dog"]),
        np.array(["cat", "dog"], object),
        np.array([b"cat", b"dog"]),
        pd.Index(["cat", "dog"]),
        {0: "cat", 1: "dog"},
        {np.int64(1): "dog", 0: "cat"},
        {"cat": 0, "dog": 1},
        {"dog": np.int64(1), "cat": np.int64(0)},
        [" cat", "dog "],
    ],
)
def test_names_of_classes_in_every_form(names):
    assert by_id(from_arrays(IMAGES, NUMBERS, class_names=names)) == (NUMBERS.tolist(), ("cat", "dog"))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["cat", "cat"], "class_names: must be distinct, 'cat' occurs 2 times"),
        (["cat", "cat "], "class_names: must be distinct, 'cat' occurs 2 times"),
        ({"cat": 1, "dog": 2}, r"class_names: a mapping must have the numbers 0\.\.C-1 as keys or as values"),
        ({0: "cat", 2: "dog"}, r"class_names: a mapping must have the numbers 0\.\.C-1"),
        ({"cat", "dog"}, "class_names: must be a list of names in the order of the labels"),
        ("ab", "class_names: must be a list of names in the order of the labels, got 'ab'"),
        (["cat", None], "missing or blank in row 1"),
        (["cat", ""], "missing or blank in row 1"),
        (["cat"], r"train labels: must be in \[0, 1\) for 1 classes, got 1 in row 1"),
    ],
)
def test_names_of_classes_that_do_not_fit_are_refused(names, message):
    with pytest.raises(ConfigError, match=message):
        from_arrays(IMAGES, NUMBERS, class_names=names)


def test_an_error_names_the_class_beside_its_number():
    with pytest.raises(ConfigError, match=r"no training example of class 1 \('dog'\), which has 1$"):
        from_arrays(IMAGES, ["cat"] * 19 + ["dog"])


def test_a_name_that_is_no_utf8_becomes_text(tmp_path):
    for name in (b"caf\xe9", b"caf\xe9".decode("utf-8", "surrogateescape")):
        assert class_labels.readable(name) == "caf\\xe9"
    names = from_arrays(IMAGES, [b"caf\xe9", b"bar"] * 10).class_names
    assert names == ("bar", "caf\\xe9")
    json.dumps(names).encode()
    "".join(names).encode()


@pytest.mark.parametrize("shape", [(N, 3, 32, 32), (N, 1, 28, 28), (N, 3, 20, 40), (N, 4, 8, 8)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_channels_that_come_first_are_refused(shape, dtype):
    with pytest.raises(ConfigError, match=r"channels come last.*looks like channels first.*transpose\(0, 2"):
        from_arrays(np.zeros(shape, dtype), NUMBERS)
    from_arrays(np.zeros((N, *shape[2:], shape[1]), dtype), NUMBERS)


def test_vectors_and_small_images_are_not_taken_for_channels_first():
    for shape in ((N, 1, 1, 30), (N, 3, 3, 3), (N, 8, 8, 1), (N, 1, 50, 8), (N, 3, 8, 3)):
        from_arrays(np.zeros(shape, np.float32), NUMBERS)
