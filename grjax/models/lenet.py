"""LeNet-5, for MNIST."""

import flax.linen as nn
import jax

from grjax.models.initializers import InitScheme
from grjax.models.layers import Dtype, Layers, Output, flatten, require


class LeNet(nn.Module):
    """5 x 5 convolutions of 6 and 16 channels, each with tanh and 2 x 2 average pool; dense 120, 84, logits.

    (images float [B, 28, 28, 1], train: bool) -> logits float32 [B, num_classes].

    The first convolution is padded to the image's size, the second not; no batch norm. Parameters for 10 /
    100 classes: 61,706 / 69,356. Layers and Xavier-uniform kernels as in github.com/dmizr/phuber,
    phuber/network.py, for its protocol on MNIST.

    Attributes:
      num_classes: C.
      dropout: rate before the logits; needs an rng named 'dropout' in training.
      init_scheme: scheme of the initial weights, see `grjax.models.initializers`.
      dtype: of the computation; parameters and logits are float32.
      axis_name: taken as by every model; there is no batch norm to synchronise.

    Reference:
      LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998, section II.B.
    """

    num_classes: int
    dropout: float = 0.0
    init_scheme: InitScheme = "xavier"
    dtype: Dtype = "float32"
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, features: bool = False) -> Output:
        """Logits float32 [B, num_classes], and if asked the features float32 [B, 84]."""
        require(
            min(x.shape[1:3]) >= 12,
            f"LeNet takes images of at least 12 pixels, got {x.shape[1]} x {x.shape[2]}",
        )
        layers = Layers(train, self.init_scheme, self.dtype)
        for index, (channels, padding) in enumerate(((6, 2), (16, 0)), start=1):
            x = nn.tanh(layers.conv(x, channels, 5, name=f"conv{index}", padding=padding, bias=True))
            x = nn.avg_pool(x, (2, 2), (2, 2))
        x = flatten(x)
        for index, width in enumerate((120, 84), start=1):
            x = nn.tanh(layers.dense(x, width, name=f"fc{index}"))
        return layers.classify(x, self.num_classes, features=features, dropout=self.dropout)
