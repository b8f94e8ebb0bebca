"""Networks in Flax Linen, and their registry.

A model is a module called as model.apply(variables, images float [B, height, width, channels], train=...)
-> logits float32 [B, C]; with features=True it returns (logits, features float32 [B, D]), where the features
are what the classifier takes. Its fields `num_classes` and `axis_name` (for synchronised batch norm) are set
by the library, the others are options. To add one, write it in a file of its family and name it in `_MODELS`.
"""

from typing import Any, NamedTuple

import flax.linen as nn

from grjax.models.cifar_resnet import CifarResNet
from grjax.models.cnn import CNN
from grjax.models.co_teaching_cnn import CoTeachingCNN
from grjax.models.googlenet import GoogLeNet
from grjax.models.inception_bn import InceptionBN
from grjax.models.lenet import LeNet
from grjax.models.mlp import MLP
from grjax.models.plain_cnn import PlainCNN
from grjax.models.preact_resnet import PreActResNet
from grjax.models.resnet import ResNet
from grjax.models.vit import ViT
from grjax.models.wide_resnet import WideResNet
from grjax.registry import check_options, lookup

__all__ = [
    "CNN", "MLP", "CifarResNet", "CoTeachingCNN", "GoogLeNet", "InceptionBN", "LeNet", "PlainCNN",
    "PreActResNet", "ResNet", "ViT", "WideResNet", "create", "input_shape", "names",
]  # fmt: skip


class _Model(NamedTuple):
    module: type[nn.Module]
    input_shape: tuple[int, ...]  # of an example, as in the reference
    fixed: dict[str, Any]  # fields that the name stands for; not options


_DIGITS, _MNIST, _CIFAR, _IMAGENET = (8, 8, 1), (28, 28, 1), (32, 32, 3), (224, 224, 3)
_18 = {"stage_sizes": (2, 2, 2, 2), "block": "basic"}
_34 = {"stage_sizes": (3, 4, 6, 3), "block": "basic"}
_50 = {"stage_sizes": (3, 4, 6, 3), "block": "bottleneck"}

_MODELS: dict[str, _Model] = {
    "cnn": _Model(CNN, _DIGITS, {}),
    "mlp": _Model(MLP, (100,), {}),
    "lenet": _Model(LeNet, _MNIST, {}),
    "cnn4": _Model(PlainCNN, _MNIST, {"stages": ((32,), (64,)), "hidden": 128}),
    "cnn8": _Model(PlainCNN, _CIFAR, {"stages": ((64, 64), (128, 128), (196, 196)), "hidden": 256}),
    "cnn9": _Model(CoTeachingCNN, _CIFAR, {}),
    "resnet20": _Model(CifarResNet, _CIFAR, {"depth": 20}),
    "resnet32": _Model(CifarResNet, _CIFAR, {"depth": 32}),
    "resnet44": _Model(CifarResNet, _CIFAR, {"depth": 44}),
    "resnet56": _Model(CifarResNet, _CIFAR, {"depth": 56}),
    "resnet110": _Model(CifarResNet, _CIFAR, {"depth": 110}),
    "resnet18_cifar": _Model(ResNet, _CIFAR, {**_18, "stem": "cifar"}),
    "resnet34_cifar": _Model(ResNet, _CIFAR, {**_34, "stem": "cifar"}),
    "resnet50_cifar": _Model(ResNet, _CIFAR, {**_50, "stem": "cifar"}),
    "resnet18_imagenet": _Model(ResNet, _IMAGENET, {**_18, "stem": "imagenet"}),
    "resnet34_imagenet": _Model(ResNet, _IMAGENET, {**_34, "stem": "imagenet"}),
    "resnet50_imagenet": _Model(ResNet, _IMAGENET, {**_50, "stem": "imagenet"}),
    "preact_resnet18": _Model(PreActResNet, _CIFAR, {"stage_sizes": (2, 2, 2, 2)}),
    "preact_resnet34": _Model(PreActResNet, _CIFAR, {"stage_sizes": (3, 4, 6, 3)}),
    "preact_resnet_gjs": _Model(
        PreActResNet, _CIFAR, {"stage_sizes": (5, 5, 5), "width": 32, "final_norm": True}
    ),
    "wrn28_10": _Model(WideResNet, _CIFAR, {"depth": 28, "widen_factor": 10}),
    "wrn40_2": _Model(WideResNet, _CIFAR, {"depth": 40, "widen_factor": 2}),
    "googlenet": _Model(GoogLeNet, _CIFAR, {}),
    "inception_bn": _Model(InceptionBN, _IMAGENET, {}),
    "vit": _Model(ViT, _CIFAR, {}),
}


def names() -> list[str]:
    """The registered models."""
    return sorted(_MODELS)


def input_shape(name: str) -> tuple[int, ...]:
    """The shape of an example that the model registered as `name` was made for; most take others, too.

    Example:
      >>> input_shape("cnn8")
      (32, 32, 3)
    """
    return lookup("model.name", _MODELS, name).input_shape


def create(name: str, *, num_classes: int, axis_name: str | None = None, **options: Any) -> nn.Module:
    """The model registered as `name`.

    Args:
      name: one of `names()`.
      num_classes: C.
      axis_name: the pmapped axis over which batch norm is synchronised; None outside `jax.pmap`.
      **options: fields of the module, checked against its constructor.

    Raises:
      ConfigError: unknown name or option.
    """
    model = lookup("model.name", _MODELS, name)
    supplied = ("num_classes", "axis_name", "parent", "name", *model.fixed)
    options = check_options("model", name, model.module, options, supplied)
    return model.module(num_classes=num_classes, axis_name=axis_name, **model.fixed, **options)
