"""Symmetric cross-entropy, CIFAR-100, ResNet-44: Wang et al., ICCV 2019 (arXiv:1908.06112).

  python run.py --config=configs/sce_cifar100.py --workdir=runs/sce_cifar100
  python run.py --config=configs/sce_cifar100.py:loss=gce,noise=asymmetric,rate=0.3,seed=1 --workdir=runs/gce
  python run.py --config=configs/sce_cifar100.py:quick=true --workdir=runs/quick   digits, in seconds

The protocol is that of the authors' code (github.com/YisenWang/symmetric_cross_entropy_for_noisy_labels;
read): learning rate 0.1, 0.01 from epoch 81 and 0.001 from epoch 121 on, all of it over 1 + 0.005 t, t in
steps: the `decay` of Keras' SGD. L2 is 0.01 on every kernel; Keras' l2(0.01) has the gradient of weight
decay 0.02.

Published test accuracy, % (the paper's, quoted in the repository's issue 3), symmetric 0 / .2 / .4 / .6:

  cross_entropy    64.34 / 59.26 / 50.82 / 25.39    label_smoothing  63.68 / 58.83 / 50.05 / 24.68
  bootstrap_hard   63.26 / 57.91 / 48.17 / 12.27    gce              64.43 / 59.06 / 53.25 / 36.16
  sce              66.75 / 60.01 / 53.69 / 41.47

Not run here. Not exactly the authors':
  - Their ResNet-44 has batch norm before the convolutions and Keras' initial weights and constants; that
    network is not built here. This one is He et al.'s, with projections where the shape changes.
  - Asymmetric noise there swaps two classes within each block of five label numbers; here within each
    superclass, as the paper says.
  - Images are shifted by whole pixels, up to 6; there by any fraction of 6.4 pixels, both repeating the
    edge. Rotation leaves zeros outside here.
  - Pixels are standardised by channel; there the mean image is subtracted from pixels in [0, 1].
  - Label smoothing sums to 0.99 there.
"""

from typing import Any

from ml_collections import ConfigDict

from grjax.config import card

LOSSES = {"sce": {"alpha": 6.0, "beta": 0.1}}
NOISES = {
    "symmetric": {"name": "symmetric_exact_per_class"},
    "asymmetric": {"name": "asymmetric_cifar100_swap"},
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
            "name": "cifar100",
            "augmentation": (
                {"name": "rotation", "degrees": 20.0},
                {"name": "pad_crop", "padding": 6, "mode": "edge"},
                "flip",
            ),
        },
        "noise": card.noise(noise, rate, seed, NOISES),
        "model": {"name": "resnet44", "shortcut": "B"},
        "loss": card.loss(loss, "cifar100", LOSSES),
        "optimizer": {
            "name": "momentum",
            "learning_rate": 0.1,
            "momentum": 0.9,
            "weight_decay": 0.02,
            "decay": "kernels",
        },
        "schedule": {"name": "piecewise", "boundaries_epochs": (81, 121), "factor": 0.1, "rate": 5e-3},
        "init_seed": seed,
        "order_seed": seed,
        "batch_size": 128,
        "train_epochs": 150.0,
    }
    return card.shrink(config, model={"name": "resnet20", "shortcut": "B", "width": 4}) if quick else config


def get_config(argument: str = "") -> ConfigDict:
    return card.get_config(build, argument)
