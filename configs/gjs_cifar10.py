"""Generalised Jensen-Shannon, CIFAR-10, PreAct-ResNet of GJS: Englesson & Azizpour, NeurIPS 2021.

  python run.py --config=configs/gjs_cifar10.py --workdir=runs/gjs_cifar10
  python run.py --config=configs/gjs_cifar10.py:noise=asymmetric,rate=0.2,seed=1 --workdir=runs/gjs_pairs
  python run.py --config=configs/gjs_cifar10.py:quick=true --workdir=runs/quick   digits, in seconds

The protocol is that of the authors' code (github.com/ErikEnglesson/GJS, scripts/C10; read): two views of
each example, weight pi and weight decay by noise. All labels are noisy, the asymmetric ones
in place as in configs/elr_cifar10.py. The code prints the best and the
last epoch on the test set; which of them the paper has is not known here.

Published test accuracy, %: gjs, symmetric .2 95.33 (a third party's list of results).

Not run here. Not exactly the authors':
  - The ranges of RandAugment are torchvision's; those of the code used there differ.
  - Both views of a batch go through batch norm together; there one after the other.
  - Learning rate, weight decay and views are those for gjs and, at 40% symmetric, js; the paper has others
    for other losses.
"""

from typing import Any

from ml_collections import ConfigDict

from grjax.config import card

NOISES = {
    "symmetric": {"name": "symmetric_including_true"},  # a random class, which may be the true one
    "asymmetric": {"name": "asymmetric_cifar10_in_place"},
}
PI = {0.0: 0.5, 0.2: 0.3, 0.4: 0.9, 0.6: 0.1, 0.8: 0.1}  # of gjs, by symmetric noise rate; 0.3 if asymmetric


def build(
    *,
    loss: str = "gjs",
    noise: str = "symmetric",
    rate: float | None = 0.4,
    seed: int = 0,
    quick: bool = False,
) -> dict[str, Any]:
    """The config of a run."""
    asymmetric = noise == "asymmetric"
    pi = 0.3 if asymmetric else PI.get(0.4 if rate is None else rate, 0.9)
    mean = (125, 123, 114)  # of the training pixels: cutout's zeros are after standardisation
    augmentation = (
        {"name": "randaugment", "layers": 1, "magnitude": 3.0},
        "pad_crop",
        "flip",
        {"name": "cutout", "size": 16, "fill": mean},
    )
    config = {
        "data": {"name": "cifar10", "augmentation": augmentation, "views": 2 if loss == "gjs" else 1},
        "noise": card.noise(noise, rate, seed, NOISES),
        "model": {"name": "preact_resnet_gjs"},
        "loss": card.loss(loss, "cifar10", {"gjs": {"pi": pi}, "js": {"pi": 0.7}}),
        "optimizer": {
            "name": "nesterov",
            "learning_rate": 0.01 if loss == "js" else 0.1,
            "momentum": 0.9,
            "weight_decay": 1e-3 if asymmetric else 5e-4,
        },
        "schedule": {"name": "piecewise", "boundaries_epochs": (200, 300), "factor": 0.1},
        "init_seed": seed,
        "order_seed": seed,
        "batch_size": 128,
        "train_epochs": 400.0,
    }
    if not quick:
        return config
    small = {"name": "preact_resnet18", "final_norm": True, "width": 4}
    # Without RandAugment, which takes long to compile; the cutout is that of images of 8 x 8.
    weaker = ("pad_crop", "flip", {"name": "cutout", "size": 4, "fill": 5})
    return card.shrink(config, model=small, augmentation=weaker)


def get_config(argument: str = "") -> ConfigDict:
    return card.get_config(build, argument)
