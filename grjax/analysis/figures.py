"""`grjax figure`: one picture, in the format of its file's ending."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from grjax.analysis import weights as weight_curves
from grjax.analysis.report import page
from grjax.errors import GrjaxError, exit_in_one_line
from grjax.paths import as_path

DESCRIPTION = """One picture.

  emphasis                        the weights of the losses in the GR paper: runs/emphasis.png and .svg
  emphasis --losses gce:q=0.7 gradient_rescaling:lam=0.5,beta=8 --output two.pdf
  NAME FOLDER … --output FILE     a figure of the report of runs, or of a sweep

A loss is written `name` or `name:option=value,option=value`.
"""


def main(arguments: Sequence[str], program: str = "grjax figure") -> None:
    """The command line.

    Args:
      arguments: after `grjax figure`.
      program: as it was called, for the help.

    Raises:
      SystemExit: after a mistake, with exit code 2 or that of the error.
    """
    given = _parser(program).parse_args(arguments)
    # Losses raise ValueError for values out of their range.
    with exit_in_one_line(kinds=(GrjaxError, ValueError, OSError)):
        if given.name == "emphasis":
            _emphasis(given)
        else:
            page.draw(given.name, given.folders, given.output)
            print(given.output)


def _parser(program: str) -> argparse.ArgumentParser:
    plain = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(program, description=DESCRIPTION, formatter_class=plain)
    names = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    weights = names.add_parser("emphasis", help="the weight w(p) of losses, raw and as a density")
    weights.add_argument(
        "--losses", nargs="+", default=weight_curves.PAPER, metavar="LOSS", help="NAME or NAME:OPTION=VALUE,…"
    )
    weights.add_argument(
        "--output",
        type=as_path,
        default=Path("runs/emphasis"),
        help="ends in .pdf, .png, .svg, or writes .png, .svg",
    )
    weights.add_argument(
        "--docs", type=as_path, help="draw the documentation's pictures under this folder instead"
    )
    for name, title in page.titles().items():
        figure = names.add_parser(name, help=title)
        figure.add_argument(
            "folders", nargs="+", type=as_path, metavar="FOLDER", help="of a run or of a sweep"
        )
        figure.add_argument("--output", type=as_path, required=True, help="ends in .pdf, .png or .svg")
    return parser


def _emphasis(given: argparse.Namespace) -> None:
    if given.docs:
        jobs = {
            given.docs / "figures" / "losses" / f"{family}.svg": specs
            for family, specs in weight_curves.FAMILIES.items()
        }
        jobs[given.docs / "figures" / "emphasis.svg"] = weight_curves.PAPER
    elif given.output.suffix in (".pdf", ".png", ".svg"):
        jobs = {given.output: given.losses}
    else:  # also 'gce_0.7' has no ending
        jobs = {Path(f"{given.output}{ending}"): given.losses for ending in (".png", ".svg")}
    weights = {path: dict(map(weight_curves.parse, specs)) for path, specs in jobs.items()}
    for path, some in weights.items():
        weight_curves.draw(some, path)
        print(path)
