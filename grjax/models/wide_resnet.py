"""Wide residual networks, for small images."""

import flax.linen as nn
import jax

from grjax.models.initializers import InitScheme
from grjax.models.layers import Dtype, Layers, Output, require
from grjax.models.preact_resnet import PreActBlock
from grjax.models.residual import stage


class WideResNet(nn.Module):
    """WRN-depth-k: a 3 x 3 convolution to 16 channels, three stages of n pre-activated blocks of 16k, 32k and
    64k channels, batch norm, ReLU, global average, dense; depth = 6n + 4.

    (images float [B, 32, 32, 3], train: bool) -> logits float32 [B, num_classes].

    Parameters for 10 / 100 classes: WRN-28-10 36,479,194 / 36,536,884 (the counts that
    github.com/osmr/imgclsmob asserts), WRN-40-2 2,243,546 / 2,255,156. Initialisation and place of dropout,
    after batch norm and ReLU between the convolutions of a block, are those of the authors'
    github.com/szagoruyko/wide-residual-networks; some PyTorch ports have dropout before.

    Attributes:
      num_classes: C.
      depth: number of layers, 6n + 4.
      widen_factor: k.
      dropout: rate within the blocks, 0.3 in the paper's runs with it; needs an rng named 'dropout'.
      init_scheme: scheme of the initial weights, see `grjax.models.initializers`.
      dtype: of the computation; parameters and logits are float32.
      remat: recompute blocks in the backward pass, for memory.
      axis_name: the pmapped axis over which batch norm is synchronised; None: no such axis.

    Reference:
      Zagoruyko and Komodakis, Wide Residual Networks, arXiv:1605.07146, Table 1.
    """

    num_classes: int
    depth: int = 28
    widen_factor: int = 10
    dropout: float = 0.0
    init_scheme: InitScheme = "wrn"
    dtype: Dtype = "float32"
    remat: bool = False
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, features: bool = False) -> Output:
        """Logits float32 [B, num_classes], and if asked the features float32 [B, 64k]."""
        require(self.depth % 6 == 4 and self.depth > 4, f"depth must be 6n + 4, got {self.depth}")
        require(self.widen_factor >= 1, f"widen_factor must be at least 1, got {self.widen_factor}")
        layers = Layers(train, self.init_scheme, self.dtype, self.axis_name)
        x = layers.conv(x, 16, name="conv1")
        for index in range(3):
            x = stage(
                PreActBlock,
                x,
                name=f"layer{index + 1}",
                length=self.depth // 6,
                strides=1 if index == 0 else 2,
                remat=self.remat,
                layers=layers,
                channels=16 * self.widen_factor * 2**index,
                dropout=self.dropout,
            )
        x = nn.relu(layers.norm(x, name="bn1"))
        return layers.classify(x, self.num_classes, features=features)
