"""Networks: what holds for every one, and the CNN against NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from grjax import models
from grjax.errors import ConfigError

IMAGES = np.random.default_rng(0).normal(size=(6, 8, 8, 1)).astype(np.float32)

every_model = pytest.mark.parametrize("name", models.names())


def shapes_of(model, images=IMAGES):
    """The variables as shapes and dtypes, without computing them."""
    return jax.eval_shape(lambda: model.init(jax.random.key(0), images, train=False))


def variables_of(model):
    return jax.jit(lambda key: model.init(key, IMAGES, train=False))(jax.random.key(0))


@functools.cache
def model_and_variables(name):
    model = models.create(name, num_classes=3)
    return model, variables_of(model)


@functools.cache
def compiled(model, train):
    def call(variables, images, key):
        rngs = {"dropout": key}
        return model.apply(variables, images, train=train, rngs=rngs, mutable=["batch_stats"])

    return jax.jit(call)


def apply(model, variables, images, train, key=0):
    """Logits and batch statistics after the call."""
    logits, updated = compiled(model, train)(variables, images, jax.random.key(key))
    return logits, updated["batch_stats"]


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@every_model
@pytest.mark.parametrize("image_shape", [(8, 8, 1), (28, 28, 1), (9, 12, 3)])
@pytest.mark.parametrize("num_classes", [2, 10])
def test_logits_have_a_column_for_each_class(name, image_shape, num_classes):
    model = models.create(name, num_classes=num_classes)
    images = jax.ShapeDtypeStruct((5, *image_shape), jnp.float32)
    variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), images)
    logits = jax.eval_shape(lambda variables, x: model.apply(variables, x, train=False), variables, images)
    assert (logits.shape, logits.dtype) == ((5, num_classes), jnp.float32)


@every_model
def test_logits_are_float32_whatever_the_network_computes_in(name):
    model = models.create(name, num_classes=3)
    half = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.bfloat16), shapes_of(model))
    images = jax.ShapeDtypeStruct(IMAGES.shape, jnp.bfloat16)
    logits = jax.eval_shape(lambda variables, x: model.apply(variables, x, train=False), half, images)
    assert logits.dtype == jnp.float32


@every_model
def test_training_updates_batch_statistics_and_evaluation_does_not(name):
    model, variables = model_and_variables(name)
    assert count(variables["batch_stats"])
    before = variables["batch_stats"]
    after_evaluation, after_training = (apply(model, variables, IMAGES, train)[1] for train in (False, True))
    for old, evaluated, trained in zip(
        *map(jax.tree.leaves, (before, after_evaluation, after_training)), strict=True
    ):
        np.testing.assert_array_equal(old, evaluated)
        assert np.abs(old - trained).max() > 0


@every_model
def test_an_image_is_evaluated_alike_in_every_batch(name):
    model, variables = model_and_variables(name)
    (whole, _), (single, _) = (apply(model, variables, images, False) for images in (IMAGES, IMAGES[2:3]))
    np.testing.assert_allclose(single, whole[2:3], atol=1e-5)


@every_model
def test_batch_norm_is_synchronised_over_its_axis(name):
    model, variables = model_and_variables(name)
    whole, batch_stats = apply(model, variables, IMAGES, True)
    synchronised = models.create(name, num_classes=3, axis_name="parts")

    @jax.jit
    @functools.partial(jax.vmap, axis_name="parts")
    def of_a_part(images):
        return synchronised.apply(variables, images, train=True, mutable=["batch_stats"])

    logits, updated = of_a_part(IMAGES.reshape(2, 3, *IMAGES.shape[1:]))
    np.testing.assert_allclose(logits.reshape(whole.shape), whole, rtol=1e-4, atol=1e-4)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a[0], b, rtol=1e-4, atol=1e-6),
        updated["batch_stats"], batch_stats,
    )  # fmt: skip


@every_model
def test_unknown_options_are_refused(name):
    with pytest.raises(ConfigError, match=r"model\.no_option: .* has no such option"):
        models.create(name, num_classes=3, no_option=1)
    with pytest.raises(ConfigError, match=r"model\.parent: .* has no such option"):
        models.create(name, num_classes=3, parent=None)  # a field that Flax adds


def test_unknown_name_gives_the_closest():
    with pytest.raises(ConfigError, match=r"model\.name: unknown name 'cn'; did you mean 'cnn'"):
        models.create("cn", num_classes=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"feature": (8,)}, r"model\.feature: .*did you mean 'features'\? Known: dropout, features, hidden"),
        ({"features": 8}, r"model\.features: 'cnn' takes a list, got 8"),
        ({"features": ("8",)}, r"model\.features: 'cnn' takes a list, got \('8',\)"),
        ({"hidden": 1.5}, r"model\.hidden: 'cnn' takes a whole number, got 1\.5"),
        ({"hidden": "128"}, r"model\.hidden: 'cnn' takes a whole number, got '128'"),
        ({"dropout": "no"}, r"model\.dropout: 'cnn' takes a number, got 'no'"),
    ],
)
def test_bad_options_of_the_cnn_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        models.create("cnn", num_classes=3, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dropout": 1.0}, r"model\.dropout: must be in \[0, 1\), got 1\.0"),
        ({"dropout": -0.5}, r"model\.dropout: must be in \[0, 1\), got -0\.5"),
        ({"dropout": float("nan")}, r"model\.dropout: must be in \[0, 1\), got nan"),
        ({"hidden": 0}, r"model: .*hidden 0 must be at least 1"),
        ({"features": (8, 0)}, r"model: features \(8, 0\) .*must be at least 1"),
        # 8 -> 4 -> 2 -> 1 -> 0 pixels
        ({"features": (2, 2, 2, 2)}, r"model: .*4 stages fit images of at least 16 pixels, got 8 x 8"),
        ({"features": ()}, r"model: features \(\)"),
    ],
)
def test_options_of_the_cnn_out_of_range_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        shapes_of(models.create("cnn", num_classes=3, **options))


def test_as_many_stages_as_the_image_can_be_halved():
    kernels = [
        leaf.shape
        for leaf in jax.tree.leaves(shapes_of(models.create("cnn", num_classes=3, features=(2,) * 3)))
    ]
    assert (2, 128) in kernels  # one pixel of two channels is left


def test_parameters_of_the_default_cnn():
    convolutions = 3 * 3 * (1 * 32 + 32 * 32 + 32 * 64 + 64 * 64)  # without biases
    norms = 2 * (32 + 32 + 64 + 64) + 2 * 128  # scale and bias of each channel
    pixels = (8 // 2 // 2) ** 2
    dense = pixels * 64 * 128 + (128 * 10 + 10)  # the first without bias
    variables = shapes_of(models.create("cnn", num_classes=10))
    assert count(variables["params"]) == convolutions + norms + dense
    assert count(variables["batch_stats"]) == norms  # mean and variance of each channel


def test_options_of_the_cnn():
    model = models.create("cnn", num_classes=3, features=[4, 5, 6], hidden=7)
    kernels = sorted(leaf.shape for leaf in jax.tree.leaves(shapes_of(model)) if len(leaf.shape) > 1)
    assert kernels == sorted(
        [(3, 3, 1, 4), (3, 3, 4, 4), (3, 3, 4, 5), (3, 3, 5, 5), (3, 3, 5, 6), (3, 3, 6, 6), (6, 7), (7, 3)]
    )


def cnn_in_numpy(variables, x, stages, train):
    """Logits and batch statistics after the call, in float64."""
    params, stats = jax.tree.map(np.float64, (variables["params"], variables["batch_stats"]))
    after = {}

    def norm_relu(x, number):
        name = f"BatchNorm_{number}"
        mean, var = stats[name]["mean"], stats[name]["var"]
        if train:
            axes = tuple(range(x.ndim - 1))
            mean, var = x.mean(axes), x.var(axes)
        after[name] = {
            "mean": 0.9 * stats[name]["mean"] + 0.1 * mean,
            "var": 0.9 * stats[name]["var"] + 0.1 * var,
        }
        x = (x - mean) / np.sqrt(var + 1e-5)
        return np.maximum(x * params[name]["scale"] + params[name]["bias"], 0)

    def convolve(x, number):
        kernel = params[f"Conv_{number}"]["kernel"]
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        _, height, width, _ = x.shape
        return sum(
            padded[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3)
        )

    def pool(x):
        batch, height, width, channels = x.shape
        x = x[:, : height // 2 * 2, : width // 2 * 2]
        return x.reshape(batch, height // 2, 2, width // 2, 2, channels).max((2, 4))

    for stage in range(stages):
        for number in (2 * stage, 2 * stage + 1):
            x = norm_relu(convolve(x, number), number)
        x = pool(x)
    x = norm_relu(x.reshape(len(x), -1) @ params["Dense_0"]["kernel"], 2 * stages)
    return x @ params["Dense_1"]["kernel"] + params["Dense_1"]["bias"], after


@pytest.mark.parametrize("train", [False, True])
def test_cnn_against_numpy(train):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(6, 5, 7, 2)).astype(np.float32)  # odd sizes: pooling drops a row
    model = models.create("cnn", num_classes=3, features=(4, 6), hidden=5)

    def draw(leaf):  # all of them, also what begins as zeros and ones
        return jnp.float32(rng.uniform(0.5, 1.5, leaf.shape))

    variables = jax.tree.map(draw, shapes_of(model, images))
    variables["params"] = jax.tree.map(
        lambda leaf: leaf * rng.choice([-1.0, 1.0], leaf.shape).astype(np.float32), variables["params"]
    )
    logits, batch_stats = apply(model, variables, images, train)
    expected, expected_stats = cnn_in_numpy(variables, images.astype(np.float64), 2, train)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    if not train:
        expected_stats = variables["batch_stats"]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), batch_stats, expected_stats)


def test_dropout_acts_in_training_only():
    model = models.create("cnn", num_classes=3, features=(4,), hidden=64, dropout=0.5)
    without = models.create("cnn", num_classes=3, features=(4,), hidden=64)
    variables = variables_of(model)
    evaluated, evaluated_again = (apply(model, variables, IMAGES, False, key)[0] for key in (0, 1))
    trained, trained_again, other = (apply(model, variables, IMAGES, True, key)[0] for key in (0, 0, 1))
    np.testing.assert_array_equal(evaluated, evaluated_again)
    np.testing.assert_array_equal(evaluated, apply(without, variables, IMAGES, False)[0])
    np.testing.assert_array_equal(trained, trained_again)
    assert np.abs(trained - other).max() > 1e-3
    assert np.abs(trained - apply(without, variables, IMAGES, True)[0]).max() > 1e-3


def test_dropout_keeps_the_mean_of_the_logits():
    model = models.create("cnn", num_classes=3, features=(4,), hidden=64, dropout=0.3)
    variables = variables_of(model)

    def logits(key):
        return model.apply(variables, IMAGES, train=True, rngs={"dropout": key}, mutable=["batch_stats"])[0]

    samples = jax.jit(jax.vmap(logits))(jax.random.split(jax.random.key(0), 2000))
    without = models.create("cnn", num_classes=3, features=(4,), hidden=64)
    expected, _ = apply(without, variables, IMAGES, True)
    error = np.abs(samples.mean(0) - expected) / (samples.std(0) / np.sqrt(2000))
    assert error.max() < 4.5
