"""Shapes and numbers of parameters of every registered model, against the arithmetic of its architecture.

The counts are derived here from the tables of the papers and repositories, without Flax. Where a source
prints or asserts a number, it stands beside.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import pytest

from grjax import models

every_model = pytest.mark.parametrize("name", models.names())


@functools.cache
def described(name):
    """(logits, features) and variables of a model of 10 classes as shapes and dtypes, for two images."""
    model = models.create(name, num_classes=10)
    images = jax.ShapeDtypeStruct((2, *models.input_shape(name)), jnp.float32)
    key = jax.ShapeDtypeStruct((), jax.random.key(0).dtype)
    init = functools.partial(model.init_with_output, train=False, features=True)
    return jax.eval_shape(init, key, images)


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def conv(before, after, kernel=3, bias=False):
    return kernel * kernel * before * after + (after if bias else 0)


def norm(*channels):
    return 2 * sum(channels)


def dense(before, after):
    return before * after + after


def cifar_resnet(depth, shortcut, classes=10):
    total, before = conv(3, 16) + norm(16), 16
    for channels in (16, 32, 64):
        for _ in range((depth - 2) // 6):
            total += conv(before, channels) + conv(channels, channels) + norm(channels, channels)
            if shortcut == "B" and before != channels:
                total += conv(before, channels, 1) + norm(channels)
            before = channels
    return total + dense(64, classes)


def resnet(lengths, bottleneck, stem_kernel, classes=10):
    total, before = conv(3, 64, stem_kernel) + norm(64), 64
    for channels, length in zip((64, 128, 256, 512), lengths, strict=True):
        after = 4 * channels if bottleneck else channels
        for _ in range(length):
            if bottleneck:
                total += conv(before, channels, 1) + conv(channels, channels) + conv(channels, after, 1)
                total += norm(channels, channels, after)
            else:
                total += conv(before, channels) + conv(channels, channels) + norm(channels, channels)
            if before != after:
                total += conv(before, after, 1) + norm(after)
            before = after
    return total + dense(before, classes)


def preact(lengths, widths, stem=64, final_norm=False, stem_norm=False, classes=10):
    total, before = conv(3, stem) + (norm(stem) if stem_norm else 0), stem
    for channels, length in zip(widths, lengths, strict=True):
        for _ in range(length):
            total += norm(before, channels) + conv(before, channels) + conv(channels, channels)
            total += conv(before, channels, 1) if before != channels else 0
            before = channels
    return total + (norm(before) if final_norm else 0) + dense(before, classes)


def wide(depth, factor):
    lengths, widths = [(depth - 4) // 6] * 3, [16 * factor, 32 * factor, 64 * factor]
    return preact(lengths, widths, stem=16, final_norm=True)


def plain(stages, hidden, pixels, channels):
    total, before = 0, channels
    for width in stages:
        total += conv(before, width, bias=True) + norm(width)
        before = width
    return total + dense(pixels * before, hidden) + norm(hidden) + dense(hidden, 10)


def cnn9():
    widths = (3, 128, 128, 128, 256, 256, 256, 512, 256, 128)
    pairs = itertools.pairwise(widths)
    return sum(conv(before, after, bias=True) + norm(after) for before, after in pairs) + dense(128, 10)


def chain(before, *layers):
    """Convolutions (channels, kernel) with bias and batch norm, one after the other."""
    total = 0
    for channels, kernel in layers:
        total += conv(before, channels, kernel, bias=True) + norm(channels)
        before = channels
    return total


def googlenet():
    table = (  # Szegedy et al., Table 1
        (64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64),
        (192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128),
        (256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128),
    )  # fmt: skip
    total, before = chain(3, (192, 3)), 192
    for one, reduced3, three, reduced5, five, pool in table:
        total += chain(before, (one, 1)) + chain(before, (reduced3, 1), (three, 3)) + chain(before, (pool, 1))
        total += chain(before, (reduced5, 1), (five, 3), (five, 3))
        before = one + three + five + pool
    assert before == 1024
    return total + dense(before, 10)


def inception_bn(classes=10):
    keep = {  # 1x1, 3x3 reduce and 3x3, double reduce and double, projection; with 0 halved
        "3a": (64, 64, 64, 64, 96, 32), "3b": (64, 64, 96, 64, 96, 64), "3c": (0, 128, 160, 64, 96, 0),
        "4a": (224, 64, 96, 96, 128, 128), "4b": (192, 96, 128, 96, 128, 128),
        "4c": (160, 128, 160, 128, 160, 128), "4d": (96, 128, 192, 160, 192, 128),
        "4e": (0, 128, 192, 192, 256, 0),
        "5a": (352, 192, 320, 160, 224, 128), "5b": (352, 192, 320, 192, 224, 128),
    }  # fmt: skip
    total, before = chain(3, (64, 7), (64, 1), (192, 3)), 192
    for one, reduced3, three, reduced, double, projection in keep.values():
        total += chain(before, (reduced3, 1), (three, 3)) + chain(
            before, (reduced, 1), (double, 3), (double, 3)
        )
        total += (chain(before, (one, 1)) + chain(before, (projection, 1))) if one else 0
        before = one + three + double + (projection or before)
    assert before == 1024
    return total + dense(before, classes)


def vit(tokens, patch, classes=10):
    block = norm(192, 192) + 4 * dense(192, 192) + dense(192, 768) + dense(768, 192)
    stem = conv(3, 192, patch, bias=True) + (tokens + 1) * 192 + 192  # patches, positions, class token
    return stem + 12 * block + norm(192) + dense(192, classes)


def cnn():
    widths = (1, 32, 32, 64, 64)
    convolutions = sum(conv(before, after) + norm(after) for before, after in itertools.pairwise(widths))
    return convolutions + 2 * 2 * 64 * 128 + norm(128) + dense(128, 10)


BASIC18, BASIC34 = (2, 2, 2, 2), (3, 4, 6, 3)
WIDTHS = (64, 128, 256, 512)

# By arithmetic, and as somebody else has counted: None where no source is known that prints it.
# [a] github.com/osmr/imgclsmob, asserted in pytorch/pytorchcv/models
# [b] the table of parameters in forks of github.com/kuangliu/pytorch-cifar
# [c] "num_params" of torchvision's weights, 1000 classes: below
EXPECTED = {
    "cnn": (cnn(), None),
    "mlp": (dense(100, 8) + dense(8, 10), None),
    "lenet": (
        conv(1, 6, 5, bias=True)
        + conv(6, 16, 5, bias=True)
        + dense(400, 120)
        + dense(120, 84)
        + dense(84, 10),
        None,
    ),
    "cnn4": (plain((32, 64), 128, 7 * 7, 1), None),
    "cnn8": (plain((64, 64, 128, 128, 196, 196), 256, 4 * 4, 3), None),
    "cnn9": (cnn9(), None),
    "resnet20": (cifar_resnet(20, "A"), None),  # He et al., Table 6: 0.27M
    "resnet32": (cifar_resnet(32, "A"), None),  # 0.46M
    "resnet44": (cifar_resnet(44, "A"), None),  # 0.66M
    "resnet56": (cifar_resnet(56, "A"), None),  # 0.85M
    "resnet110": (cifar_resnet(110, "A"), None),  # 1.7M
    "resnet18_cifar": (resnet(BASIC18, False, 3), 11_173_962),  # [b]
    "resnet34_cifar": (resnet(BASIC34, False, 3), 21_282_122),  # [b]
    "resnet50_cifar": (resnet(BASIC34, True, 3), 23_520_842),  # [b]
    "resnet18_imagenet": (resnet(BASIC18, False, 7), None),  # [c]
    "resnet34_imagenet": (resnet(BASIC34, False, 7), None),  # [c]
    "resnet50_imagenet": (resnet(BASIC34, True, 7), None),  # [c]
    "preact_resnet18": (preact(BASIC18, WIDTHS), 11_171_146),  # [b]
    "preact_resnet34": (preact(BASIC34, WIDTHS), 21_279_306),  # [b]
    "preact_resnet_gjs": (preact((5, 5, 5), (32, 64, 128), stem=32, final_norm=True), None),
    "wrn28_10": (wide(28, 10), 36_479_194),  # [a]
    "wrn40_2": (wide(40, 2), None),
    "googlenet": (googlenet(), 6_166_250),  # [b]
    "inception_bn": (inception_bn(), None),
    "vit": (vit(8 * 8, 4), None),
}

# For another number of classes, from the sources and from the docstrings.
OTHER_CLASSES = {
    ("resnet18_imagenet", 1000): 11_689_512,  # [c]
    ("resnet34_imagenet", 1000): 21_797_672,  # [c]
    ("resnet50_imagenet", 1000): 25_557_032,  # [c]
    ("inception_bn", 1000): 11_295_240,  # [a], as "bninception"
    ("wrn28_10", 100): 36_536_884,  # [a]
    ("cnn4", 100): 433_700,
    ("cnn8", 100): 1_662_924,
    ("cnn9", 100): 4_446_180,
    ("lenet", 100): 69_356,
    ("mlp", 100): 1_708,
    ("resnet20", 100): 275_572,
    ("resnet32", 100): 470_004,
    ("resnet44", 100): 664_436,
    ("resnet56", 100): 858_868,
    ("resnet110", 100): 1_733_812,
    ("resnet18_cifar", 100): 11_220_132,
    ("resnet34_cifar", 100): 21_328_292,
    ("resnet50_cifar", 100): 23_705_252,
    ("preact_resnet18", 100): 11_217_316,
    ("preact_resnet34", 100): 21_325_476,
    ("preact_resnet_gjs", 100): 1_871_748,
    ("wrn40_2", 100): 2_255_156,
    ("googlenet", 100): 6_258_500,
    ("inception_bn", 100): 10_372_740,
    ("vit", 100): 5_380_132,
}


@every_model
def test_logits_and_features_of_the_natural_input(name):
    (logits, features), variables = described(name)
    assert (logits.shape, logits.dtype) == ((2, 10), jnp.float32)
    assert (features.ndim, features.shape[0], features.dtype) == (2, 2, jnp.float32)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}


@every_model
def test_parameters_are_those_of_the_architecture(name):
    expected, published = EXPECTED[name]
    assert count(described(name)[1]["params"]) == expected
    assert published in (None, expected)


@pytest.mark.parametrize(("name", "classes"), OTHER_CLASSES)
def test_parameters_for_other_numbers_of_classes(name, classes):
    (_, features), variables = described(name)
    # A further class is a weight for each feature, and a bias.
    further = (classes - 10) * (features.shape[1] + 1)
    assert count(variables["params"]) + further == OTHER_CLASSES[name, classes]


@pytest.mark.parametrize(
    ("name", "options", "shape", "expected"),
    [
        ("resnet20", {"shortcut": "B"}, (32, 32, 3), 272_474),  # [a]
        ("resnet44", {"shortcut": "B"}, (32, 32, 3), 661_338),
        ("resnet56", {"shortcut": "B"}, (32, 32, 3), 855_770),  # [a]
        ("resnet110", {"shortcut": "B"}, (32, 32, 3), 1_730_714),  # [a]
        ("vit", {"patch": 16}, (224, 224, 3), vit(14 * 14, 16)),
        (
            "preact_resnet18",
            {"stem_norm": True, "activated_shortcut": True},
            (32, 32, 3),
            preact(BASIC18, WIDTHS, stem_norm=True),
        ),
    ],
)
def test_parameters_with_options(name, options, shape, expected):
    model = models.create(name, num_classes=10, **options)
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, *shape)), train=False))
    assert count(variables["params"]) == expected
    if "shortcut" in options:
        assert expected == cifar_resnet(int(name.removeprefix("resnet")), "B")
