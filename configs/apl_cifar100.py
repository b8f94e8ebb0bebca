"""Active-passive and other losses, CIFAR-100, ResNet-34: Ma et al., ICML 2020 (arXiv:2006.13554).

  python run.py --config=configs/apl_cifar100.py --workdir=runs/apl_cifar100
  python run.py --config=configs/apl_cifar100.py:loss=gce,noise=asymmetric,rate=0.3,seed=1 --workdir=runs/gce
  python run.py --config=configs/apl_cifar100.py:quick=true --workdir=runs/quick   digits, in seconds

The protocol is that of the authors' code (github.com/HanxunH/Active-Passive-Losses, configs/cifar100;
read), on which ALFs, ANL and JAL build. All 50,000 labels are noisy; the last epoch is the result, mean of
3 seeds.

Published test accuracy, % (the paper's own table is not at hand; JAL, ICCV 2025, as noted by others):

  symmetric .4 / .6     nce_rce 58.48 / 46.73, jal_ce 64.11 / 56.73
  asymmetric .3 / .4    nce_rce 55.86 / 41.50, jal_ce 64.90 / 56.17

Asymmetric noise flips within blocks of five label numbers, which are no superclasses: its figures compare
with nobody else's (docs/reference/noise.md).

Not run here. Not exactly the authors':
  - The paper and what builds on it name ResNet-34, the configs that were read ResNet-50:
    `network=resnet50_cifar`.
  - Rotation is bilinear here, to the nearest pixel there; the last batch of an epoch is left out here.
"""

from typing import Any

from ml_collections import ConfigDict

from grjax.config import card

NOISES = {
    "symmetric": {"name": "symmetric_exact_per_class"},
    "asymmetric": {"name": "asymmetric_cifar100_block_legacy"},
}


def build(
    *,
    loss: str = "nce_rce",
    noise: str = "symmetric",
    rate: float | None = 0.4,
    seed: int = 0,
    network: str = "resnet34_cifar",
    quick: bool = False,
) -> dict[str, Any]:
    """The config of a run; `network` is one of resnet18_cifar, resnet34_cifar, resnet50_cifar."""
    config = {
        "data": {
            "name": "cifar100",
            "augmentation": ("pad_crop", "flip", {"name": "rotation", "degrees": 20.0}),
        },
        "noise": card.noise(noise, rate, seed, NOISES),
        "model": {"name": network, "init_scheme": "apl"},
        "loss": card.loss(loss, "cifar100"),
        "optimizer": {
            "name": "momentum",
            "learning_rate": 0.1,
            "momentum": 0.9,
            "weight_decay": 1e-5,
            "clip_norm": 5.0,
        },
        "schedule": {"name": "cosine", "hold_epochs": 1},  # to 0; changes once an epoch
        "init_seed": seed,
        "order_seed": seed,
        "batch_size": 128,
        "train_epochs": 200.0,
    }
    small = {"name": "resnet18_cifar", "init_scheme": "apl", "width": 4}
    return card.shrink(config, model=small) if quick else config


def get_config(argument: str = "") -> ConfigDict:
    return card.get_config(build, argument)
