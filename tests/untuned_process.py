"""A new Python process, for what depends on when jax is imported."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def process(code, *arguments, **environment):
    """Standard output of a new process, in whose environment nothing is tuned yet."""
    untouched = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("MALLOC_", "XLA_", "GLIBC_", "GRJAX_"))
    }
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=untouched | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)} | environment,
        cwd=ROOT, text=True, capture_output=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout
