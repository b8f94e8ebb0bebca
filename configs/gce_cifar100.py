"""Generalised cross-entropy, CIFAR-100, ResNet-34: Zhang & Sabuncu, NeurIPS 2018 (arXiv:1805.07836).

  python run.py --config=configs/gce_cifar100.py --workdir=runs/gce_cifar100
  python run.py --config=configs/gce_cifar100.py:loss=gce,noise=asymmetric,rate=0.3,seed=1 --workdir=runs/gce
  python run.py --config=configs/gce_cifar100.py:quick=true --workdir=runs/quick   digits, in seconds

The same as configs/gce_cifar10.py except for lengths: the truncated loss chooses its examples anew every
10 epochs from epoch 80 on. Asymmetric noise makes each class the next of its superclass, as in the paper. No
published figure is confirmed here.

Not run here. Not exactly the paper's: see configs/gce_cifar10.py.
"""

from typing import Any

from ml_collections import ConfigDict

from grjax.config import card

LOSSES: dict[str, dict[str, Any]] = {
    "gce": {"q": 0.7},
    "truncated_gce_pruned": {"q": 0.7, "k": 0.5, "begin_epochs": 80, "every_epochs": 10, "window_epochs": 1},
}


def build(
    *,
    loss: str = "truncated_gce_pruned",
    noise: str = "symmetric",
    rate: float | None = 0.4,
    seed: int = 0,
    quick: bool = False,
) -> dict[str, Any]:
    """The config of a run."""
    config = {
        "data": {
            "name": "cifar100",
            "augmentation": ("pad_crop", "flip"),
            "validation_fraction": 0.1,
            "validation_labels": "noisy",
            "validation_seed": seed,
        },
        "noise": card.noise(noise, rate, seed, {"asymmetric": {"name": "asymmetric_cifar100_next"}}),
        "model": {"name": "resnet34_cifar", "init_scheme": "torch"},
        "loss": card.loss(loss, "cifar100", LOSSES),
        "optimizer": {"name": "momentum", "learning_rate": 0.01, "momentum": 0.9, "weight_decay": 1e-4},
        "schedule": {"name": "piecewise", "boundaries_epochs": (80, 120), "factor": 0.1},
        "init_seed": seed,
        "order_seed": seed,
        "batch_size": 128,
        "train_epochs": 150.0,
    }
    small = {"name": "resnet18_cifar", "init_scheme": "torch", "width": 4}
    return card.shrink(config, model=small) if quick else config


def get_config(argument: str = "") -> ConfigDict:
    return card.get_config(build, argument)
