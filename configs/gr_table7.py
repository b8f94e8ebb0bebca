"""Table 7 of Wang et al., arXiv:1905.11233: optimisers, CIFAR-10, ResNet-56, 40% symmetric noise.

  python run.py --mode=sweep --config=configs/gr_table7.py --workdir=runs/gr_table7
  python run.py --mode=sweep --config=configs/gr_table7.py:quick=true --workdir=runs/quick   on digits

30 runs a seed, each of the 30,000 steps of configs/gr_cifar10.py, which says what in the protocol is not
exactly the paper's. Nor is here:
  - Lam and beta of the GR column are not printed. Here they are those that end best in its Table 9 at
    this noise, with this network and momentum (lam 1, beta 16).
  - Whether the numbers are last or best evaluations is not said; they stand beside our last.
  - The schedule of the optimisers other than momentum is not said; it is the same here.
"""

from typing import Any

from grjax.configs.gr_cifar10 import build as gr_cifar10
from ml_collections import ConfigDict

from grjax.config import card
from grjax.sweep import Sweep, Table, product, seeds

# Another optimiser drops the options of the one before, so weight decay stands with each.
_DECAY = {"optimizer.weight_decay": 1e-4}
ROWS: dict[str, dict[str, Any]] = {
    "SGD, lr .01": {"optimizer.name": "sgd", "optimizer.learning_rate": 0.01, **_DECAY},
    "momentum, lr .01": {"optimizer.name": "momentum", "optimizer.learning_rate": 0.01, **_DECAY},
    "Nesterov, lr .01": {"optimizer.name": "nesterov", "optimizer.learning_rate": 0.01, **_DECAY},
    "Adam, lr .01, ε .1": {
        "optimizer.name": "adam", "optimizer.learning_rate": 0.01, "optimizer.eps": 0.1, **_DECAY
    },
    "Adam, lr .005, ε .1": {
        "optimizer.name": "adam", "optimizer.learning_rate": 0.005, "optimizer.eps": 0.1, **_DECAY
    },
    "Adam, lr .005, ε 1": {
        "optimizer.name": "adam", "optimizer.learning_rate": 0.005, "optimizer.eps": 1.0, **_DECAY
    },
}  # fmt: skip
COLUMNS: dict[str, dict[str, Any]] = {
    "CE": {"loss.name": "cross_entropy"},
    "GCE": {"loss.name": "gce", "loss.q": 0.7},
    "MAE": {"loss.name": "mae"},
    "MSE": {"loss.name": "mse"},
    "GR": {
        "loss.name": "gradient_rescaling",
        "loss.normalization": "batch",
        "loss.lam": 1.0,
        "loss.beta": 16.0,
    },
}

# Test accuracy in %, a value for each of COLUMNS.
PUBLISHED = {
    "SGD, lr .01": (64.6, 68.8, 39.3, 58.4, 82.0),
    "momentum, lr .01": (61.7, 80.7, 64.7, 76.7, 83.8),
    "Nesterov, lr .01": (57.3, 80.0, 63.9, 76.8, 84.0),
    "Adam, lr .01, ε .1": (39.3, 75.7, 57.5, 66.8, 78.2),
    "Adam, lr .005, ε .1": (44.3, 72.6, 60.8, 67.9, 80.8),
    "Adam, lr .005, ε 1": (52.0, 67.7, 37.3, 58.5, 79.2),
}


def build(*, num_seeds: int = 3, quick: bool = False) -> Sweep:
    columns = {loss: COLUMNS[loss] for loss in ("CE", "GR")} if quick else COLUMNS
    return Sweep(
        base=ConfigDict(gr_cifar10(quick=quick) | (card.QUICK_TABLE if quick else {})),
        trials=product(list(ROWS.values()), list(columns.values()), seeds(range(2 if quick else num_seeds))),
        table=Table(
            title="Digits, a few steps" if quick else "Optimisers, CIFAR-10, ResNet-56, 40% symmetric noise",
            rows=ROWS,
            columns=columns,
            baseline="momentum, lr .01",
            percent=True,
            published={} if quick else PUBLISHED,
            source="Wang et al., arXiv:1905.11233, Table 7",
        ),
    )


def get_sweep(argument: str | None = None) -> Sweep:
    return build(**card.parse(build, argument or ""))
