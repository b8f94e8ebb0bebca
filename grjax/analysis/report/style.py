"""How figures look: one width, so that text has one size, and colours that a page exchanges in the dark."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure


class Colour(NamedTuple):
    """A colour on paper, as every file has it, and on a dark page."""

    light: str
    dark: str


# Each light colour is one value that stands for nothing else: in a page it becomes a variable of the style
# sheet. Series after Okabe and Ito, made darker, or lighter in the dark, until text in them is legible.
THEME: Mapping[str, Colour] = {
    "paper": Colour("#ffffff", "#17191d"),
    "ink": Colour("#1c1e22", "#e8e9ec"),
    "quiet": Colour("#686d76", "#9da3ad"),
    "line": Colour("#d9dbdf", "#353940"),
    "shade": Colour("#56b4e9", "#2a6a9c"),
    "blue": Colour("#0069a8", "#6bb5f0"),
    "vermilion": Colour("#c04f00", "#f58b4c"),
    "green": Colour("#007a59", "#3fc49a"),
    "purple": Colour("#a8497f", "#dd8fbb"),
    "orange": Colour("#976400", "#e2ae45"),
    "sky": Colour("#2f7f9e", "#8fd0e6"),
    "grey": Colour("#5f6670", "#a9afb9"),
}
PAPER, INK, QUIET, LINE, SHADE = (THEME[name].light for name in ("paper", "ink", "quiet", "line", "shade"))
CLEAN, MISLABELLED, TEST = THEME["blue"].light, THEME["vermilion"].light, INK
SERIES = (INK, *(THEME[n].light for n in ("vermilion", "blue", "green", "purple", "orange", "sky", "grey")))
DASHES = ("solid", (0, (5, 1.5)), (0, (1.2, 1.2)))  # with which further series go on

DOTTED: Mapping[str, Any] = {"linewidth": 0.9, "linestyle": (0, (1.2, 2))}  # lines to compare with

WIDTH = 4.0  # inches; about what a phone shows, so that text is as large as on paper

RC: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": QUIET,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": QUIET,
    "axes.labelsize": 9,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "figure.facecolor": PAPER,
    "font.size": 9,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "savefig.facecolor": PAPER,
    "svg.fonttype": "none",  # text stays text: small, and in the page's own typeface
    "svg.hashsalt": "grjax",  # the same runs give the same file
    "text.color": INK,
    "text.parse_math": False,  # names of classes and runs may have a $
    "xtick.color": QUIET,
    "xtick.labelsize": 8.5,
    "ytick.color": QUIET,
    "ytick.labelsize": 8.5,
}


class Drawing(NamedTuple):
    """A figure, what to look for in it, and what it shows in words for who cannot see it."""

    figure: Figure
    caption: str
    alt: str


def panel(height: float = 2.7, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of the one width, with panels that lie over each other and share their x axis."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    panels = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    return figure, list(panels)


def series(number: int) -> dict[str, Any]:
    """Colour and dashes of the line with this number."""
    return {
        "color": SERIES[number % len(SERIES)],
        "linestyle": DASHES[number // len(SERIES) % len(DASHES)],
    }


def legend_above(figure: Figure, axes: Axes) -> None:
    """The legend of a panel over the figure, where nothing is drawn."""
    handles, names = axes.get_legend_handles_labels()
    short = sum(map(len, names)) < (40 if figure.get_figwidth() <= WIDTH else 80)
    columns = len(names) if short else 2 if max(map(len, names)) < 22 else 1
    figure.legend(
        handles, names, loc="outside upper left", ncols=columns,
        borderpad=0.1, columnspacing=1.2, handlelength=1.4, handletextpad=0.5,
    )  # fmt: skip


def label_ends(axes: Axes, ends: Sequence[tuple[float, str, str]], gap: float = 0.075) -> None:
    """Writes (y, text, colour) at the right end of lines, moved apart where they would touch.

    Args:
      axes: with its final y limits, on a linear scale.
      ends: one for each line; a y that is not finite is left out.
      gap: least distance of two labels, as a fraction of the axis.
    """
    bottom, top = axes.get_ylim()
    ends = sorted(end for end in ends if np.isfinite(end[0]))
    heights = spread([(y - bottom) / (top - bottom) for y, _, _ in ends], gap)
    for height, (_, text, colour) in zip(heights, ends, strict=True):
        axes.text(1.015, height, text, color=colour, va="center", fontsize=8.5, transform=axes.transAxes)


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Heights in [0, 1], ascending, moved as little as keeps them in it and `gap` apart."""
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + gap) if placed else height)
    limit = 1.0
    for number in reversed(range(len(placed))):
        placed[number] = min(placed[number], limit)
        limit = placed[number] - gap
    return placed
