"""The question of Table 9 of Wang et al., arXiv:1905.11233, on Vehicles-10: the best mode by noise rate.

  python run.py --mode=sweep --config=configs/vehicles10_modes.py --workdir=runs/vehicles10_modes
  python run.py --mode=sweep --config=configs/vehicles10_modes.py:quick=true --workdir=runs/quick   on digits

Does the best lam, by the last evaluation, rise with the rate of symmetric noise, as in the paper's CIFAR-10?
Beta is chosen for each lam and rate among the paper's four, by the last accuracy on a fifth of the training
set that is kept clean, with a seed that the table does not use; then lam is trained on everything with it.
The runs are those of configs/vehicles10_regularisers.py, with L2 and no dropout.

64 runs choose beta and 16 a seed fill the table, of some 30 minutes of one core each. Not run.
"""

from grjax.configs.gr_table9 import GRID, RATES
from grjax.configs.gr_vehicles10 import build as gr_vehicles10
from grjax.configs.vehicles10_regularisers import SHORT
from ml_collections import ConfigDict

from grjax.config import card
from grjax.sweep import Select, Sweep, Table, chained, product, seeds


def build(*, num_seeds: int = 2, quick: bool = False) -> Sweep:
    rates = RATES[1::2] if quick else RATES
    columns = {f"r = {rate:g}": {"noise.rate": rate} for rate in rates}
    lams = (0.0, 1.0) if quick else tuple(GRID)
    grid = [
        {"loss.lam": lam, "loss.beta": beta} for lam in lams for beta in GRID[lam][: 2 if quick else None]
    ]
    cells = product(grid, list(columns.values()))
    return Sweep(
        base=ConfigDict(gr_vehicles10(quick=quick) | (card.QUICK_TABLE if quick else SHORT)),
        trials=chained(*(product(cells, [seed]) for seed in seeds(range(num_seeds)))),
        select=Select(among=("loss.beta",), seeds=tuple(seeds((100,)))),
        table=Table(
            title="Digits, a few steps" if quick else "Emphasis mode, Vehicles-10, ResNet-20, 2,400 steps",
            rows={f"λ={lam:g}": {"loss.lam": lam} for lam in lams},
            columns=columns,
            also=("test_accuracy_best", "memorisation"),
            baseline="λ=0",
            percent=True,
        ),
    )


def get_sweep(argument: str | None = None) -> Sweep:
    return build(**card.parse(build, argument or ""))
