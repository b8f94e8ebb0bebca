"""The layers of the reference networks: precision, initialisation, PyTorch's padding and batch norm."""

import dataclasses
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from grjax.errors import ConfigError
from grjax.models.batch_norm import BatchNorm
from grjax.models.initializers import SCHEMES

Dtype = Literal["float32", "bfloat16"]

# What a model returns: logits [B, C], or with features=True the pair (logits, features [B, D]).
Output = jax.Array | tuple[jax.Array, jax.Array]


def compute_dtype(dtype: str) -> Any:
    """What Flax's layers take for an option `dtype`: None, for float32, goes by inputs and parameters.

    All of these are float32, unless somebody has widened them to float64 to check a computation.
    """
    return None if dtype == "float32" else jnp.dtype(dtype)


@dataclasses.dataclass(frozen=True)
class Layers:
    """Makes the layers of a network within its compact `__call__`, named as in the reference's state dict.

    Parameters and batch statistics are float32 whatever the layers compute in. The running variance is the
    biased one, as everywhere in Flax; PyTorch multiplies by n/(n-1).

    Attributes:
      train: batch norm by the batch, dropout on.
      init_scheme: a scheme of `grjax.models.initializers`.
      dtype: 'float32', or 'bfloat16' for everything up to the features.
      axis_name: the pmapped axis over which batch norm is synchronised; None: no such axis.
      momentum: of the running statistics: new = momentum·old + (1 - momentum)·batch.
      epsilon: under the square root of batch norm.
    """

    train: bool
    init_scheme: str
    dtype: str = "float32"
    axis_name: str | None = None
    momentum: float = 0.9  # PyTorch counts the other part: 0.1
    epsilon: float = 1e-5

    def conv(
        self,
        x: jax.Array,
        channels: int,
        kernel: int = 3,
        *,
        name: str,
        strides: int = 1,
        padding: int | str | None = None,
        bias: bool = False,
    ) -> jax.Array:
        """A square convolution, padded with kernel // 2 zeros on every side unless told otherwise.

        Flax's own 'SAME' pads a stride of 2 on one side only, which shifts the grid.
        """
        return nn.Conv(
            channels,
            (kernel, kernel),
            strides=strides,
            padding=kernel // 2 if padding is None else padding,
            use_bias=bias,
            dtype=compute_dtype(self.dtype),
            kernel_init=SCHEMES[self.init_scheme].conv,
            bias_init=SCHEMES[self.init_scheme].conv_bias(kernel * kernel * x.shape[-1]),
            name=name,
        )(x)

    def norm(self, x: jax.Array, *, name: str) -> jax.Array:
        """Batch norm over all axes but the last; statistics in float32."""
        return BatchNorm(
            use_running_average=not self.train,
            momentum=self.momentum,
            epsilon=self.epsilon,
            axis_name=self.axis_name,
            name=name,
        )(x)

    def dense(self, x: jax.Array, features: int, *, name: str) -> jax.Array:
        """x·W + b over the last axis."""
        return nn.Dense(
            features,
            dtype=compute_dtype(self.dtype),
            kernel_init=SCHEMES[self.init_scheme].dense,
            bias_init=SCHEMES[self.init_scheme].dense_bias(x.shape[-1]),
            name=name,
        )(x)

    def dropout(self, x: jax.Array, rate: float, *, whole_channels: bool = False) -> jax.Array:
        """Drops elements, or whole channels of an image, in training; needs an rng named 'dropout'."""
        if not 0 <= rate < 1:
            raise ConfigError(f"model.dropout: must be in [0, 1), got {rate}")
        broadcast = (1, 2) if whole_channels else ()
        return nn.Dropout(rate, broadcast_dims=broadcast, deterministic=not self.train)(x)

    def classify(self, x: jax.Array, num_classes: int, *, features: bool, dropout: float = 0.0) -> Output:
        """The classifier 'fc' on x [B, ..., D], averaged over what is between, in float32 throughout."""
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        x = x.mean(tuple(range(1, x.ndim - 1)))
        full = dataclasses.replace(self, dtype="float32")
        logits = full.dense(full.dropout(x, dropout), num_classes, name="fc").astype(jnp.float32)
        return (logits, x) if features else logits


def max_pool(x: jax.Array, window: int, strides: int, padding: int = 0, *, ceil: bool = False) -> jax.Array:
    """Max pooling; `ceil` adds a last window that hangs over the edge, as Caffe does."""
    if window == strides == 2 and padding == 0 and x.shape[1] % 2 == x.shape[2] % 2 == 0:
        # Windows that do not overlap: a maximum of four slices, fused with what is around it. On the CPU the
        # pooling operation takes several times as long, and its gradient longer still.
        rows = jnp.maximum(x[:, ::2], x[:, 1::2])
        return jnp.maximum(rows[:, :, ::2], rows[:, :, 1::2])
    high = padding
    if ceil:
        # Sizes that do not end on a window are padded so far that one more fits.
        high += max(-(size + 2 * padding - window) % strides for size in x.shape[1:3])
    return nn.max_pool(x, (window, window), (strides, strides), ((padding, high),) * 2)


def flatten(x: jax.Array) -> jax.Array:
    """[B, H, W, C] -> [B, C·H·W] in PyTorch's order, so that its weights fit the dense layer after it."""
    return x.transpose(0, 3, 1, 2).reshape(len(x), -1)


def require(fits: bool, message: str) -> None:
    """Raises `ConfigError` unless the options of a model fit each other and its input."""
    if not fits:
        raise ConfigError(f"model: {message}")
