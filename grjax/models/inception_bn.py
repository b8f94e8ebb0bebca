"""Inception with batch norm (Inception-BN, "GoogLeNet V2"), for ImageNet's size of images."""

from collections.abc import Sequence
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from grjax.models.initializers import InitScheme
from grjax.models.layers import Dtype, Layers, Output, max_pool, require

# Pool; 1x1 | 3x3 reduce, 3x3 | double 3x3 reduce, double 3x3 | projection of the pool. Without 1x1 and
# projection a block halves the image: its other branches have a stride of 2.
_BLOCKS: dict[str, tuple[Literal["avg", "max"], tuple[int, ...]]] = {
    "3a": ("avg", (64, 64, 64, 64, 96, 32)),
    "3b": ("avg", (64, 64, 96, 64, 96, 64)),
    "3c": ("max", (0, 128, 160, 64, 96, 0)),
    "4a": ("avg", (224, 64, 96, 96, 128, 128)),
    "4b": ("avg", (192, 96, 128, 96, 128, 128)),
    "4c": ("avg", (160, 128, 160, 128, 160, 128)),
    "4d": ("avg", (96, 128, 192, 160, 192, 128)),
    "4e": ("max", (0, 128, 192, 192, 256, 0)),
    "5a": ("avg", (352, 192, 320, 160, 224, 128)),
    "5b": ("max", (352, 192, 320, 192, 224, 128)),
}


class InceptionBlock(nn.Module):
    """Branches side by side: 1 x 1; 3 x 3; two 3 x 3; a 3 x 3 pool with a 1 x 1.

    Attributes:
      layers: what makes the layers.
      pool: kind of the pool.
      channels: 1 x 1, 3 x 3 reduce, 3 x 3, double reduce, double, projection; 0: no such convolution.
    """

    layers: Layers
    pool: Literal["avg", "max"]
    channels: Sequence[int]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, channels before] -> [B, H / strides, W / strides, sum over the branches]."""

        def conv(x: jax.Array, channels: int, kernel: int, name: str, *, strides: int = 1) -> jax.Array:
            x = self.layers.conv(x, channels, kernel, name=name, strides=strides, bias=True)
            return nn.relu(self.layers.norm(x, name=f"{name}_bn"))

        one, three_reduced, three, double_reduced, double, projection = self.channels
        strides = 1 if one else 2
        branches = [conv(x, one, 1, "1x1")] if one else []
        y = conv(x, three_reduced, 1, "3x3_reduce")
        branches.append(conv(y, three, 3, "3x3", strides=strides))
        y = conv(conv(x, double_reduced, 1, "double_3x3_reduce"), double, 3, "double_3x3_1")
        branches.append(conv(y, double, 3, "double_3x3_2", strides=strides))
        if self.pool == "avg":
            y = nn.avg_pool(x, (3, 3), padding=((1, 1), (1, 1)))
        else:
            y = max_pool(x, 3, strides, padding=1 if strides == 1 else 0, ceil=strides == 2)
        branches.append(conv(y, projection, 1, "pool_proj") if projection else y)
        return jnp.concatenate(branches, axis=-1)


class InceptionBN(nn.Module):
    """A 7 x 7 stem and ten inception blocks, global average, dense.

    (images float [B, 224, 224, 3], train: bool) -> logits float32 [B, num_classes].

    The network of the Gradient Rescaling paper on MARS ("GoogLeNet V2"), whose features are the output before
    the classifier. Channels and biases are those of the public MXNet version named below. Parameters for 10 /
    100 / 1000 classes: 10,280,490 / 10,372,740 / 11,295,240, the last asserted by github.com/osmr/imgclsmob
    ("bninception"). Pools of stride 2 let a window hang over the edge, as Caffe does.

    Attributes:
      num_classes: C.
      width: factor of all channels but the classifier's.
      dropout: rate before the logits; needs an rng named 'dropout' in training.
      init_scheme: scheme of the initial weights, see `grjax.models.initializers`.
      dtype: of the computation; parameters and logits are float32.
      remat: recompute blocks in the backward pass, for memory.
      axis_name: the pmapped axis over which batch norm is synchronised; None: no such axis.

    Reference:
      Ioffe and Szegedy, Batch Normalization, arXiv:1502.03167, Figure 5; github.com/apache/mxnet,
      example/image-classification/symbols/inception-bn.py.
    """

    num_classes: int
    width: float = 1.0
    dropout: float = 0.0
    init_scheme: InitScheme = "msra"
    dtype: Dtype = "float32"
    remat: bool = False
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, features: bool = False) -> Output:
        """Logits float32 [B, num_classes], and if asked the features float32 [B, 1024·width]."""
        require(32 * self.width >= 1, f"width must leave channels to every layer, got {self.width}")
        layers = Layers(train, self.init_scheme, self.dtype, self.axis_name)
        block = nn.remat(InceptionBlock) if self.remat else InceptionBlock

        def scaled(channels: int) -> int:
            return int(channels * self.width)

        def conv(x: jax.Array, channels: int, kernel: int, name: str, *, strides: int = 1) -> jax.Array:
            x = layers.conv(x, scaled(channels), kernel, name=name, strides=strides, bias=True)
            return nn.relu(layers.norm(x, name=f"{name}_bn"))

        x = max_pool(conv(x, 64, 7, "conv1", strides=2), 3, 2, ceil=True)
        x = max_pool(conv(conv(x, 64, 1, "conv2_reduce"), 192, 3, "conv2"), 3, 2, ceil=True)
        for name, (pool, channels) in _BLOCKS.items():
            x = block(layers, pool, [scaled(each) for each in channels], name=f"inception_{name}")(x)
        return layers.classify(x, self.num_classes, features=features, dropout=self.dropout)
