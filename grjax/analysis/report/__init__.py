"""`--mode=report`: what came out of runs, on one page. Reads workdirs."""

from collections.abc import Sequence
from pathlib import Path


def write_report(workdirs: Sequence[Path], output: Path | None = None) -> Path:
    """Writes report.html, a page that needs no other file, and its figures as report/*.png and *.svg.

    Of one run: its curves, where its examples are on p, its labels, and where all of it comes from. Of
    several: a table and their curves together. Of a sweep: its tables, each setting, small multiples.
    Nothing is trained and no data set is read.

    Args:
      workdirs: of runs, finished or not; or the folder of one sweep.
      output: folder of the page; None: the workdir itself, of several the folder that holds them all.

    Returns:
      The path of report.html.

    Raises:
      WorkdirError: no run there, or a damaged one, a sweep beside others, or nothing can be written.
    """
    from grjax.analysis.report import page  # it and all beside it import them

    return page.write(workdirs, output)
