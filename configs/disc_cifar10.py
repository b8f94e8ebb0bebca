"""DISC, CIFAR-10, ResNet-18: Li et al., CVPR 2023; github.com/JackYFL/DISC (read).

  python run.py --config=configs/disc_cifar10.py:rate=0.5 --workdir=runs/disc
  python run.py --config=configs/disc_cifar10.py:loss=gradient_rescaling --workdir=runs/with_gr
  python run.py --config=configs/disc_cifar10.py:quick=true --workdir=runs/quick   digits, in seconds

Protocol and options are those of the authors' code. There options go by kind and rate of the noise:
`momentum` is 0.95 for asymmetric noise and rates of 0.6 and more, `lam_hard` 0.2 for these rates, Adam takes
the place of SGD above 0.6, and instance-dependent noise has ResNet-34 and a warm-up of 15 epochs. Here they
are what one sets after the card, since whoever has wrong labels knows neither:
`--config.method.momentum=0.95`, `--config.model.name=resnet34_cifar --config.method.warmup_epochs=15`.

No published accuracy is confirmed here. Not run here. Not exactly the authors':
  - RandAugment draws operations as that of torchvision, without cutout among them. The magnitude is drawn
    from 1, ..., 4 there; here uniformly between these, taken as tenths of the range.
  - The grey square is 5 pixels wide, 15% of 32 rounded.
  - Initialisation, and which classes asymmetric noise confuses, are not confirmed.
  - See docs/reference/methods.md for the method itself.
"""

from typing import Any

from ml_collections import ConfigDict

from grjax.config import card

NOISES = {
    "symmetric": {"name": "symmetric_including_true"},  # a random class, which may be the true one
}
STRONG = (
    {"name": "randaugment", "layers": 2, "least_magnitude": 3.0, "magnitude": 12.0, "probability": 0.5},
    {"name": "cutout", "size": 5, "fill": 127},
)


def build(
    *,
    loss: str = "cross_entropy",
    noise: str = "symmetric",
    rate: float | None = 0.5,
    seed: int = 0,
    quick: bool = False,
) -> dict[str, Any]:
    """The config of a run."""
    config = {
        "data": {
            "name": "cifar10",
            "augmentation": ({"name": "pad_crop", "padding": 4, "mode": "reflect"}, "flip"),
        },
        "noise": card.noise(noise, rate, seed, NOISES),
        "model": {"name": "resnet18_cifar"},
        "method": {"name": "disc", "warmup_epochs": 20, "strong": STRONG},
        "loss": card.loss(loss, "cifar10"),
        "optimizer": {"name": "sgd", "learning_rate": 0.1, "weight_decay": 1e-3},
        "schedule": {"name": "piecewise", "boundaries_epochs": (80, 160), "factor": 0.1},
        "init_seed": seed,
        "order_seed": seed,
        "batch_size": 128,
        "train_epochs": 200.0,
    }
    return card.shrink(config, model={"name": "resnet18_cifar", "width": 4}) if quick else config


def get_config(argument: str = "") -> ConfigDict:
    return card.get_config(build, argument)
