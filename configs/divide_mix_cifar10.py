"""DivideMix, CIFAR-10, PreActResNet-18: Li et al., ICLR 2020 (arXiv:2002.07394).

  python run.py --config=configs/divide_mix_cifar10.py:lam_u=25,rate=0.5 --workdir=runs/divide_mix
  python run.py --config=configs/divide_mix_cifar10.py:loss=gradient_rescaling --workdir=runs/with_gr
  python run.py --config=configs/divide_mix_cifar10.py:quick=true --workdir=runs/quick   digits, in seconds

Protocol and options are those of the authors' code (read). There `lam_u` goes by kind and rate of the noise:
0 for symmetric .2 and asymmetric .4, 25 for symmetric .5, 50 for symmetric .9; for asymmetric noise
`--config.method.confidence_penalty=1`, for symmetric .9 `threshold=0.6` and `loss_epochs=5`. Here they are
arguments and options, since whoever has wrong labels knows neither; the default is 25.

Published test accuracy, % (as quoted by ProMix' repository), symmetric .2 / .5 / .8 / .9, asymmetric .4:
96.1 / 94.6 / 93.2 / 76.0, 93.4.

Not run here. Not exactly the authors':
  - The published figures are not known to be of the last epoch.
  - An epoch has as many steps as the data set has batches, theirs as many as the labelled examples have.
  - Batch-norm statistics follow the mixed images alone, see docs/reference/methods.md.
"""

from typing import Any

from ml_collections import ConfigDict

from grjax.config import card

NOISES = {
    "symmetric": {"name": "symmetric_including_true"},  # a random class, which may be the true one
    "asymmetric": {"name": "asymmetric_cifar10"},
}


def build(
    *,
    loss: str = "cross_entropy",
    noise: str = "symmetric",
    rate: float | None = 0.5,
    lam_u: float = 25.0,
    seed: int = 0,
    quick: bool = False,
) -> dict[str, Any]:
    """The config of a run."""
    config = {
        "data": {"name": "cifar10", "augmentation": ("pad_crop", "flip")},
        "noise": card.noise(noise, rate, seed, NOISES),
        "model": {"name": "preact_resnet18"},
        "method": {"name": "divide_mix", "warmup_epochs": 10, "lam_u": lam_u},
        "loss": card.loss(loss, "cifar10"),  # of the warm-up
        "optimizer": {"name": "momentum", "learning_rate": 0.02, "momentum": 0.9, "weight_decay": 5e-4},
        "schedule": {"name": "piecewise", "boundaries_epochs": (150,), "factor": 0.1},
        "init_seed": seed,
        "order_seed": seed,
        "batch_size": 64,
        "train_epochs": 300.0,
    }
    return card.shrink(config, model={"name": "preact_resnet18", "width": 4}) if quick else config


def get_config(argument: str = "") -> ConfigDict:
    return card.get_config(build, argument)
