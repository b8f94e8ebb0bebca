"""Gradient Rescaling, Clothing1M, ResNet-50 with ImageNet weights: Table 3 of Wang et al., arXiv:1905.11233.

  python run.py --config=configs/gr_clothing1m.py:weights=resnet50.pth --config.data.dir=clothing1m \
    --workdir=runs/gr_clothing1m
  python run.py --config=configs/gr_clothing1m.py:loss=gce,seed=1,weights=resnet50.pth ...
  python run.py --config=configs/gr_clothing1m.py:quick=true --workdir=runs/quick   digits, in seconds

`weights` is a file of torchvision's ResNet-50 (safetensors or PyTorch); the classifier begins anew. The
labels are noisy as they come: there is no noise argument. Data: docs/reference/data.md.

Published test accuracy, % (Table 3; read in the paper): cross_entropy 71.7, gce 72.4, mae 39.7, mse 71.7,
gradient_rescaling 73.3; with derivative normalisation 72.5, 64.5, 16.4, 69.9 for the first four.

Not run here. Not exactly the paper's:
  - The batch size is not known here; 64 is a choice of ours.
  - Images are resized so that the shorter side has 293 pixels and cut to the middle 256 x 256; the paper
    resizes them to 256 x 256. It then crops 224 x 224 as is done here.
  - Normalisation of the weight (batch) as in configs/gr_cifar100.py.
"""

from typing import Any

from ml_collections import ConfigDict

from grjax.config import card

LOSSES: dict[str, dict[str, Any]] = {
    "gradient_rescaling": {"lam": 1.0, "beta": 2.0, "normalization": "batch"},
    "gce": {"q": 0.7},
}


def build(
    *,
    loss: str = "gradient_rescaling",
    seed: int = 0,
    weights: str | None = "resnet50-0676ba61.pth",
    quick: bool = False,
) -> dict[str, Any]:
    """The config of a run; `weights` None begins at random, which is not the protocol."""
    config = {
        "data": {
            "name": "clothing1m",
            "image_size": 256,
            "augmentation": ({"name": "random_crop", "size": 224}, "flip"),
        },
        "noise": card.noise("symmetric", 0.0, seed),  # none of ours
        "model": {"name": "resnet50_imagenet", "pretrained": weights},
        "loss": card.loss(loss, "clothing1m", LOSSES),
        "optimizer": {"name": "momentum", "learning_rate": 0.01, "momentum": 0.9, "weight_decay": 2e-5},
        "schedule": {"name": "piecewise", "boundaries_steps": (10_000, 15_000), "factor": 0.1},
        "init_seed": seed,
        "order_seed": seed,
        "batch_size": 64,
        "eval_batch_size": 256,
        "train_steps": 20_000,
        "eval_every_steps": 2_000,
        "checkpoint_every_steps": 2_000,
    }
    small = {"name": "resnet18_imagenet", "width": 4}
    crop = ({"name": "random_crop", "size": 7}, "flip")  # 224 of 256, of images of 8 x 8
    return card.shrink(config, model=small, augmentation=crop) if quick else config


def get_config(argument: str = "") -> ConfigDict:
    return card.get_config(build, argument)
