"""docs/reference/methods.md: what a step costs is what the stored run says."""

import json

from benchmarks import methods
from benchmarks.folders import RESULTS

PAGE = RESULTS.parents[1] / "reference" / "methods.md"


def test_the_table_is_that_of_the_stored_run():
    stored = json.loads((RESULTS / "methods_speed_cpu.json").read_text())
    assert methods.table(stored) in PAGE.read_text()
