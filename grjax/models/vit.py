"""A small vision transformer."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import truncated_normal

from grjax.models.layers import Dtype, Layers, Output, compute_dtype, require

_INIT = truncated_normal(0.02)


class EncoderBlock(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)); the MLP is four times as wide, with GELU.

    Attributes:
      layers: precision and mode.
      heads: of the attention.
      dropout: rate after the attention and after each layer of the MLP.
    """

    layers: Layers
    heads: int
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, tokens, width] -> [B, tokens, width]."""
        layers, dtype, width = self.layers, compute_dtype(self.layers.dtype), x.shape[-1]
        y = nn.LayerNorm(1e-6, dtype=dtype, name="norm1")(x)
        y = nn.MultiHeadAttention(self.heads, dtype=dtype, kernel_init=_INIT, name="attention")(y)
        x = x + layers.dropout(y, self.dropout)
        y = nn.LayerNorm(1e-6, dtype=dtype, name="norm2")(x)
        y = nn.gelu(nn.Dense(4 * width, dtype=dtype, kernel_init=_INIT, name="fc1")(y), approximate=False)
        y = nn.Dense(width, dtype=dtype, kernel_init=_INIT, name="fc2")(layers.dropout(y, self.dropout))
        return x + layers.dropout(y, self.dropout)


class ViT(nn.Module):
    """Patches and a class token with learnt positions, blocks of attention and MLP, the class token's logits.

    (images float [B, height, width, channels], train: bool) -> logits float32 [B, num_classes].

    The default is ViT-Tiny (width 192, 12 blocks, 3 heads) with patches of 4 for 32 x 32. Parameters for 10 /
    100 classes: 5,362,762 / 5,380,132; with patches of 16, 224 x 224 and 1000 classes 5,717,416.

    Attributes:
      num_classes: C.
      patch: side of a patch, which divides the image's sides.
      width: of a token.
      depth: number of blocks.
      heads: of the attention; divides the width.
      dropout: rate in the blocks and after the positions; needs an rng named 'dropout' in training.
      dtype: of the computation; parameters and logits are float32.
      remat: recompute blocks in the backward pass, for memory.
      axis_name: taken as by every model; there is no batch norm to synchronise.

    Reference:
      Dosovitskiy et al., An Image is Worth 16x16 Words, arXiv:2010.11929, section 3.1; Touvron et al.,
      arXiv:2012.12877, Table 1 (Tiny).
    """

    num_classes: int
    patch: int = 4
    width: int = 192
    depth: int = 12
    heads: int = 3
    dropout: float = 0.0
    dtype: Dtype = "float32"
    remat: bool = False
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, features: bool = False) -> Output:
        """Logits float32 [B, num_classes], and if asked the features float32 [B, width]."""
        require(
            min(self.patch, self.heads, self.depth) >= 1 and self.width % self.heads == 0,
            f"heads must divide width, got {self.heads} and {self.width}",
        )
        require(
            x.shape[1] % self.patch == 0 and x.shape[2] % self.patch == 0,
            f"patch must divide the image's sides, got {self.patch} for {x.shape[1]} x {x.shape[2]}",
        )
        layers = Layers(train, "torch", self.dtype)
        x = layers.conv(x, self.width, self.patch, name="patches", strides=self.patch, padding=0, bias=True)
        x = x.reshape(len(x), -1, self.width)
        token = self.param("class_token", _INIT, (1, 1, self.width))
        x = jnp.concatenate([jnp.broadcast_to(token, (len(x), 1, self.width)).astype(x.dtype), x], axis=1)
        positions = self.param("positions", _INIT, (1, x.shape[1], self.width))
        x = layers.dropout(x + positions.astype(x.dtype), self.dropout)
        x = encode(
            x, depth=self.depth, remat=self.remat, layers=layers, heads=self.heads, dropout=self.dropout
        )
        x = nn.LayerNorm(1e-6, name="norm")(x[:, 0])
        return layers.classify(x, self.num_classes, features=features)


def encode(x: jax.Array, *, depth: int, remat: bool, **fields: Any) -> jax.Array:
    """Blocks in a row. One body is compiled for all but the first, their variables are stacked."""
    # A loop keeps the forward and the backward pass apart by itself.
    block = nn.remat(EncoderBlock, prevent_cse=False) if remat else EncoderBlock
    x = block(name="block_0", **fields)(x)
    if depth == 1:
        return x
    rest = nn.scan(
        lambda block, x, _: (block(x), None),
        variable_axes={"params": 0},
        split_rngs={"params": True, "dropout": True},
        length=depth - 1,
    )
    return rest(block(name="block_rest", **fields), x, None)[0]
