"""Early-learning regularisation, CIFAR-10, ResNet-34: Liu et al., NeurIPS 2020 (arXiv:2007.00151).

  python run.py --config=configs/elr_cifar10.py --workdir=runs/elr_cifar10
  python run.py --config=configs/elr_cifar10.py:noise=asymmetric,seed=1 --workdir=runs/elr_asymmetric
  python run.py --config=configs/elr_cifar10.py:quick=true --workdir=runs/quick   digits, in seconds

The protocol is that of the authors' code (github.com/shengliu66/ELR, ELR/config_cifar10*.json; read): a
tenth of the labels is held out, noisy. Symmetric noise: cosine with restarts each 10 epochs, 150 epochs.
Asymmetric noise: another schedule and loss, 120 epochs; it flips one class after the other in place, so that
some cats made dogs are made cats again (docs/reference/noise.md).

Published test accuracy, % (the repository's table, as noted by others), symmetric .2 / .4 / .6 / .8,
asymmetric .4: 91.12 / 91.43 / 88.87 / 80.69, 90.35 with the cosine; 91.16 / 89.15 / 86.12 / 73.86, 90.12
without.

Not run here. Not exactly the authors':
  - They keep the epoch that is best on the noisy validation labels. Its test accuracy is in metrics.jsonl,
    at the step that summary.json names `validation_noisy_accuracy_best_step`.
  - The last batch of an epoch is left out here.
"""

from typing import Any

from ml_collections import ConfigDict

from grjax.config import card

NOISES = {
    "symmetric": {"name": "symmetric_including_true"},  # a random class, which may be the true one
    "asymmetric": {"name": "asymmetric_cifar10_in_place"},
}


def build(
    *,
    loss: str = "elr",
    noise: str = "symmetric",
    rate: float | None = 0.4,
    seed: int = 0,
    quick: bool = False,
) -> dict[str, Any]:
    """The config of a run."""
    # From 0.02 to 0.001, a twentieth of it; changes once an epoch.
    schedule = {"name": "cosine", "period_epochs": 10, "final": 0.05, "hold_epochs": 1}
    train_epochs, elr = 150.0, {"lam": 3.0, "beta": 0.7}
    if noise == "asymmetric":
        schedule = {"name": "piecewise", "boundaries_epochs": (40, 80), "factor": 0.01}
        train_epochs, elr = 120.0, {"lam": 1.0, "beta": 0.9}
    config = {
        "data": {
            "name": "cifar10",
            "augmentation": ("pad_crop", "flip"),
            "validation_fraction": 0.1,
            "validation_labels": "noisy",
            "validation_seed": seed,
        },
        "noise": card.noise(noise, rate, seed, NOISES),
        "model": {"name": "resnet34_cifar", "init_scheme": "torch"},
        "loss": card.loss(loss, "cifar10", {"elr": elr}),
        "optimizer": {"name": "momentum", "learning_rate": 0.02, "momentum": 0.9, "weight_decay": 1e-3},
        "schedule": schedule,
        "init_seed": seed,
        "order_seed": seed,
        "batch_size": 128,
        "train_epochs": train_epochs,
    }
    small = {"name": "resnet18_cifar", "init_scheme": "torch", "width": 4}
    return card.shrink(config, model=small) if quick else config


def get_config(argument: str = "") -> ConfigDict:
    return card.get_config(build, argument)
