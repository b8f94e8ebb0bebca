"""Pretrained weights: names, shapes, files, and how a config asks for them."""

import collections
import fractions
import functools
import io
import pickle
import re
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from grjax import config, experiment, models
from grjax.errors import ConfigError
from grjax.models import import_torch, state_dict

MODEL = models.CifarResNet(num_classes=4, depth=14, width=2, shortcut="B")


@functools.cache
def shapes_of(model):
    images = jnp.zeros((1, 8, 8, 3))
    return jax.eval_shape(lambda: model.init(jax.random.key(0), images, train=False))


def state_dict_of(num_classes=4):
    """The tensors of `MODEL` under PyTorch's names and in its order of axes, written down by hand."""
    rng = np.random.default_rng(0)
    tensors = {}

    def add(name, *shape):
        tensors[name] = rng.uniform(0.5, 1.5, shape).astype(np.float32)

    def norm(name, channels):
        for kind in ("weight", "bias", "running_mean", "running_var"):
            add(f"{name}.{kind}", channels)
        tensors[f"{name}.num_batches_tracked"] = np.array(7)

    add("conv1.weight", 2, 3, 3, 3)
    norm("bn1", 2)
    before = 2
    for stage, channels in ((1, 2), (2, 4), (3, 8)):
        for block in (0, 1):
            prefix = f"layer{stage}.{block}"
            add(f"{prefix}.conv1.weight", channels, before, 3, 3)
            add(f"{prefix}.conv2.weight", channels, channels, 3, 3)
            norm(f"{prefix}.bn1", channels)
            norm(f"{prefix}.bn2", channels)
            if before != channels:
                add(f"{prefix}.downsample.0.weight", channels, before, 1, 1)
                norm(f"{prefix}.downsample.1", channels)
            before = channels
    add("fc.weight", num_classes, 8)
    add("fc.bias", num_classes)
    return tensors


def test_names_and_axes():
    tensors = state_dict_of()
    variables = import_torch.convert(tensors, shapes_of(MODEL))
    assert jax.tree.map(np.shape, variables) == jax.tree.map(np.shape, shapes_of(MODEL))
    params, stats = variables["params"], variables["batch_stats"]
    conv = tensors["layer2.0.conv1.weight"]  # [out, in, height, width]
    assert params["layer2_0"]["conv1"]["kernel"][1, 2, 0, 3] == conv[3, 0, 1, 2]
    np.testing.assert_array_equal(params["fc"]["kernel"], tensors["fc.weight"].T)
    np.testing.assert_array_equal(params["fc"]["bias"], tensors["fc.bias"])
    np.testing.assert_array_equal(params["layer3_1"]["bn2"]["scale"], tensors["layer3.1.bn2.weight"])
    np.testing.assert_array_equal(stats["bn1"]["mean"], tensors["bn1.running_mean"])
    np.testing.assert_array_equal(
        stats["layer3_0"]["downsample_1"]["var"], tensors["layer3.0.downsample.1.running_var"]
    )


def test_names_of_other_repositories():
    renamed = {
        name.replace("fc.", "linear.").replace("downsample.", "shortcut."): value
        for name, value in state_dict_of().items()
    }
    ours = import_torch.convert(state_dict_of(), shapes_of(MODEL))
    jax.tree.map(np.testing.assert_array_equal, import_torch.convert(renamed, shapes_of(MODEL)), ours)


def test_the_classifier_stays_unless_asked_for():
    variables = jax.tree.map(lambda leaf: np.full(leaf.shape, 3, leaf.dtype), shapes_of(MODEL))
    loaded = import_torch.convert(state_dict_of(num_classes=9), variables, head=False)
    np.testing.assert_array_equal(loaded["params"]["fc"]["kernel"], 3)
    np.testing.assert_array_equal(loaded["params"]["fc"]["bias"], 3)
    assert np.abs(loaded["params"]["conv1"]["kernel"] - 3).min() > 1
    without = {name: value for name, value in state_dict_of().items() if not name.startswith("fc.")}
    import_torch.convert(without, variables, head=False)
    with pytest.raises(ConfigError, match=r"does not fit the model: missing fc\.bias, fc\.weight$"):
        import_torch.convert(without, variables, head=True)


def test_what_does_not_fit_is_listed_in_one_error():
    tensors = state_dict_of(num_classes=9)
    del tensors["layer1.0.bn1.weight"], tensors["layer3.1.conv2.weight"]
    tensors["layer4.0.conv1.weight"] = np.zeros((1, 1, 1, 1))
    with pytest.raises(
        ConfigError,
        match=re.escape(
            "model.pretrained: the state dict does not fit the model: "
            "missing layer1.0.bn1.weight, layer3.1.conv2.weight; unexpected layer4.0.conv1.weight; "
            "of another shape fc.bias (9,) for (4,), fc.weight (8, 9) for (8, 4)"
        ),
    ):
        import_torch.convert(tensors, shapes_of(MODEL))


def test_safetensors(tmp_path):
    tensors = state_dict_of()
    save_file(tensors, tmp_path / "weights.safetensors")
    loaded = import_torch.load(tmp_path / "weights.safetensors", shapes_of(MODEL), head=True)
    jax.tree.map(np.testing.assert_array_equal, loaded, import_torch.convert(tensors, shapes_of(MODEL)))
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(loaded))


class Storage:
    """Pickles to what PyTorch writes for a storage: a reference to a file of the archive."""

    def __init__(self, dtype, key, size):
        self.reference = ("storage", dtype, key, "cpu", size)


def global_of(module, name):
    """Pickles as the function or class of that name, which need not exist here."""
    function = type("Global", (), {})
    function.__module__, function.__qualname__, function.__name__ = module, name, name
    return function


class Rebuilt:
    """Pickles to the call that makes a tensor."""

    def __init__(self, *arguments):
        self.arguments = arguments

    def __reduce__(self):
        return REBUILD, self.arguments


def rebuild(*arguments):
    raise AssertionError("only pickled")


REBUILD = rebuild


class Pickler(pickle._Pickler):  # the one in Python: it lets names be written that are not importable
    def persistent_id(self, value):
        return value.reference if isinstance(value, Storage) else None

    def save_global(self, value, name=None):
        module, name = (
            ("torch._utils", "_rebuild_tensor_v2")
            if value is rebuild
            else (value.__module__, value.__qualname__)
        )
        self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
        self.memoize(value)

    dispatch = pickle._Pickler.dispatch | {type(rebuild): save_global, type: save_global}


def write_archive(path, content, files):
    """What torch.save writes, without PyTorch: a pickle, and a file for each storage."""
    pickled = io.BytesIO()
    Pickler(pickled, 2).dump(content)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights/data.pkl", pickled.getvalue())
        for key, array in files.items():
            archive.writestr(f"weights/data/{key}", array.tobytes())


def archived(shape, strides, offset=0, size=12, dtype="FloatStorage"):
    storage = Storage(global_of("torch", dtype), "0", size)
    return Rebuilt(storage, offset, shape, strides, False, collections.OrderedDict())


def test_archives_are_read_without_pytorch(tmp_path):
    numbers = np.arange(12, dtype=np.float32)
    content = collections.OrderedDict(
        whole=archived((3, 4), (4, 1)), turned=archived((4, 3), (1, 4)), part=archived((2,), (1,), offset=5)
    )
    write_archive(tmp_path / "w.pth", {"state_dict": content, "epoch": 3}, {"0": numbers})
    found = state_dict.read(tmp_path / "w.pth")
    assert found.keys() == {"whole", "turned", "part"}
    np.testing.assert_array_equal(found["whole"], numbers.reshape(3, 4))
    np.testing.assert_array_equal(found["turned"], numbers.reshape(3, 4).T)
    np.testing.assert_array_equal(found["part"], [5, 6])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"w": archived((4, 4), (4, 1))}, r"a tensor \(4, 4\) lies outside its storage of 12"),
        ({"w": archived((2,), (-1,), offset=1)}, r"a tensor \(2,\) lies outside"),
        ({"w": archived((2,), (1,), offset=-4)}, r"a tensor \(2,\) lies outside"),
        ({"w": archived((2,), (1,), dtype="QInt8Storage")}, r"it holds a torch\.QInt8Storage; save model"),
        ({"w": fractions.Fraction(1, 3)}, r"it holds a fractions\.Fraction; save model\.state_dict\(\)"),
        ([1, 2], r"holds a list, not a state dict"),
        ({"epoch": 3}, r"holds no tensors under names"),
    ],
)
def test_archives_of_something_else_are_refused(tmp_path, content, message):
    write_archive(tmp_path / "w.pth", content, {"0": np.arange(12, dtype=np.float32)})
    with pytest.raises(ConfigError, match=f"model.pretrained: .*{message}"):
        state_dict.read(tmp_path / "w.pth")


def test_damaged_and_missing_files_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"must be a file of weights, '.*none' is none"):
        state_dict.read(tmp_path / "none")
    (tmp_path / "w.safetensors").write_bytes(b"\x08" + bytes(7) + b"{}......")
    with pytest.raises(ConfigError, match=r"w\.safetensors is no whole safetensors file"):
        state_dict.read(tmp_path / "w.safetensors")
    write_archive(tmp_path / "w.pth", {"w": archived((3, 4), (4, 1))}, {})
    with pytest.raises(ConfigError, match=r"no file of weights alone: .*weights/data/0"):
        state_dict.read(tmp_path / "w.pth")


def test_older_files_name_the_extra_where_pytorch_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    (tmp_path / "old.pth").write_bytes(pickle.dumps({}))
    with pytest.raises(ConfigError, match=r"needs PyTorch: pip install 'grjax\[torch\]'"):
        state_dict.read(tmp_path / "old.pth")


def digits(**model):
    layer = {"model": {"name": "lenet", **model}, "data": {"name": "digits"}}
    return config.resolve(layer)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pretrained": 3}, r"model\.pretrained: must be a path or None, got 3"),
        ({"pretrained_head": "yes"}, r"model\.pretrained_head: must be true or false, got 'yes'"),
    ],
)
def test_a_config_of_pretrained_weights_is_checked_before_the_data(options, message):
    with pytest.raises(ConfigError, match=message):
        experiment.create(digits(**options))


def test_a_run_begins_with_pretrained_weights(tmp_path):
    """The weights are all 2; a run that loads the classifier, too, is all 2."""
    path = tmp_path / "weights.safetensors"
    model = {"name": "cnn4", "pretrained": str(path)}
    layers = {"conv1": (32, 1, 3, 3), "conv2": (64, 32, 3, 3), "fc1": (128, 64 * 2 * 2), "fc": (10, 128)}
    tensors = {}
    for name, shape in layers.items():
        tensors |= {f"{name}.weight": np.full(shape, 2.0), f"{name}.bias": np.full(shape[0], 2.0)}
    for name, channels in (("bn1", 32), ("bn2", 64), ("bn3", 128)):
        for kind in ("weight", "bias", "running_mean", "running_var"):
            tensors[f"{name}.{kind}"] = np.full(channels, 2.0)
    save_file(tensors, path)

    state = experiment.create(config.resolve({"model": model})).init_state().learner
    is_two = jax.tree.map(lambda leaf: bool((leaf == 2).all()), {**state.params, **state.batch_stats})
    assert is_two.pop("fc") == {"kernel": False, "bias": False}
    assert all(jax.tree.leaves(is_two))
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(state.params))
    assert np.std(state.params["fc"]["kernel"]) > 0.01

    with_head = experiment.create(config.resolve({"model": {**model, "pretrained_head": True}}))
    variables = with_head.parts.pretrain({"params": state.params, "batch_stats": state.batch_stats})
    assert all((leaf == 2).all() for leaf in jax.tree.leaves(variables))

    save_file({name: value for name, value in tensors.items() if "bn1" not in name}, path)
    with pytest.raises(
        ConfigError, match=r"weights\.safetensors does not fit the model: missing bn1\.bias, "
    ):
        experiment.create(config.resolve({"model": model}))
