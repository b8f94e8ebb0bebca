"""Asymmetric label noise: every class has one class that it is mistaken for, or none.

All decide by the number of (seed, id) by which `symmetric` decides: at the same rate and seed the same
examples are taken, and what is flipped at a rate is flipped at every higher rate. How many are taken is the
option `draw` (see `grjax.noise.draws.choose`). The new label follows from the clean one, never from a label
that was flipped before; `asymmetric_cifar10_in_place` alone flips labels that are flipped already.
"""

import functools
from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np

from grjax.errors import ConfigError
from grjax.noise.draws import Draw, choose, uniforms
from grjax.ranges import In

# truck -> automobile, bird -> airplane, deer -> horse, cat <-> dog; in place, cats before dogs
CIFAR10 = {9: 1, 2: 0, 4: 7, 3: 5, 5: 3}
# 7 -> 1, 2 -> 7, 3 -> 8, 5 <-> 6
MNIST = {7: 1, 2: 7, 3: 8, 5: 6, 6: 5}
# ankle boot -> sneaker, sneaker -> sandal, pullover -> shirt, coat <-> dress
FASHION_MNIST = {9: 7, 7: 5, 2: 6, 4: 3, 3: 4}


def pair_flip(
    labels: np.ndarray,
    num_classes: int,
    ids: np.ndarray,
    *,
    rate: Annotated[float, In("[0, 1]")],
    seed: int,
    draw: Draw = "bernoulli",
) -> np.ndarray:
    """Pair-flip noise: with probability `rate` class i becomes class i + 1, the last one the first.

    The realised rate is the nominal one; above 0.5 the wrong label outnumbers the right one. The
    convention of Co-teaching, and what DISC calls asymmetric on CIFAR-100.

    Args:
      labels: clean labels in [0, num_classes), integer [N].
      num_classes: C >= 2.
      ids: example ids >= 0, integer [N].
      rate: of the examples of every class that is mistaken, in [0, 1].
      seed: seed of the draw, >= 0.
      draw: 'bernoulli', 'exact_per_class' or 'exact_global'. Only 'bernoulli' does not depend on which
        examples there are.

    Returns:
      Noisy labels, int32 [N]; `labels` stays unchanged.

    Example:
      >>> import numpy as np
      >>> from grjax import noise
      >>> noise.pair_flip(np.array([0, 1, 2]), 3, np.arange(3), rate=1.0, seed=0)
      array([1, 2, 0], dtype=int32)
    """
    return flip_to(_next(num_classes), labels, ids, rate, seed, draw)


def asymmetric_cifar10(
    labels: np.ndarray,
    num_classes: int,
    ids: np.ndarray,
    *,
    rate: Annotated[float, In("[0, 1]")],
    seed: int,
    draw: Draw = "bernoulli",
) -> np.ndarray:
    """CIFAR-10's truck to automobile, bird to airplane, deer to horse, cat to dog and back, each with `rate`.

    Five of ten classes are mistaken: the realised rate is half the nominal one. The map of Patrini et al.
    (arXiv:1609.03683). SCE and ANL draw 'exact_per_class', DivideMix 'exact_global'. The codes of APL, ALFs,
    epsilon-softmax, ELR and GJS, and JAL's first method, flip otherwise: `asymmetric_cifar10_in_place`.

    Args, Returns: see `pair_flip`.
    """
    return flip_to(_targets(CIFAR10, num_classes, "asymmetric_cifar10"), labels, ids, rate, seed, draw)


def asymmetric_cifar10_in_place(
    labels: np.ndarray,
    num_classes: int,
    ids: np.ndarray,
    *,
    rate: Annotated[float, In("[0, 1]")],
    seed: int,
    draw: Literal["bernoulli", "exact_per_class"] = "exact_per_class",
) -> np.ndarray:
    """The map of `asymmetric_cifar10`, one class after the other, each with the labels as they are by then.

    Cats come before dogs. When the turn of the dogs comes, cats that became dogs are among them, and `rate`
    of them become cats again. So cat to dog has r(1 - r) and dog to cat r. The expected rate is
    (5r - r^2)/10 on classes of equal size, 0.184 at 0.4 in the place of 0.2. The flips of cats and dogs are
    not nested in the rate. The others are those of `asymmetric_cifar10` with the same draw.

    The convention of the codes of APL, ALFs, epsilon-softmax, ELR and GJS, and of JAL's first method.

    Args:
      labels: clean labels in [0, 10), integer [N].
      num_classes: 10.
      ids: example ids >= 0, integer [N].
      rate: of the labels of a class when its turn comes, in [0, 1].
      seed: seed of the draw, >= 0.
      draw: 'exact_per_class', as in those codes: floor(rate n) of the n examples that have the label when its
        turn comes; or 'bernoulli'.

    Returns: see `pair_flip`.
    """
    targets = _targets(CIFAR10, num_classes, "asymmetric_cifar10_in_place")
    first, second = uniforms(seed, ids)
    noisy = labels.astype(np.int32)
    for source in CIFAR10:
        members = np.flatnonzero(noisy == source)
        u = np.where(noisy == labels, first, second)[members]  # a second flip does not follow from the first
        noisy[members[choose(u, noisy[members], ids[members], rate, draw)]] = targets[source]
    return noisy


def asymmetric_mnist(
    labels: np.ndarray,
    num_classes: int,
    ids: np.ndarray,
    *,
    rate: Annotated[float, In("[0, 1]")],
    seed: int,
    draw: Draw = "bernoulli",
) -> np.ndarray:
    """MNIST's 7 to 1, 2 to 7, 3 to 8, 5 to 6 and 6 to 5, each with `rate`.

    Five of ten classes are mistaken: the realised rate is about half the nominal one, by their sizes.

    Args, Returns: see `pair_flip`.
    """
    return flip_to(_targets(MNIST, num_classes, "asymmetric_mnist"), labels, ids, rate, seed, draw)


def asymmetric_fashion_mnist(
    labels: np.ndarray,
    num_classes: int,
    ids: np.ndarray,
    *,
    rate: Annotated[float, In("[0, 1]")],
    seed: int,
    draw: Draw = "bernoulli",
) -> np.ndarray:
    """Fashion-MNIST's ankle boot to sneaker, sneaker to sandal, pullover to shirt, coat to dress and back.

    Each with `rate`; five of ten classes are mistaken, so the realised rate is half the nominal one. The map
    is this project's convention.

    Args, Returns: see `pair_flip`.
    """
    targets = _targets(FASHION_MNIST, num_classes, "asymmetric_fashion_mnist")
    return flip_to(targets, labels, ids, rate, seed, draw)


def flip_to(
    targets: np.ndarray,
    labels: np.ndarray,
    ids: np.ndarray,
    rate: Annotated[float, In("[0, 1]")],
    seed: int,
    draw: Draw = "bernoulli",
) -> np.ndarray:
    """Noise that turns class i to class targets[i]: int32 [N]."""
    chosen = choose(uniforms(seed, ids)[0], labels, ids, rate, draw)
    return np.where(chosen, targets[labels], labels).astype(np.int32)


def map_transition(targets: np.ndarray, rate: Annotated[float, In("[0, 1]")]) -> np.ndarray:
    """T of `flip_to`: 1 - rate on the diagonal and `rate` at the target, 1 where a class has none."""
    matrix = (1 - rate) * np.eye(len(targets))
    matrix[np.arange(len(targets)), targets] += rate
    return matrix


def pair_flip_transition(num_classes: int, *, rate: Annotated[float, In("[0, 1]")]) -> np.ndarray:
    """T of `pair_flip`."""
    return map_transition(_next(num_classes), rate)


def cifar10_transition(num_classes: int, *, rate: Annotated[float, In("[0, 1]")]) -> np.ndarray:
    """T of `asymmetric_cifar10`."""
    return map_transition(_targets(CIFAR10, num_classes, "asymmetric_cifar10"), rate)


def cifar10_in_place_transition(num_classes: int, *, rate: float) -> np.ndarray:
    """T of `asymmetric_cifar10_in_place`: the product of those of its flips."""
    check_num_classes("asymmetric_cifar10_in_place", num_classes, 10)
    flips = [_targets({source: target}, num_classes, "") for source, target in CIFAR10.items()]
    return functools.reduce(np.matmul, [map_transition(flip, rate) for flip in flips])


def mnist_transition(num_classes: int, *, rate: float) -> np.ndarray:
    """T of `asymmetric_mnist`."""
    return map_transition(_targets(MNIST, num_classes, "asymmetric_mnist"), rate)


def fashion_mnist_transition(num_classes: int, *, rate: Annotated[float, In("[0, 1]")]) -> np.ndarray:
    """T of `asymmetric_fashion_mnist`."""
    return map_transition(_targets(FASHION_MNIST, num_classes, "asymmetric_fashion_mnist"), rate)


def check_num_classes(name: str, num_classes: int, expected: int) -> None:
    """Refuses a data set whose number of classes the map does not fit."""
    if num_classes != expected:
        raise ConfigError(
            f"noise.name: {name!r} is for a data set of {expected} classes, this one has {num_classes}"
        )


def _targets(mapping: Mapping[int, int], num_classes: int, name: str) -> np.ndarray:
    check_num_classes(name, num_classes, 10)
    targets = np.arange(num_classes)
    targets[list(mapping)] = list(mapping.values())
    return targets


def _next(num_classes: int) -> np.ndarray:
    return (np.arange(num_classes) + 1) % num_classes
