"""Gradient Rescaling on digits with 40% symmetric label noise: the default of run.py.

  python run.py --config=configs/digits.py --workdir=runs/digits

Test accuracy, last epoch: 0.966 ± 0.005 (n=5; cross-entropy with the same settings 0.776 ± 0.023), from
`python -m benchmarks.digits table`. Time: 10 to 20 s with start-up and compilation, two AMD EPYC cores.

Provenance of the recipe: lam, beta and the learning rate from a grid judged by the last epoch's accuracy on
a fifth of the training set kept clean, with seeds that the table does not use. It was chosen on a first run
of the grid, third of 27; in the run that is stored (docs/results/data/digits_tune.json, `python -m
benchmarks.digits tune`), whose orders of examples differ, it is fifth with 0.954 ± 0.017, the best is lam
2, beta 20, learning rate 0.01 with 0.968 ± 0.007 (n=3 each). Number of epochs (30, 40, 60) and weight decay
(0, 1e-4, 1e-3, 5e-3) were settled before, by hand, on the same validation split.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    return ConfigDict(
        {
            "data": {"name": "digits"},
            "noise": {"name": "symmetric", "rate": 0.4, "seed": 0},
            "model": {"name": "cnn"},
            "loss": {"name": "gradient_rescaling", "lam": 1.0, "beta": 16.0},
            "optimizer": {"name": "momentum", "learning_rate": 0.01, "momentum": 0.9},
            "schedule": {"name": "cosine"},
            "train_epochs": 40.0,
        }
    )
