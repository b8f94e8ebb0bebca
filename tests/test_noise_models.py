"""What holds for every noise model: a new one is tested by being registered.

One that needs more than a rate has an entry in `CASES`; one that promises less is named below it.
"""

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from grjax import noise
from grjax.errors import ConfigError

pytestmark = pytest.mark.filterwarnings("ignore::grjax.noise.LegacyNoiseWarning")

SIZE = 4000
OTHER_LABELS = np.random.default_rng(4).integers(0, 10, SIZE)
IMAGES = np.random.default_rng(1).integers(0, 256, (SIZE, 4, 4, 1), np.uint8)
_FOLDER = tempfile.TemporaryDirectory(prefix="grjax_noise_")
FOLDER = Path(_FOLDER.name)


def balanced(num_classes, size=SIZE):
    """Labels, as many of each class, in a random order."""
    return np.random.default_rng(0).permutation(np.arange(size) % num_classes)


@dataclasses.dataclass(frozen=True)
class Case:
    """How a model is drawn from: on how many classes, and with which options for a nominal rate."""

    num_classes: int = 10
    options: Callable[[float], dict] = lambda rate: {"rate": rate}


def write_inputs():
    """Scores that make one wrong class of an example as likely as that of any other; human labels."""
    rng = np.random.default_rng(2)
    clean = balanced(10)
    wrong = (clean + rng.integers(1, 10, SIZE)) % 10
    scores = np.zeros((SIZE, 10))
    scores[np.arange(SIZE), wrong] = 0.5
    np.save(FOLDER / "scores.npy", scores)
    noisy = np.where(rng.random(SIZE) < 0.4, wrong, clean)
    np.savez(FOLDER / "c10.npz", clean_label=clean, worse_label=noisy)
    np.savez(FOLDER / "c100.npz", clean_label=balanced(100), noisy_label=balanced(100)[::-1])
    np.savez(FOLDER / "labels.npz", ids=np.arange(SIZE), labels=noisy)


write_inputs()

CASES = {
    "asymmetric_cifar100_swap": Case(100),
    "asymmetric_cifar100_next": Case(100),
    "asymmetric_cifar100_block_legacy": Case(100),
    "cifar10_n": Case(10, lambda rate: {"path": str(FOLDER / "c10.npz"), "annotation": "worse"}),
    "cifar100_n": Case(100, lambda rate: {"path": str(FOLDER / "c100.npz")}),
    "column": Case(10, lambda rate: {"column": "other"}),
    "compose": Case(
        10,
        lambda rate: {
            "parts": [{"name": "pair_flip", "rate": rate}, {"name": "symmetric", "rate": rate / 2}]
        },
    ),
    "file": Case(10, lambda rate: {"path": str(FOLDER / "labels.npz")}),
    "score_based": Case(10, lambda rate: {"path": str(FOLDER / "scores.npy"), "rate": rate}),
    "transition_matrix": Case(10, lambda rate: {"matrix": skewed(rate)}),
}
GIVEN = {"cifar10_n", "cifar100_n", "column", "file"}  # nothing is drawn
EXACT = {
    "symmetric_exact_per_class",
    "symmetric_exact_global",
    "symmetric_exact_transition",
    "symmetric_including_true",
    "asymmetric_cifar10_in_place",
}
DEPENDS_ON_WHICH_EXAMPLES = EXACT | {"file", "score_based"}
NOT_NESTED = {"compose", "asymmetric_cifar10_in_place"}
NO_MATRIX = GIVEN | {"instance_dependent", "score_based"}

# The noise of a seed never changes: experiments of different versions are compared by it. A new model adds
# its own line here; an old line is never edited.
PINS = {
    "symmetric": "97d0b2010495c03c1e9b40ae7e9f64f50c79bfae9f3ac5a00070d0d7a65361ac",
    "asymmetric_cifar10": "bd432328609cc0cc8447a3db8946e2163ed9507230f9b0c40b44f383f110be5c",
    "asymmetric_cifar10_in_place": "62489a45e34751c7dd6e79aea5aec2d470c3b331d05981bd9b460a16326e3f72",
    "asymmetric_cifar100_block_legacy": "fbe2bd3223283470c99796fbdfa3677007e9a745ed441f3deda3515c0b6e0653",
    "asymmetric_cifar100_next": "e3266934fa23b0c98290da66ebfa91ed1d50958dd71b3a4f2e950a27c70b21ed",
    "asymmetric_cifar100_swap": "5a974efd4655ac66462ccdbf8898c1603bc244e445240c4a11da6d3a0fedb5e4",
    "asymmetric_fashion_mnist": "ef287d0f7bb4b39c4644a3ad58567089a0b86f14be1e12e8307c84ee864e797e",
    "asymmetric_mnist": "8d520bdf3405006758154c5c5f74f2670c18a5acb66e94a88e2234410dfe9d32",
    "compose": "78bcc9633d31a9d2616c36fa920d81431e5681018fbe73fc8d2e3a735e5ffd9c",
    "instance_dependent": "3f7d184a8b702495eeb8e37769a511e464684fd40c1f34d62346d9459020842e",
    "pair_flip": "24728330b7b30d79af5e47d47f5ead8333002d394795449afd85e7eac7f0b7b1",
    "score_based": "f9e6252d1a1f2b8d03d5d41cdb0de880b37169997da8a7a70768f248f19bc222",
    "symmetric_exact_global": "3ee0e374026432a9390b96fcd48b968e1d5911192356b4bc28335169e0aaf016",
    "symmetric_exact_per_class": "6653c893004e803641f3760ca76e70ca128dd200e64197a8d73c2a2790e6b165",
    "symmetric_exact_transition": "7ae8a549ec4d03caf33ee78a55e714821a9ac59010e04c893c7a5fb007bbc1d8",
    "symmetric_including_true": "b52770c55aabc24c3b3697690a968247fa6b810b34cfa0fcf371dc7551911dc5",
    "transition_matrix": "daca015f1ebd1be096f23ee9a266be755215031392435728229a6f455f83d482",
    "uniform_mix": "3e9ec25380f9a3d5cf111212953974362d96bb2268cf9a487cd4d0c3a0943a95",
}

every_model = pytest.mark.parametrize("name", noise.names())
every_drawn = pytest.mark.parametrize("name", sorted(set(noise.names()) - GIVEN))
with_matrix = pytest.mark.parametrize("name", sorted(set(noise.names()) - NO_MATRIX))


def skewed(rate, num_classes=10):
    """A matrix with no two entries of a row alike."""
    weights = np.arange(1.0, num_classes)
    rows = np.zeros((num_classes, num_classes))
    for label in range(num_classes):
        rows[label, np.arange(num_classes) != label] = rate * weights / weights.sum()
        rows[label, label] = 1 - rows[label].sum()
    return rows


def case(name):
    return CASES.get(name, Case())


def draw(name, rate=0.4, seed=0, labels=None, ids=None):
    corrupt = noise.create(name, seed=seed, **case(name).options(rate))
    labels = balanced(case(name).num_classes) if labels is None else labels
    rows = np.arange(len(labels)) % SIZE if ids is None else ids
    return corrupt(
        labels, case(name).num_classes, ids, IMAGES[rows], annotations={"other": OTHER_LABELS[rows]}
    )


@every_drawn
def test_rate_zero_changes_nothing(name):
    noisy = draw(name, rate=0.0)
    np.testing.assert_array_equal(noisy.labels, noisy.clean)
    assert noisy.realised_rate == 0


@every_model
@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
def test_noise_leaves_its_arguments_alone(name, rate):
    labels, ids, images = balanced(case(name).num_classes).astype(np.int32), np.arange(SIZE), IMAGES.copy()
    corrupt, other = noise.create(name, **case(name).options(rate)), OTHER_LABELS.copy()
    noisy = corrupt(labels, case(name).num_classes, ids, images, annotations={"other": other})
    np.testing.assert_array_equal(other, OTHER_LABELS)
    assert not np.shares_memory(noisy.labels, other)
    np.testing.assert_array_equal(labels, balanced(case(name).num_classes))
    np.testing.assert_array_equal(noisy.clean, labels)
    np.testing.assert_array_equal(ids, np.arange(SIZE))
    np.testing.assert_array_equal(images, IMAGES)
    assert not np.shares_memory(noisy.labels, labels)
    assert not np.shares_memory(noisy.labels, noisy.clean)


@every_model
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
@pytest.mark.parametrize("rate", [0.3, 1.0])
def test_noisy_labels_are_classes(name, dtype, rate):
    clean = balanced(case(name).num_classes).astype(dtype)
    noisy = draw(name, rate=rate, labels=clean)
    assert (noisy.labels.dtype, noisy.clean.dtype, noisy.ids.dtype) == (np.int32, np.int32, np.int64)
    assert noisy.labels.shape == clean.shape
    assert noisy.labels.min() >= 0
    assert noisy.labels.max() < case(name).num_classes
    assert noisy.num_classes == case(name).num_classes
    assert noisy.mislabelled.any()


@every_model
def test_the_convention_and_the_nominal_rate_are_kept(name):
    noisy, options = draw(name, seed=3), case(name).options(0.4)
    np.testing.assert_equal(dict(noisy.convention), {"name": name, "seed": 3, **options})
    if "rate" in options:
        assert noisy.nominal_rate == 0.4
    elif name in GIVEN:
        assert noisy.nominal_rate is None
    else:
        assert noisy.nominal_rate == noisy.expected_rate > 0.1


@every_drawn
def test_a_seed_repeats_and_another_differs(name):
    np.testing.assert_array_equal(draw(name, seed=3).labels, draw(name, seed=3).labels)
    assert draw(name, seed=3).sha256 != draw(name, seed=4).sha256


@pytest.mark.parametrize("name", sorted(GIVEN))
def test_a_seed_changes_nothing_where_nothing_is_drawn(name):
    assert draw(name, seed=3).sha256 == draw(name, seed=4).sha256


def in_classes_that_are_mistaken(*draws):
    """Which examples are of classes that every draw flips some of."""
    flipped = [np.bincount(noisy.clean[noisy.mislabelled], minlength=noisy.num_classes) for noisy in draws]
    return np.all(flipped, axis=0)[draws[0].clean]


@every_drawn
def test_seeds_are_independent(name):
    one, other = draw(name, rate=0.5, seed=0), draw(name, rate=0.5, seed=1)
    both = in_classes_that_are_mistaken(one, other)
    correlation = np.corrcoef(one.mislabelled[both], other.mislabelled[both])[0, 1]
    assert abs(correlation) < 4 / np.sqrt(both.sum())


@every_model
def test_a_label_depends_on_no_order(name):
    clean, ids = balanced(case(name).num_classes), np.random.default_rng(3).permutation(SIZE)
    whole = draw(name)
    mixed = draw(name, labels=clean[ids], ids=ids)
    np.testing.assert_array_equal(mixed.labels, whole.labels[ids])
    assert mixed.sha256 == whole.sha256
    if name in DEPENDS_ON_WHICH_EXAMPLES:
        return
    for some in (ids[:50], ids[-1:], np.sort(ids[:50]).astype(np.int32), np.empty(0, int)):
        np.testing.assert_array_equal(draw(name, labels=clean[some], ids=some).labels, whole.labels[some])


@pytest.mark.parametrize("name", sorted(EXACT))
def test_no_example_is_a_draw_of_none(name):
    assert draw(name, labels=np.empty(0, int), ids=np.empty(0, int)).labels.shape == (0,)


@every_model
def test_ids_are_row_numbers_unless_given(name):
    noisy = draw(name)
    np.testing.assert_array_equal(noisy.ids, np.arange(SIZE))
    np.testing.assert_array_equal(noisy.labels, draw(name, ids=np.arange(SIZE)).labels)


@every_drawn
def test_neighbouring_ids_are_independent(name):
    noisy = draw(name, rate=0.5)
    wrong, offset = noisy.mislabelled, (noisy.labels - noisy.clean) % noisy.num_classes
    tolerance = 4 / np.sqrt(wrong.sum())
    assert abs(np.corrcoef(wrong[:-1], wrong[1:])[0, 1]) < tolerance
    before, after = wrong[:-1], wrong[1:]
    for here, there in ((offset[:-1][before], after[before]), (offset[1:][after], before[after])):
        if np.ptp(here):  # some models have one wrong class only
            assert abs(np.corrcoef(here, there)[0, 1]) < tolerance


@pytest.mark.parametrize("name", sorted(set(noise.names()) - GIVEN - NOT_NESTED))
@pytest.mark.parametrize("rates", [(0.2, 0.4), (0.45, 0.9)])
def test_noise_is_nested_in_rate(name, rates):
    less, more = draw(name, rate=rates[0]), draw(name, rate=rates[1])
    assert 0 < less.mislabelled.sum() < more.mislabelled.sum()
    assert more.mislabelled[less.mislabelled].all()
    np.testing.assert_array_equal(less.labels[less.mislabelled], more.labels[less.mislabelled])


@every_drawn
def test_a_draw_never_changes_between_versions(name):
    assert name in PINS, "a new noise model: add the sha256 of this draw to PINS"
    size = 100 if name == "symmetric" else 1000
    assert draw(name, labels=np.arange(size) % case(name).num_classes).sha256 == PINS[name]


@with_matrix
@pytest.mark.parametrize("rate", [0.0, 0.25, 1.0])
def test_a_declared_matrix_is_of_distributions(name, rate):
    num_classes = case(name).num_classes
    declared = noise.transition(name, num_classes, **case(name).options(rate))
    assert declared.shape == (num_classes, num_classes)
    assert declared.min() >= 0
    np.testing.assert_allclose(declared.sum(axis=1), 1, rtol=0, atol=1e-12)
    if rate == 0:
        np.testing.assert_array_equal(declared, np.eye(num_classes))


@pytest.mark.parametrize("name", sorted(NO_MATRIX))
def test_noise_that_is_not_class_conditional_declares_no_matrix(name):
    assert noise.transition(name, case(name).num_classes, **case(name).options(0.4)) is None
    assert (draw(name).expected_rate is None) == (name != "instance_dependent")


@with_matrix
@pytest.mark.parametrize("rate", [0.0, 0.2, 0.8, 1.0])
def test_a_draw_follows_the_declared_matrix(name, rate):
    num_classes, seed = case(name).num_classes, 5
    clean = balanced(num_classes, 90_000)  # so that exact counts need no rounding
    noisy = draw(name, rate=rate, seed=seed, labels=clean)
    declared = noise.transition(name, num_classes, seed=seed, **case(name).options(rate))
    n = np.bincount(noisy.clean)[:, None]
    # Exact binomial tails rather than z scores: at C = 100 an entry is expected 40 times or fewer. The
    # level of 4 sigma is that of the whole matrix. An exact draw scatters less than a binomial one.
    declared = np.clip(declared, 0, 1)
    tails = (
        scipy.stats.binom.cdf(noisy.transition_counts, n, declared),
        scipy.stats.binom.sf(noisy.transition_counts - 1, n, declared),
    )
    assert np.minimum(*tails).min() > 2 * scipy.stats.norm.sf(4) / 2 / declared.size
    expected = noisy.expected_rate
    assert expected == pytest.approx(1 - (n.ravel() * np.diag(declared)).sum() / n.sum(), abs=1e-9)
    sigma = np.sqrt(expected * (1 - expected) / n.sum())
    assert abs(noisy.realised_rate - expected) <= 4 * sigma + 1e-12


@pytest.mark.parametrize("name", sorted(set(noise.names()) - GIVEN - {"compose", "transition_matrix"}))
@pytest.mark.parametrize(
    ("rate", "part"),
    [
        (-0.1, "must be in [0, 1], got -0.1"),
        (1.1, "must be in [0, 1], got 1.1"),
        (float("nan"), "must be in [0, 1], got nan"),
        (float("inf"), "must be in [0, 1], got inf"),
        ("a", "a number, got 'a'"),
        (True, "a number, got True"),
        (None, "a number, got None"),
    ],
)
def test_bad_rates_are_refused(name, rate, part):
    for make in (noise.create, lambda *args, **options: noise.transition(*args, 10, **options)):
        with pytest.raises(ConfigError, match=r"^noise\.rate: ") as caught:
            make(name, **case(name).options(rate))
        assert part in str(caught.value)


@every_model
def test_bad_labels_ids_and_images_are_refused(name):
    num_classes = case(name).num_classes
    corrupt = noise.create(name, **case(name).options(0.4))
    good = balanced(num_classes)
    for labels, ids, images, message in (
        (np.where(good == 3, num_classes, good), None, IMAGES, "labels must be integers in"),
        (np.where(good == 3, -1, good), None, IMAGES, "labels must be integers in"),
        (good * 1.0, None, IMAGES, "labels must be integers in"),
        (good, np.arange(SIZE - 1), IMAGES, "ids must be one for each label"),
        (good, np.zeros(SIZE, int), IMAGES, "ids must be distinct"),
        (good, None, IMAGES[:-1], "images must be one for each label"),
    ):
        with pytest.raises(ConfigError, match=f"^noise: {message}"):
            corrupt(labels, num_classes, ids, images)
    with pytest.raises(ConfigError, match=r"^noise: there must be at least 2 classes, got 1"):
        corrupt(np.zeros(SIZE, int), 1, None, IMAGES)


@every_model
def test_an_unknown_option_is_refused(name):
    with pytest.raises(ConfigError, match=r"^noise\.rat: .* has no such option"):
        noise.create(name, rat=0.4, **case(name).options(0.4))
    with pytest.raises(ConfigError, match=r"^noise\.seed: must be in"):
        noise.create(name, seed=-1, **case(name).options(0.4))


@pytest.mark.parametrize(
    "name",
    ["asymmetric_cifar10", "asymmetric_cifar10_in_place", "asymmetric_mnist", "asymmetric_fashion_mnist"],
)
def test_a_map_for_ten_classes_refuses_others(name):
    with pytest.raises(ConfigError, match=f"{name}.*of 10 classes, this one has 11"):
        noise.create(name, rate=0.4)(np.zeros(3, int), 11)
    with pytest.raises(ConfigError, match=f"{name}.*of 10 classes, this one has 11"):
        noise.transition(name, 11, rate=0.4)


@pytest.mark.parametrize("name", [name for name in noise.names() if name.startswith("asymmetric_cifar100")])
def test_a_map_for_a_hundred_classes_refuses_others(name):
    with pytest.raises(ConfigError, match=f"{name}.*of 100 classes, this one has 10"):
        noise.create(name, rate=0.4)(np.zeros(3, int), 10)
    with pytest.raises(ConfigError, match=f"{name}.*of 100 classes, this one has 10"):
        noise.transition(name, 10, rate=0.4)
