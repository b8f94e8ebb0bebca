"""CIFAR-100N, human labels, ResNet-34: Wei et al., ICLR 2022 (arXiv:2110.12088).

  python run.py --config=configs/cifar100n.py:labels=CIFAR-100_human.pt --workdir=runs/cifar100n
  python run.py --config=configs/cifar100n.py:loss=gce,seed=1 --workdir=runs/gce
  python run.py --config=configs/cifar100n.py:quick=true --workdir=runs/quick   digits, in seconds

`noise` is human (40.2% wrong), or a noise model with `rate`; `labels` is the published file
(docs/reference/noise.md).

The protocol is that of the authors' code (github.com/UCSC-REAL/cifar-10-100n, main.py; read). The paper
reports the best epoch on the test set. A re-run by others (ReScience C 2026, ResNet-34, 3 seeds; computed
from its logs), test accuracy, %, best / last epoch: cross_entropy 61.19 / 49.18, on clean labels 76.23 /
73.03; elr 63.72 / 63.48, on clean labels 75.64 / 75.48.

Not run here. Not exactly the authors': the last batch of an epoch, 80 examples there, is left out here.
"""

from typing import Any

from ml_collections import ConfigDict

from grjax.config import card


def build(
    *,
    loss: str = "cross_entropy",
    noise: str = "human",
    rate: float | None = 0.4,
    labels: str = "CIFAR-100_human.pt",
    seed: int = 0,
    quick: bool = False,
) -> dict[str, Any]:
    """The config of a run; `rate` is for noise that is not of humans."""
    humans = {"human": {"name": "cifar100_n", "annotation": "fine", "path": labels}}
    config = {
        "data": {"name": "cifar100", "augmentation": ("pad_crop", "flip")},
        "noise": card.noise(noise, None if noise in humans else rate, seed, humans),
        "model": {"name": "resnet34_cifar", "init_scheme": "torch"},
        "loss": card.loss(loss, "cifar100"),
        "optimizer": {"name": "momentum", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 5e-4},
        "schedule": {"name": "piecewise", "boundaries_epochs": (60,), "factor": 0.1},
        "init_seed": seed,
        "order_seed": seed,
        "batch_size": 128,
        "train_epochs": 100.0,
    }
    small = {"name": "resnet18_cifar", "init_scheme": "torch", "width": 4}
    return card.shrink(config, model=small) if quick else config


def get_config(argument: str = "") -> ConfigDict:
    return card.get_config(build, argument)
