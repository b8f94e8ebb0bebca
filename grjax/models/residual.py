"""Residual blocks after the addition rectified, and stages of identical blocks."""

from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from grjax.models.layers import Layers

Shortcut = Literal["A", "B"]


class BasicBlock(nn.Module):
    """relu(bn(conv(relu(bn(conv(x))))) + shortcut(x)), both convolutions 3 x 3.

    Attributes:
      layers: what makes the layers.
      channels: of the output.
      strides: of the first convolution.
      shortcut: where the shape changes: 'A' takes every other pixel and pads the channels with zeros, in
        halves before and behind; 'B' is a 1 x 1 convolution with batch norm.
    """

    layers: Layers
    channels: int
    strides: int = 1
    shortcut: Shortcut = "B"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, channels before] -> [B, H / strides, W / strides, channels]."""
        layers = self.layers
        y = layers.conv(x, self.channels, name="conv1", strides=self.strides)
        y = layers.conv(nn.relu(layers.norm(y, name="bn1")), self.channels, name="conv2")
        y = layers.norm(y, name="bn2")
        if self.shortcut == "A":
            missing = self.channels - x.shape[-1]
            x = x[:, :: self.strides, :: self.strides]
            return nn.relu(y + jnp.pad(x, ((0, 0),) * 3 + ((missing // 2, missing - missing // 2),)))
        return nn.relu(y + _projected(layers, x, self.channels, self.strides))


class Bottleneck(nn.Module):
    """As `BasicBlock`, of 1 x 1, 3 x 3 and 1 x 1 convolutions; the last widens to 4·channels.

    The stride is that of the 3 x 3 convolution, as in torchvision; He et al. had it in the first.
    """

    layers: Layers
    channels: int
    strides: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, channels before] -> [B, H / strides, W / strides, 4·channels]."""
        layers = self.layers
        y = nn.relu(layers.norm(layers.conv(x, self.channels, 1, name="conv1"), name="bn1"))
        y = layers.conv(y, self.channels, name="conv2", strides=self.strides)
        y = layers.conv(nn.relu(layers.norm(y, name="bn2")), 4 * self.channels, 1, name="conv3")
        y = layers.norm(y, name="bn3")
        return nn.relu(y + _projected(layers, x, 4 * self.channels, self.strides))


def _projected(layers: Layers, x: jax.Array, channels: int, strides: int) -> jax.Array:
    """x, or where the shape changes its projection."""
    if strides == 1 and x.shape[-1] == channels:
        return x
    x = layers.conv(x, channels, 1, name="downsample_0", strides=strides)
    return layers.norm(x, name="downsample_1")


def stage(
    block: type[nn.Module],
    x: jax.Array,
    *,
    name: str,
    length: int,
    strides: int,
    remat: bool,
    **fields: Any,
) -> jax.Array:
    """Blocks in a row, named '{name}_0', '{name}_1', …; the first may change the shape, the rest keep it.

    Args:
      block: a module with the field `strides` and `fields`.
      x: [B, H, W, channels before].
      name: of the stage in the state dict.
      length: number of blocks.
      strides: of the first block.
      remat: compute what is inside a block again in the backward pass instead of keeping it.
      **fields: the same for every block.
    """
    if remat:
        block = nn.remat(block)
    for index in range(length):
        x = block(strides=strides if index == 0 else 1, name=f"{name}_{index}", **fields)(x)
    return x
