"""Active-passive and other losses, MNIST, CNN-4: Ma et al., ICML 2020 (arXiv:2006.13554).

  python run.py --config=configs/apl_mnist.py --workdir=runs/apl_mnist
  python run.py --config=configs/apl_mnist.py:loss=gce,noise=asymmetric,rate=0.3,seed=1 --workdir=runs/gce
  python run.py --config=configs/apl_mnist.py:quick=true --workdir=runs/quick   digits, in seconds

The protocol is that of the authors' code (github.com/HanxunH/Active-Passive-Losses, configs/mnist; read).
All 60,000 labels are noisy; the last epoch is the result. ALFs has weight decay 1e-3 and is otherwise the
same (`--config.optimizer.weight_decay=1e-3`). No published figure is confirmed here.

Not run here. Not exactly the authors': the last batch of an epoch, 96 examples there, is left out here.
"""

from typing import Any

from ml_collections import ConfigDict

from grjax.config import card

NOISES = {
    "symmetric": {"name": "symmetric_exact_per_class"},
    "asymmetric": {"name": "asymmetric_mnist"},
}


def build(
    *,
    loss: str = "nce_rce",
    noise: str = "symmetric",
    rate: float | None = 0.4,
    seed: int = 0,
    quick: bool = False,
) -> dict[str, Any]:
    """The config of a run."""
    config = {
        "data": {"name": "mnist"},
        "noise": card.noise(noise, rate, seed, NOISES),
        "model": {"name": "cnn4"},
        "loss": card.loss(loss, "mnist"),
        "optimizer": {
            "name": "nesterov",
            "learning_rate": 0.01,
            "momentum": 0.9,
            "weight_decay": 1e-2,
            "clip_norm": 5.0,
        },
        # To 0.001, a tenth of the rate it begins with; changes once an epoch.
        "schedule": {"name": "cosine", "final": 0.1, "hold_epochs": 1},
        "init_seed": seed,
        "order_seed": seed,
        "batch_size": 128,
        "train_epochs": 50.0,
    }
    return card.shrink(config, model={"name": "cnn4"}) if quick else config


def get_config(argument: str = "") -> ConfigDict:
    return card.get_config(build, argument)
