"""GoogLeNet (Inception V1) for small images."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from grjax.models.initializers import InitScheme
from grjax.models.layers import Dtype, Layers, Output, max_pool, require

# 1x1 | 3x3 reduce, 3x3 | 5x5 reduce, 5x5 | pool projection: Table 1 of the paper.
_STAGES = (
    {"a3": (64, 96, 128, 16, 32, 32), "b3": (128, 128, 192, 32, 96, 64)},
    {
        "a4": (192, 96, 208, 16, 48, 64),
        "b4": (160, 112, 224, 24, 64, 64),
        "c4": (128, 128, 256, 24, 64, 64),
        "d4": (112, 144, 288, 32, 64, 64),
        "e4": (256, 160, 320, 32, 128, 128),
    },
    {"a5": (256, 160, 320, 32, 128, 128), "b5": (384, 192, 384, 48, 128, 128)},
)


class Inception(nn.Module):
    """Four branches side by side: 1 x 1; 3 x 3; 5 x 5 as two 3 x 3; a 3 x 3 max pool with a 1 x 1.

    Attributes:
      layers: what makes the layers.
      channels: a row of Table 1.
    """

    layers: Layers
    channels: Sequence[int]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, channels before] -> [B, H, W, sum over the branches]."""
        one, three_reduced, three, five_reduced, five, pooled = self.channels

        def branch(name: str, x: jax.Array, *convolutions: tuple[int, int], first: int = 0) -> jax.Array:
            for index, (channels, kernel) in enumerate(convolutions):
                number = 3 * index + first  # convolution, batch norm and ReLU in PyTorch's Sequential
                x = self.layers.conv(x, channels, kernel, name=f"{name}_{number}", bias=True)
                x = nn.relu(self.layers.norm(x, name=f"{name}_{number + 1}"))
            return x

        branches = (
            branch("b1", x, (one, 1)),
            branch("b2", x, (three_reduced, 1), (three, 3)),
            branch("b3", x, (five_reduced, 1), (five, 3), (five, 3)),
            branch("b4", max_pool(x, 3, 1, padding=1), (pooled, 1), first=1),
        )
        return jnp.concatenate(branches, axis=-1)


class GoogLeNet(nn.Module):
    """A 3 x 3 convolution to 192 channels, nine inception blocks with max pools after 2 and 7, mean, dense.

    (images float [B, 32, 32, 3], train: bool) -> logits float32 [B, num_classes].

    The Gradient Rescaling paper's Table 2 says "GoogLeNet V1" and no more. The reference chosen here is
    github.com/kuangliu/pytorch-cifar: batch norm everywhere, biases in the convolutions, no auxiliary heads,
    5 x 5 as two 3 x 3. Parameters for 10 / 100 classes: 6,166,250 / 6,258,500 (its forks print the first).
    torchvision's GoogLeNet, for ImageNet, is another network.

    Attributes:
      num_classes: C.
      width: factor of all channels but the classifier's.
      dropout: rate before the logits (the paper of GoogLeNet has 0.4, the reference none); needs an rng named
        'dropout' in training.
      init_scheme: scheme of the initial weights, see `grjax.models.initializers`.
      dtype: of the computation; parameters and logits are float32.
      remat: recompute blocks in the backward pass, for memory.
      axis_name: the pmapped axis over which batch norm is synchronised; None: no such axis.

    Reference:
      Szegedy et al., Going Deeper with Convolutions, arXiv:1409.4842, Table 1.
    """

    num_classes: int
    width: float = 1.0
    dropout: float = 0.0
    init_scheme: InitScheme = "torch"
    dtype: Dtype = "float32"
    remat: bool = False
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, features: bool = False) -> Output:
        """Logits float32 [B, num_classes], and if asked the features float32 [B, 1024·width]."""
        require(16 * self.width >= 1, f"width must leave channels to every layer, got {self.width}")
        layers = Layers(train, self.init_scheme, self.dtype, self.axis_name)
        block = nn.remat(Inception) if self.remat else Inception
        x = layers.conv(x, int(192 * self.width), name="pre_layers_0", bias=True)
        x = nn.relu(layers.norm(x, name="pre_layers_1"))
        for index, stage in enumerate(_STAGES):
            if index > 0:
                x = max_pool(x, 3, 2, padding=1)
            for name, row in stage.items():
                x = block(layers, [int(channels * self.width) for channels in row], name=name)(x)
        return layers.classify(x, self.num_classes, features=features, dropout=self.dropout)
