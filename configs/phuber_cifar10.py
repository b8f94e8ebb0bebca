"""Partially Huberised losses, CIFAR-10, ResNet-50: Menon et al., ICLR 2020, as re-implemented by others.

  python run.py --config=configs/phuber_cifar10.py --workdir=runs/phuber_cifar10
  python run.py --config=configs/phuber_cifar10.py:loss=gce,rate=0.6,seed=1 --workdir=runs/gce
  python run.py --config=configs/phuber_cifar10.py:quick=true --workdir=runs/quick   digits, in seconds

Protocol and figures are those of github.com/dmizr/phuber (read), which says to have the paper's settings:
400 epochs, and Nesterov's momentum of 0.1. Test accuracy, %, mean of 3, symmetric 0 / .2 / .4 / .6:

  cross_entropy  95.8 / 84.0 / 67.8 / 44.0    gce  95.3 / 92.5 / 82.4 / 53.3    mae  94.1 / 91.4 / 86.0 / 58.6
  phuber_ce (tau 2)  94.8 / 92.8 / 87.8 / 73.2    phuber_gce (tau 10)  95.4 / 92.2 / 81.5 / 54.3

All are of the last epoch: the program there evaluates the test set once, after it. Not run here. Not exactly
theirs: initial weights are taken to be PyTorch's; the last batch of an epoch is left out here.
"""

from typing import Any

from ml_collections import ConfigDict

from grjax.config import card

LOSSES = {"phuber_ce": {"tau": 2.0}, "phuber_gce": {"tau": 10.0, "q": 0.7}}


def build(
    *,
    loss: str = "phuber_ce",
    noise: str = "symmetric",
    rate: float | None = 0.4,
    seed: int = 0,
    quick: bool = False,
) -> dict[str, Any]:
    """The config of a run."""
    config = {
        "data": {"name": "cifar10", "augmentation": ("pad_crop", "flip")},
        # symmetric: a wrong class, uniformly, each label with probability `rate`
        "noise": card.noise(noise, rate, seed, {"asymmetric": {"name": "asymmetric_cifar10"}}),
        "model": {"name": "resnet50_cifar", "init_scheme": "torch"},
        "loss": card.loss(loss, "cifar10", LOSSES),
        "optimizer": {"name": "nesterov", "learning_rate": 0.1, "momentum": 0.1, "weight_decay": 5e-4},
        "schedule": {"name": "piecewise", "boundaries_epochs": (160, 300, 360), "factor": 0.1},
        "init_seed": seed,
        "order_seed": seed,
        "batch_size": 64,
        "train_epochs": 400.0,
    }
    small = {"name": "resnet18_cifar", "init_scheme": "torch", "width": 4}
    return card.shrink(config, model=small) if quick else config


def get_config(argument: str = "") -> ConfigDict:
    return card.get_config(build, argument)
