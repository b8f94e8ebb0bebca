"""The curve of one loss: small, and without a background, so that it suits a light and a dark page."""

from pathlib import Path
from typing import Any

import numpy as np

from grjax.analysis import weights

_INK = "#7f8c8d"  # read on white and on black


def draw_weight(name: str, options: dict[str, Any], path: Path) -> None:
    """Draws the L1 norm of a loss's logit gradient over p.

    Args:
      name: a registered loss without memory.
      options: its hyper-parameters without default, and others that are to differ.
      path: of the SVG file.
    """
    import matplotlib
    from matplotlib.figure import Figure

    written = ",".join(f"{key}={value}" for key, value in options.items())
    _, weight = weights.parse(f"{name}:{written}" if written else name)
    p = np.linspace(0, 1, 129)
    values = np.exp(weights.log_weight(weight, p))
    with matplotlib.rc_context({"svg.hashsalt": "grjax"}):
        picture = Figure(figsize=(4.2, 2.4), layout="constrained")
        axes = picture.subplots()
        axes.plot(p, values, color="#e67e22", linewidth=2)
        axes.set(xlim=(0, 1), ylim=(0, None))
        axes.set_xlabel("p, probability of the label", color=_INK)
        axes.set_ylabel("w(p)", color=_INK)
        axes.tick_params(colors=_INK)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(_INK)
        axes.patch.set_visible(False)
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.savefig(path, transparent=True, metadata={"Date": None})
