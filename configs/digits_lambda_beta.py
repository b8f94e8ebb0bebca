"""The lam x beta grid of Gradient Rescaling on digits: does the best mode rise with the noise rate?

  python run.py --mode=sweep --config=configs/digits_lambda_beta.py --workdir=runs/digits_lambda_beta
  python run.py --mode=report --workdir=runs/digits_lambda_beta

The grid is that of the ablation in Wang et al., arXiv:1905.11233 (Table 9, Figures 5-9). For each lam and
noise rate beta is chosen by the last accuracy on a fifth of the training set that is kept clean, over
seeds that the table does not use; then lam is trained on everything with it. The best lam is judged in
the same way, on the held-out data.

The network is a perceptron, of which 32 trials run in one program: the grid of 192 and 80 runs takes
minutes where the convolutional network of configs/digits.py takes hours. Its learning rate is the one of
0.01, 0.03 and 0.1 with which both ends of a pilot train in 40 epochs, on one seed's held-out data at 40%
noise: with cross-entropy it memorises, with lam 1 and beta 16 it learns at all.

Result: docs/results/digits_lambda_beta.md.
"""

from grjax.configs.gr_table9 import GRID, RATES
from ml_collections import ConfigDict

from grjax.config import card
from grjax.sweep import Select, Sweep, Table, product, seeds


def build(*, num_seeds: int = 5, quick: bool = False) -> Sweep:
    epochs = 1.0 if quick else 40.0
    base = ConfigDict(
        {
            "data": {"name": "digits"},
            "noise": {"name": "symmetric"},
            "model": {"name": "mlp", "hidden": (128, 128)},
            "loss": {"name": "gradient_rescaling"},
            "optimizer": {"name": "momentum", "learning_rate": 0.1, "momentum": 0.9},
            "schedule": {"name": "cosine"},
            "train_epochs": epochs,
            "eval_every_epochs": epochs / 4,
            "checkpoint_every_epochs": epochs,
            "tensorboard": False,
        }
    )
    rates = RATES[1::2] if quick else RATES
    columns = {f"r = {rate:g}": {"noise.rate": rate} for rate in rates}
    lams = (0.0, 1.0) if quick else tuple(GRID)
    grid = [
        {"loss.lam": lam, "loss.beta": beta} for lam in lams for beta in GRID[lam][: 2 if quick else None]
    ]
    return Sweep(
        base=base,
        trials=product(grid, list(columns.values()), seeds(range(2 if quick else num_seeds))),
        select=Select(among=("loss.beta",), seeds=tuple(seeds((100,) if quick else (100, 101, 102)))),
        table=Table(
            title="Gradient Rescaling on digits, by emphasis mode and noise rate",
            rows={f"λ={lam:g}": {"loss.lam": lam} for lam in lams},
            columns=columns,
            baseline="λ=0",
        ),
        execution="vmapped",
        chunk=32,
    )


def get_sweep(argument: str | None = None) -> Sweep:
    return build(**card.parse(build, argument or ""))
