"""Dense layers alone, for vectors."""

from collections.abc import Sequence

import flax.linen as nn
import jax

from grjax.models.initializers import InitScheme
from grjax.models.layers import Dtype, Layers, Output, require


class MLP(nn.Module):
    """Hidden layers with ReLU, then the logits.

    (x float [B, ...], train: bool) -> logits float32 [B, num_classes]; an example is flattened to a vector.

    With one hidden layer of 8 the network of the Gradient Rescaling paper on IMDB's document vectors (Table 5
    there; by its released code with ReLU and Caffe's initial weights, scheme 'caffe'). Parameters for vectors
    of D: 8·D + 8 + 9·C; for D = 100 and 10 / 100 classes 898 / 1,708.

    Attributes:
      num_classes: C.
      hidden: widths of the hidden layers.
      dropout: rate after each hidden layer; needs an rng named 'dropout' in training.
      init_scheme: scheme of the initial weights, see `grjax.models.initializers`.
      dtype: of the computation; parameters and logits are float32.
      axis_name: taken as by every model; there is no batch norm to synchronise.

    Reference:
      Wang et al., arXiv:1905.11233.
    """

    num_classes: int
    hidden: Sequence[int] = (8,)
    dropout: float = 0.0
    init_scheme: InitScheme = "torch"
    dtype: Dtype = "float32"
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, features: bool = False) -> Output:
        """Logits float32 [B, num_classes], and if asked the features float32 [B, last of hidden]."""
        require(min(self.hidden, default=1) >= 1, f"hidden must be at least 1, got {tuple(self.hidden)}")
        layers = Layers(train, self.init_scheme, self.dtype)
        x = x.reshape(len(x), -1)
        for index, width in enumerate(self.hidden, start=1):
            x = layers.dropout(nn.relu(layers.dense(x, width, name=f"fc{index}")), self.dropout)
        return layers.classify(x, self.num_classes, features=features)
