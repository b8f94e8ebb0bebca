"""Gradient Rescaling, CIFAR-100, ResNet-44: Table 1 of Wang et al., arXiv:1905.11233.

  python run.py --config=configs/gr_cifar100.py --workdir=runs/gr_cifar100
  python run.py --config=configs/gr_cifar100.py:loss=gce,noise=asymmetric,rate=0.3,seed=1 --workdir=runs/gce
  python run.py --config=configs/gr_cifar100.py:quick=true --workdir=runs/quick   digits, in seconds

Published test accuracy, % (Table 1; read in the paper):

  loss                              clean   symmetric .2 / .4 / .6   asymmetric .2 / .3 / .4
  cross_entropy                      70.0      60.4 / 53.2 / 42.1       66.4 / 64.7 / 60.3
  gce                                63.6      62.4 / 58.6 / 50.6       62.8 / 62.2 / 58.7
  gradient_rescaling, lam 0          70.1      60.9 / 55.2 / 44.6       65.5 / 63.1 / 60.6
  gradient_rescaling, lam 0.5        69.3      65.7 / 61.0 / 52.9       67.4 / 65.0 / 60.8
  gradient_rescaling, lam 1          69.2      63.4 / 54.7 / 43.9       67.5 / 65.8 / 63.3

These are the best of 30 evaluations on the test set, one each 1,000 steps: so say the accuracies that the
authors released (github.com/XinshaoAmosWang/DerivativeManipulation; read). Their last evaluations, for lam
0.5 and symmetric noise of 0 / .2 / .4 / .6: 69.0 / 64.4 / 59.9 / 50.8; for gce at .4: 58.4. So compare the
table with `test_accuracy_best`; the result of a run here is `test_accuracy_last`.

`python -m benchmarks.reproduce` runs three of these cells and prints them beside the published ones. Other
rows: `--config.loss.lam=0 --config.loss.beta=1` (2 on clean labels), `loss=mae`, `loss=mse`; their '-DN' is
`--config.loss.normalization=batch`. Table 6 (40% symmetric, other regularisers):
`--config.optimizer.weight_decay=0`, `--config.model.dropout=0.2`.

What is from the released code: the beta of each symmetric rate (names of its folders; 8 elsewhere); the
weights divided by their sum over the batch, which is normalization 'batch'; ResNet-44 with projections
where the shape changes (option B), without its biases before batch norm, which change nothing. Not run here
in full. Not exactly the paper's:
  - The paper has weight decay 1e-4, and so has this card; the released solver files have 5e-4
    (`--config.optimizer.weight_decay=5e-4`). Either is on all parameters.
  - The released code fills a batch with 8 images of each of 32 classes (as labelled); here a batch is drawn
    from all examples without replacement. Pixels are standardised by channel.
"""

from typing import Any

from ml_collections import ConfigDict

from grjax.config import card

BETAS = {0.0: 6.0, 0.2: 6.0, 0.4: 8.0, 0.6: 8.0}  # released code, lam 0.5, by symmetric noise rate
NOISES = {
    "symmetric": {"name": "symmetric"},  # a wrong class, uniformly, each label with probability `rate`
    "asymmetric": {"name": "asymmetric_cifar100_swap"},  # two classes of each superclass change places
}


def build(
    *,
    loss: str = "gradient_rescaling",
    noise: str = "symmetric",
    rate: float | None = 0.4,
    seed: int = 0,
    network: str = "resnet44",
    quick: bool = False,
) -> dict[str, Any]:
    """The config of a run; `network` is one of resnet20, resnet32, resnet44, resnet56, resnet110."""
    beta = 8.0 if rate is None or noise != "symmetric" else BETAS.get(rate, 8.0)
    losses: dict[str, dict[str, Any]] = {
        "gradient_rescaling": {"lam": 0.5, "beta": beta, "normalization": "batch"},
        "gce": {"q": 0.7},
    }
    config = {
        "data": {"name": "cifar100", "augmentation": ("pad_crop", "flip")},
        "noise": card.noise(noise, rate, seed, NOISES),
        "model": {"name": network, "shortcut": "B"},
        "loss": card.loss(loss, "cifar100", losses),
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
