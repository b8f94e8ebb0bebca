"""Gradient Rescaling, CIFAR-10, GoogLeNet V1: Table 2 of Wang et al., arXiv:1905.11233.

  python run.py --config=configs/gr_cifar10_googlenet.py --workdir=runs/gr_googlenet
  python run.py --config=configs/gr_cifar10_googlenet.py:loss=gce,rate=0.8,seed=1 --workdir=runs/gce
  python run.py --config=configs/gr_cifar10_googlenet.py:quick=true --workdir=runs/quick   digits, in seconds

Published test accuracy, % (Table 2; read in the paper), symmetric noise of rate 0 / .2 / .4 / .8:

  cross_entropy 85 / 74 / 74 / 35    gce 83 / 81 / 77 / 18    mae 57 / 50 / 45 / 19    mse 80 / 78 / 73 / 29
  gradient_rescaling  beta 0: 86 / 66 / 56 / 18    lam 0: 86 / 77 / 75 / 18    lam 0.5: 86 / 83 / 80 / 57

Not run here. Not exactly the paper's:
  - "GoogLeNet V1" is all that the paper says of the network for images of 32 x 32. Here it is the one of
    github.com/kuangliu/pytorch-cifar, with batch norm and without auxiliary heads; see
    grjax/models/googlenet.py.
  - Table 2 does not print beta: lam 0.5 and beta by noise rate are those of Table 9, ResNet-56 on the same
    data.
  - Normalisation of the weight (batch) and batches as in configs/gr_cifar100.py, which says why.
"""

from typing import Any

from ml_collections import ConfigDict

from grjax.config import card

BETAS = {0.2: 12.0, 0.4: 12.0, 0.6: 12.0, 0.8: 8.0}  # Table 9, lam 0.5, by noise rate


def build(
    *,
    loss: str = "gradient_rescaling",
    noise: str = "symmetric",
    rate: float | None = 0.4,
    seed: int = 0,
    quick: bool = False,
) -> dict[str, Any]:
    """The config of a run."""
    beta = BETAS.get(0.4 if rate is None else rate, 12.0)
    rescaling = {"lam": 0.5, "beta": beta, "normalization": "batch"}
    config = {
        "data": {"name": "cifar10", "augmentation": ("pad_crop", "flip")},
        # symmetric: a wrong class, uniformly, each label with probability `rate`
        "noise": card.noise(noise, rate, seed, {"asymmetric": {"name": "asymmetric_cifar10"}}),
        "model": {"name": "googlenet"},
        "loss": card.loss(loss, "cifar10", {"gradient_rescaling": rescaling}),
        "optimizer": {"name": "momentum", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 1e-4},
        "schedule": {"name": "piecewise", "boundaries_steps": (15_000, 22_000), "factor": 0.1},
        "init_seed": seed,
        "order_seed": seed,
        "batch_size": 256,
        "train_steps": 30_000,
        "eval_every_steps": 1_000,
        "checkpoint_every_steps": 5_000,
    }
    return card.shrink(config, model={"name": "googlenet", "width": 1 / 16}) if quick else config


def get_config(argument: str = "") -> ConfigDict:
    return card.get_config(build, argument)
