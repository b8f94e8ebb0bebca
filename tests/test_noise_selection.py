"""Training examples besides their labels: imbalance and open-set images, alone and in a run."""

import dataclasses
import hashlib

import numpy as np
import pytest

from grjax import config, corruption, data, metrics, noise
from grjax.errors import ConfigError, WorkdirError
from grjax.metrics import Predictions
from grjax.noise import draws, imbalance
from grjax.noise.open_set import digest, replace_images

LABELS = np.random.default_rng(0).permutation(np.arange(10_000) % 10)
IDS = np.random.default_rng(1).permutation(20_000)[:10_000]

every_selection = pytest.mark.parametrize("name", [name for name in imbalance.names() if name != "none"])


def select(name, labels=None, ids=IDS, seed=0, ratio=10.0, **options):
    """Which examples stay; of two classes where the selection is for two."""
    num_classes = 2 if name == "positive_negative" else 10
    labels = LABELS % num_classes if labels is None else labels
    kept = imbalance.create(name, seed=seed, ratio=ratio, **options)(labels, num_classes, ids)
    assert kept.shape == labels.shape
    assert kept.dtype == bool
    return kept


def test_without_imbalance_all_stay():
    assert imbalance.create("none")(LABELS, 10, IDS).all()


@every_selection
def test_a_selection_depends_on_seed_and_id_only(name):
    order = np.random.default_rng(2).permutation(len(IDS))
    labels = LABELS % 2 if name == "positive_negative" else LABELS
    np.testing.assert_array_equal(select(name, labels[order], IDS[order]), select(name)[order])
    assert (select(name, seed=1) != select(name)).any()


@every_selection
def test_a_stronger_imbalance_keeps_fewer_of_the_same(name):
    weaker, stronger = select(name, ratio=5.0), select(name, ratio=20.0)
    assert stronger.sum() < weaker.sum() < len(LABELS)
    assert weaker[stronger].all()


@pytest.mark.parametrize("ratio", [1, 2.0, 10, 100.0, 1e6])
def test_counts_of_a_long_tail(ratio):
    counts = np.bincount(LABELS[select("long_tail", ratio=ratio)], minlength=10)
    expected = np.maximum(np.floor(1000 * ratio ** (-np.arange(10) / 9) + 1e-6), 1)
    np.testing.assert_array_equal(counts, expected)


def test_counts_of_a_step():
    counts = np.bincount(LABELS[select("step", ratio=50)], minlength=10)
    np.testing.assert_array_equal(counts, [1000] * 5 + [20] * 5)
    counts = np.bincount(LABELS[select("step", ratio=3, fraction=0.2)], minlength=10)
    np.testing.assert_array_equal(counts, [1000] * 8 + [333] * 2)
    assert select("step", ratio=3, fraction=0.0).all()


def test_counts_of_a_subset():
    labels = np.repeat(np.arange(10), np.arange(1, 11) * 20)
    kept = select("subset", labels, np.arange(len(labels)), ratio=15)
    np.testing.assert_array_equal(np.bincount(labels[kept]), np.maximum(np.arange(1, 11) * 20 // 15, 1))
    assert select("subset", ratio=1).all()


@pytest.mark.parametrize(
    ("positives", "ratio", "expected"),
    [
        (5000, 10, (500, 5000)),
        (5000, 50, (100, 5000)),
        (5000, 1, (5000, 5000)),
        (5000, 0.1, (5000, 500)),
        (2000, 0.5, (4000, 2000)),
        (5000, 1e9, (1, 5000)),
    ],
)
def test_positives_to_negatives(positives, ratio, expected):
    labels = np.zeros(10_000, int)
    labels[:positives] = 1
    kept = select("positive_negative", labels, ratio=ratio)
    np.testing.assert_array_equal(np.bincount(labels[kept]), expected)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("long_tail", {"ratio": 0.5}, r"imbalance.ratio: must be in \[1, inf\), got 0.5"),
        ("step", {"ratio": float("nan")}, r"imbalance.ratio: must be in \[1, inf\), got nan"),
        ("step", {"ratio": 2, "fraction": 1.5}, r"imbalance.fraction: must be in \[0, 1\], got 1.5"),
        ("positive_negative", {"ratio": 2}, "imbalance.name: 'positive_negative' is for two classes, not"),
        ("long_tail", {}, r"imbalance.ratio: 'long_tail' needs a value"),
        ("long_tail", {"ratio": 2, "seed": -1}, "imbalance.seed: must be in"),
        ("none", {"ratio": 2}, r"imbalance.ratio: 'none' has no such option"),
        ("longtail", {"ratio": 2}, "imbalance.name: unknown name 'longtail'; did you mean 'long_tail'"),
    ],
)  # fmt: skip
def test_bad_imbalance_is_refused(name, options, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        imbalance.create(name, **options)(LABELS, 10, IDS)
    for ratio in (0, -1.0, float("inf")):
        with pytest.raises(ConfigError, match=r"^imbalance.ratio: must be in \(0, inf\)"):
            select("positive_negative", ratio=ratio)


IMAGES = np.arange(10_000, dtype=np.uint32).view(np.uint8).reshape(-1, 2, 2, 1)
OTHERS = (np.arange(100, dtype=np.uint32) + 2**24).view(np.uint8).reshape(-1, 2, 2, 1)
OTHER_IDS = np.arange(100) * 7


# As the pins in test_noise_models.py: never edited.
EXACT_OPEN_SET = "dcb1b89337cedd3f9c77306122cbf278f878e074e7aaa38d1f5c24f7b68b339c"


def replaced(rate=0.3, seed=0, images=IMAGES, ids=IDS, **options):
    return replace_images(images, ids, OTHERS, OTHER_IDS, rate=rate, seed=seed, **options)


def test_replaced_images_are_of_the_other_data_set():
    before = IMAGES.copy()
    images, replaced_by = replaced()
    np.testing.assert_array_equal(IMAGES, before)
    own = replaced_by < 0
    assert set(replaced_by[own]) == {-1}
    np.testing.assert_array_equal(images[own], IMAGES[own])
    np.testing.assert_array_equal(images[~own], OTHERS[replaced_by[~own] // 7])
    assert abs((~own).mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / len(IDS))
    counts = np.bincount(replaced_by[~own] // 7, minlength=100)
    assert (abs(counts - counts.mean()) < 5 * np.sqrt(counts.mean())).all()


def test_open_set_noise_depends_on_no_order_and_is_nested():
    order = np.random.default_rng(2).permutation(len(IDS))
    np.testing.assert_array_equal(replaced(images=IMAGES[order], ids=IDS[order])[1], replaced()[1][order])
    less, more = replaced(0.2)[1], replaced(0.4)[1]
    np.testing.assert_array_equal(more[less >= 0], less[less >= 0])
    assert (replaced(0.0)[1] == -1).all()
    assert (replaced(1.0)[1] >= 0).all()


def test_exact_open_set_noise_takes_so_many_and_each_image_once():
    """A second implementation: both sides sorted by their own numbers, and paired."""
    few, own_images = IDS[:290], IMAGES[:290]
    flips, orders = (
        {key: draws.uniforms(5, np.array([key]), stream)[0, 0] for key in keys.tolist()}
        for keys, stream in ((few, draws.OPEN_SET), (OTHER_IDS, draws.OPEN_SET_ORDER))
    )
    for rate, number in ((0.0, 0), (0.1, 29), (0.2, 58), (0.34, 98)):
        images, by = replaced(rate, seed=5, images=own_images, ids=few, draw="exact_global")
        assert (by >= 0).sum() == len(set(by[by >= 0])) == number
        pairs = zip(sorted(flips, key=flips.get)[:number], sorted(orders, key=orders.get), strict=False)
        assert dict(pairs) == {int(i): int(j) for i, j in zip(few, by, strict=True) if j >= 0}
        np.testing.assert_array_equal(images[by < 0], own_images[by < 0])
        np.testing.assert_array_equal(images[by >= 0], OTHERS[by[by >= 0] // 7])
    mixed = np.random.default_rng(2).permutation(290)
    again = replaced(0.34, seed=5, images=own_images[mixed], ids=few[mixed], draw="exact_global")[1]
    np.testing.assert_array_equal(again, by[mixed])
    assert hashlib.sha256(by.astype("<i8").tobytes()).hexdigest() == EXACT_OPEN_SET
    assert (replaced(0.34, seed=6, images=own_images, ids=few, draw="exact_global")[1] != by).any()


def test_exact_open_set_noise_needs_enough_images():
    with pytest.raises(ConfigError, match=r"open_set.rate: 0.3 of 10000 examples are 3000.*data set has 100"):
        replaced(0.3, draw="exact_global")


def test_open_set_noise_is_independent_of_label_noise_with_the_same_seed():
    wrong = noise.create("symmetric", rate=0.5)(LABELS, 10, IDS).mislabelled
    other = replaced(0.5)[1] >= 0
    assert abs(np.corrcoef(wrong, other)[0, 1]) < 4 / np.sqrt(len(IDS))
    kept = select("step", np.zeros_like(LABELS), ratio=2, fraction=1.0)
    for drawn in (wrong, other):
        assert abs(np.corrcoef(kept, drawn)[0, 1]) < 4 / np.sqrt(len(IDS))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": 1.5}, r"rate: must be in \[0, 1\], got 1.5"),
        ({"rate": float("nan")}, r"rate: must be in \[0, 1\], got nan"),
        ({"seed": -1}, "seed: must be in"),
        (
            {"images": IMAGES.reshape(-1, 4, 1, 1)},
            r"open_set.name: its images are \[2, 2, 1\]",
        ),
    ],
)
def test_bad_open_set_noise_is_refused(changes, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        replaced(**changes)


def test_open_set_examples_count_as_mislabelled_and_are_hashed_and_saved(tmp_path):
    noisy = noise.create("symmetric", rate=0.2)(LABELS, 10, IDS)
    mixed = dataclasses.replace(noisy, replaced_by=replaced()[1])
    np.testing.assert_array_equal(mixed.mislabelled, noisy.mislabelled | (mixed.replaced_by >= 0))
    assert mixed.summary()["open_set_rate"] == np.mean(mixed.replaced_by >= 0)
    assert mixed.sha256 != noisy.sha256
    mixed.save(tmp_path / "noise.npz")
    mixed.check_equals(tmp_path / "noise.npz")
    for other in (noisy, dataclasses.replace(mixed, replaced_by=replaced(seed=1)[1])):
        with pytest.raises(WorkdirError, match="other open-set images"):
            other.check_equals(tmp_path / "noise.npz")
    noisy.save(tmp_path / "noise.npz")
    with pytest.raises(WorkdirError, match="other open-set images"):
        mixed.check_equals(tmp_path / "noise.npz")


def test_open_set_noise_is_known_by_the_pixels_that_replace(tmp_path):
    noisy = noise.create("symmetric", rate=0.2)(LABELS, 10, IDS)

    def mixed(others, order=slice(None)):
        images, replaced_by = replace_images(IMAGES[order], IDS[order], others, OTHER_IDS, rate=0.3)
        sha256 = digest(images, IDS[order], replaced_by)
        return dataclasses.replace(
            noisy,
            ids=IDS[order],
            clean=noisy.clean[order],
            labels=noisy.labels[order],
            replaced_by=replaced_by,
            replaced_sha256=sha256,
        )

    ours, theirs = mixed(OTHERS), mixed(OTHERS ^ 1)
    np.testing.assert_array_equal(ours.replaced_by, theirs.replaced_by)
    assert ours.sha256 != theirs.sha256
    assert ours.sha256 == mixed(OTHERS, np.random.default_rng(2).permutation(len(IDS))).sha256
    own = ours.replaced_by < 0
    changed = np.where(own[:, None, None, None], IMAGES ^ 1, replaced()[0])
    assert digest(changed, IDS, ours.replaced_by) == ours.replaced_sha256  # of what replaces alone
    ours.save(tmp_path / "noise.npz")
    ours.check_equals(tmp_path / "noise.npz")
    for other in (theirs, dataclasses.replace(ours, replaced_sha256=None)):
        with pytest.raises(WorkdirError, match="other open-set images"):
            other.check_equals(tmp_path / "noise.npz")
    ours.save_csv(tmp_path / "noise.csv")
    assert (tmp_path / "noise.csv").read_text().startswith("id,clean_label,noisy_label,replaced_by\n")


def test_open_set_examples_have_no_intact_label():
    noisy = noise.create("symmetric", rate=0.0)(np.zeros(4, int), 2)
    mixed = dataclasses.replace(noisy, replaced_by=np.array([-1, 5, -1, -1]))
    predictions = Predictions(np.array([0, 1, 1, 0]), np.array([0.9, 0.2, 0.1, 0.8]), np.ones(4))
    row = metrics.train_metrics(predictions, mixed)
    assert row["train_accuracy_intact"] == 2 / 3
    assert row["memorisation"] == 0
    assert row["mean_p_mislabelled"] == 0.2


def corrupted(**overrides):
    return corruption.corrupted_data(config.resolve(config.unflatten({"noise.rate": 0.4, **overrides})))


@pytest.fixture(scope="module")
def digits(data_dir):
    return data.load("digits", dir=data_dir)


def test_a_run_trains_on_what_stays(digits):
    dataset, noisy = corrupted(**{"imbalance.name": "long_tail", r"imbalance.ratio": 10.0})
    train = dataset.splits["train"]
    np.testing.assert_array_equal(noisy.ids, train.ids)
    np.testing.assert_array_equal(noisy.clean, train.labels)
    rows = np.searchsorted(digits.splits["train"].ids, train.ids)
    np.testing.assert_array_equal(train.images, digits.splits["train"].images[rows])
    assert len(train) < len(digits.splits["train"])
    assert len(dataset.splits["test"]) == len(digits.splits["test"])
    # The noise of those that stay is what it is without imbalance.
    np.testing.assert_array_equal(noisy.labels, corrupted()[1].labels[rows])
    assert noisy.convention["imbalance"] == {"name": "long_tail", "ratio": 10.0}


def test_a_run_trains_on_images_of_another_data_set(digits):
    # Digits under digits: what is replaced is by an image of the same data set.
    dataset, noisy = corrupted(**{"open_set.name": "digits", "open_set.rate": 0.3, "open_set.seed": 2})
    train = digits.splits["train"]
    rows = np.searchsorted(train.ids, np.where(noisy.open_set, noisy.replaced_by, train.ids))
    np.testing.assert_array_equal(dataset.splits["train"].images, train.images[rows])
    assert 0.2 < noisy.open_set.mean() < 0.4
    np.testing.assert_array_equal(noisy.labels, corrupted()[1].labels)
    assert noisy.convention["open_set"] == {"name": "digits", "rate": 0.3, "seed": 2}
    assert noisy.replaced_sha256 == digest(dataset.splits["train"].images, train.ids, noisy.replaced_by)


def test_noisy_labels_of_validation_are_hashed():
    held_out = {"data.validation_fraction": 0.2, "data.validation_labels": "noisy"}
    dataset, noisy = corrupted(**held_out)
    split = dataset.splits["validation_noisy"]
    expected = dataclasses.replace(noisy, ids=split.ids, clean=split.labels, labels=split.labels).sha256
    assert noisy.summary()["validation_noise_sha256"] == expected
    assert corrupted(**held_out, **{"noise.seed": 1})[1].validation_sha256 != expected
    assert corrupted(**{"data.validation_fraction": 0.2})[1].summary()["validation_noise_sha256"] is None


def test_validation_of_a_list_of_its_own_gets_no_noise(monkeypatch, digits):
    # Its ids are positions in its own list, so its draws would be those of training examples.
    own = dataclasses.replace(digits, splits={**digits.splits, "validation": digits.splits["test"]})
    monkeypatch.setattr(data, "load", lambda name, **options: own)
    assert len(corrupted()[0].splits["validation"]) == len(digits.splits["test"])
    with pytest.raises(ConfigError, match=r"^data.validation_labels: 'noisy' needs a .* held out"):
        corrupted(**{"data.validation_labels": "noisy"})


@pytest.mark.parametrize("as_part", [False, True])
def test_an_array_in_a_config_is_refused(as_part):
    section = {"name": "transition_matrix", "matrix": np.eye(10)}
    if as_part:
        section = {"name": "compose", "parts": (section,)}
    with pytest.raises(ConfigError, match=r"^noise.matrix: .* nested lists .*; got an array \[10, 10\]"):
        corruption.corrupted_data(config.resolve({"noise": section}))
    section = {"name": "transition_matrix", "matrix": np.eye(10).tolist()}
    assert corruption.corrupted_data(config.resolve({"noise": section}))[1].realised_rate == 0


def test_noise_of_images_sees_the_original_ones(digits):
    layer = {"noise.name": "instance_dependent", "noise.rate": 0.4}
    plain = corrupted(**layer)[1]
    mixed = corrupted(**layer, **{"open_set.name": "digits", "open_set.rate": 0.3})[1]
    np.testing.assert_array_equal(mixed.labels, plain.labels)
    assert 0.3 < plain.realised_rate < 0.5


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"open_set.rate": 0.3}, "open_set.rate: needs open_set.name"),
        ({"open_set.name": "digits"}, "open_set.rate: 'digits' needs a value"),
        ({"open_set.name": "digits", "open_set.rat": 0.3}, "open_set.rat: 'digits' has no such option"),
        ({r"imbalance.ratio": 3.0}, r"imbalance.ratio: 'none' has no such option"),
        ({"noise.name": "asymmetric_cifar100_next"}, "noise.name: .* 100 classes, this one has 10"),
    ],
)
def test_bad_sections_are_refused(overrides, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        corruption.corrupted_data(config.resolve(config.unflatten({"noise.rate": 0.4, **overrides})))


@pytest.mark.parametrize(
    ("open_set", "message"),
    [
        ({"name": "digts", "rate": 0.1}, r"open_set\.name: unknown name 'digts'; did you mean 'digits'"),
        (
            {"name": "digits", "rate": 0.1, "dir": 5},
            r"open_set\.dir: must be a folder, a file or None, got 5",
        ),
        ({"name": "npz", "rate": 0.1}, r"open_set\.dir: must say where the files of 'npz' are"),
    ],
)
def test_errors_of_the_other_data_set_name_open_set(open_set, message):
    with pytest.raises(ConfigError, match=message):
        corruption.corrupted_data(config.resolve({"open_set": open_set}))
