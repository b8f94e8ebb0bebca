"""The notebooks of examples/notebooks: committed without outputs, and what their readers get."""

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parent.parent / "examples" / "notebooks"
# What each notebook prints, and what must hold of the numbers there: that is what it is for.
EXPECTED = {
    "audit_image_folder": (
        r"(\d+) images are suspected, (\d+) of them are misplaced, of (\d+)",
        lambda suspected, right, misplaced: right > 0.75 * suspected and right > 0.75 * misplaced,
    ),
    "audit_table": (
        r"precision (0\.\d+), recall (0\.\d+)",
        lambda precision, recall: precision > 0.7 and recall > 0.7,
    ),
    "robust_loss_flax_nnx": (
        r"(?s)cross_entropy: test accuracy (0\.\d+).*gradient_rescaling: test accuracy (0\.\d+)",
        lambda cross_entropy, rescaling: rescaling > 0.92 and rescaling > cross_entropy + 0.04,
    ),
    "workdir_with_pandas": (
        r"test accuracy (0\.\d+), memorisation (0\.\d+)",
        lambda accuracy, memorisation: accuracy > 0.5 and memorisation > 0.2,
    ),
}
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def test_every_notebook_is_run():
    assert [path.stem for path in NOTEBOOKS] == list(EXPECTED)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
    assert set(notebook.metadata) == {"kernelspec", "language_info"}


@pytest.mark.slow  # .ci/run has it, beside the others
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_does_what_it_says(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    own = {"XLA_FLAGS": "", "PYTHONPATH": str(FOLDER.parent.parent), "TMPDIR": str(tmp_path)}
    client.execute(env={**os.environ, **own})
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    streams = {"stdout": "", "stderr": ""}
    for output in outputs:
        if output.output_type == "stream":
            streams[output.name] += output.text
    assert "Warning" not in streams["stderr"]
    pattern, holds = EXPECTED[path.stem]
    found = re.search(pattern, streams["stdout"])
    assert found, streams
    assert holds(*map(float, found.groups())), found.group()
