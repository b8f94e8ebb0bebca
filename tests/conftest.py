"""Strict settings for all tests: four virtual CPU devices, no silent rank promotion, folders of their own."""

import os
import signal
import tempfile

# Before jax is imported anywhere; the processes that tests start inherit all of this.
os.environ["JAX_PLATFORMS"] = "cpu"
# What runs for a few steps is not worth optimising: most of the time would go into that.
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=0"
# So that the commands that tests start need not start once more for it.
os.environ.setdefault("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
if "PYTEST_XDIST_WORKER" not in os.environ:  # workers share the folders of the process that started them
    _FOLDER = tempfile.TemporaryDirectory(prefix="grjax_tests_")
    os.environ["TFDS_DATA_DIR"] = os.path.join(_FOLDER.name, "data")
    # Many tests and processes compile the same programs.
    os.environ["JAX_COMPILATION_CACHE_DIR"] = os.path.join(_FOLDER.name, "compiled")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

# A shell lets what it starts in the background ignore Ctrl-C, which tests send here and to processes.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from grjax import host

host.tune()  # as run.py does: what is tested is what runs

import jax
import pytest


@pytest.fixture(autouse=True, scope="session")
def _strict_jax():
    jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(autouse=True, scope="module")
def _forget_programs():
    """A process may map 65,530 pieces of memory, and a worker compiles enough programs to fill them."""
    yield
    jax.clear_caches()


@pytest.fixture
def compile_quickly():
    """For runs of a few steps, most of whose time would go into optimising what is compiled."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="session")
def data_dir():
    """Where TFDS keeps data in these tests and in the processes they start."""
    return os.environ["TFDS_DATA_DIR"]


@pytest.fixture
def tfds_dir(tmp_path, monkeypatch):
    """A default folder of TFDS that is empty."""
    folder = tmp_path / "tfds"
    monkeypatch.setattr("tensorflow_datasets.core.constants.DATA_DIR", str(folder))
    return folder
