"""Every entry point sets up the host before jax is imported, and the library does not."""

import pytest
from untuned_process import ROOT, process

# The first import of jax, wherever it is, ends the process; it says whether the host was set up then.
AT_IMPORT = """
import os, runpy, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "jax":
            from grjax import host
            print("tuned" if host.tuned() else "not tuned", flush=True)
            os._exit(0)

sys.meta_path.insert(0, Watch())
script = sys.argv[1]
sys.argv = sys.argv[1:2]
sys.path.insert(0, os.path.dirname(script))
runpy.run_path(script, run_name="__main__")
print("no jax")
"""
# Benchmarks that measure nothing with jax in their own process.
WITHOUT = {"noise_table", "phuber_mnist_torch", "startup", "train", "train_torch"}
WITHOUT |= {"emphasis_test"}  # YNN does not take its vmapped evaluation, see docs/guide/speed.md
BENCHMARKS = [
    path
    for path in sorted((ROOT / "benchmarks").glob("*.py"))
    if '__name__ == "__main__"' in path.read_text() and path.stem not in WITHOUT
]
ENTRY_POINTS = [
    ROOT / "run.py",
    ROOT / "tests" / "conftest.py",
    *sorted((ROOT / "examples").glob("*.py")),
    *BENCHMARKS,
]


@pytest.mark.parametrize("path", ENTRY_POINTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_host_is_set_up_before_jax_is_imported(path):
    if path.stem == "keras_jax":
        pytest.importorskip("keras")
    assert process(AT_IMPORT, path, KERAS_BACKEND="jax").splitlines()[-1] == "tuned"


def test_the_library_does_not_set_it_up():
    code = "import os, grjax.train, grjax.host as host; print(host.tuned(), os.environ.get('XLA_FLAGS'))"
    assert process(code) == "None None\n"
