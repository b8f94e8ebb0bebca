"""Four losses at three noise rates, five seeds each: 60 trials of configs/digits.py with one compilation.

python run.py --mode=sweep --config=configs/digits_sweep.py --workdir=runs/digits_sweep

With --config.sweep.workers=N, N processes share the trials, each on CPU cores of its own; each compiles once.
"""

from grjax.configs.digits import get_config

from grjax.sweep import Sweep, over, product, seeds

LOSSES = [
    {"name": "cross_entropy"},
    {"name": "gce", "q": 0.7},
    {"name": "mae"},
    {"name": "gradient_rescaling", "lam": 1.0, "beta": 16.0},
]


def get_sweep() -> Sweep:
    base = get_config()
    base.tensorboard = False
    return Sweep(base, product(over("loss", LOSSES), over("noise.rate", [0.2, 0.4, 0.6]), seeds(range(5))))
