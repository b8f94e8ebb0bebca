"""Networks against PyTorch with the same weights: logits, gradients, running means. Needs extra `torch`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from grjax import models
from grjax.errors import ConfigError
from grjax.models import import_torch, state_dict
from grjax.models.initializers import SCHEMES

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional


class Block(nn.Module):
    """A basic block or a bottleneck, with torchvision's names."""

    def __init__(self, before, channels, stride, bottleneck, shortcut):
        super().__init__()
        after = 4 * channels if bottleneck else channels
        # (kernel, output, stride) of the convolutions
        plan = [(1, channels, 1), (3, channels, stride), (1, after, 1)] if bottleneck else []
        self.plan = plan or [(3, channels, stride), (3, channels, 1)]
        width = before
        for i, (kernel, out, step) in enumerate(self.plan, 1):
            setattr(self, f"conv{i}", nn.Conv2d(width, out, kernel, step, kernel // 2, bias=False))
            setattr(self, f"bn{i}", nn.BatchNorm2d(out))
            width = out
        self.stride, self.missing = stride, after - before
        if shortcut == "B" and (stride != 1 or after != before):
            self.downsample = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x):
        y = x
        for i in range(1, len(self.plan) + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            y = F.relu(y) if i < len(self.plan) else y
        if hasattr(self, "downsample"):
            x = self.downsample(x)
        elif self.missing:
            x = F.pad(
                x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.missing // 2, self.missing // 2)
            )
        return F.relu(y + x)


class TorchResNet(nn.Module):
    def __init__(self, lengths, width, classes, bottleneck=False, stem="cifar", shortcut="B"):
        super().__init__()
        self.pool = stem == "imagenet"
        kernel, stride = (7, 2) if self.pool else (3, 1)
        self.conv1 = nn.Conv2d(3, width, kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        before, self.stages = width, len(lengths)
        for i, length in enumerate(lengths, 1):
            channels, blocks = width * 2 ** (i - 1), []
            for j in range(length):
                stride = 2 if i > 1 and j == 0 else 1
                blocks.append(Block(before, channels, stride, bottleneck, shortcut))
                before = 4 * channels if bottleneck else channels
            setattr(self, f"layer{i}", nn.Sequential(*blocks))
        self.fc = nn.Linear(before, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.max_pool2d(x, 3, 2, 1) if self.pool else x
        for i in range(1, self.stages + 1):
            x = getattr(self, f"layer{i}")(x)
        return self.fc(x.mean((2, 3)))


class TorchPlainCNN(nn.Module):
    def __init__(self, stages, hidden, classes, pixels):
        super().__init__()
        self.plan, before, i = [], 3, 0
        for stage in stages:
            for channels in stage:
                i += 1
                setattr(self, f"conv{i}", nn.Conv2d(before, channels, 3, padding=1))
                setattr(self, f"bn{i}", nn.BatchNorm2d(channels))
                self.plan.append(i)
                before = channels
            self.plan.append("pool")
        self.fc1 = nn.Linear(before * pixels, hidden)
        setattr(self, f"bn{i + 1}", nn.BatchNorm1d(hidden))
        self.last = i + 1
        self.fc = nn.Linear(hidden, classes)

    def forward(self, x):
        for i in self.plan:
            x = (
                F.max_pool2d(x, 2)
                if i == "pool"
                else F.relu(getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(x)))
            )
        return self.fc(F.relu(getattr(self, f"bn{self.last}")(self.fc1(x.flatten(1)))))


class TorchLeNet(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, classes)

    def forward(self, x):
        for conv in (self.conv1, self.conv2):
            x = F.avg_pool2d(torch.tanh(conv(x)), 2)
        return self.fc(torch.tanh(self.fc2(torch.tanh(self.fc1(x.flatten(1))))))


QUICK = {"xla_backend_optimization_level": 0}  # compiled for one call
STAGES = ((64, 64), (128, 128), (196, 196))
full = pytest.mark.slow
CASES = {
    "cifar_resnet_A": (
        lambda: TorchResNet((2, 2, 2), 4, 5, shortcut="A"),
        models.CifarResNet(5, depth=14, width=4),
        (8, 8, 3),
    ),
    "cifar_resnet_B": (
        lambda: TorchResNet((1, 1, 1), 4, 5),
        models.CifarResNet(5, depth=8, width=4, shortcut="B"),
        (9, 8, 3),
    ),
    "bottleneck_imagenet": (
        lambda: TorchResNet((2, 1, 1, 1), 4, 5, True, "imagenet"),
        models.ResNet(5, stage_sizes=(2, 1, 1, 1), block="bottleneck", stem="imagenet", width=4),
        (41, 48, 3),
    ),
    "plain_cnn": (
        lambda: TorchPlainCNN(((4, 5), (6,)), 7, 5, 2 * 3),
        models.PlainCNN(5, stages=((4, 5), (6,)), hidden=7),
        (8, 12, 3),
    ),
    "lenet": (lambda: TorchLeNet(5), models.LeNet(5), (28, 28, 1)),
    "resnet20": (
        lambda: TorchResNet((3, 3, 3), 16, 10, shortcut="A"),
        models.create("resnet20", num_classes=10),
        (32, 32, 3),
    ),
    "resnet50_imagenet": (
        lambda: TorchResNet((3, 4, 6, 3), 64, 1000, True, "imagenet"),
        models.create("resnet50_imagenet", num_classes=1000),
        (64, 64, 3),
    ),
    "cnn8": (
        lambda: TorchPlainCNN(STAGES, 256, 10, 16), models.create("cnn8", num_classes=10), (32, 32, 3),
    ),
}  # fmt: skip
FULL = ("resnet20", "resnet50_imagenet", "cnn8")


@functools.cache
def randomised(name):
    """A PyTorch network with random batch norm, too, and its state dict in NumPy."""
    torch.manual_seed(0)
    network = CASES[name][0]()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor, low, high in (
                (module.weight, 0.5, 1.5), (module.bias, -0.5, 0.5),
                (module.running_mean, -0.5, 0.5), (module.running_var, 0.5, 1.5),
            ):  # fmt: skip
                nn.init.uniform_(tensor, low, high)
    return network.double(), {key: value.numpy().copy() for key, value in network.state_dict().items()}


def shapes_of(model, shape):
    return jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, *shape)), train=False))


def assert_close(ours, theirs, tolerance=1e-4):
    """Each leaf within a ten-thousandth of its largest value, or of a thousandth of the tree's."""
    floor = 1e-3 * max(np.abs(leaf).max() for leaf in jax.tree.leaves(theirs))
    for (path, a), b in zip(jax.tree.leaves_with_path(ours), jax.tree.leaves(theirs), strict=True):
        error = np.abs(np.asarray(a) - b).max() / (np.abs(b).max() + floor)
        assert error < tolerance, (jax.tree_util.keystr(path), error)


@pytest.mark.parametrize("name", [pytest.param(n, marks=[full] if n in FULL else []) for n in CASES])
@pytest.mark.parametrize("train", [False, True])
def test_logits_and_gradients_are_those_of_pytorch(name, train):
    _, model, shape = CASES[name]
    network, tensors = randomised(name)
    network.load_state_dict({key: torch.from_numpy(value.copy()) for key, value in tensors.items()})
    network.train(train).zero_grad()
    rng = np.random.default_rng(0)
    images = rng.normal(size=(6, *shape))
    labels = rng.integers(model.num_classes, size=6)
    their_logits = network(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    F.cross_entropy(their_logits, torch.from_numpy(labels)).backward()
    after = {key: value.numpy() for key, value in network.state_dict().items()}
    their_gradients = after | {key: value.grad.numpy() for key, value in network.named_parameters()}

    shapes = shapes_of(model, shape)
    # Batch norm over few pixels amplifies rounding, in PyTorch as here: both compute in float64.
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, np.float64), shapes)
        variables = import_torch.convert(tensors, wide)

        def loss(params):
            ours = {**variables, "params": params}
            logits, updated = model.apply(ours, images, train=train, mutable=["batch_stats"])
            log_p = jax.nn.log_softmax(logits.astype(jnp.float64))
            return -log_p[np.arange(6), labels].mean(), (logits, updated)

        gradient = jax.jit(jax.grad(loss, has_aux=True), compiler_options=QUICK)
        gradients, (logits, updated) = gradient(variables["params"])
        assert_close(logits, their_logits.detach().numpy())
        theirs = import_torch.convert(their_gradients, wide)
        assert_close(gradients, theirs["params"])
        if not train or "batch_stats" not in updated:
            return
        statistics = zip(
            jax.tree.leaves_with_path(updated["batch_stats"]),
            jax.tree.leaves(theirs["batch_stats"]),
            strict=True,
        )
        for (path, ours), expected in statistics:
            if path[-1].key == "mean":  # of the variance PyTorch keeps the unbiased one
                np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["cifar_resnet_A", "plain_cnn", "lenet"])
def test_logits_in_float32(name):
    _, model, shape = CASES[name]
    network, tensors = randomised(name)
    network.load_state_dict({key: torch.from_numpy(value.copy()) for key, value in tensors.items()})
    images = np.random.default_rng(0).normal(size=(6, *shape)).astype(np.float32)
    variables = import_torch.convert(tensors, shapes_of(model, shape))
    logits = jax.jit(functools.partial(model.apply, train=False), compiler_options=QUICK)(variables, images)
    with torch.no_grad():
        theirs = network.eval()(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).double())
    assert logits.dtype == jnp.float32
    assert_close(logits, theirs.numpy())


def test_initial_weights_are_distributed_as_pytorchs():
    torch.manual_seed(0)
    layer, dense = nn.Conv2d(30, 70, 5), nn.Linear(500, 300)
    drawn = {}
    for name, init in (
        ("torch", lambda w: None),
        ("torchvision", lambda w: nn.init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu")),
        ("apl", lambda w: nn.init.kaiming_uniform_(w, mode="fan_in", nonlinearity="relu")),
        ("xavier", nn.init.xavier_uniform_),
        ("msra", lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu")),
    ):
        init(layer.weight)
        drawn[name] = layer.weight.detach().numpy()
        scheme = SCHEMES[name]
        ours = np.asarray(scheme.conv(jax.random.key(0), (5, 5, 30, 70), jnp.float32))
        quantiles = np.linspace(0, 1, 21)
        spread = drawn[name].std()
        np.testing.assert_allclose(
            np.quantile(ours, quantiles)[1:-1], np.quantile(drawn[name], quantiles)[1:-1], atol=0.03 * spread
        )
        np.testing.assert_allclose(ours.std(), spread, rtol=0.02)
    for name, init in (("torch", lambda w: None), ("apl", nn.init.xavier_uniform_)):
        init(dense.weight)
        ours = np.asarray(SCHEMES[name].dense(jax.random.key(0), (500, 300), jnp.float32))
        np.testing.assert_allclose(np.abs(ours).max(), np.abs(dense.weight.detach().numpy()).max(), rtol=1e-2)
    bias = np.asarray(SCHEMES["torch"].dense_bias(500)(jax.random.key(1), (300,), jnp.float32))
    np.testing.assert_allclose(np.abs(bias).max(), 500**-0.5, rtol=0.03)
    np.testing.assert_allclose(bias.std(), dense.bias.detach().numpy().std(), rtol=0.1)


def test_files_of_pytorch_are_read(tmp_path):
    network, tensors = randomised("lenet")
    half = {key: value.half() for key, value in network.state_dict().items()}
    brain = {key: value.bfloat16() for key, value in network.state_dict().items()}
    checkpoint = {
        "epoch": 3,
        "state_dict": {f"module.{key}": value for key, value in network.state_dict().items()},
        "optimizer": {"state": {0: {"step": torch.zeros(())}}},
    }
    transposed = {
        key: value.T.contiguous().T for key, value in network.state_dict().items() if value.ndim == 2
    }
    for content, tolerance in (
        (network.state_dict(), 0), (half, 1e-3), (brain, 1e-2), (checkpoint, 0), (transposed, 0),
    ):  # fmt: skip
        for new_format in (True, False):
            path = tmp_path / "weights.pth"
            torch.save(content, path, _use_new_zipfile_serialization=new_format)
            found = state_dict.read(path)
            assert found.keys() <= tensors.keys()
            for key, value in found.items():
                np.testing.assert_allclose(value.astype(np.float64), tensors[key], rtol=tolerance, atol=1e-7)


def test_other_pickles_of_pytorch_are_refused(tmp_path):
    torch.save(TorchLeNet(3), tmp_path / "model.pth")
    with pytest.raises(ConfigError, match=r"no file of weights alone: it holds a .*TorchLeNet"):
        state_dict.read(tmp_path / "model.pth")
    torch.save(TorchLeNet(3), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(ConfigError, match=r"PyTorch cannot read .*old\.pth as weights: "):
        state_dict.read(tmp_path / "old.pth")
