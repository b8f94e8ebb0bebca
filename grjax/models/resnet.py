"""ResNet-18, -34 and -50, with the stem for small images or the one for ImageNet."""

from collections.abc import Sequence
from typing import Literal

import flax.linen as nn
import jax

from grjax.models.initializers import InitScheme
from grjax.models.layers import Dtype, Layers, Output, max_pool, require
from grjax.models.residual import BasicBlock, Bottleneck, stage

_BLOCKS: dict[str, type[nn.Module]] = {"basic": BasicBlock, "bottleneck": Bottleneck}


class ResNet(nn.Module):
    """A stem, stages of residual blocks that double the channels, global average, dense.

    (images float [B, height, width, 3], train: bool) -> logits float32 [B, num_classes].

    The stem 'cifar' is one 3 x 3 convolution, for images of 32 x 32; 'imagenet' is 7 x 7 with stride 2 and a
    3 x 3 max pool with stride 2, for 224 x 224. Parameters for 10, 100 and 1000 classes:

      cifar      18: 11,173,962  11,220,132     34: 21,282,122  21,328,292     50: 23,520,842  23,705,252
      imagenet   18: 11,689,512  (1000)         34: 21,797,672  (1000)         50: 25,557,032  (1000)

    Sources: github.com/kuangliu/pytorch-cifar (its forks print the table of counts for 10 classes);
    torchvision's weight metadata ("num_params"). Names of layers are torchvision's, so that its weights load:
    see `grjax.models.import_torch`.

    Initialisation: 'cifar' as in the codes of APL, ALFs, ANL and JAL ('apl': the protocols on CIFAR-100 with
    ResNet-34); the codes of ELR and CIFAR-N leave PyTorch's ('torch'). 'imagenet' is torchvision's.

    Attributes:
      num_classes: C.
      stage_sizes: blocks in each stage.
      block: 'basic', two 3 x 3 convolutions, or 'bottleneck', of 1 x 1, 3 x 3 and 1 x 1.
      stem: 'cifar' or 'imagenet'.
      width: channels of the first stage; a bottleneck's output has four times as many.
      dropout: rate before the logits; needs an rng named 'dropout' in training.
      init_scheme: of the initial weights, see `grjax.models.initializers`; None: by the stem.
      dtype: of the computation; parameters and logits are float32.
      remat: recompute blocks in the backward pass, for memory.
      axis_name: the pmapped axis over which batch norm is synchronised; None: no such axis.

    Reference:
      He et al., Deep Residual Learning for Image Recognition, arXiv:1512.03385, Table 1.
    """

    num_classes: int
    stage_sizes: Sequence[int] = (2, 2, 2, 2)
    block: Literal["basic", "bottleneck"] = "basic"
    stem: Literal["cifar", "imagenet"] = "cifar"
    width: int = 64
    dropout: float = 0.0
    init_scheme: InitScheme | None = None
    dtype: Dtype = "float32"
    remat: bool = False
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, features: bool = False) -> Output:
        """Logits float32 [B, num_classes], and if asked the features float32 [B, last channels]."""
        require(self.width >= 1, f"width must be at least 1, got {self.width}")
        imagenet = self.stem == "imagenet"
        scheme = self.init_scheme or ("torchvision" if imagenet else "apl")
        layers = Layers(train, scheme, self.dtype, self.axis_name)
        x = layers.conv(x, self.width, 7 if imagenet else 3, name="conv1", strides=2 if imagenet else 1)
        x = nn.relu(layers.norm(x, name="bn1"))
        if imagenet:
            x = max_pool(x, 3, 2, padding=1)
        for index, length in enumerate(self.stage_sizes):
            x = stage(
                _BLOCKS[self.block],
                x,
                name=f"layer{index + 1}",
                length=length,
                strides=1 if index == 0 else 2,
                remat=self.remat,
                layers=layers,
                channels=self.width * 2**index,
            )
        return layers.classify(x, self.num_classes, features=features, dropout=self.dropout)
