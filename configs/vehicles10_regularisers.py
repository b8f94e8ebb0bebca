"""The question of Table 8 of Wang et al., arXiv:1905.11233, on two CPU cores: Vehicles-10 and regularisers.

  python run.py --mode=sweep --config=configs/vehicles10_regularisers.py --workdir=runs/vehicles10
  python run.py --mode=sweep --config=configs/vehicles10_regularisers.py:quick=true --workdir=runs/quick

Does Gradient Rescaling stay ahead of cross-entropy when both have L2, dropout, or both? The images are those
of the paper's table, the protocol is not: ResNet-20 instead of ResNet-44, 2,400 steps of 128 instead of
30,000 of 256, a tenth of the learning rate from steps 1,200 and 1,800 on. All else is that of
configs/gr_vehicles10.py and, for lam, beta, weight decay and dropout rate, of Table 6. So no number can be
set beside a published one, only orderings. Nothing was tuned.

16 runs a seed, at 40% noise first. A run takes some 30 minutes of one core (`--config.sweep.workers=2` with
`GRJAX_TUNE_HOST=malloc`, two AMD EPYC cores); `:first_seed=1,num_seeds=1` is another machine's share. What
was run is in docs/results/vehicles10_regularisers.md.
"""

from typing import Any

from grjax.configs.gr_table6 import LOSSES, REGULARISERS
from grjax.configs.gr_vehicles10 import build as gr_vehicles10
from ml_collections import ConfigDict

from grjax.config import card
from grjax.sweep import Sweep, Table, chained, product, seeds

ROWS = {
    f"{loss}{regulariser}": {**LOSSES[loss], **REGULARISERS[regulariser]}
    for regulariser in REGULARISERS
    for loss in LOSSES
}
COLUMNS = {
    "symmetric .4": {"noise.name": "symmetric", "noise.rate": 0.4},
    "clean": {"noise.name": "symmetric", "noise.rate": 0.0},
}
SHORT: dict[str, Any] = {
    "model": {"name": "resnet20", "shortcut": "B"},
    "schedule": {"name": "piecewise", "boundaries_steps": (1_200, 1_800), "factor": 0.1},
    "batch_size": 128,
    "train_steps": 2_400,
    "eval_every_steps": 300,
    "checkpoint_every_steps": 600,
    "tensorboard": False,
    "keep_predictions": False,
    "keep_checkpoints": 1,
}


def build(*, num_seeds: int = 2, first_seed: int = 0, quick: bool = False) -> Sweep:
    columns = {"symmetric .4": COLUMNS["symmetric .4"]} if quick else COLUMNS
    cells = product(list(columns.values()), list(ROWS.values()))
    repetitions = range(first_seed, first_seed + num_seeds)
    return Sweep(
        base=ConfigDict(gr_vehicles10(quick=quick) | (card.QUICK_TABLE if quick else SHORT)),
        trials=chained(*(product(cells, [seed]) for seed in seeds(repetitions))),
        table=Table(
            title="Digits, a few steps" if quick else "Regularisers, Vehicles-10, ResNet-20, 2,400 steps",
            rows=ROWS,
            columns=columns,
            also=("test_accuracy_best", "memorisation", "mean_p_clean", "mean_p_mislabelled"),
            baseline="CE",
            percent=True,
        ),
    )


def get_sweep(argument: str | None = None) -> Sweep:
    return build(**card.parse(build, argument or ""))
