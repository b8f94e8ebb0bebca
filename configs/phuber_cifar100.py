"""Partially Huberised losses, CIFAR-100, ResNet-50: Menon et al., ICLR 2020, as re-implemented by others.

  python run.py --config=configs/phuber_cifar100.py --workdir=runs/phuber_cifar100
  python run.py --config=configs/phuber_cifar100.py:loss=gce,rate=0.6,seed=1 --workdir=runs/gce
  python run.py --config=configs/phuber_cifar100.py:quick=true --workdir=runs/quick   digits, in seconds

Protocol and figures are those of github.com/dmizr/phuber (read), which says to have the paper's settings,
with Nesterov's momentum of 0.1. Test accuracy, %, mean of 3, symmetric 0 / .2 / .4 / .6:

  cross_entropy  75.4 / 62.2 / 45.8 / 26.7    gce  73.3 / 68.5 / 59.5 / 40.3    mae  13.7 / 8.2 / 5.9 / 3.9
  phuber_ce (tau 10)  60.6 / 54.8 / 43.1 / 24.3    phuber_ce (tau 50)  75.4 / 65.9 / 49.1 / 26.9
  phuber_gce (tau 10)  72.7 / 68.4 / 60.2 / 42.2

Not run here. Not exactly theirs: see configs/phuber_cifar10.py.
"""

from typing import Any

from ml_collections import ConfigDict

from grjax.config import card

LOSSES = {"phuber_ce": {"tau": 10.0}, "phuber_gce": {"tau": 10.0, "q": 0.7}}


def build(
    *,
    loss: str = "phuber_gce",
    noise: str = "symmetric",
    rate: float | None = 0.4,
    seed: int = 0,
    quick: bool = False,
) -> dict[str, Any]:
    """The config of a run."""
    config = {
        "data": {"name": "cifar100", "augmentation": ("pad_crop", "flip")},
        # symmetric: a wrong class, uniformly, each label with probability `rate`
        "noise": card.noise(noise, rate, seed, {"asymmetric": {"name": "asymmetric_cifar100_next"}}),
        "model": {"name": "resnet50_cifar", "init_scheme": "torch"},
        "loss": card.loss(loss, "cifar100", LOSSES),
        "optimizer": {"name": "nesterov", "learning_rate": 0.1, "momentum": 0.1, "weight_decay": 5e-4},
        "schedule": {"name": "piecewise", "boundaries_epochs": (60, 120, 160), "factor": 0.2},
        "init_seed": seed,
        "order_seed": seed,
        "batch_size": 128,
        "train_epochs": 200.0,
    }
    small = {"name": "resnet18_cifar", "init_scheme": "torch", "width": 4}
    return card.shrink(config, model=small) if quick else config


def get_config(argument: str = "") -> ConfigDict:
    return card.get_config(build, argument)
