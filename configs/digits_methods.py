"""Methods on digits: how they end with and without the noise rate, under five kinds of labels.

  python run.py --mode=sweep --config=configs/digits_methods.py --workdir=runs/digits_methods
  python run.py --mode=sweep --config=configs/digits_methods.py:quick=true --workdir=runs/quick  in short
  python run.py --mode=sweep --config=configs/digits_methods.py:only=DivideMix --workdir=runs/some

`only` is a part of the names of the rows that are trained, '' all of them.

The tables are those that every sweep writes: the last and the best evaluation, memorisation, the estimated
rate, and purity and recall of what is kept.

The recipe is that of configs/digits.py with a perceptron of 256 hidden units, 60 epochs and a learning rate
of 0.1, the first of .03, .1, .3 at which cross-entropy fits more than half of the wrong labels (0.73 of them;
symmetric .4, seed 100, which the table does not use). Options of a method are its defaults, which are
published; what does not fit into 60 epochs of 11 steps is scaled, and stands below. 110 runs a seed.
"""

from typing import Any

from grjax.configs.digits import get_config
from ml_collections import ConfigDict

from grjax.config import card
from grjax.errors import ConfigError
from grjax.sweep import Sweep, Table, chained, product, seeds

CE = {"name": "cross_entropy"}
GR = {"name": "gradient_rescaling", "lam": 1.0, "beta": 16.0}
# SELC: cross-entropy for a fifth of the run, then every example's target moves towards the prediction.
SELC = {"name": "self_adaptive", "begin_epochs": 12.0, "weighted": False}
# Published: 1e-4 over some 2,700 steps of the late layers, which are 77 here; with 1e-4 they stay as drawn.
PES = {"name": "pes", "late_learning_rate": 3.5e-3}
PES_SEMI = {"name": "pes_semi", "late_learning_rate": 3.5e-3}  # of the head, for 55 steps instead of 1,950
# 0.01 for some 31,000 steps in configs/noisypy_cifar10n.py, which are 660 here; with 0.01 T hardly moves.
VOL_MIN_NET = {"name": "vol_min_net", "transition_learning_rate": 0.5}
# A tenth of the run as published, and thresholds that move as far: 0.967^60 is 0.99^200.
DISC = {"name": "disc", "warmup_epochs": 6, "momentum": 0.967}
ELR_PLUS = {"name": "elr_plus", "decay_ramp_steps": 660}  # published: 40,000 of some 78,000

SELF_SUFFICIENT: dict[str, dict[str, Any]] = {
    "CE": {"loss": CE, "method": {"name": "single"}},
    "CE, SAM": {"loss": CE, "method": {"name": "single", "sam": 0.05}},
    "CE, average": {"loss": CE, "method": {"name": "single", "average": 0.98}},
    "GR": {"loss": GR, "method": {"name": "single"}},
    "SELC": {"loss": SELC, "method": {"name": "single"}},
    "SOP": {"loss": CE, "method": {"name": "sop"}},
    "VolMinNet": {"loss": CE, "method": VOL_MIN_NET},
    "PES": {"loss": CE, "method": PES},
    "PES-semi": {"loss": CE, "method": PES_SEMI},
    "ELR+": {"loss": CE, "method": ELR_PLUS},
    "DISC": {"loss": CE, "method": DISC},
    "DivideMix": {"loss": CE, "method": {"name": "divide_mix"}},
    "DivideMix, undecided": {"loss": CE, "method": {"name": "divide_mix", "undecided": "keep"}},
    "DivideMix, GR": {"loss": GR, "method": {"name": "divide_mix"}},
}
WITH_RATE: dict[str, dict[str, Any]] = {
    "Co-teaching": {"loss": CE, "method.name": "co_teaching"},
    "Co-teaching, GR": {"loss": GR, "method.name": "co_teaching"},
    "Co-teaching+": {"loss": CE, "method.name": "co_teaching_plus"},
    "JoCoR": {"loss": CE, "method.name": "jocor"},
}
# Those that are told the rate have another one in each column; an option at its default tells them apart.
TOLD = {f"{name}, rate told": {**row, "method.exponent": 1.0} for name, row in WITH_RATE.items()}
ESTIMATED = {
    f"{name}, rate estimated": {**row, "method.rate": "estimated"} for name, row in WITH_RATE.items()
}
ROWS = SELF_SUFFICIENT | TOLD | ESTIMATED
COLUMNS: dict[str, dict[str, Any]] = {
    "clean": {"noise": {"name": "symmetric", "rate": 0.0}},
    "symmetric .2": {"noise": {"name": "symmetric", "rate": 0.2}},
    "symmetric .4": {"noise": {"name": "symmetric", "rate": 0.4}},
    "pair-flip .4": {"noise": {"name": "pair_flip", "rate": 0.4}},
    "instance .4": {"noise": {"name": "instance_dependent", "rate": 0.4}},
}


def build(*, num_seeds: int = 3, quick: bool = False, only: str = "") -> Sweep:
    base = get_config()
    base.update({"model": {"name": "mlp", "hidden": (256,)}, "train_epochs": 60.0, "eval_every_epochs": 10.0})
    base.optimizer.learning_rate = 0.1
    title = "Digits, an epoch" if quick else "Digits, a perceptron of 256 units, 60 epochs"
    return methods(base, ROWS, title=title, num_seeds=num_seeds, quick=quick, only=only)


def methods(
    base: ConfigDict, rows: dict[str, dict[str, Any]], *, title: str, num_seeds: int, quick: bool, only: str
) -> Sweep:
    """The sweep over some methods, seed by seed; those of `TOLD` get the nominal rate of each column."""
    named = {name: row for name, row in rows.items() if only in name}
    if not named:
        raise ConfigError(f"only: no row has {only!r} in its name; there are {', '.join(rows)}")
    base.update({"tensorboard": False, "keep_predictions": False, "keep_checkpoints": 1})
    columns = {"symmetric .4": COLUMNS["symmetric .4"]} if quick else COLUMNS
    cells = [
        {**row, **column, **({"method.rate": column["noise"]["rate"]} if name in TOLD else {})}
        for column in columns.values()
        for name, row in named.items()
    ]
    if quick:
        base.update({"train_epochs": 1.0, "eval_every_epochs": 1.0})
    return Sweep(
        base,
        trials=chained(*(product(cells, [seed]) for seed in seeds(range(2 if quick else num_seeds)))),
        table=Table(
            title=title,
            rows=named,
            columns=columns,
            also=("test_accuracy_best", "memorisation", "noise_rate_estimated", "kept_purity", "kept_recall"),
            baseline="CE" if "CE" in named else None,
            percent=True,
        ),
    )


def get_sweep(argument: str | None = None) -> Sweep:
    return build(**card.parse(build, argument or ""))
