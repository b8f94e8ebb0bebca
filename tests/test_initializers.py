"""Initial weights against the closed forms of their distributions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from grjax import models
from grjax.models.initializers import SCHEMES

KERNEL = (5, 5, 12, 70)  # height, width, in, out
FAN_IN, FAN_OUT = 25 * 12, 25 * 70


def uniform(bound):
    return stats.uniform(-bound, 2 * bound)


def he_truncated(fan):  # cut at two sigma and widened again to variance 2 / fan
    return stats.truncnorm(-2, 2, scale=(2 / fan) ** 0.5 / stats.truncnorm(-2, 2).std())


DISTRIBUTIONS = {
    # convolution, dense layer from 300 to 200
    "torch": (uniform(FAN_IN**-0.5), uniform(300**-0.5)),
    "torchvision": (stats.norm(scale=(2 / FAN_OUT) ** 0.5), uniform(300**-0.5)),
    "apl": (uniform((6 / FAN_IN) ** 0.5), uniform((6 / 500) ** 0.5)),
    "xavier": (uniform((6 / (FAN_IN + FAN_OUT)) ** 0.5), uniform((6 / 500) ** 0.5)),
    "caffe": (uniform((3 / FAN_IN) ** 0.5), uniform((3 / 300) ** 0.5)),
    "msra": (stats.norm(scale=(2 / FAN_IN) ** 0.5), stats.norm(scale=(2 / 300) ** 0.5)),
    "wrn": (stats.norm(scale=(2 / FAN_OUT) ** 0.5), uniform(300**-0.5)),
    "keras": (he_truncated(FAN_IN), he_truncated(300)),
}


@pytest.mark.parametrize("name", SCHEMES)
def test_kernels_follow_their_distribution(name):
    conv, dense = DISTRIBUTIONS[name]
    for init, shape, expected in (
        (SCHEMES[name].conv, KERNEL, conv), (SCHEMES[name].dense, (300, 200), dense),
    ):  # fmt: skip
        drawn = np.asarray(init(jax.random.key(0), shape, jnp.float32)).ravel()
        assert stats.kstest(drawn, expected.cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", SCHEMES)
def test_biases_are_zero_or_uniform_by_the_fan_in(name):
    zero = name in ("caffe", "msra", "wrn", "keras")
    for bias in (SCHEMES[name].conv_bias(FAN_IN), SCHEMES[name].dense_bias(FAN_IN)):
        drawn = np.asarray(bias(jax.random.key(0), (5000,), jnp.float32))
        if zero:
            np.testing.assert_array_equal(drawn, 0)
        else:
            assert stats.kstest(drawn, uniform(FAN_IN**-0.5).cdf).pvalue > 1e-3


def test_layers_take_the_fan_in_of_their_input():
    model = models.PlainCNN(num_classes=500, stages=((400,),), hidden=2)
    images = jnp.zeros((1, 2, 2, 3))
    params = jax.jit(lambda key: model.init(key, images, train=False))(jax.random.key(0))["params"]
    for name, fan_in in (("conv1", 27), ("fc", 2)):
        assert stats.kstest(np.asarray(params[name]["bias"]), uniform(fan_in**-0.5).cdf).pvalue > 1e-3
