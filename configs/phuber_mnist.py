"""Partially Huberised losses, MNIST, LeNet: Menon et al., ICLR 2020, as re-implemented by others.

  python run.py --config=configs/phuber_mnist.py --workdir=runs/phuber_mnist
  python run.py --config=configs/phuber_mnist.py:loss=gce,rate=0.6,seed=1 --workdir=runs/gce
  python run.py --config=configs/phuber_mnist.py:quick=true --workdir=runs/quick   digits, in seconds

Protocol and figures are those of github.com/dmizr/phuber (read), which says to have the paper's settings.
Test accuracy, %, mean of 3, symmetric 0 / .2 / .4 / .6:

  cross_entropy  99.1 / 98.8 / 98.6 / 98.0    gce  98.8 / 98.7 / 98.5 / 98.1    mae  95.0 / 98.5 / 98.2 / 97.6
  phuber_ce (tau 10)  99.0 / 98.8 / 98.5 / 97.6    phuber_gce (tau 10)  98.9 / 98.7 / 98.4 / 98.0

All are of the last epoch: the program there evaluates the test set once, after it. What was run here is the
table of configs/phuber_mnist_table.py, docs/results/phuber_mnist_table.md.
"""

from typing import Any

from ml_collections import ConfigDict

from grjax.config import card

LOSSES = {"phuber_ce": {"tau": 10.0}, "phuber_gce": {"tau": 10.0, "q": 0.7}}


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
        "data": {"name": "mnist"},
        "noise": card.noise(noise, rate, seed, {"asymmetric": {"name": "asymmetric_mnist"}}),
        "model": {"name": "lenet"},
        "loss": card.loss(loss, "mnist", LOSSES),
        "optimizer": {"name": "adam", "learning_rate": 1e-3, "weight_decay": 1e-3},  # L2, in the gradient
        "schedule": {"name": "exponential", "factor": 0.1, "every_steps": 10_000},
        "init_seed": seed,
        "order_seed": seed,
        "batch_size": 32,
        "train_steps": 37_500,  # 20 epochs
        "eval_every_epochs": 1.0,
    }
    # LeNet does not take images of 8 x 8.
    return card.shrink(config, model={"name": "cnn4"}) if quick else config


def get_config(argument: str = "") -> ConfigDict:
    return card.get_config(build, argument)
