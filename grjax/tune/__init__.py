"""`--mode=tune`: choosing a loss on held-out noisy labels, and how far such a choice can be trusted."""

from grjax.tune.definition import Tune
from grjax.tune.resolution import kappa, kappa_of_pairs, resolution

__all__ = ["Tune", "kappa", "kappa_of_pairs", "resolution"]
