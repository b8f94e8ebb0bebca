"""Asymmetric label noise on CIFAR-100: three rules that papers give the same name.

They differ in what is flipped and in how much: see docs/reference/noise.md. All are nested in the rate, as
`grjax.noise.class_map` says.
"""

import warnings
from typing import Annotated

import numpy as np

from grjax.errors import DataWarning
from grjax.noise.class_map import check_num_classes, flip_to, map_transition
from grjax.noise.draws import Draw, class_uniforms
from grjax.ranges import In

# The fine labels of each superclass, ascending, which is the alphabetical order of their names.
SUPERCLASSES = {
    "aquatic_mammals": (4, 30, 55, 72, 95),
    "fish": (1, 32, 67, 73, 91),
    "flowers": (54, 62, 70, 82, 92),
    "food_containers": (9, 10, 16, 28, 61),
    "fruit_and_vegetables": (0, 51, 53, 57, 83),
    "household_electrical_devices": (22, 39, 40, 86, 87),
    "household_furniture": (5, 20, 25, 84, 94),
    "insects": (6, 7, 14, 18, 24),
    "large_carnivores": (3, 42, 43, 88, 97),
    "large_man-made_outdoor_things": (12, 17, 37, 68, 76),
    "large_natural_outdoor_scenes": (23, 33, 49, 60, 71),
    "large_omnivores_and_herbivores": (15, 19, 21, 31, 38),
    "medium_mammals": (34, 63, 64, 66, 75),
    "non-insect_invertebrates": (26, 45, 77, 79, 99),
    "people": (2, 11, 35, 46, 98),
    "reptiles": (27, 29, 44, 78, 93),
    "small_mammals": (36, 50, 65, 74, 80),
    "trees": (47, 52, 56, 59, 96),
    "vehicles_1": (8, 13, 48, 58, 90),
    "vehicles_2": (41, 69, 81, 85, 89),
}


def superclass_of(fine: np.ndarray) -> np.ndarray:
    """The number of each fine label's superclass, in [0, 20): the labels of 'cifar100_coarse'."""
    numbers = np.empty(100, np.int64)
    for number, members in enumerate(SUPERCLASSES.values()):
        numbers[list(members)] = number
    return numbers[fine]


class LegacyNoiseWarning(DataWarning):
    """Noise that is offered only because published results were made with it."""


def asymmetric_cifar100_swap(
    labels: np.ndarray,
    num_classes: int,
    ids: np.ndarray,
    *,
    rate: Annotated[float, In("[0, 1]")],
    seed: int,
    draw: Draw = "bernoulli",
) -> np.ndarray:
    """In each superclass two of its five classes, drawn by the seed, become each other with `rate`.

    40 of 100 classes are mistaken: the realised rate is 0.4 of the nominal one. The convention of the GR
    paper (arXiv:1905.11233) and of the SL paper; SCE, the code of the latter, swaps within blocks of five
    label numbers instead (see `asymmetric_cifar100_block_legacy`), and its noise is not offered.
    With draw='exact_per_class', exactly floor(rate n) of the n examples of each such class are moved. The
    pairs depend on the seed and not on the rate.

    Args, Returns: see `grjax.noise.pair_flip`; num_classes must be 100.
    """
    return flip_to(_swap(num_classes, seed), labels, ids, rate, seed, draw)


def asymmetric_cifar100_next(
    labels: np.ndarray,
    num_classes: int,
    ids: np.ndarray,
    *,
    rate: Annotated[float, In("[0, 1]")],
    seed: int,
    draw: Draw = "bernoulli",
) -> np.ndarray:
    """Every class becomes the next of its superclass, alphabetically and in a circle, with `rate`.

    The realised rate is the nominal one. The convention of the GCE paper and of GJS, which draws
    'exact_global'.

    Args, Returns: see `grjax.noise.pair_flip`; num_classes must be 100.
    """
    return flip_to(_next(num_classes), labels, ids, rate, seed, draw)


def asymmetric_cifar100_block_legacy(
    labels: np.ndarray,
    num_classes: int,
    ids: np.ndarray,
    *,
    rate: Annotated[float, In("[0, 1]")],
    seed: int,
    draw: Draw = "bernoulli",
) -> np.ndarray:
    """Legacy: every label becomes the next within its block of five *label numbers*, with `rate`.

    The code of APL, ALFs, ANL, JAL and ELR does so, and their published results need it to be compared with.
    Label numbers are alphabetical (apple, aquarium fish, baby, bear, beaver): no block is a superclass, and
    6 of the 100 flips stay within one. SCE's code swaps two labels of each such block. The
    realised rate is the nominal one. A `LegacyNoiseWarning` says so.

    Args, Returns: see `grjax.noise.pair_flip`; num_classes must be 100.
    """
    targets = _next_in_block(num_classes)
    warnings.warn(
        "noise.name: 'asymmetric_cifar100_block_legacy' flips within blocks of label numbers, which are no "
        "superclasses of CIFAR-100; take it only to compare with results of APL, ALFs, ANL, JAL or ELR. "
        "The code of SCE swaps two labels of each such block: that is neither this nor "
        "'asymmetric_cifar100_swap'",
        LegacyNoiseWarning,
        stacklevel=2,
    )
    return flip_to(targets, labels, ids, rate, seed, draw)


def swap_transition(num_classes: int, *, rate: Annotated[float, In("[0, 1]")], seed: int) -> np.ndarray:
    """T of `asymmetric_cifar100_swap`: it depends on the seed."""
    return map_transition(_swap(num_classes, seed), rate)


def next_transition(num_classes: int, *, rate: Annotated[float, In("[0, 1]")]) -> np.ndarray:
    """T of `asymmetric_cifar100_next`."""
    return map_transition(_next(num_classes), rate)


def block_transition(num_classes: int, *, rate: Annotated[float, In("[0, 1]")]) -> np.ndarray:
    """T of `asymmetric_cifar100_block_legacy`."""
    return map_transition(_next_in_block(num_classes), rate)


def _swap(num_classes: int, seed: int) -> np.ndarray:
    check_num_classes("asymmetric_cifar100_swap", num_classes, 100)
    targets = np.arange(num_classes)
    for number, members in enumerate(SUPERCLASSES.values()):
        one, other = np.array(members)[np.argsort(class_uniforms(seed, number, 5))[:2]]
        targets[one], targets[other] = other, one
    return targets


def _next(num_classes: int) -> np.ndarray:
    check_num_classes("asymmetric_cifar100_next", num_classes, 100)
    targets = np.arange(num_classes)
    for members in SUPERCLASSES.values():
        targets[list(members)] = np.roll(members, -1)
    return targets


def _next_in_block(num_classes: int) -> np.ndarray:
    check_num_classes("asymmetric_cifar100_block_legacy", num_classes, 100)
    return np.roll(np.arange(num_classes).reshape(-1, 5), -1, axis=1).ravel()
