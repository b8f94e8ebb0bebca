"""Networks: what holds for every one, and the CNN against NumPy."""

import functools
import operator

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from grjax import models
from grjax.errors import ConfigError
from grjax.models import vit
from grjax.models.layers import Layers

IMAGES = np.random.default_rng(0).normal(size=(6, 8, 8, 1)).astype(np.float32)

every_model = pytest.mark.parametrize("name", models.names())

# Fields and an image with which a module computes in no time; without an entry it computes as registered.
SMALL = {
    models.CNN: ({"features": (4, 6), "hidden": 8}, (8, 8, 1)),
    models.MLP: ({}, (7,)),
    models.LeNet: ({}, (12, 12, 1)),
    models.PlainCNN: ({"stages": ((4, 5), (6,)), "hidden": 8}, (8, 8, 3)),
    models.CoTeachingCNN: ({"width": 4, "dropout": 0.0}, (28, 28, 3)),
    models.CifarResNet: ({"depth": 8, "width": 4}, (8, 8, 3)),
    models.ResNet: ({"stage_sizes": (2, 1), "width": 4, "block": "bottleneck"}, (16, 16, 3)),
    models.PreActResNet: ({"stage_sizes": (2, 1), "width": 4}, (8, 8, 3)),
    models.WideResNet: ({"depth": 10, "widen_factor": 1}, (8, 8, 3)),
    models.GoogLeNet: ({"width": 1 / 16}, (8, 8, 3)),
    models.InceptionBN: ({"width": 1 / 16}, (32, 32, 3)),
    models.ViT: ({"width": 12, "depth": 2}, (8, 8, 3)),
}
FAMILIES = {type(models.create(name, num_classes=3)): name for name in reversed(models.names())}

# The inception networks have some sixty convolutions at any width.
SLOW = (models.GoogLeNet, models.InceptionBN)
PARAMETERS = [
    pytest.param(family, marks=[pytest.mark.slow] if family in SLOW else [], id=family.__name__)
    for family in FAMILIES
]
every_family = pytest.mark.parametrize("family", PARAMETERS)


def small(family, **fields):
    """A cheap model of the family, and a batch of images for it."""
    defaults, shape = SMALL.get(family, ({}, models.input_shape(FAMILIES[family])))
    if family in SMALL:
        model = family(num_classes=3, **{**defaults, **fields})
    else:
        model = models.create(FAMILIES[family], num_classes=3, **fields)
    return model, np.random.default_rng(0).normal(size=(8, *shape)).astype(np.float32)


@functools.cache
def small_and_variables(family):
    """A cheap model, images, and variables that are all random, batch statistics and biases, too."""
    model, images = small(family)
    rng = np.random.default_rng(1)

    def draw(path, leaf):
        if path[-1].key in ("kernel", "positions", "class_token"):
            return rng.normal(0, (2 / np.prod(leaf.shape[:-1])) ** 0.5, leaf.shape).astype(np.float32)
        return rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32)

    return model, images, jax.tree.map_with_path(draw, shapes_of(model, images[:1]))


# What is compiled here runs once: the compiler's effort would take longer than it saves.
quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def shapes_of(model, images=IMAGES):
    """The variables as shapes and dtypes, without computing them."""
    return jax.eval_shape(lambda: model.init(jax.random.key(0), images, train=False))


def variables_of(model):
    return jax.jit(lambda key: model.init(key, IMAGES, train=False))(jax.random.key(0))


@functools.cache
def compiled(model, train):
    def call(variables, images, key):
        options = {"train": train, "rngs": {"dropout": key}, "mutable": ["batch_stats"]}
        (logits, features), updated = model.apply(variables, images, features=True, **options)
        return logits, features, updated.get("batch_stats", {})

    return quick_jit(call)


def apply(model, variables, images, train, key=0):
    """Logits, features, and batch statistics after the call."""
    return compiled(model, train)(variables, images, jax.random.key(key))


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def outputs_of(jaxpr, primitive):
    """The dtypes of what a primitive puts out, wherever in a jaxpr it stands."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == primitive:
            yield equation.outvars[0].aval.dtype
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)  # closed or not
            if hasattr(inner, "eqns"):
                yield from outputs_of(inner, primitive)


@every_family
def test_features_are_what_the_classifier_takes(family):
    model, images, variables = small_and_variables(family)
    logits, features, _ = apply(model, variables, images, False)
    head = variables["params"]["fc" if "fc" in variables["params"] else "Dense_1"]
    np.testing.assert_allclose(
        np.asarray(features) @ head["kernel"] + head["bias"], logits, rtol=1e-4, atol=1e-5
    )


def test_without_asking_for_features_there_are_logits_alone():
    model, images, variables = small_and_variables(models.MLP)
    logits, _, _ = apply(model, variables, images, False)
    np.testing.assert_allclose(model.apply(variables, images, train=False), logits, rtol=1e-5)


def test_initial_variables_are_finite_and_drawn_from_the_seed():
    model, images = small(models.CifarResNet)
    init = quick_jit(lambda key: model.init_with_output(key, images, train=False))
    (logits, variables), (_, other) = init(jax.random.key(0)), init(jax.random.key(1))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((variables, logits)))
    assert np.std(logits, axis=0).min() > 1e-4  # no image is like another
    for (path, one), two in zip(jax.tree.leaves_with_path(variables), jax.tree.leaves(other), strict=True):
        assert np.abs(one - two).max() > 0 or path[-1].key in ("scale", "bias", "mean", "var")


@every_family
def test_training_updates_batch_statistics_and_evaluation_does_not(family):
    model, images, variables = small_and_variables(family)
    before = variables.get("batch_stats", {})
    assert bool(count(before)) == (family not in (models.MLP, models.LeNet, models.ViT))
    after_evaluation, after_training = (apply(model, variables, images, train)[2] for train in (False, True))
    for old, evaluated, trained in zip(
        *map(jax.tree.leaves, (before, after_evaluation, after_training)), strict=True
    ):
        np.testing.assert_array_equal(old, evaluated)
        assert np.abs(old - trained).max() > 0


@every_family
def test_an_image_is_evaluated_alike_in_every_batch(family):
    model, images, variables = small_and_variables(family)
    others = np.where(np.arange(len(images)).reshape(-1, *[1] * (images.ndim - 1)) == 2, images, images + 1)
    (logits, *_), (among_others, *_) = (apply(model, variables, batch, False) for batch in (images, others))
    np.testing.assert_allclose(among_others[2], logits[2], rtol=1e-5, atol=1e-6)
    assert np.abs(among_others[3] - logits[3]).max() > 1e-5


@every_family
def test_batch_norm_is_synchronised_over_its_axis(family):
    _, images, variables = small_and_variables(family)
    whole, _, batch_stats = apply(small(family)[0], variables, images, True)
    synchronised, _ = small(family, axis_name="parts")

    @quick_jit
    @functools.partial(jax.vmap, axis_name="parts")
    def of_a_part(images):
        return synchronised.apply(variables, images, train=True, mutable=["batch_stats"])

    logits, updated = of_a_part(images.reshape(4, 2, *images.shape[1:]))
    np.testing.assert_allclose(logits.reshape(whole.shape), whole, rtol=1e-3, atol=1e-3)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a[0], b, rtol=1e-3, atol=1e-5),
        updated.get("batch_stats", {}), batch_stats,
    )  # fmt: skip


@every_family
def test_dropout_acts_in_training_only(family):
    model, images = small(family, dropout=0.4)
    _, _, variables = small_and_variables(family)

    def jaxpr(model, **options):
        options["mutable"] = ["batch_stats"]
        return jax.make_jaxpr(lambda variables: model.apply(variables, images, **options))(variables).jaxpr

    key = {"dropout": jax.random.key(0)}
    assert list(outputs_of(jaxpr(model, train=True, rngs=key), "random_bits"))
    without = small(family)[0]
    assert not list(outputs_of(jaxpr(without, train=True, rngs=key), "random_bits"))
    assert str(jaxpr(model, train=False)) == str(jaxpr(without, train=False))


@pytest.mark.parametrize("family", [models.CNN, models.WideResNet, models.CoTeachingCNN])
def test_dropout_is_drawn_from_its_key(family):
    model, images = small(family, dropout=0.4)
    _, _, variables = small_and_variables(family)
    one, again, other = (apply(model, variables, images, True, key)[0] for key in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-3


@every_family
def test_bfloat16_computes_in_it_with_float32_parameters_and_logits(family):
    model, images = small(family, dtype="bfloat16")
    _, _, variables = small_and_variables(family)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), images, train=False))
    assert jax.tree.map(jnp.result_type, shapes) == jax.tree.map(jnp.result_type, variables)
    call = functools.partial(model.apply, train=False, features=True)
    jaxpr, (logits, features) = jax.make_jaxpr(call, return_shape=True)(variables, images)
    assert logits.dtype == features.dtype == jnp.float32
    computed = [
        *outputs_of(jaxpr.jaxpr, "conv_general_dilated"),
        *outputs_of(jaxpr.jaxpr, "dot_general"),
    ]
    assert computed.count(jnp.float32) == 1  # the classifier
    assert set(computed) == {jnp.dtype(jnp.float32), jnp.dtype(jnp.bfloat16)}


def test_bfloat16_is_close_to_float32():
    _, images, variables = small_and_variables(models.CifarResNet)
    half, full = (
        apply(small(models.CifarResNet, **fields)[0], variables, images, True)
        for fields in ({"dtype": "bfloat16"}, {})
    )
    for a, b in zip(jax.tree.leaves(half), jax.tree.leaves(full), strict=True):
        assert a.dtype == jnp.float32
        assert 0 < np.abs(a - b).max() < 0.1 * np.abs(b).max()


@pytest.mark.parametrize("family", [each for each in PARAMETERS if hasattr(each.values[0], "remat")])
def test_remat_recomputes_the_blocks(family):
    _, images, variables = small_and_variables(family)

    def blocks(model):
        call = functools.partial(model.apply, train=False)
        return len(list(outputs_of(jax.make_jaxpr(call)(variables, images).jaxpr, "remat2")))

    assert blocks(small(family, remat=True)[0]) > 1
    assert blocks(small(family)[0]) == 0


def test_remat_changes_no_gradient():
    _, images, variables = small_and_variables(models.CifarResNet)

    def gradient(model):
        def loss(params):
            options = {"train": True, "mutable": ["batch_stats"]}
            return jnp.square(model.apply({**variables, "params": params}, images, **options)[0]).mean()

        return quick_jit(jax.grad(loss))(variables["params"])

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5),
        gradient(small(models.CifarResNet, remat=True)[0]), gradient(small(models.CifarResNet)[0]),
    )  # fmt: skip


class Encoder(nn.Module):
    """The blocks of a ViT alone."""

    remat: bool

    @nn.compact
    def __call__(self, x):
        layers = Layers(True, "torch")
        return vit.encode(x, depth=3, remat=self.remat, layers=layers, heads=2, dropout=0.0)


@pytest.mark.parametrize("remat", [pytest.param(False, marks=pytest.mark.slow), True])
def test_the_blocks_of_a_vit_are_those_blocks_in_a_row(remat):
    """The loop over stacked variables, forward and backward."""
    block = vit.EncoderBlock(Layers(True, "torch"), heads=2)
    tokens = np.random.default_rng(0).normal(size=(2, 5, 12)).astype(np.float32)
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(Encoder(remat).init, jax.random.key(0), tokens)
    variables = jax.tree.map(lambda leaf: rng.uniform(-0.5, 0.5, leaf.shape).astype(np.float32), shapes)

    def in_a_row(variables):
        first, rest = variables["params"]["block_0"], variables["params"]["block_rest"]
        x = block.apply({"params": first}, tokens)
        for index in range(2):
            x = block.apply({"params": jax.tree.map(operator.itemgetter(index), rest)}, x)
        return x

    def looped(variables):
        return Encoder(remat).apply(variables, tokens)

    np.testing.assert_allclose(looped(variables), in_a_row(variables), rtol=1e-4, atol=1e-5)
    gradients, expected = (jax.grad(lambda v, f=f: (f(v) ** 2).sum())(variables) for f in (looped, in_a_row))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3), gradients, expected)


@every_model
def test_unknown_options_are_refused(name):
    with pytest.raises(ConfigError, match=r"model\.no_option: .* has no such option"):
        models.create(name, num_classes=3, no_option=1)
    with pytest.raises(ConfigError, match=r"model\.parent: .* has no such option"):
        models.create(name, num_classes=3, parent=None)  # a field that Flax adds


def test_unknown_name_gives_the_closest():
    with pytest.raises(ConfigError, match=r"model\.name: unknown name 'cn'; did you mean 'cnn'"):
        models.create("cn", num_classes=3)
    with pytest.raises(
        ConfigError, match=r"model\.name: unknown name 'resnet34_cifa'; did you mean 'resnet34_"
    ):
        models.input_shape("resnet34_cifa")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet20", {"depth": 56}, r"model\.depth: 'resnet20' has no such option"),
        ("resnet34_cifar", {"stem": "imagenet"}, r"model\.stem: 'resnet34_cifar' has no such option"),
        ("resnet20", {"shortcut": "C"}, r"model\.shortcut: 'resnet20' takes one of 'A', 'B', got 'C'"),
        ("cnn8", {"dtype": "float16"}, r"model\.dtype: 'cnn8' takes one of 'float32', 'bfloat16', got"),
        (
            "wrn28_10",
            {"init_scheme": "xavier_"},
            r"model\.init_scheme: .* takes one of 'torch', .* got 'xavier_'",
        ),
    ],
)
def test_what_a_name_stands_for_is_no_option(name, options, message):
    with pytest.raises(ConfigError, match=message):
        models.create(name, num_classes=3, **options)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (models.CifarResNet(3, depth=21), r"model: depth must be 6n \+ 2, got 21"),
        (models.CifarResNet(3, width=0), r"model: width must be at least 1, got 0"),
        (models.CifarResNet(3, dropout=1.0, depth=8), r"model\.dropout: must be in \[0, 1\), got 1\.0"),
        (models.WideResNet(3, depth=20), r"model: depth must be 6n \+ 4, got 20"),
        (models.WideResNet(3, widen_factor=0), r"model: widen_factor must be at least 1, got 0"),
        (models.ResNet(3, width=0), r"model: width must be at least 1"),
        (models.PreActResNet(3, width=0), r"model: width must be at least 1"),
        (models.PlainCNN(3, stages=((4,),) * 4), r"model: 4 stages fit images of at least 16 pixels"),
        (models.PlainCNN(3, stages=((4, 0),)), r"model: stages \(\(4, 0\),\) .* at least 1"),
        (models.CoTeachingCNN(3), r"model: CNN-9 takes images of at least 28 pixels, got 8 x 8"),
        (models.LeNet(3), r"model: LeNet takes images of at least 12 pixels, got 8 x 8"),
        (models.MLP(3, hidden=(8, 0)), r"model: hidden must be at least 1, got \(8, 0\)"),
        (models.GoogLeNet(3, width=0.01), r"model: width must leave channels to every layer, got 0\.01"),
        (models.InceptionBN(3, width=0.01), r"model: width must leave channels to every layer, got 0\.01"),
        (models.ViT(3, heads=5), r"model: heads must divide width, got 5 and 192"),
        (models.ViT(3, patch=3), r"model: patch must divide the image's sides, got 3 for 8 x 8"),
    ],
    ids=lambda case: type(case).__name__ if not isinstance(case, str) else "",
)  # fmt: skip
def test_options_that_do_not_fit_are_refused(model, message):
    with pytest.raises(ConfigError, match=message):
        shapes_of(model)


@pytest.mark.parametrize("image_shape", [(8, 8, 1), (28, 28, 1), (9, 12, 3)])
def test_logits_of_the_cnn_have_a_column_for_each_class(image_shape):
    model = models.create("cnn", num_classes=7)
    images = jax.ShapeDtypeStruct((5, *image_shape), jnp.float32)
    variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), images)
    logits = jax.eval_shape(lambda variables, x: model.apply(variables, x, train=False), variables, images)
    assert (logits.shape, logits.dtype) == ((5, 7), jnp.float32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"feature": (8,)},
            r"model\.feature: .*did you mean 'features'\? Known: dropout, dtype, features, hidden",
        ),
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
    logits, _, batch_stats = apply(model, variables, images, train)
    expected, expected_stats = cnn_in_numpy(variables, images.astype(np.float64), 2, train)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    if not train:
        expected_stats = variables["batch_stats"]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), batch_stats, expected_stats)


def test_dropout_keeps_the_mean_of_the_logits():
    model = models.create("cnn", num_classes=3, features=(4,), hidden=64, dropout=0.3)
    variables = variables_of(model)

    def logits(key):
        return model.apply(variables, IMAGES, train=True, rngs={"dropout": key}, mutable=["batch_stats"])[0]

    samples = jax.jit(jax.vmap(logits))(jax.random.split(jax.random.key(0), 2000))
    without = models.create("cnn", num_classes=3, features=(4,), hidden=64)
    expected, *_ = apply(without, variables, IMAGES, True)
    error = np.abs(samples.mean(0) - expected) / (samples.std(0) / np.sqrt(2000))
    assert error.max() < 4.5
