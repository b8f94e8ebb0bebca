"""Strict settings for all tests: four virtual CPU devices, no silent rank promotion, hermetic data folder."""

import os
import tempfile

# Before jax is imported anywhere.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
# TFDS reads it when it is imported; the processes that tests start inherit it.
_DATA = tempfile.TemporaryDirectory(prefix="grjax_data_")
os.environ["TFDS_DATA_DIR"] = _DATA.name

import jax
import pytest


@pytest.fixture(autouse=True, scope="session")
def _strict_jax():
    jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session")
def data_dir():
    """Where TFDS keeps data in these tests and in the processes they start."""
    return _DATA.name
