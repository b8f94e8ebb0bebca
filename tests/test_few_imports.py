"""Losses, emphasis and noise need jax, numpy and scipy alone: what `pip install --no-deps grjax` leaves."""

import subprocess
import sys

import pytest

# What an installation of jax brings along, or the standard library.
ALLOWED = ("grjax", "jax", "jaxlib", "ml_dtypes", "numpy", "opt_einsum", "scipy")

GUARD = """
import importlib.machinery, sys

class Hiding(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in ALLOWED or top in sys.stdlib_module_names or top.startswith("_"):
            return super().find_spec(name, path, target)
        return None  # as if it were not installed

sys.meta_path = [importlib.machinery.BuiltinImporter, importlib.machinery.FrozenImporter, Hiding]
"""

USES = {
    "losses": """
import jax, jax.numpy as jnp
from grjax import losses
logits, labels = jnp.array([[2.0, 0.0], [0.0, 2.0]]), jnp.array([0, 0])
for name in losses.names():
    if name not in ("gradient_rescaling", "imae", "proselflc", "forward_correction", "backward_correction"):
        losses.create(name)
losses.create("gradient_rescaling", lam=0.5, beta=8.0)(logits, labels)
losses.create("sce", defaults="cifar10")(logits, labels)
beta = losses.schedules.create("linear", total_steps=10, start=0.0, end=1.0)
loss = losses.for_training("gradient_rescaling", lam=0.5, beta=beta)
loss.apply(logits, labels, (), jnp.int32(3))
losses.for_training("elr").init(labels, 2)
""",
    "emphasis": """
from grjax import emphasis
assert abs(float(emphasis.mode(emphasis.PowerExponential(0.5, 8.0))) - 1 / 3) < 1e-3
""",
    "noise": """
import os, tempfile
import numpy as np
from grjax import noise
noisy = noise.create("symmetric", rate=0.4)(np.arange(100) % 10, 10)
assert noisy.realised_rate > 0
from grjax.noise import imbalance, open_set
imbalance.create("long_tail", ratio=10)(np.arange(100) % 10, 10, np.arange(100))
""",
}


def run(code):
    guarded = f"ALLOWED = {ALLOWED}" + GUARD + code
    return subprocess.run([sys.executable, "-c", guarded], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", USES)
def test_works_with_jax_numpy_and_scipy_alone(name):
    found = run(USES[name])
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("other", ["flax", "optax", "ml_collections", "sklearn", "PIL", "rich", "absl"])
def test_the_guard_guards(other):
    assert f"No module named '{other}'" in run(f"import {other}").stderr
