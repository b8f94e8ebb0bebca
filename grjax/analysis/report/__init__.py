"""`--mode=report`: what came out of runs, on one page. Reads workdirs."""

import os
from collections.abc import Sequence
from pathlib import Path

from grjax.paths import as_path


def write_report(
    workdirs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str] | None = None,
) -> Path:
    """Writes report.html, a page that needs no other file, and its figures as report/*.png and *.svg.

    For one run it has the curves, where the examples are on p, the labels, and where all of it comes from.
    For several it has a table and their curves together; for a sweep its tables, each setting, and small
    multiples.
    Nothing is trained and no data set is read.

    Args:
      workdirs: of runs, finished or not; or the folder of one sweep. One alone needs no list.
      output: folder of the page; None: the workdir itself, of several the folder that holds them all.

    Returns:
      The path of report.html.

    Raises:
      WorkdirError: no run there, or a damaged one, a sweep beside others, or nothing can be written.
    """
    from grjax.analysis.report import page  # it and all beside it import them

    several = [workdirs] if isinstance(workdirs, str | os.PathLike) else workdirs
    return page.write([as_path(each) for each in several], None if output is None else as_path(output))
