"""`--mode=report`: what came out of runs, on one page. Reads workdirs; needs the extra `figures`."""

from collections.abc import Sequence
from pathlib import Path

from grjax.errors import require


def write_report(workdirs: Sequence[Path], output: Path | None = None) -> Path:
    """Writes report.html, a page that needs no other file, and its figures as report/*.png and *.svg.

    Of one run: its curves, where its examples are on p, its labels, and where all of it comes from. Of
    several: a table and their curves together. Nothing is trained and no data set is read.

    Args:
      workdirs: of runs, finished or not.
      output: folder of the page; None: the workdir itself, of several the folder that holds them all.

    Returns:
      The path of report.html.

    Raises:
      ConfigError: matplotlib or jinja2 is not installed.
      WorkdirError: no run there, or a damaged one, or nothing can be written.
    """
    for package in ("matplotlib", "jinja2", "markdown_it"):
        require(package, "figures")
    from grjax.analysis.report import page  # it and all beside it import them

    return page.write(workdirs, output)
