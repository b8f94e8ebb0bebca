"""docs/methods.md: what a step costs is what the stored run says."""

import json
from pathlib import Path

from benchmarks import methods

DOCS = Path(__file__).parents[1] / "docs"


def test_the_table_is_that_of_the_stored_run():
    found = json.loads((DOCS / "results" / "methods_speed_cpu.json").read_text())
    assert methods.table(found) in (DOCS / "methods.md").read_text()
