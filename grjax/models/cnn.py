"""A small convolutional network, for images of about 8 x 8 to 28 x 28."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from grjax.errors import ConfigError
from grjax.models.batch_norm import BatchNorm
from grjax.models.layers import Dtype, Output, compute_dtype, max_pool


class CNN(nn.Module):
    """Stages of two 3 x 3 convolutions with batch norm and ReLU, each halved by max pooling, then dense.

    (images float [B, height, width, channels], train: bool) -> logits float32 [B, num_classes].

    Attributes:
      num_classes: C.
      features: channels of each stage.
      hidden: width of the dense layer before the logits.
      dropout: rate before the logits; needs an rng named 'dropout' in training.
      dtype: of the computation; parameters and logits are float32.
      axis_name: the pmapped axis over which batch norm is synchronised; None: no such axis.
    """

    num_classes: int
    features: Sequence[int] = (32, 64)
    hidden: int = 128
    dropout: float = 0.0
    dtype: Dtype = "float32"
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, features: bool = False) -> Output:
        """Logits float32 [B, num_classes], and if asked the features float32 [B, hidden]."""
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"model.dropout: must be in [0, 1), got {self.dropout}")
        if (
            not self.features
            or min(*self.features, self.hidden) < 1
            or min(x.shape[1:3]) < 2 ** len(self.features)
        ):
            raise ConfigError(
                f"model: features {tuple(self.features)} and hidden {self.hidden} must be at least 1, and "
                f"{len(self.features)} stages fit images of at least {2 ** len(self.features)} pixels, "
                f"got {x.shape[1]} x {x.shape[2]}"
            )

        dtype = compute_dtype(self.dtype)

        def norm_relu(x: jax.Array) -> jax.Array:
            return nn.relu(BatchNorm(use_running_average=not train, axis_name=self.axis_name)(x))

        convolution: dict[str, Any] = {"kernel_size": (3, 3), "use_bias": False, "dtype": dtype}
        for channels in self.features:
            for _ in range(2):
                x = norm_relu(nn.Conv(channels, **convolution)(x))
            x = max_pool(x, 2, 2)
        x = norm_relu(nn.Dense(self.hidden, use_bias=False, dtype=dtype)(x.reshape(len(x), -1)))
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        logits = nn.Dense(self.num_classes)(nn.Dropout(self.dropout, deterministic=not train)(x))
        logits = logits.astype(jnp.float32)
        return (logits, x) if features else logits
