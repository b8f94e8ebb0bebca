"""The 9-layer network of Co-teaching, for small images."""

import flax.linen as nn
import jax

from grjax.models.layers import Dtype, Layers, Output, max_pool, require


class CoTeachingCNN(nn.Module):
    """CNN-9: convolutions 3 x 128, 3 x 256, then 512, 256, 128 without padding, global average, dense.

    (images float [B, 32, 32, channels], train: bool) -> logits float32 [B, num_classes].

    After each convolution, of 3 x 3 with bias, batch norm and leaky ReLU (slope 0.01); after each of the
    first two threes a 2 x 2 max pool and dropout of whole channels. Parameters for 10 / 100 classes, 3
    channels: 4,434,570 / 4,446,180 (github.com/bhanML/Co-teaching, model.py; initialisation PyTorch's). That
    code calls dropout2d in a way that leaves it on in evaluation; here it is off.

    Attributes:
      num_classes: C.
      width: channels of the first convolution; the others are in proportion.
      dropout: rate of whole channels; needs an rng named 'dropout' in training.
      dtype: of the computation; parameters and logits are float32.
      axis_name: the pmapped axis over which batch norm is synchronised; None: no such axis.

    Reference:
      Han et al., Co-teaching, arXiv:1804.06872.
    """

    num_classes: int
    width: int = 128
    dropout: float = 0.25
    dtype: Dtype = "float32"
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, features: bool = False) -> Output:
        """Logits float32 [B, num_classes], and if asked the features float32 [B, width]."""
        require(self.width >= 1, f"width must be at least 1, got {self.width}")
        require(
            min(x.shape[1:3]) >= 28,
            f"CNN-9 takes images of at least 28 pixels, got {x.shape[1]} x {x.shape[2]}",
        )
        layers = Layers(train, "torch", self.dtype, self.axis_name)
        for index, factor in enumerate((1, 1, 1, 2, 2, 2, 4, 2, 1), start=1):
            padding = 1 if index <= 6 else 0
            x = layers.conv(x, factor * self.width, name=f"c{index}", padding=padding, bias=True)
            x = nn.leaky_relu(layers.norm(x, name=f"bn{index}"), 0.01)
            if index in (3, 6):
                x = layers.dropout(max_pool(x, 2, 2), self.dropout, whole_channels=True)
        return layers.classify(x, self.num_classes, features=features)
