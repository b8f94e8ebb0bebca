"""Initial weights as the reference implementations draw them.

PyTorch, Caffe, Keras and the repositories of the field differ in distribution, in what they count as fan and
in biases. A scheme is all of it under one name; `fan_in` is the number of inputs that one output sums over.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
from jax.nn.initializers import Initializer, variance_scaling, zeros

# The distribution of a layer's kernel has variance scale / fan: uniform on ±√(3·scale/fan), or normal.
TORCH_UNIFORM = variance_scaling(1 / 3, "fan_in", "uniform")  # ±1/√fan_in: kaiming_uniform_(a=√5)
HE_UNIFORM = variance_scaling(2.0, "fan_in", "uniform")
HE_NORMAL = variance_scaling(2.0, "fan_in", "normal")
HE_NORMAL_FAN_OUT = variance_scaling(2.0, "fan_out", "normal")
HE_TRUNCATED = variance_scaling(2.0, "fan_in", "truncated_normal")  # cut at 2σ, as Keras' he_normal
CAFFE_XAVIER = variance_scaling(1.0, "fan_in", "uniform")  # ±√(3/fan_in)
XAVIER_UNIFORM = variance_scaling(1.0, "fan_avg", "uniform")


def torch_bias(fan_in: int) -> Initializer:
    """Uniform on ±1/√fan_in: the bias of PyTorch's Linear and Conv2d."""
    bound = 1 / math.sqrt(fan_in)

    return lambda key, shape, dtype=float, *_: jax.random.uniform(key, shape, dtype, -bound, bound)


def zero_bias(fan_in: int) -> Initializer:
    """Zeros, whatever the layer."""
    del fan_in
    return zeros


class Scheme(NamedTuple):
    """How the layers of a network begin; a bias is drawn with the fan-in of its layer."""

    conv: Initializer
    conv_bias: Callable[[int], Initializer]
    dense: Initializer
    dense_bias: Callable[[int], Initializer]


InitScheme = Literal["torch", "torchvision", "apl", "xavier", "caffe", "msra", "wrn", "keras"]

SCHEMES: dict[str, Scheme] = {
    # PyTorch's defaults, which a repository has that says nothing.
    "torch": Scheme(TORCH_UNIFORM, torch_bias, TORCH_UNIFORM, torch_bias),
    # torchvision's ResNets.
    "torchvision": Scheme(HE_NORMAL_FAN_OUT, torch_bias, TORCH_UNIFORM, torch_bias),
    # github.com/HanxunH/Active-Passive-Losses and what descends from it.
    "apl": Scheme(HE_UNIFORM, torch_bias, XAVIER_UNIFORM, torch_bias),
    # github.com/dmizr/phuber's LeNet.
    "xavier": Scheme(XAVIER_UNIFORM, torch_bias, XAVIER_UNIFORM, torch_bias),
    # The filler "xavier" of Caffe, which looks at the inputs alone.
    "caffe": Scheme(CAFFE_XAVIER, zero_bias, CAFFE_XAVIER, zero_bias),
    # He et al., 2015; "msra" in Caffe.
    "msra": Scheme(HE_NORMAL, zero_bias, HE_NORMAL, zero_bias),
    # github.com/szagoruyko/wide-residual-networks (Lua Torch).
    "wrn": Scheme(HE_NORMAL_FAN_OUT, zero_bias, TORCH_UNIFORM, zero_bias),
    # Keras with kernel_initializer="he_normal", as SCE's public code.
    "keras": Scheme(HE_TRUNCATED, zero_bias, HE_TRUNCATED, zero_bias),
}
