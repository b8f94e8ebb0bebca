"""Table 8 of Wang et al., arXiv:1905.11233: regularisers on a small data set, Vehicles-10, ResNet-44.

  python run.py --mode=sweep --config=configs/gr_table8.py --workdir=runs/gr_table8
  python run.py --mode=sweep --config=configs/gr_table8.py:quick=true --workdir=runs/quick   on digits

16 runs a seed, each of the 30,000 steps of configs/gr_vehicles10.py, which says what in the protocol is
not exactly the paper's. Lam, beta, weight decay and dropout rate are not printed; here they are those of
its Table 6. Whether the numbers are last or best evaluations is not said; they stand beside our last.
"""

from grjax.configs.gr_table6 import LOSSES, REGULARISERS
from grjax.configs.gr_vehicles10 import build as gr_vehicles10
from ml_collections import ConfigDict

from grjax.config import card
from grjax.sweep import Sweep, Table, product, seeds

ROWS = {
    "clean": {"noise.name": "symmetric", "noise.rate": 0.0},
    "symmetric .4": {"noise.name": "symmetric", "noise.rate": 0.4},
}
COLUMNS = {
    f"{loss}{regulariser}": {**LOSSES[loss], **REGULARISERS[regulariser]}
    for loss in LOSSES
    for regulariser in REGULARISERS
}

# Test accuracy in %, a value for each of COLUMNS.
PUBLISHED = {
    "clean": (75.4, 76.4, 77.9, 78.7, 83.8, 84.4, 84.5, 84.7),
    "symmetric .4": (42.3, 44.8, 41.6, 47.4, 45.8, 55.7, 48.8, 58.1),
}


def build(*, num_seeds: int = 3, quick: bool = False) -> Sweep:
    rows = {"symmetric .4": ROWS["symmetric .4"]} if quick else ROWS
    return Sweep(
        base=ConfigDict(gr_vehicles10(quick=quick) | (card.QUICK_TABLE if quick else {})),
        trials=product(list(rows.values()), list(COLUMNS.values()), seeds(range(2 if quick else num_seeds))),
        table=Table(
            title="Digits, a few steps" if quick else "Regularisers, Vehicles-10, ResNet-44",
            rows=rows,
            columns=COLUMNS,
            percent=True,
            published={} if quick else PUBLISHED,
            source="Wang et al., arXiv:1905.11233, Table 8",
        ),
    )


def get_sweep(argument: str | None = None) -> Sweep:
    return build(**card.parse(build, argument or ""))
