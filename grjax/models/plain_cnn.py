"""The networks of 8 and 4 layers of SCE, APL and what follows them: CNN-8 for CIFAR-10, CNN-4 for MNIST."""

from collections.abc import Sequence
from typing import Literal

import flax.linen as nn
import jax

from grjax.models.layers import Dtype, Layers, Output, flatten, max_pool, require


class PlainCNN(nn.Module):
    """Stages of 3 x 3 convolutions, each halved by max pooling, then a dense layer and the logits.

    (images float [B, height, width, channels], train: bool) -> logits float32 [B, num_classes].

    Batch norm and ReLU follow every layer but the last; all have biases. Parameters for 10 / 100 classes:

      CNN-8, stages (64, 64), (128, 128), (196, 196), hidden 256, 32 x 32 x 3: 1,639,794 / 1,662,924
      CNN-4, stages (32), (64), hidden 128, 28 x 28 x 1: 422,090 / 433,700

    Attributes:
      num_classes: C.
      stages: channels of the convolutions, stage by stage.
      hidden: width of the dense layer before the logits.
      dropout: rate before the logits; needs an rng named 'dropout' in training.
      framework: 'pytorch': initialisation and batch norm of APL's code (He-uniform, Xavier-uniform; momentum
        0.9 in Flax's count, epsilon 1e-5); 'keras': of SCE's (He-normal; momentum 0.99, epsilon 1e-3).
      dtype: of the computation; parameters and logits are float32.
      axis_name: the pmapped axis over which batch norm is synchronised; None: no such axis.

    Reference:
      Wang et al., Symmetric Cross Entropy for Robust Learning with Noisy Labels, arXiv:1908.06112;
      github.com/YisenWang/symmetric_cross_entropy_for_noisy_labels, models.py;
      github.com/HanxunH/Active-Passive-Losses, models.py.
    """

    num_classes: int
    stages: Sequence[Sequence[int]] = ((64, 64), (128, 128), (196, 196))
    hidden: int = 256
    dropout: float = 0.0
    framework: Literal["pytorch", "keras"] = "pytorch"
    dtype: Dtype = "float32"
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, features: bool = False) -> Output:
        """Logits float32 [B, num_classes], and if asked the features float32 [B, hidden]."""
        widths = [channels for stage in self.stages for channels in stage]
        require(
            bool(widths) and min(*widths, self.hidden) >= 1,
            f"stages {tuple(map(tuple, self.stages))} and hidden {self.hidden} must be at least 1",
        )
        least = 2 ** len(self.stages)
        require(
            min(x.shape[1:3]) >= least,
            f"{len(self.stages)} stages fit images of at least {least} pixels, "
            f"got {x.shape[1]} x {x.shape[2]}",
        )
        layers = Layers(train, "apl", self.dtype, self.axis_name)
        if self.framework == "keras":
            layers = Layers(train, "keras", self.dtype, self.axis_name, momentum=0.99, epsilon=1e-3)
        index = 0
        for stage in self.stages:
            for channels in stage:
                index += 1
                x = layers.conv(x, channels, name=f"conv{index}", bias=True)
                x = nn.relu(layers.norm(x, name=f"bn{index}"))
            x = max_pool(x, 2, 2)
        x = layers.dense(flatten(x), self.hidden, name="fc1")
        x = nn.relu(layers.norm(x, name=f"bn{index + 1}"))
        return layers.classify(x, self.num_classes, features=features, dropout=self.dropout)
