"""What a stored result was measured on."""

import os
import platform
from pathlib import Path

import jax
import optax


def environment() -> dict[str, str]:
    """Versions and hardware, as they stand beside every stored figure."""
    return {
        "jax": jax.__version__,
        "optax": optax.__version__,
        "python": platform.python_version(),
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "cpu": f"{os.cpu_count()} cores, {_cpu_name()}",
    }


def _cpu_name() -> str:
    path = Path("/proc/cpuinfo")  # Python's platform module does not say on Linux
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
