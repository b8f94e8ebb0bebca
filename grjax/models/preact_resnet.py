"""ResNets with batch norm and ReLU before each convolution, for small images."""

from collections.abc import Sequence

import flax.linen as nn
import jax

from grjax.models.initializers import InitScheme
from grjax.models.layers import Dtype, Layers, Output, require
from grjax.models.residual import stage


class PreActBlock(nn.Module):
    """conv(dropout(relu(bn(conv(relu(bn(x))))))) + shortcut(x), both convolutions 3 x 3.

    Where the shape changes, the shortcut is a 1 x 1 convolution of relu(bn(x)).

    Attributes:
      layers: what makes the layers.
      channels: of the output.
      strides: of the first convolution.
      activated_shortcut: the shortcut is relu(bn(x)) where the shape stays, too, and not x.
      dropout: rate between the convolutions.
    """

    layers: Layers
    channels: int
    strides: int = 1
    activated_shortcut: bool = False
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, channels before] -> [B, H / strides, W / strides, channels]."""
        layers = self.layers
        y = nn.relu(layers.norm(x, name="bn1"))
        if self.strides != 1 or x.shape[-1] != self.channels:
            x = layers.conv(y, self.channels, 1, name="downsample_0", strides=self.strides)
        elif self.activated_shortcut:
            x = y
        y = layers.conv(y, self.channels, name="conv1", strides=self.strides)
        y = layers.dropout(nn.relu(layers.norm(y, name="bn2")), self.dropout)
        return layers.conv(y, self.channels, name="conv2") + x


class PreActResNet(nn.Module):
    """A 3 x 3 convolution, stages of pre-activated blocks that double the channels, global average, dense.

    (images float [B, 32, 32, 3], train: bool) -> logits float32 [B, num_classes].

    Under the name of PreActResNet the field has three networks, parameters for 10 / 100 classes:

      as github.com/kuangliu/pytorch-cifar        18: 11,171,146 / 11,217,316   34: 21,279,306 / 21,325,476
      `stem_norm`, `activated_shortcut`: DivideMix,
        ELR+ and others from its PreResNet.py     18: 11,171,274 / 11,217,444
      GJS' "PreActResNet34": stage sizes (5, 5, 5),
        width 32, `final_norm`                    1,860,138 / 1,871,748

    He et al. have batch norm and ReLU before the average (`final_norm`); the first two have not, so that the
    last block's sum goes to the classifier as it is.

    Attributes:
      num_classes: C.
      stage_sizes: blocks in each stage.
      width: channels of the first stage.
      stem_norm: batch norm and ReLU after the first convolution.
      activated_shortcut: every shortcut begins after its block's first batch norm and ReLU.
      final_norm: batch norm and ReLU after the last block.
      dropout: rate before the logits; needs an rng named 'dropout' in training.
      init_scheme: scheme of the initial weights, see `grjax.models.initializers`.
      dtype: of the computation; parameters and logits are float32.
      remat: recompute blocks in the backward pass, for memory.
      axis_name: the pmapped axis over which batch norm is synchronised; None: no such axis.

    Reference:
      He et al., Identity Mappings in Deep Residual Networks, arXiv:1603.05027; the repositories named above
      and github.com/ErikEnglesson/GJS.
    """

    num_classes: int
    stage_sizes: Sequence[int] = (2, 2, 2, 2)
    width: int = 64
    stem_norm: bool = False
    activated_shortcut: bool = False
    final_norm: bool = False
    dropout: float = 0.0
    init_scheme: InitScheme = "torch"
    dtype: Dtype = "float32"
    remat: bool = False
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, features: bool = False) -> Output:
        """Logits float32 [B, num_classes], and if asked the features float32 [B, last channels]."""
        require(self.width >= 1, f"width must be at least 1, got {self.width}")
        layers = Layers(train, self.init_scheme, self.dtype, self.axis_name)
        x = layers.conv(x, self.width, name="conv1")
        if self.stem_norm:
            x = nn.relu(layers.norm(x, name="bn1"))
        for index, length in enumerate(self.stage_sizes):
            x = stage(
                PreActBlock,
                x,
                name=f"layer{index + 1}",
                length=length,
                strides=1 if index == 0 else 2,
                remat=self.remat,
                layers=layers,
                channels=self.width * 2**index,
                activated_shortcut=self.activated_shortcut,
            )
        if self.final_norm:
            x = nn.relu(layers.norm(x, name="bn"))
        return layers.classify(x, self.num_classes, features=features, dropout=self.dropout)
