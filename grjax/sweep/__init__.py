"""Sweeps: many trials from one file and one command, sharing their compiled programs."""

from grjax.sweep.axes import chained, over, product, seeds, zipped
from grjax.sweep.definition import Sweep

__all__ = ["Sweep", "chained", "over", "product", "seeds", "zipped"]
