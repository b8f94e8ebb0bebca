"""Labels from files: human labels of CIFAR-N, labels of other programs, and scores; every file misused."""

import collections
import dataclasses
import doctest
import io
import os
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from grjax import array_pickle, config, corruption, noise
from grjax.errors import ConfigError
from grjax.noise.cifar100 import superclass_of

RNG = np.random.default_rng(0)
CLEAN = RNG.integers(0, 10, 500)
HUMAN = {
    "clean_label": CLEAN,
    "aggre_label": np.where(RNG.random(500) < 0.1, RNG.integers(0, 10, 500), CLEAN),
    "worse_label": np.where(RNG.random(500) < 0.4, RNG.integers(0, 10, 500), CLEAN),
    "random_label1": RNG.integers(0, 10, 500),
    "random_label2": RNG.integers(0, 10, 500),
    "random_label3": RNG.integers(0, 10, 500),
}
FINE = RNG.permutation(500) % 100
HUNDRED = {
    "clean_label": FINE.astype(np.uint8),
    "noisy_label": RNG.integers(0, 100, 500).astype(np.uint8),
    "clean_coarse_label": superclass_of(FINE).astype(np.uint8),
    "noisy_coarse_label": RNG.integers(0, 20, 500).astype(np.uint8),
}


def old_numpy(pickled):
    """As NumPy 1 wrote it, with which the published files were made."""
    return pickled.replace(b"cnumpy._core.", b"cnumpy.core.")


def as_torch_zip(value):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", old_numpy(pickle.dumps(value, protocol=2)))
        archive.writestr("archive/version", "3\n")
    return file.getvalue()


def as_torch_legacy(value):
    header = (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True})
    parts = [pickle.dumps(part, protocol=2) for part in (*header, value, [])]
    return b"".join(old_numpy(part) for part in parts)


def as_npz(value):
    file = io.BytesIO()
    np.savez(file, **value)
    return file.getvalue()


def as_npy(value):
    file = io.BytesIO()
    np.save(file, np.array(value), allow_pickle=True)
    return file.getvalue()


LAYOUTS = {
    "zip.pt": as_torch_zip,
    "legacy.pt": as_torch_legacy,
    "plain.pkl": pickle.dumps,
    "a.npz": as_npz,
    "a.npy": as_npy,
}


def written(folder, value, name="zip.pt"):
    path = folder / name
    path.write_bytes(value if isinstance(value, bytes) else LAYOUTS[name](value))
    return str(path)


def human(path, annotation="worse", labels=CLEAN, ids=None):
    return noise.create("cifar10_n", path=path, annotation=annotation)(labels, 10, ids)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_human_labels_of_every_layout(tmp_path, layout):
    path = written(tmp_path, HUMAN, layout)
    for annotation, key in {
        "aggre": "aggre_label", "worse": "worse_label", "random1": "random_label1",
        "random2": "random_label2", "random3": "random_label3",
    }.items():  # fmt: skip
        noisy = human(path, annotation)
        np.testing.assert_array_equal(noisy.labels, HUMAN[key])
        assert noisy.nominal_rate is None
        assert noisy.realised_rate == np.mean(HUMAN[key] != CLEAN)


def test_fine_and_coarse_human_labels(tmp_path):
    path = written(tmp_path, HUNDRED)
    fine = noise.create("cifar100_n", path=path)(HUNDRED["clean_label"], 100)
    np.testing.assert_array_equal(fine.labels, HUNDRED["noisy_label"])
    coarse = noise.create("cifar100_n", path=path, annotation="coarse")
    np.testing.assert_array_equal(
        coarse(HUNDRED["clean_coarse_label"], 20).labels, HUNDRED["noisy_coarse_label"]
    )
    with pytest.raises(ConfigError, match="'clean_coarse_label' differs"):
        coarse(HUNDRED["clean_label"], 100)


def revised():
    """As CIFAR-100_human.pt is published now: the coarse entries are lists."""
    return {key: value.tolist() if "coarse" in key else value for key, value in HUNDRED.items()}


def old_revision():
    """With the labels of 12 superclasses exchanged."""
    wrong = np.roll(np.arange(12), 1).tolist() + list(range(12, 20))
    coarse = {key: np.array(wrong)[value] for key, value in HUNDRED.items() if "coarse" in key}
    return HUNDRED | coarse


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_revised_file_of_lists_is_read(tmp_path, layout):
    path = written(tmp_path, revised(), layout)
    fine = noise.create("cifar100_n", path=path)(HUNDRED["clean_label"], 100)
    np.testing.assert_array_equal(fine.labels, HUNDRED["noisy_label"])
    coarse = noise.create("cifar100_n", path=path, annotation="coarse")(HUNDRED["clean_coarse_label"], 20)
    np.testing.assert_array_equal(coarse.labels, HUNDRED["noisy_coarse_label"])


def test_the_npy_file_names_its_noisy_labels_otherwise(tmp_path):
    path = written(tmp_path, {"clean_label": FINE.tolist(), "noise_label": FINE[::-1].tolist()}, "a.npy")
    np.testing.assert_array_equal(noise.create("cifar100_n", path=path)(FINE, 100).labels, FINE[::-1])


@pytest.mark.parametrize("convert", [list, lambda labels: [np.int64(each) for each in labels], tuple])
@pytest.mark.parametrize("layout", ["zip.pt", "legacy.pt", "plain.pkl", "a.npy"])
def test_lists_may_hold_numbers_of_numpy(tmp_path, convert, layout):
    path = written(tmp_path, {key: convert(value) for key, value in HUMAN.items()}, layout)
    np.testing.assert_array_equal(human(path).labels, HUMAN["worse_label"])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_old_revision_of_wrong_superclasses_is_recognised(tmp_path, layout):
    path = written(tmp_path, old_revision(), layout)
    coarse = noise.create("cifar100_n", path=path, annotation="coarse")
    for labels in (HUNDRED["clean_coarse_label"], old_revision()["clean_coarse_label"]):
        message = r".* is not the superclass of .* at 300 of 500 images, in 12 of 20 .*: an older revision"
        with pytest.raises(ConfigError, match=rf"^noise.path: .*: {message}"):
            coarse(labels, 20)
    fine = noise.create("cifar100_n", path=path)(HUNDRED["clean_label"], 100)
    np.testing.assert_array_equal(fine.labels, HUNDRED["noisy_label"])


@pytest.mark.parametrize("layout", ["zip.pt", "legacy.pt", "plain.pkl", "a.npy"])
def test_what_is_not_asked_for_may_be_anything_and_is_not_run(tmp_path, layout):
    trace = tmp_path / "trace"
    others = {"made_by": Evil(str(trace)), "parts": [Evil(str(trace))], "note": "text", "scores": None}
    path = written(tmp_path, {**HUMAN, **others, "random_label1": "missing"}, layout)
    np.testing.assert_array_equal(human(path).labels, HUMAN["worse_label"])
    with pytest.raises(ConfigError, match="holds a str where an array or a list should be"):
        human(path, "random1")
    assert not trace.exists()


def test_tensors_of_torch_are_read_without_it(tmp_path):
    torch = pytest.importorskip("torch")
    tensors = {key: torch.tensor(value) for key, value in HUMAN.items()}
    tensors["aggre_label"] = torch.tensor(np.repeat(HUMAN["aggre_label"], 2).astype(np.uint8))[::2]
    for new_format in (True, False):
        path = tmp_path / "labels.pt"
        torch.save(tensors, path, _use_new_zipfile_serialization=new_format)
        np.testing.assert_array_equal(human(str(path)).labels, HUMAN["worse_label"])
        np.testing.assert_array_equal(human(str(path), "aggre").labels, HUMAN["aggre_label"])


def test_human_labels_are_taken_by_id(tmp_path):
    ids = RNG.permutation(500)[:100]
    noisy = human(written(tmp_path, HUMAN), labels=CLEAN[ids], ids=ids)
    np.testing.assert_array_equal(noisy.labels, HUMAN["worse_label"][ids])


def one_moved(labels):
    changed = labels.copy()
    changed[7] = (changed[7] + 1) % 10
    return changed


@pytest.mark.parametrize(
    ("labels", "ids", "message"),
    [
        (CLEAN[::-1], None, r"differs .* at \d+ of 500 ids; .* it is the order: the ids follow another"),
        (RNG.integers(0, 10, 500), None, r"differs .* of 500 ids; more than half: another data set"),
        (one_moved(CLEAN), None, r"differs .* at 1 of 500 ids; the rest agrees: other versions"),
        (CLEAN[10:60], np.arange(50), r"differs .* of 50 ids; more than half: another data set, or ids in"),
        (CLEAN[:50], np.arange(500, 550), r"holds labels of ids 0..499, the training examples go up to 549"),
    ],
)  # fmt: skip
def test_another_order_or_data_set_is_refused(tmp_path, labels, ids, message):
    with pytest.raises(ConfigError, match=rf"^noise.path: .*zip.pt: .*{message}"):
        human(written(tmp_path, HUMAN), labels=labels, ids=ids)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"worse_label": None}, "holds no 'worse_label'; it holds aggre_label, clean_label"),
        ({"worse_label": CLEAN[:-1]}, ".* must be integers of the same number"),
        ({"worse_label": CLEAN * 1.0}, ".* must be integers of the same number"),
        ({"worse_label": CLEAN + 1}, r"'worse_label' must be in \[0, 10\), got 1..10"),
    ],
)
def test_human_labels_that_do_not_fit_are_refused(tmp_path, changes, message):
    arrays = {key: value for key, value in {**HUMAN, **changes}.items() if value is not None}
    with pytest.raises(ConfigError, match=rf"^noise.path: .*zip.pt: {message}"):
        human(written(tmp_path, arrays))


class Evil:
    """Unpickled by a reader that trusts the file, it leaves a trace."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("layout", ["zip.pt", "legacy.pt", "plain.pkl", "a.npy"])
def test_a_file_that_wants_to_run_something_is_refused(tmp_path, layout):
    trace = tmp_path / "trace"
    path = written(tmp_path, {"clean_label": CLEAN, "worse_label": Evil(str(trace))}, layout)
    with pytest.raises(ConfigError, match=r"asks for (posix|nt|os)\.mkdir, and only NumPy arrays are read"):
        human(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"some text",
        bytes(1000),
        as_torch_zip(HUMAN)[:-200],
        as_torch_legacy(HUMAN)[:2000],
        as_torch_zip([CLEAN]),
        as_torch_zip({"clean_label": 3}),
        as_torch_zip(collections.OrderedDict(clean_label=CLEAN)),
        as_npy(CLEAN),
    ],
)
@pytest.mark.parametrize("name", ["zip.pt", "a.npz", "a.npy"])
def test_a_file_that_holds_no_arrays_is_refused(tmp_path, value, name):
    with pytest.raises(ConfigError, match=rf"^noise.path: .*{name}: (cannot be read as labels|holds no)"):
        human(written(tmp_path, value, name))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"^noise.path: .*nowhere.pt: cannot be read .* No such file"):
        human(str(tmp_path / "nowhere.pt"))


def test_arrays_are_read_whatever_the_protocol(tmp_path):
    arrays = {"a": np.arange(3), "b": np.zeros((2, 3), np.float32)}
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        path = tmp_path / f"{protocol}.pkl"
        path.write_bytes(pickle.dumps(arrays, protocol=protocol))
        found = array_pickle.read_dictionary(path)
        assert found.keys() == arrays.keys()
        assert all(np.array_equal(found[key], arrays[key]) for key in arrays)


def published(name):
    """A published label file, where the environment says where such are."""
    folder = os.environ.get("GRJAX_TEST_DATA")
    if not folder or not (Path(folder) / name).exists():
        pytest.skip(f"needs {name} in $GRJAX_TEST_DATA")
    return Path(folder) / name


@pytest.mark.parametrize("name", ["CIFAR-100_human.pt", "CIFAR-100N_labels.npz"])
def test_published_labels_of_cifar_100n(name):
    path = published(name)
    for annotation, clean_key, num_classes, rate in (
        ("fine", "clean_label", 100, 0.4020),
        ("coarse", "clean_coarse_label", 20, 0.2640),
    ):
        arrays = np.load(path) if path.suffix == ".npz" else array_pickle.read_dictionary(path)
        corrupt = noise.create("cifar100_n", path=str(path), annotation=annotation)
        noisy = corrupt(np.asarray(arrays[clean_key]), num_classes)
        assert round(noisy.realised_rate, 4) == rate
        # Another layout's order is seen, whatever it is.
        with pytest.raises(ConfigError, match="it is the order"):
            corrupt(np.random.default_rng(0).permutation(arrays[clean_key]), num_classes)


def test_published_superclasses():
    from grjax.noise.cifar100 import SUPERCLASSES

    with np.load(published("CIFAR-100N_labels.npz")) as arrays:
        for number, members in enumerate(SUPERCLASSES.values()):
            fine = np.unique(arrays["clean_label"][arrays["clean_coarse_label"] == number])
            np.testing.assert_array_equal(fine, members)


def test_published_labels_of_cifar_10n():
    path = published("CIFAR-10_human.pt")
    clean = array_pickle.read_dictionary(path)["clean_label"]
    rates = {"aggre": 0.0901, "random1": 0.1723, "random2": 0.1812, "random3": 0.1764, "worse": 0.4021}
    for annotation, rate in rates.items():
        noisy = noise.create("cifar10_n", path=str(path), annotation=annotation)(clean, 10)
        assert round(noisy.realised_rate, 4) == rate


IDS = RNG.permutation(2000)[:500]  # of the training examples, in no order
NOISY = HUMAN["worse_label"]


def from_file(path, labels=CLEAN, ids=IDS):
    return noise.create("file", path=str(path))(labels, 10, ids)


def write_labels(path, ids=IDS, labels=NOISY, clean=None):
    """A label file by the ending of its name, as another program may write it."""
    if path.suffix == ".npz":
        np.savez(path, ids=ids, labels=labels)
    elif path.suffix == ".npy":
        np.save(path, np.stack([ids, labels], axis=1))
    else:
        lines = ["id,label", *(f"{one},{label}" for one, label in zip(ids, labels, strict=True))]
        path.write_text("\n".join(lines) + "\n")
    return path


endings = pytest.mark.parametrize("ending", ["npz", "npy", "csv"])


@endings
def test_labels_of_a_file_are_taken_by_id_in_any_order(tmp_path, ending):
    order = RNG.permutation(500)
    path = write_labels(tmp_path / f"labels.{ending}", IDS[order], NOISY[order])
    np.testing.assert_array_equal(from_file(path).labels, NOISY)


def test_labels_without_ids_are_in_the_order_of_ids(tmp_path):
    np.save(tmp_path / "labels.npy", NOISY[np.argsort(IDS)])
    np.testing.assert_array_equal(from_file(tmp_path / "labels.npy").labels, NOISY)
    np.save(tmp_path / "labels.npy", NOISY[:-1])
    with pytest.raises(ConfigError, match="holds 499 labels, there are 500 training examples"):
        from_file(tmp_path / "labels.npy")


def test_a_file_may_hold_labels_of_the_whole_training_set_and_of_nothing_else(tmp_path):
    path = write_labels(tmp_path / "labels.npz")
    some = slice(100, 200)

    def part(path, all_ids=IDS):
        file = {"name": "file", "path": str(path)}
        alone, composed = (
            noise.create(**model)(CLEAN[some], 10, IDS[some], all_ids=all_ids)
            for model in (file, {"name": "compose", "parts": [file]})
        )
        np.testing.assert_array_equal(composed.labels, alone.labels)
        return alone

    np.testing.assert_array_equal(part(path).labels, NOISY[some])
    np.save(tmp_path / "labels.npy", NOISY[np.argsort(IDS)])  # without ids
    np.testing.assert_array_equal(part(tmp_path / "labels.npy").labels, NOISY[some])
    for all_ids in (None, IDS[1:]):
        with pytest.raises(ConfigError, match=r"labels for .* ids that are no training examples"):
            part(path, all_ids)
    with pytest.raises(ConfigError, match="has no label for 1 of 100 examples, as id"):
        part(write_labels(tmp_path / "labels.csv", np.delete(IDS, 150), np.delete(NOISY, 150)))


@pytest.mark.parametrize("name", ["file", "cifar10_n"])
@pytest.mark.parametrize("validation", ["clean", "noisy"])
@pytest.mark.parametrize("imbalance", [{"name": "none"}, {"name": "step", "ratio": 4.0}])
def test_one_file_does_for_training_and_held_out_examples(tmp_path, name, validation, imbalance):
    labels = np.arange(100) % 10
    noisy = (labels + (np.arange(100) % 3 == 0)) % 10
    images = np.zeros((100, 8, 8, 1), np.uint8)
    np.savez(tmp_path / "data.npz", images=images, labels=labels, test_images=images, test_labels=labels)
    np.savez(tmp_path / "labels.npz", ids=np.arange(100), labels=noisy, clean_label=labels, aggre_label=noisy)
    options = {"annotation": "aggre"} if name == "cifar10_n" else {}
    run = config.resolve(
        {
            "data": {
                "name": "npz",
                "dir": str(tmp_path / "data.npz"),
                "validation_fraction": 0.2,
                "validation_labels": validation,
            },
            "imbalance": imbalance,
            "noise": {"name": name, "path": str(tmp_path / "labels.npz"), **options},
        }
    )
    dataset, given = corruption.corrupted_data(run)
    assert len(given.ids) == (80 if imbalance["name"] == "none" else 5 * 8 + 5 * 2)
    np.testing.assert_array_equal(given.labels, noisy[given.ids])
    assert (given.validation_sha256 is None) == (validation == "clean")
    held_out = dataset.splits["validation" if validation == "clean" else "validation_noisy"]
    assert len(held_out) == 20
    np.testing.assert_array_equal(held_out.labels, (labels if validation == "clean" else noisy)[held_out.ids])


@pytest.mark.parametrize("ending", ["npz", "csv"])
def test_an_export_is_read_back(tmp_path, ending):
    ours = noise.create("symmetric", rate=0.4)(CLEAN, 10, IDS)
    path = tmp_path / f"noise.{ending}"
    (ours.save if ending == "npz" else ours.save_csv)(path)
    theirs = from_file(path)
    assert theirs.sha256 == ours.sha256
    assert theirs.realised_rate == ours.realised_rate
    with pytest.raises(ConfigError, match="its clean labels differ from the data set's at 1 of 500 ids"):
        from_file(path, labels=one_moved(CLEAN))
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@endings
@pytest.mark.parametrize(
    ("ids", "labels", "message"),
    [
        (IDS[1:], NOISY[1:], f"has no label for 1 of 500 examples, as id {IDS[0]}"),
        (np.append(IDS, 2000), np.append(NOISY, 1), "labels for 1 ids that are no training .*, as 2000"),
        (np.append(IDS, IDS[3]), np.append(NOISY, 1), f"id {IDS[3]} occurs more than once"),
        (np.where(IDS[3] == IDS, IDS[4], IDS), NOISY, f"id {IDS[4]} occurs more than once"),
        (IDS, np.where(np.arange(500) == 9, 10, NOISY), f"labels must be in .*, id {IDS[9]} has 10"),
        (IDS, np.where(np.arange(500) == 9, -1, NOISY), f"labels must be in .*, id {IDS[9]} has -1"),
        (IDS, NOISY + 0.5, "must be whole numbers"),
    ],
)  # fmt: skip
def test_labels_that_do_not_fit_are_refused(tmp_path, ending, ids, labels, message):
    path = write_labels(tmp_path / f"labels.{ending}", ids, labels)
    with pytest.raises(ConfigError, match=rf"^noise.path: .*labels.{ending}: .*{message}"):
        from_file(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "must hold 'id' and 'noisy_label' or 'label', holds nothing"),
        ("a.csv", b"number,label\n1,2\n", "must hold 'id' .* holds label, number"),
        ("a.csv", b"id,label\n1\n", "cannot be read as labels: line 2 must have 2 values as the he"),
        ("a.csv", b"id,label\n1,cat\n", "labels must be whole numbers: .*'cat'"),
        ("a.csv", b"\xff\xfa", "cannot be read as labels"),
        ("a.npz", b"text", "cannot be read as labels"),
        ("a.npz", as_npz({"labels": CLEAN}), "must hold 'ids' and .* or 'labels', holds labels"),
        ("a.npz", as_npz({"ids": IDS, "labels": CLEAN[1:]}), "holds 500 ids, 499 labels; .* must be equal"),
        ("a.npz", as_npz({"ids": IDS, "labels": HUMAN["worse_label"][:, None]}), r"labels must be \[N\]"),
        ("a.npz", as_npz(HUMAN)[:-300], "cannot be read as labels"),
        ("a.npy", b"", "cannot be read as labels"),
        ("a.npy", as_npy({"a": 1}), "must hold 'ids' and 'noisy_labels' or 'labels', holds a"),
        ("a.npy", as_npy(np.zeros((3, 3), int)), r"labels must be \[N\], got \[3, 3\]"),
        ("a.txt", b"1 2", "must end in .npz, .npy, .csv, .json or .pt, "),
    ],
)  # fmt: skip
def test_files_that_hold_no_labels_are_refused(tmp_path, name, content, message):
    with pytest.raises(ConfigError, match=rf"^noise.path: .*{name}: {message}"):
        from_file(written(tmp_path, content, name))


def test_a_missing_label_file_is_refused(tmp_path):
    for ending in ("csv", "npz", "npy"):
        with pytest.raises(ConfigError, match=r"^noise.path: .*: cannot be read as labels: .*No such file"):
            from_file(tmp_path / f"nowhere.{ending}")


def open_set(noisy):
    """With one image of another data set."""
    return dataclasses.replace(noisy, replaced_by=np.where(IDS[3] == IDS, 5, -1), replaced_sha256="ab")


@pytest.mark.parametrize("ending", ["npz", "csv"])
def test_labels_of_open_set_noise_are_refused(tmp_path, ending):
    ours = open_set(noise.create("symmetric", rate=0.4)(CLEAN, 10, IDS))
    path = tmp_path / f"noise.{ending}"
    (ours.save if ending == "npz" else ours.save_csv)(path)
    with pytest.raises(ConfigError, match=rf"^noise.path: .*noise.{ending}: is of open-set noise, 1 labels"):
        from_file(path)
    none = dataclasses.replace(ours, replaced_by=np.full(500, -1))
    (none.save if ending == "npz" else none.save_csv)(path)
    np.testing.assert_array_equal(from_file(path).labels, ours.labels)


SCORES = RNG.random((2000, 10))


def scored(path, labels=CLEAN, ids=IDS):
    return noise.create("score_based", rate=0.4, path=str(path))(labels, 10, ids)


def test_scores_are_taken_by_id(tmp_path):
    np.save(tmp_path / "all.npy", SCORES)
    order = RNG.permutation(500)
    np.savez(tmp_path / "some.npz", ids=IDS[order], scores=SCORES[IDS[order]].astype(np.float64))
    assert scored(tmp_path / "all.npy").sha256 == scored(tmp_path / "some.npz").sha256


def changed(value):
    scores = SCORES.copy()
    scores[IDS[3], 2] = value
    return scores


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npz", as_npz({"ids": IDS[1:], "scores": SCORES[IDS[1:]]}), f"no scores for 1 .* id {IDS[0]}"),
        ("a.npz", as_npz({"ids": IDS[:0], "scores": SCORES[:0]}), "no scores for 500 examples"),
        ("a.npz", as_npz({"ids": IDS[1:], "scores": SCORES[IDS]}), r"must be \[M, 10\] .* and \[499\] ids"),
        ("a.npz", as_npz({"scores": SCORES}), "cannot be read as scores: .*ids"),
        ("a.npy", as_npy(SCORES[:, 1:]), r"scores must be \[M, 10\] for 10 classes"),
        ("a.npy", as_npy(SCORES[:3]), "no scores for"),
        ("a.npy", as_npy(changed(np.nan)), f"must be finite and not negative, those of id {IDS[3]}"),
        ("a.npy", as_npy(changed(-1)), f"must be finite and not negative, those of id {IDS[3]}"),
        ("a.npy", b"text", "cannot be read as scores"),
    ],
)  # fmt: skip
def test_scores_that_do_not_fit_are_refused(tmp_path, name, content, message):
    with pytest.raises(ConfigError, match=rf"^noise.path: .*{name}: .*{message}"):
        scored(written(tmp_path, content, name))


def test_missing_scores_are_refused():
    with pytest.raises(ConfigError, match=r"^noise.path: nowhere.npy: cannot be read as scores"):
        scored("nowhere.npy")


DOCUMENTATION = Path(__file__).parent.parent / "docs" / "reference" / "noise.md"


def test_the_documented_session():
    failed, tried = doctest.testfile(str(DOCUMENTATION), module_relative=False)
    assert failed == 0
    assert tried > 0


def documented_loader():
    """The lines of docs/reference/noise.md with which another program reads our labels."""
    return re.search(r"```python\n([^`]*def load_noise.*?)```", DOCUMENTATION.read_text("utf-8"), re.S)[1]


def test_the_documented_loader_reads_our_labels(tmp_path):
    ours = noise.create("symmetric", rate=0.4)(CLEAN, 10, IDS)
    ours.save(tmp_path / "noise.npz")
    block = documented_loader()
    assert len([line for line in block.splitlines() if line]) <= 10
    assert "grjax" not in block
    scope = {}
    exec(block, scope)
    np.testing.assert_array_equal(scope["load_noise"](tmp_path / "noise.npz", IDS, CLEAN), ours.labels)
    with pytest.raises(AssertionError):
        scope["load_noise"](tmp_path / "noise.npz", IDS, one_moved(CLEAN))
    with pytest.raises(AssertionError):
        scope["load_noise"](tmp_path / "noise.npz", IDS[::-1], CLEAN)
    dataclasses.replace(ours, replaced_by=np.full(500, -1)).save(tmp_path / "noise.npz")
    np.testing.assert_array_equal(scope["load_noise"](tmp_path / "noise.npz", IDS, CLEAN), ours.labels)
    open_set(ours).save(tmp_path / "noise.npz")
    with pytest.raises(AssertionError, match="open-set noise"):
        scope["load_noise"](tmp_path / "noise.npz", IDS, CLEAN)
