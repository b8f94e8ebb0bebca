"""Gradient Rescaling, Vehicles-10, ResNet-44: Table 8 of Wang et al., arXiv:1905.11233.

  python run.py --config=configs/gr_vehicles10.py --workdir=runs/gr_vehicles10
  python run.py --config=configs/gr_vehicles10.py:loss=cross_entropy,rate=0.0,seed=1 --workdir=runs/ce
  python run.py --config=configs/gr_vehicles10.py:quick=true --workdir=runs/quick   digits, in seconds

Vehicles-10 is the ten fine classes of CIFAR-100's vehicles 1 and 2: 5,000 training, 1,000 test images.

Published test accuracy, % (Table 8; read in the paper), by regulariser, noise of rate 0 and 0.4:

  rate   cross_entropy: none  +L2   +dropout  +both     GR: none  +L2   +dropout  +both
  0                     75.4  76.4  77.9      78.7          83.8  84.4  84.5      84.7
  .4                    42.3  44.8  41.6      47.4          45.8  55.7  48.8      58.1

The card has L2 (weight decay 1e-4) and no dropout. For the others `--config.optimizer.weight_decay=0` and
`--config.model.dropout=0.2`: L2 of 1e-4 and a rate of 0.2 are those of Table 6.

Not run here. Not exactly the paper's:
  - Optimiser, schedule and augmentation are given for CIFAR-100, and taken from there; so are lam 0.5, beta
    8 (Table 6), the normalisation of the weight (batch) and the shortcuts: see configs/gr_cifar100.py.
  - 30,000 steps of 256 are 1,579 epochs of 5,000 images; whether the paper made as many is not known here.
"""

from typing import Any

from ml_collections import ConfigDict

from grjax.config import card

# Table 6, on CIFAR-100
LOSSES = {"gradient_rescaling": {"lam": 0.5, "beta": 8.0, "normalization": "batch"}}


def build(
    *,
    loss: str = "gradient_rescaling",
    noise: str = "symmetric",
    rate: float | None = 0.4,
    seed: int = 0,
    quick: bool = False,
) -> dict[str, Any]:
    """The config of a run."""
    config = {
        "data": {"name": "vehicles10", "augmentation": ("pad_crop", "flip")},
        # symmetric: a wrong class, uniformly, each label with probability `rate`
        "noise": card.noise(noise, rate, seed),
        "model": {"name": "resnet44", "shortcut": "B"},
        "loss": card.loss(loss, "cifar100", LOSSES),
        "optimizer": {"name": "momentum", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 1e-4},
        "schedule": {"name": "piecewise", "boundaries_steps": (15_000, 22_000), "factor": 0.1},
        "init_seed": seed,
        "order_seed": seed,
        "batch_size": 256,
        "train_steps": 30_000,
        "eval_every_steps": 1_000,
        "checkpoint_every_steps": 5_000,
    }
    return card.shrink(config, model={"name": "resnet20", "shortcut": "B", "width": 4}) if quick else config


def get_config(argument: str = "") -> ConfigDict:
    return card.get_config(build, argument)
