"""Same name, other noise: the rate that each convention really gives on the labels of CIFAR-100.

  python -m benchmarks.noise_table --labels=FILE

FILE holds CIFAR-100's 50,000 fine training labels: a .npy file, or a .npz file as the CIFAR-100N labels,
whose `clean_label` is taken. Prints the tables of docs/reference/noise.md in a few seconds.
"""

import argparse
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from grjax import noise
from grjax.noise.cifar100 import SUPERCLASSES

# What the literature calls symmetric noise of a rate, and asymmetric noise of a rate on CIFAR-100.
SYMMETRIC: list[tuple[str, dict[str, Any]]] = [
    ("symmetric", {}),
    ("symmetric_exact_per_class", {}),
    ("symmetric_exact_global", {}),
    ("symmetric_exact_transition", {}),
    ("symmetric_including_true", {}),
    ("uniform_mix", {}),
]
ASYMMETRIC: list[tuple[str, dict[str, Any]]] = [
    ("asymmetric_cifar100_swap", {"draw": "exact_per_class"}),
    ("asymmetric_cifar100_swap", {}),
    ("asymmetric_cifar100_next", {"draw": "exact_global"}),
    ("asymmetric_cifar100_next", {}),
    ("asymmetric_cifar100_block_legacy", {"draw": "exact_per_class"}),
    ("pair_flip", {}),
]
SYMMETRIC_RATES = (0.2, 0.4, 0.6, 0.8)
ASYMMETRIC_RATES = (0.1, 0.2, 0.3, 0.4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--labels", required=True, help=".npy or .npz, see above")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", noise.LegacyNoiseWarning)
    labels = read_labels(arguments.labels)
    print(table(SYMMETRIC, SYMMETRIC_RATES, labels, 100, arguments.seed))
    print("\nThe same on ten classes (label modulo 10):\n")
    print(table(SYMMETRIC, SYMMETRIC_RATES, labels % 10, 10, arguments.seed))
    print()
    print(table(ASYMMETRIC, ASYMMETRIC_RATES, labels, 100, arguments.seed, within_superclass))


def read_labels(path: str) -> np.ndarray:
    """The labels in a file, int [N] in [0, 100)."""
    stored = np.load(path, allow_pickle=False)
    labels = np.asarray(stored["clean_label"] if isinstance(stored, np.lib.npyio.NpzFile) else stored, int)
    if labels.ndim != 1 or labels.min() < 0 or labels.max() >= 100:
        raise SystemExit(f"{path}: must hold labels [N] in [0, 100), got {labels.dtype} {list(labels.shape)}")
    return labels


def table(
    conventions: Sequence[tuple[str, dict[str, Any]]],
    rates: Sequence[float],
    labels: np.ndarray,
    num_classes: int,
    seed: int,
    last_column: Any = None,
) -> str:
    """Realised rates as a Markdown table, a row for each convention."""
    heads = ["convention", "draw", *(f"nominal {rate}" for rate in rates)]
    rows = []
    for name, options in conventions:
        draws = [noise.create(name, rate=rate, seed=seed, **options)(labels, num_classes) for rate in rates]
        draw = options.get("draw", "exact" if "exact" in name or "including" in name else "bernoulli")
        rows.append([f"`{name}`", draw, *(f"{noisy.realised_rate:.4f}" for noisy in draws)])
        if last_column is not None:
            rows[-1].append(last_column(draws[-1]))
    if last_column is not None:
        heads.append("flips within a superclass")
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def within_superclass(noisy: noise.NoisyLabels) -> str:
    """Which part of the wrong labels is of the right superclass."""
    superclass = np.empty(100, int)
    for number, members in enumerate(SUPERCLASSES.values()):
        superclass[list(members)] = number
    wrong = noisy.mislabelled
    return f"{np.mean(superclass[noisy.labels[wrong]] == superclass[noisy.clean[wrong]]):.0%}"


if __name__ == "__main__":
    main()
