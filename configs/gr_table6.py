"""Table 6 of Wang et al., arXiv:1905.11233: regularisers, CIFAR-100, ResNet-44, 40% symmetric noise.

  python run.py --mode=sweep --config=configs/gr_table6.py --workdir=runs/gr_table6
  python run.py --mode=sweep --config=configs/gr_table6.py:quick=true --workdir=runs/quick   on digits

8 runs a seed, 5 seeds as in the paper, each of the 30,000 steps of configs/gr_cifar100.py, which says what
in the protocol is not exactly the paper's. Lam, beta, weight decay and dropout rate are those of the table.
Whether its numbers are last or best evaluations is not said; they stand beside our last.
"""

from typing import Any

from grjax.configs.gr_cifar100 import build as gr_cifar100
from ml_collections import ConfigDict

from grjax.config import card
from grjax.sweep import Sweep, Table, product, seeds

LOSSES: dict[str, dict[str, Any]] = {
    "CE": {"loss.name": "cross_entropy"},
    "GR": {
        "loss.name": "gradient_rescaling",
        "loss.normalization": "batch",
        "loss.lam": 0.5,
        "loss.beta": 8.0,
    },
}
REGULARISERS: dict[str, dict[str, Any]] = {
    "": {"optimizer.weight_decay": 0.0, "model.dropout": 0.0},
    " + L2": {"optimizer.weight_decay": 1e-4, "model.dropout": 0.0},
    " + dropout": {"optimizer.weight_decay": 0.0, "model.dropout": 0.2},
    " + both": {"optimizer.weight_decay": 1e-4, "model.dropout": 0.2},
}
ROWS = {
    f"{loss}{regulariser}": {**LOSSES[loss], **REGULARISERS[regulariser]}
    for loss in LOSSES
    for regulariser in REGULARISERS
}
COLUMNS = {"symmetric .4": {"noise.name": "symmetric", "noise.rate": 0.4}}

# Test accuracy in %, mean and standard deviation of 5 runs.
PUBLISHED = {
    "CE": [(44.7, 0.1)],
    "CE + L2": [(51.5, 0.4)],
    "CE + dropout": [(46.7, 0.5)],
    "CE + both": [(52.8, 0.4)],
    "GR": [(55.7, 0.3)],
    "GR + L2": [(59.3, 0.2)],
    "GR + dropout": [(54.3, 0.4)],
    "GR + both": [(58.3, 0.3)],
}


def build(*, num_seeds: int = 5, quick: bool = False) -> Sweep:
    return Sweep(
        base=ConfigDict(gr_cifar100(quick=quick) | (card.QUICK_TABLE if quick else {})),
        trials=product(list(ROWS.values()), list(COLUMNS.values()), seeds(range(2 if quick else num_seeds))),
        table=Table(
            title="Digits, a few steps" if quick else "Regularisers, CIFAR-100, ResNet-44",
            rows=ROWS,
            columns=COLUMNS,
            baseline="CE",
            percent=True,
            published={} if quick else PUBLISHED,
            source="Wang et al., arXiv:1905.11233, Table 6",
        ),
    )


def get_sweep(argument: str | None = None) -> Sweep:
    return build(**card.parse(build, argument or ""))
