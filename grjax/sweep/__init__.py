"""Sweeps: many trials from one file and one command, sharing their compiled programs."""

from grjax.sweep.axes import chained, over, product, seeds, zipped
from grjax.sweep.definition import Sweep
from grjax.sweep.selection import Search, Select
from grjax.sweep.table import Table

__all__ = ["Search", "Select", "Sweep", "Table", "chained", "over", "product", "seeds", "zipped"]
