"""Symmetric cross-entropy, CIFAR-10, CNN-8 of Keras: Wang et al., ICCV 2019 (arXiv:1908.06112).

  python run.py --config=configs/sce_cifar10.py --workdir=runs/sce_cifar10
  python run.py --config=configs/sce_cifar10.py:loss=gce,noise=asymmetric,rate=0.3,seed=1 --workdir=runs/gce
  python run.py --config=configs/sce_cifar10.py:quick=true --workdir=runs/quick   digits, in seconds

The protocol is that of the authors' code (github.com/YisenWang/symmetric_cross_entropy_for_noisy_labels;
read): learning rate 0.01, 0.001 from epoch 41 and 0.0001 from epoch 81 on, all of it over 1 + 0.005 t, t in
steps: the `decay` of Keras' SGD, which the schedule does not replace. L2 is 0.01 on the dense layer alone;
Keras' l2(0.01) has the gradient of weight decay 0.02.

Published test accuracy, %: the paper's own table is not at hand. A re-implementation in PyTorch with
settings of its own (SCELoss-Reproduce; read; it seems the best epoch), symmetric 0 / .2 / .4 / .6 / .8:
cross_entropy 92.81 / 88.84 / 85.53 / 79.77 / 52.66, sce 92.86 / 90.87 / 87.92 / 82.75 / 56.26.

Not run here. Not exactly the authors':
  - Images are shifted by whole pixels, up to 6; there by any fraction of 6.4 pixels. Both repeat the edge.
  - Pixels are standardised by channel; there the mean image is subtracted from pixels in [0, 1].
  - The last batch of an epoch, 80 examples there, is left out here.
"""

from typing import Any

from ml_collections import ConfigDict

from grjax.config import card

LOSSES = {"sce": {"alpha": 0.1, "beta": 1.0}}
NOISES = {
    "symmetric": {"name": "symmetric_exact_per_class"},
    "asymmetric": {"name": "asymmetric_cifar10", "draw": "exact_per_class"},
}


def build(
    *,
    loss: str = "sce",
    noise: str = "symmetric",
    rate: float | None = 0.4,
    seed: int = 0,
    quick: bool = False,
) -> dict[str, Any]:
    """The config of a run."""
    config = {
        "data": {
            "name": "cifar10",
            "augmentation": ({"name": "pad_crop", "padding": 6, "mode": "edge"}, "flip"),
        },
        "noise": card.noise(noise, rate, seed, NOISES),
        "model": {"name": "cnn8", "framework": "keras"},
        "loss": card.loss(loss, "cifar10", LOSSES),
        "optimizer": {
            "name": "momentum",
            "learning_rate": 0.01,
            "momentum": 0.9,
            "weight_decay": 0.02,
            "decay": ("fc1",),
        },
        "schedule": {"name": "piecewise", "boundaries_epochs": (41, 81), "factor": 0.1, "rate": 5e-3},
        "init_seed": seed,
        "order_seed": seed,
        "batch_size": 128,
        "train_epochs": 120.0,
    }
    small = {"name": "cnn8", "framework": "keras"}
    return card.shrink(config, model=small) if quick else config


def get_config(argument: str = "") -> ConfigDict:
    return card.get_config(build, argument)
