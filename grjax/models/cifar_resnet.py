"""The ResNets of He et al. for CIFAR: 20 to 110 layers of 16, 32 and 64 channels."""

import flax.linen as nn
import jax

from grjax.models.initializers import InitScheme
from grjax.models.layers import Dtype, Layers, Output, require
from grjax.models.residual import BasicBlock, Shortcut, stage


class CifarResNet(nn.Module):
    """A 3 x 3 convolution, three stages of n basic blocks, global average, dense; depth = 6n + 2.

    (images float [B, 32, 32, 3], train: bool) -> logits float32 [B, num_classes].

    Parameters with shortcut 'A' / 'B', by depth:

      layers   10 classes               100 classes
      20         269,722 /   272,474      275,572 /   278,324
      32         464,154 /   466,906      470,004 /   472,756
      44         658,586 /   661,338      664,436 /   667,188
      56         853,018 /   855,770      858,868 /   861,620
      110      1,727,962 / 1,730,714    1,733,812 / 1,736,564

    The paper's Table 6 has 0.27M, 0.46M, 0.66M, 0.85M and 1.7M, with 'A'. The Gradient Rescaling paper's
    ResNet-44 is 'B' (its Caffe prototxt has 1 x 1 convolutions with batch norm there; its biases before batch
    norm, which change nothing, are left out). Initialisation is He et al.'s, zero bias, as in that prototxt.

    Attributes:
      num_classes: C.
      depth: number of layers, 6n + 2.
      shortcut: where the shape changes: 'A' subsamples and pads with zeros, 'B' projects.
      width: channels of the first stage.
      dropout: rate before the logits; needs an rng named 'dropout' in training.
      init_scheme: scheme of the initial weights, see `grjax.models.initializers`.
      dtype: of the computation; parameters and logits are float32.
      remat: recompute blocks in the backward pass, for memory.
      axis_name: the pmapped axis over which batch norm is synchronised; None: no such axis.

    Reference:
      He et al., Deep Residual Learning for Image Recognition, arXiv:1512.03385, section 4.2.
    """

    num_classes: int
    depth: int = 20
    shortcut: Shortcut = "A"
    width: int = 16
    dropout: float = 0.0
    init_scheme: InitScheme = "msra"
    dtype: Dtype = "float32"
    remat: bool = False
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, features: bool = False) -> Output:
        """Logits float32 [B, num_classes], and if asked the features float32 [B, 4·width]."""
        require(self.depth % 6 == 2 and self.depth > 2, f"depth must be 6n + 2, got {self.depth}")
        require(self.width >= 1, f"width must be at least 1, got {self.width}")
        layers = Layers(train, self.init_scheme, self.dtype, self.axis_name)
        x = nn.relu(layers.norm(layers.conv(x, self.width, name="conv1"), name="bn1"))
        for index in range(3):
            x = stage(
                BasicBlock,
                x,
                name=f"layer{index + 1}",
                length=self.depth // 6,
                strides=1 if index == 0 else 2,
                remat=self.remat,
                layers=layers,
                channels=self.width * 2**index,
                shortcut=self.shortcut,
            )
        return layers.classify(x, self.num_classes, features=features, dropout=self.dropout)
