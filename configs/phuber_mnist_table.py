"""MNIST by the protocol of configs/phuber_mnist.py: five losses at four rates of symmetric noise.

  python run.py --mode=sweep --config=configs/phuber_mnist_table.py --workdir=runs/phuber_mnist_table
  python run.py --mode=sweep --config=configs/phuber_mnist_table.py:quick=true --workdir=runs/quick  on digits

20 runs a seed, each of 37,500 steps and evaluated each fifth epoch. Trials go seed by seed, so that a table
is whole, if of one seed, after a third of the time; `:first_seed=2,num_seeds=1` is another machine's share,
and `python -m benchmarks.sweep_results` takes several folders. Gradient Rescaling is not in the published
table. It has lam 0.5 and beta 12 in all cells, what its paper has for ten classes at rates .2 to .6 (Table
9), and nothing was tuned for MNIST.
"""

from typing import Any

from grjax.configs.phuber_mnist import LOSSES
from grjax.configs.phuber_mnist import build as phuber_mnist
from ml_collections import ConfigDict

from grjax.config import card
from grjax.sweep import Sweep, Table, chained, product, seeds

ROWS: dict[str, dict[str, Any]] = {
    "CE": {"loss": {"name": "cross_entropy"}},
    "GCE": {"loss": {"name": "gce", "q": 0.7}},
    "PHuber-CE": {"loss": {"name": "phuber_ce", **LOSSES["phuber_ce"]}},
    "PHuber-GCE": {"loss": {"name": "phuber_gce", **LOSSES["phuber_gce"]}},
    "GR": {"loss": {"name": "gradient_rescaling", "lam": 0.5, "beta": 12.0, "normalization": "batch"}},
}
COLUMNS: dict[str, dict[str, Any]] = {
    "0": {"noise.rate": 0.0},
    ".2": {"noise.rate": 0.2},
    ".4": {"noise.rate": 0.4},
    ".6": {"noise.rate": 0.6},
}

# Test accuracy in %, means of 3, a value for each of COLUMNS
PUBLISHED = {
    "CE": (99.1, 98.8, 98.6, 98.0),
    "GCE": (98.8, 98.7, 98.5, 98.1),
    "PHuber-CE": (99.0, 98.8, 98.5, 97.6),
    "PHuber-GCE": (98.9, 98.7, 98.4, 98.0),
}


def build(*, num_seeds: int = 3, first_seed: int = 0, quick: bool = False) -> Sweep:
    columns = {".4": COLUMNS[".4"]} if quick else COLUMNS
    layer: dict[str, Any] = {
        "keep_predictions": False,
        "dynamics": False,
        "keep_checkpoints": 1,
        "tensorboard": False,
    }
    if not quick:
        layer["eval_every_epochs"] = 5.0  # at each epoch evaluation takes two fifths of a run on a CPU
    cells = [{**row, **column} for column in columns.values() for row in ROWS.values()]
    repetitions = range(first_seed, first_seed + (2 if quick else num_seeds))
    return Sweep(
        base=ConfigDict(phuber_mnist(quick=quick) | layer),
        trials=chained(*(product(cells, [seed]) for seed in seeds(repetitions))),
        table=Table(
            title="Digits, a few steps" if quick else "MNIST, LeNet",
            rows=ROWS,
            columns=columns,
            baseline="CE",
            percent=True,
            published={} if quick else PUBLISHED,
            source="github.com/dmizr/phuber",
            tolerance=0.5,
        ),
    )


def get_sweep(argument: str | None = None) -> Sweep:
    return build(**card.parse(build, argument or ""))
