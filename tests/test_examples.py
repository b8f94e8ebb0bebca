"""The scripts of examples/ as their readers run them, and what Keras does with a loss of ours."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
NAMES = ("equinox_loop.py", "flax_nnx.py", "keras_jax.py")


def run(*arguments, tmp_path):
    """Standard output of a process with one device, in which a warning about its own code is an error."""
    environment = os.environ | {
        "XLA_FLAGS": "",
        "KERAS_HOME": str(tmp_path),  # Keras writes its config there
        "PYTHONPATH": os.pathsep.join([str(EXAMPLES.parent), str(EXAMPLES)]),
    }
    done = subprocess.run(
        [sys.executable, "-W", "error:::__main__", *arguments],
        env=environment, cwd=tmp_path, text=True, capture_output=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_run():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(NAMES)


# Flax is what grjax itself is written in; a step of Keras has a test below.
@pytest.mark.parametrize(
    "name", [name if name == "flax_nnx.py" else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
)
def test_gradient_rescaling_beats_cross_entropy(name, tmp_path):
    output = run(EXAMPLES / name, tmp_path=tmp_path)
    found = dict(re.findall(r"^(\w+): test accuracy (0\.\d{3})$", output, flags=re.MULTILINE))
    assert list(found) == ["cross_entropy", "gradient_rescaling"], output
    cross_entropy, gradient_rescaling = map(float, found.values())
    assert gradient_rescaling > 0.92
    assert gradient_rescaling > cross_entropy + 0.04


KERAS_STEP = """
import keras_jax  # chooses the backend
import keras, numpy as np

rng = np.random.default_rng(0)
images, labels = rng.normal(size=(6, 4)).astype("float32"), rng.integers(0, 3, 6)
sample_weight = np.array([0, 1, 2, 1, 0.5, 1], "float32")
softmax = lambda z: np.exp(z) / np.exp(z).sum(-1, keepdims=True)
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
before = np.float64(model.get_weights()[0])
loss = keras_jax.GrjaxLoss("gradient_rescaling", lam=0.5, beta=3.0, normalization="none")
model.compile(optimizer=keras.optimizers.SGD(1.0), loss=loss)
model.fit(images, labels[:, None], sample_weight=sample_weight, batch_size=6, verbose=0)
p = softmax(images @ before)
onehot = np.eye(3)[labels]
p_label = (p * onehot).sum(-1)
w = np.exp(3 * p_label**0.5 * (1 - p_label))
gradients = (w / (2 * (1 - p_label)) * sample_weight)[:, None] * (p - onehot)
expected = before - images.T @ gradients / 6
np.testing.assert_allclose(model.get_weights()[0], expected, rtol=1e-4, atol=1e-5)
print("as by hand")
"""


def test_a_step_of_keras_takes_the_rescaled_gradient(tmp_path):
    assert run("-c", KERAS_STEP, tmp_path=tmp_path) == "as by hand\n"
