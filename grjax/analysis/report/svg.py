"""A figure as a file, and as part of a page."""

import io
import re
from collections.abc import Mapping
from html import escape

from matplotlib.figure import Figure

from grjax.analysis.report.style import THEME

_HEADER = re.compile(r"^.*?(?=<svg)", re.DOTALL)  # XML declaration and doctype: of files
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_STYLE = re.compile(r"\s*<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL)  # of every element of the page
_ID = re.compile(r'\bid="([^"]+)"')
_REFERENCE = re.compile(r'(href="#|url\(#)([^")]+)')
_TYPEFACE = re.compile(r"'DejaVu Sans'[^;\"]*")
_UNDATED = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
_COLOUR = re.compile("|".join(colour.light for colour in THEME.values()), re.IGNORECASE)
_NAMES: Mapping[str, str] = {colour.light: name for name, colour in THEME.items()}


def variable(colour: str) -> str:
    """The style sheet's expression for a light colour of the theme."""
    return f"var(--{_NAMES[colour.lower()]})"


def render(figure: Figure, ending: str) -> bytes:
    """The figure as a file of that ending: 'png', 'svg' or 'pdf'. The same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=ending, dpi=200, metadata=_UNDATED.get(ending))
    return buffer.getvalue()


def inline(file: bytes, name: str, alt: str) -> str:
    """An SVG file of `render` as an element of a page.

    Its colours become the variables of the page's style sheet, its text the page's typeface, and its ids
    begin with `name`: those of several figures would meet in one page.

    Args:
      file: of `render`.
      name: of the figure, unlike all others of the page.
      alt: read to those who do not see it.
    """
    text = _STYLE.sub("", _METADATA.sub("", _HEADER.sub("", file.decode())), count=1)
    text = _ID.sub(rf'id="{name}-\1"', text)
    text = _REFERENCE.sub(rf"\1{name}-\2", text)
    text = _TYPEFACE.sub("var(--sans)", text)
    text = _COLOUR.sub(lambda match: variable(match.group()), text)
    attributes = f'role="img" aria-label="{escape(alt)}"'
    return text.replace("<svg ", f"<svg {attributes} ", 1).strip()
