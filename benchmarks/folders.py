"""Where the documentation keeps what benchmarks write: measured runs, and the figures drawn from them."""

from pathlib import Path

_DOCS = Path(__file__).parent.parent / "docs"
RESULTS = _DOCS / "results" / "data"  # JSON; the pages beside it are written by hand
FIGURES = _DOCS / "figures"
