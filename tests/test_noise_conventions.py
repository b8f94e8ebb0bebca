"""What each convention of label noise promises beside its transition matrix: counts, maps, images, scores."""

import warnings

import numpy as np
import pytest
import scipy.special
import scipy.stats

from grjax import noise
from grjax.errors import ConfigError
from grjax.noise import cifar100, draws, instance

C10 = np.random.default_rng(0).permutation(np.arange(50_000) % 10)  # the sizes of CIFAR-10 and CIFAR-100
C100 = np.random.default_rng(0).permutation(np.arange(50_000) % 100)
RATES = (0.0, 0.1, 0.2, 0.29, 0.4, 0.6, 0.8, 1.0)


def draw(name, labels=C10, seed=0, images=None, **options):
    return noise.create(name, seed=seed, **options)(labels, int(labels.max()) + 1, images=images)


def test_numbers_of_an_id_are_the_documented_words():
    ids = np.array([0, 5, 2**20 - 1, 2**20, 3 * 2**20 + 7])
    words = np.random.Philox(key=9).random_raw(2 * (int(ids.max()) + 1)).reshape(-1, 2)[ids]
    np.testing.assert_array_equal(draws.uniforms(9, ids), (words >> np.uint64(11)).T / 2.0**53)


def test_numbers_of_a_huge_id_need_no_huge_memory():
    assert draws.uniforms(0, np.array([2**31 - 1])).shape == (2, 1)


def test_numbers_of_few_ids_need_few_words(monkeypatch):
    words = []

    class Counting(np.random.Philox):
        def random_raw(self, size):
            words.append(size)
            return super().random_raw(size)

    monkeypatch.setattr(np.random, "Philox", Counting)
    sparse = np.random.default_rng(0).permutation(np.linspace(0, 2**31 - 1, 200).astype(np.int64))
    draws.uniforms(0, sparse)
    assert sum(words) <= 4 * 200
    words.clear()
    some = np.random.default_rng(1).permutation(np.unique(np.geomspace(1, 3 * 2**20, 200).astype(np.int64)))
    found = draws.uniforms(3, some)
    assert sum(words) < 2**20
    np.testing.assert_array_equal(found, draws.uniforms(3, np.arange(3 * 2**20 + 1))[:, some])
    assert draws.uniforms(0, some[:0]).shape == (2, 0)


def test_streams_are_apart():
    ids = np.arange(1000)
    streams = [draws.NOISE, draws.FLIP_RATES, draws.IMBALANCE, draws.OPEN_SET]
    numbers = np.concatenate([draws.uniforms(0, ids, stream).ravel() for stream in streams])
    numbers = np.concatenate([numbers, *(draws.class_uniforms(0, label, 1000) for label in range(3))])
    assert len(np.unique(numbers)) == len(numbers)


@pytest.mark.parametrize("rate", RATES)
def test_exact_counts_are_exact(rate):
    labels = C10[:49_990]  # classes of unequal size
    n = np.bincount(labels)
    per_class = draw("symmetric_exact_per_class", labels, rate=rate)
    np.testing.assert_array_equal(np.bincount(labels[per_class.mislabelled], minlength=10), whole(rate * n))
    for name in ("pair_flip", "asymmetric_cifar10"):
        noisy = draw(name, labels, rate=rate, draw="exact_per_class")
        mistaken = np.diag(noise.transition(name, 10, rate=1.0)) == 0
        flipped = np.bincount(labels[noisy.mislabelled], minlength=10)
        np.testing.assert_array_equal(flipped, np.where(mistaken, whole(rate * n), 0))
    total = draw("symmetric_exact_global", labels, rate=rate)
    assert total.mislabelled.sum() == whole(rate * len(labels))
    assert draw("pair_flip", labels, rate=rate, draw="exact_global").mislabelled.sum() == whole(
        rate * len(labels)
    )


def test_a_count_is_not_lost_to_rounding():
    labels = np.arange(1000) % 10  # 0.29 * 100 is 28.999999999999996
    noisy = draw("symmetric_exact_per_class", labels, rate=0.29)
    np.testing.assert_array_equal(np.bincount(labels[noisy.mislabelled]), np.full(10, 29))


def whole(count):
    return np.floor(np.round(count, 6)).astype(int)


def test_counts_of_an_exact_transition_are_exact():
    labels = C10[:49_990]
    noisy = draw("symmetric_exact_transition", labels, rate=0.4)
    expected = np.repeat(whole(np.bincount(labels) * 0.4 / 9)[:, None], 10, axis=1)
    off_diagonal = ~np.eye(10, dtype=bool)
    np.testing.assert_array_equal(noisy.transition_counts[off_diagonal], expected[off_diagonal])

    matrix = np.random.default_rng(1).dirichlet(np.ones(10), 10)
    noisy = draw("transition_matrix", labels, matrix=matrix, exact=True)
    expected = whole(np.bincount(labels)[:, None] * matrix)
    np.testing.assert_array_equal(noisy.transition_counts[off_diagonal], expected[off_diagonal])


@pytest.mark.parametrize(
    ("labels", "realised"),
    [(C10, {0.2: 0.1998, 0.4: 0.3996, 0.6: 0.5994, 0.8: 0.7992}), (C100, {0.2: 0.198, 0.8: 0.792})],
)
def test_an_exact_transition_loses_by_rounding_what_is_documented(labels, realised):
    for rate, expected in realised.items():
        noisy = draw("symmetric_exact_transition", labels, rate=rate)
        assert noisy.realised_rate == pytest.approx(expected, abs=1e-12)


def test_including_the_true_class_takes_a_share_of_the_rate():
    for name in ("symmetric_including_true", "uniform_mix"):
        assert draw(name, C10, rate=0.8).realised_rate == pytest.approx(0.72, abs=0.01)
        assert draw(name, C100, rate=0.8).realised_rate == pytest.approx(0.792, abs=0.01)


def test_models_of_a_seed_flip_the_same_examples():
    chosen = draw("symmetric", rate=0.4).mislabelled
    np.testing.assert_array_equal(draw("pair_flip", rate=0.4).mislabelled, chosen)
    mix = draw("uniform_mix", rate=0.4).mislabelled
    assert (chosen[mix]).all()
    asymmetric = draw("asymmetric_cifar10", rate=0.4).mislabelled
    np.testing.assert_array_equal(asymmetric, chosen & np.isin(C10, [9, 2, 4, 3, 5]))


def test_the_matrix_of_symmetric_noise_gives_symmetric_noise():
    matrix = noise.transition("symmetric", 10, rate=0.4)
    assert draw("transition_matrix", matrix=matrix).sha256 == draw("symmetric", rate=0.4).sha256


def in_place(labels, rate, rng):
    """As the published codes do it, with a stateful generator: class after class, on the labels so far."""
    noisy = labels.copy()
    for source, target in ((9, 1), (2, 0), (3, 5), (5, 3), (4, 7)):
        members = np.flatnonzero(noisy == source)
        noisy[rng.choice(members, int(rate * len(members)), replace=False)] = target
    return noisy


@pytest.mark.parametrize("exact", [True, False])
def test_in_place_later_flips_meet_earlier_ones(exact):
    options = {} if exact else {"draw": "bernoulli"}
    noisy = draw("asymmetric_cifar10_in_place", rate=0.4, **options)
    assert noisy.expected_rate == pytest.approx(0.184, abs=1e-12)
    assert 0.1824 <= noisy.realised_rate <= 0.1856
    theirs = [in_place(C10, 0.4, np.random.default_rng(seed)) for seed in range(3)]
    counts = [np.bincount(10 * C10 + each, minlength=100).reshape(10, 10) / 5000 for each in theirs]
    ours = noisy.transition_counts / 5000
    matrix = noise.transition("asymmetric_cifar10_in_place", 10, rate=0.4)
    np.testing.assert_allclose([matrix[3, 5], matrix[5, 3]], [0.24, 0.40], rtol=0, atol=1e-12)
    for found in (ours, *counts):
        np.testing.assert_allclose(found, matrix, rtol=0, atol=0.03)
    if exact:  # dogs and cats that are dogs, together: 0.4 of 7,000
        assert noisy.transition_counts[5, 3] + round(5000 * (0.4 - ours[3, 5])) == 2800
        other = draw("asymmetric_cifar10", rate=0.4, draw="exact_per_class")
        not_cats_or_dogs = ~np.isin(C10, [3, 5])
        np.testing.assert_array_equal(noisy.labels[not_cats_or_dogs], other.labels[not_cats_or_dogs])


def test_in_place_cats_come_back_independently_of_how_they_went():
    """A share r of the cats that became dogs comes back, whether their first number was small or not."""
    ids = np.arange(50_000)
    first = draws.uniforms(0, ids)[0]
    noisy = draw("asymmetric_cifar10_in_place", rate=0.4)
    went = (C10 == 3) & (first < 0.38)  # the exact draw takes the smallest 2,000 of 5,000
    for half in (went & (first < 0.19), went & (first >= 0.19)):
        assert np.mean(noisy.labels[half] == 3) == pytest.approx(0.4, abs=0.06)


CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
FASHION = ["top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"]


@pytest.mark.parametrize(
    ("name", "classes", "mapping"),
    [
        (
            "asymmetric_cifar10",
            CIFAR10,
            "truck automobile, bird airplane, deer horse, cat dog, dog cat",
        ),
        ("asymmetric_mnist", [*"0123456789"], "7 1, 2 7, 3 8, 5 6, 6 5"),
        (
            "asymmetric_fashion_mnist",
            FASHION,
            "boot sneaker, sneaker sandal, pullover shirt, coat dress, dress coat",
        ),
    ],
)
def test_maps_by_their_class_names(name, classes, mapping):
    flips = dict(flip.split() for flip in mapping.split(", "))
    noisy = draw(name, rate=1.0)
    for label, clean in enumerate(classes):
        became = np.unique(noisy.labels[label == C10])
        assert [classes[each] for each in became] == [flips.get(clean, clean)]
    assert noisy.expected_rate == 0.5


def superclass_of(labels):
    table = np.empty(100, int)
    for number, members in enumerate(cifar100.SUPERCLASSES.values()):
        table[list(members)] = number
    return table[labels]


def test_superclasses_part_the_classes():
    members = [label for group in cifar100.SUPERCLASSES.values() for label in group]
    assert sorted(members) == list(range(100))
    assert all(len(group) == 5 and list(group) == sorted(group) for group in cifar100.SUPERCLASSES.values())


def test_swapped_classes_are_two_of_each_superclass():
    pairs = set()
    for seed in range(3):
        matrix = noise.transition("asymmetric_cifar100_swap", 100, rate=1.0, seed=seed)
        np.testing.assert_array_equal(matrix, matrix.T)
        swapped = np.flatnonzero(np.diag(matrix) == 0)
        np.testing.assert_array_equal(np.bincount(superclass_of(swapped)), np.full(20, 2))
        np.testing.assert_array_equal(superclass_of(matrix.argmax(axis=1)), superclass_of(np.arange(100)))
        pairs.add(tuple(swapped))
    assert len(pairs) == 3
    noisy = draw("asymmetric_cifar100_swap", C100, rate=0.4, draw="exact_per_class")
    assert noisy.realised_rate == pytest.approx(0.16, abs=1e-12)
    # Moved are clean examples only: nobody comes back with those that were moved before.
    np.testing.assert_array_equal(noisy.transition_counts, noisy.transition_counts.T)


def test_the_next_class_is_of_the_same_superclass():
    noisy = draw("asymmetric_cifar100_next", C100, rate=0.3)
    np.testing.assert_array_equal(superclass_of(noisy.labels), superclass_of(noisy.clean))
    matrix = noise.transition("asymmetric_cifar100_next", 100, rate=1.0)
    assert [int(matrix[label].argmax()) for label in (4, 30, 55, 72, 95)] == [30, 55, 72, 95, 4]


def test_the_legacy_blocks_are_no_superclasses_and_say_so():
    with pytest.warns(noise.LegacyNoiseWarning, match="blocks of label numbers") as caught:
        noisy = draw("asymmetric_cifar100_block_legacy", C100, rate=1.0)
    assert len(caught) == 1
    np.testing.assert_array_equal(noisy.labels, C100 // 5 * 5 + (C100 + 1) % 5)
    targets = noise.transition("asymmetric_cifar100_block_legacy", 100, rate=1.0).argmax(axis=1)
    assert (superclass_of(targets) == superclass_of(np.arange(100))).sum() == 6
    blocks = [set(range(start, start + 5)) for start in range(0, 100, 5)]
    assert not any(set(group) in blocks for group in cifar100.SUPERCLASSES.values())


def test_other_noise_gives_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw("asymmetric_cifar100_next", C100, rate=0.3)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0.5, np.nan, 0.5], "row 1 holds nan"),
        ([0.5, np.inf, 0.5], "row 1 holds inf"),
        ([0.6, -0.1, 0.5], "row 1 holds -0.1, probabilities are not negative"),
        ([0.5, 0.2, 0.2], "row 1 sums to 0.9, it must sum to 1"),
    ],
)
def test_bad_rows_are_named(row, message):
    matrix = np.eye(3)
    matrix[1] = row
    for use in (lambda: noise.transition("transition_matrix", 3, matrix=matrix), lambda: draw_3(matrix)):
        with pytest.raises(ConfigError, match=rf"^noise\.matrix: {message}$"):
            use()


def draw_3(matrix):
    return noise.create("transition_matrix", matrix=matrix)(np.arange(3), 3)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.eye(4), r"must be \[3, 3\] for 3 classes, got \[4, 4\]"),
        (np.ones((3, 2)) / 2, r"must be \[3, 3\] for 3 classes, got \[3, 2\]"),
        (0.4, r"must be \[3, 3\] for 3 classes, got \[\]"),
        ([[1, 0], [0]], r"must be numbers \[C, C\]"),
        ([["a"] * 3] * 3, r"must be numbers \[C, C\]"),
        ("nowhere.npy", r"nowhere.npy: cannot be read as .npy"),
    ],
)
def test_what_is_no_matrix_is_refused(matrix, message):
    with pytest.raises(ConfigError, match=rf"^noise\.matrix: {message}"):
        draw_3(matrix)


def test_a_matrix_comes_from_lists_or_from_a_file(tmp_path):
    matrix = [[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.25, 0.25, 0.5]]
    np.save(tmp_path / "t.npy", matrix)
    labels = np.arange(300) % 3
    drawn = [
        noise.create("transition_matrix", matrix=given)(labels, 3).sha256
        for given in (matrix, np.array(matrix), tuple(map(tuple, matrix)), str(tmp_path / "t.npy"))
    ]
    assert len(set(drawn)) == 1
    noisy = draw_3(np.array(matrix)[[1, 1, 1]])
    np.testing.assert_array_equal(noisy.labels, [1, 1, 1])


def test_a_class_that_cannot_be_drawn_is_not():
    matrix = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    noisy = noise.create("transition_matrix", matrix=matrix)(np.arange(30_000) % 3, 3)
    np.testing.assert_array_equal(noisy.labels, (np.arange(30_000) + 1) % 3)


IMAGES = np.random.default_rng(1).integers(0, 256, (20_000, 3, 3, 1), np.uint8)
LABELS = np.arange(20_000) % 5


def instance_noise(images=IMAGES, labels=LABELS, seed=0, **options):
    return noise.create("instance_dependent", seed=seed, **options)(labels, 5, images=images)


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5, 0.9, 1.0])
def test_instance_noise_has_the_rate_of_a_truncated_normal(rate):
    draws_of_q = np.random.default_rng(0).normal(rate, 0.1, 1_000_000)
    expected = draws_of_q[(draws_of_q >= 0) & (draws_of_q <= 1)].mean()
    assert instance.expected_rate(rate) == pytest.approx(expected, abs=1e-3)
    noisy = instance_noise(rate=rate)
    assert noisy.nominal_rate == rate
    assert noisy.expected_rate == pytest.approx(instance.expected_rate(rate), abs=1e-9)
    realised = noisy.realised_rate
    assert abs(realised - expected) < 4 * np.sqrt(expected * (1 - expected) / len(LABELS)) + 1e-3


@pytest.mark.parametrize(
    ("rate", "expected"), [(0.0, 0.0), (0.01, 0.084), (0.05, 0.101), (0.1, 0.129), (0.2, 0.206), (0.4, 0.400)]
)
def test_instance_noise_expects_what_is_documented(rate, expected):
    assert round(instance_noise(rate=rate).expected_rate, 3) == expected


def test_instance_noise_follows_its_formula():
    # One image many times: the wrong labels of class 0 follow softmax(x . W) without the true class.
    images = np.broadcast_to(IMAGES[:1], IMAGES.shape)
    noisy = instance_noise(images, np.zeros_like(LABELS), rate=0.5, scaling="unit")
    words = np.random.Philox(key=0, counter=[0, 0, 0, draws.CLASSES]).random_raw(9 * 5)
    weights = scipy.stats.norm.ppf((words >> np.uint64(11)) / 2.0**53).reshape(9, 5)
    x = IMAGES[0].reshape(-1).astype(float)
    exponentials = np.exp((x - x.mean()) / x.std() / 3 @ weights)[1:]
    expected = exponentials / exponentials.sum()
    counts = noisy.transition_counts[0, 1:]
    tolerance = 4 * np.sqrt(expected * (1 - expected) / counts.sum())
    assert (abs(counts / counts.sum() - expected) < tolerance).all()


@pytest.mark.parametrize(("scaling", "least", "most"), [("raw", 0.99, 1), ("unit", 0.3, 0.75)])
def test_the_scaling_decides_whether_an_image_has_one_wrong_label(scaling, least, most):
    images = np.repeat(IMAGES[:20], 1000, axis=0)
    noisy = instance_noise(images, np.zeros_like(LABELS), rate=0.5, scaling=scaling)
    shares = []
    for image in range(20):
        labels = noisy.labels[1000 * image : 1000 * (image + 1)]
        counts = np.bincount(labels, minlength=5)[1:]
        shares.append(counts.max() / counts.sum())
    assert least <= np.mean(shares) <= most


@pytest.mark.parametrize("rate", [0.2, 0.29, 0.45])
def test_exact_instance_noise_is_label_noise_of_so_many(rate):
    """A second implementation, example by example: the dependent noise of LogitClip and JAL."""
    noisy = instance_noise(rate=rate, seed=3, draw="exact_global", scaling="unit")
    assert noisy.expected_rate == rate
    assert noisy.mislabelled.sum() == round(rate * len(LABELS))
    numbers = draws.uniforms(3, np.arange(len(LABELS))).T
    taken = sorted(range(len(LABELS)), key=lambda i: numbers[i, 0])[: noisy.mislabelled.sum()]
    np.testing.assert_array_equal(np.sort(taken), np.flatnonzero(noisy.mislabelled))
    size = IMAGES[0].size
    for i in taken[:200]:
        x = IMAGES[i].ravel().astype(float)
        x = (x - x.mean()) / x.std() / np.sqrt(size)
        w = scipy.stats.norm.ppf(draws.class_uniforms(3, int(LABELS[i]), size * 5)).reshape(size, 5)
        others = [j for j in range(5) if j != LABELS[i]]
        p = scipy.special.softmax((x @ w)[others])
        assert noisy.labels[i] == others[int((numbers[i, 1] >= np.cumsum(p)).sum())]


# As the pins in test_noise_models.py: never edited.
EXACT_INSTANCE = "e2d070da83d04ff9e4733a3f848b45336b41ee9acff3c175fdf96e6d59b0a554"


def test_exact_instance_noise_takes_whole_numbers_is_nested_and_pinned():
    assert instance_noise(IMAGES[:99], LABELS[:99], rate=0.5, draw="exact_global").mislabelled.sum() == 49
    less, more = (instance_noise(rate=rate, draw="exact_global") for rate in (0.2, 0.4))
    assert more.mislabelled[less.mislabelled].all()
    np.testing.assert_array_equal(more.labels[less.mislabelled], less.labels[less.mislabelled])
    assert (instance_noise(rate=0.0, draw="exact_global").labels == LABELS).all()
    assert more.sha256 == EXACT_INSTANCE
    with pytest.raises(ConfigError, match=r"^noise.draw: 'instance_dependent' takes one of"):
        instance_noise(rate=0.4, draw="exact")


def test_instance_noise_depends_on_the_image():
    other = np.roll(IMAGES, 1, axis=0)
    one, two = instance_noise(rate=0.4), instance_noise(other, rate=0.4)
    np.testing.assert_array_equal(one.mislabelled, two.mislabelled)  # the rate does not
    assert (one.labels != two.labels).mean() > 0.1


class CountedImages:
    """Images that are given when indexed, as those in files of their own; it counts how many at a time."""

    def __init__(self):
        self.shape, self.asked = IMAGES.shape, []

    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, positions):
        self.asked.append(len(positions))
        return IMAGES[positions]


@pytest.mark.parametrize("scaling", ["raw", "standardised", "unit"])
def test_instance_noise_goes_through_few_images_at_a_time(monkeypatch, scaling):
    images = CountedImages()
    noisy = instance_noise(images, rate=0.6, scaling=scaling)
    assert max(images.asked) == 256
    # Only the images of flipped examples are read, once each.
    assert sum(images.asked) == noisy.mislabelled.sum()
    for chunk in (7, len(IMAGES)):
        monkeypatch.setattr(instance, "CHUNK", chunk)
        np.testing.assert_array_equal(instance_noise(rate=0.6, scaling=scaling).labels, noisy.labels)


def test_instance_noise_takes_constant_images():
    for scaling in ("raw", "standardised", "unit"):
        noisy = instance_noise(np.zeros_like(IMAGES), rate=0.4, scaling=scaling)
        assert noisy.realised_rate == pytest.approx(0.4, abs=0.02)


def test_instance_noise_needs_images():
    with pytest.raises(ConfigError, match=r"^noise.name: 'instance_dependent' needs the images"):
        instance_noise(None, rate=0.4)
    with pytest.raises(ConfigError, match=r"^noise.scaling: .* one of 'standardised', .*, got 'imagenet'"):
        instance_noise(rate=0.4, scaling="imagenet")


def write_scores(path, scores):
    np.save(path, scores)
    return str(path)


def test_score_noise_follows_the_scores(tmp_path):
    scores = np.random.default_rng(0).dirichlet(np.ones(5), len(LABELS))
    noisy = draw("score_based", LABELS, path=write_scores(tmp_path / "s.npy", scores), rate=0.3)
    wrong = np.where(np.eye(5, dtype=bool)[LABELS], -1, scores)
    mistaken = noisy.mislabelled
    np.testing.assert_array_equal(noisy.labels[mistaken], wrong.argmax(axis=1)[mistaken])
    highest = wrong.max(axis=1)
    assert abs(noisy.realised_rate - 0.3) < 4 * np.sqrt(0.3 * 0.7 / len(LABELS))
    k = 0.3 / highest.mean()
    assert (k * highest).max() < 1  # so that the probabilities are in proportion
    for part in np.array_split(np.argsort(highest), 5):
        expected = k * highest[part].mean()
        assert abs(mistaken[part].mean() - expected) < 4 * np.sqrt(expected * (1 - expected) / len(part))


@pytest.mark.parametrize("rate", [0.5, 0.9, 0.999])
def test_score_noise_gives_rates_that_cut_probabilities_off(tmp_path, rate):
    scores = np.random.default_rng(0).dirichlet(np.full(5, 0.3), len(LABELS))
    noisy = draw("score_based", LABELS, path=write_scores(tmp_path / "s.npy", scores), rate=rate)
    assert abs(noisy.realised_rate - rate) < 4 * np.sqrt(rate * (1 - rate) / len(LABELS)) + 1e-9


def test_score_noise_refuses_a_rate_that_the_scores_cannot_give(tmp_path):
    scores = np.eye(5)[LABELS]
    scores[:5000, 0] += 0.1  # 4,000 of them of another class
    path = write_scores(tmp_path / "s.npy", scores)
    with pytest.raises(ConfigError, match=r"^noise.rate: must be at most 0.2, .*; got 0.25"):
        draw("score_based", LABELS, path=path, rate=0.25)
    noisy = draw("score_based", LABELS, path=path, rate=0.2)
    np.testing.assert_array_equal(np.flatnonzero(noisy.mislabelled), np.flatnonzero(LABELS[:5000]))


def test_the_first_part_of_a_composition_draws_as_alone():
    part = {"name": "pair_flip", "rate": 0.4}
    assert draw("compose", parts=[part], seed=3).sha256 == draw("pair_flip", rate=0.4, seed=3).sha256


def test_parts_are_applied_in_turn_and_draw_independently():
    twice = draw("compose", parts=[{"name": "pair_flip", "rate": 0.5}] * 2)
    moved = (twice.labels - twice.clean) % 10
    fractions = np.bincount(moved, minlength=3) / len(moved)
    np.testing.assert_allclose(fractions[:3], [0.25, 0.5, 0.25], atol=4 * 0.5 / np.sqrt(len(moved)))
    assert twice.nominal_rate == pytest.approx(0.75)


def test_parts_get_images():
    parts = [{"name": "symmetric", "rate": 0.2}, {"name": "instance_dependent", "rate": 0.4}]
    corrupt = noise.create("compose", parts=parts)
    noisy = corrupt(LABELS, 5, images=IMAGES)
    assert noisy.expected_rate is None
    assert noisy.nominal_rate is None
    assert 0.4 < noisy.realised_rate < 0.55
    with pytest.raises(ConfigError, match=r"^noise.parts\[1\].name: 'instance_dependent' needs the images"):
        corrupt(LABELS, 5)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "noise.parts: must hold at least one section"),
        (["symmetric"], r"noise.parts\[0\]: must be a section"),
        ([{"rate": 0.4}], r"noise.parts\[0\]: must be a section"),
        ([{"name": "symetric"}], r"noise.parts\[0\].name: unknown name 'symetric'; did you mean 'symmetric'"),
        ([{"name": "symmetric"}], r"noise.parts\[0\].rate: 'symmetric' needs a value"),
        ([{"name": "symmetric", "rate": 2}], r"noise.parts\[0\].rate: must be in \[0, 1\], got 2"),
        ([{"name": "symmetric", "rate": 0.2, "seed": 1}], r"noise.parts\[0\].seed: follows from noise.seed"),
        ([{"name": "compose", "parts": []}], r"noise.parts\[0\].name: a composition has no compositions"),
        (3, "noise.parts: 'compose' takes a list, got 3"),
    ],
)
def test_bad_parts_are_refused(parts, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        noise.create("compose", parts=parts)
