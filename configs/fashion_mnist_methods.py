"""Methods on 2,000 images of Fashion-MNIST, with and without the noise rate, under five kinds of labels.

  python run.py --mode=sweep --config=configs/fashion_mnist_methods.py --workdir=runs/fashion_mnist_methods
  python run.py --mode=sweep --config=configs/fashion_mnist_methods.py:quick=true --workdir=runs/quick

The first needs `--config.data.dir=/usr/share/datasets`, the files of Debian's dataset-fashion-mnist, or
whatever else docs/data.md names; the second is a short run on digits.

Methods, kinds of labels, tables and `only` are those of configs/digits_methods.py, without average and SAM,
and with higher rates for SOP: at the published ones u and v stay near 0 in so few steps.

How it was sized: 200 images of each class, which are the same in all runs, a perceptron of 128 hidden units,
40 epochs of 15 steps, momentum 0.9, a cosine from a learning rate of 0.03, the first of .01, .03, .1 at which
cross-entropy fits more than half of the wrong labels (0.15, 0.67, 0.71 of them; symmetric .4, seed 100, which
the table does not use). Images are not augmented: the two views of DivideMix and of DISC are one. lam and
beta of GR are those of configs/digits.py, not tuned here. Options of a method are its defaults; what does not
fit into 40 epochs is scaled, and stands below. 100 runs a seed, about 2 s each on one core, of DivideMix
about 15 s.
"""

from typing import Any

from grjax.configs.digits import get_config
from grjax.configs.digits_methods import CE, ESTIMATED, TOLD, methods
from grjax.configs.digits_methods import SELC as SELC_ON_DIGITS
from grjax.configs.digits_methods import SELF_SUFFICIENT as ON_DIGITS

from grjax.config import card
from grjax.sweep import Sweep

# A fifth of the run, as on digits.
SELC = {**SELC_ON_DIGITS, "begin_epochs": 8.0}
SOP = {"name": "sop", "learning_rate_u": 100.0, "learning_rate_v": 100.0}
# Two thirds of the published epochs; 1e-4 is for some 2,700 steps of the late layers, here 75.
PES = {"name": "pes", "early_epochs": 17, "late_epochs": 5, "head_epochs": 3, "late_learning_rate": 3.5e-3}
PES_SEMI = {"name": "pes_semi", "early_epochs": 13, "head_epochs": 3, "late_learning_rate": 4e-3}
# A tenth of the run as published, and thresholds that move as far: 0.951^40 is 0.99^200.
DISC = {"name": "disc", "warmup_epochs": 4, "momentum": 0.951}
ELR_PLUS = {"name": "elr_plus", "decay_ramp_steps": 310}  # published: 40,000 of some 78,000

OWN: dict[str, dict[str, Any]] = {
    "SELC": {"loss": SELC, "method": {"name": "single"}},
    "SOP": {"loss": CE, "method": SOP},
    "PES": {"loss": CE, "method": PES},
    "PES-semi": {"loss": CE, "method": PES_SEMI},
    "DISC": {"loss": CE, "method": DISC},
    "ELR+": {"loss": CE, "method": ELR_PLUS},
}
SELF_SUFFICIENT = {
    name: OWN.get(name, row) for name, row in ON_DIGITS.items() if name not in ("CE, SAM", "CE, average")
}
ROWS = SELF_SUFFICIENT | TOLD | ESTIMATED


def build(*, num_seeds: int = 3, quick: bool = False, only: str = "") -> Sweep:
    base = get_config()
    base.update({"model": {"name": "mlp", "hidden": (128,)}, "train_epochs": 40.0, "eval_every_epochs": 10.0})
    base.optimizer.learning_rate = 0.03
    if not quick:
        base.data.name = "fashion_mnist"
        base.imbalance = {"name": "subset", "ratio": 30.0}
    size = "2,000 images of Fashion-MNIST, a perceptron of 128 units, 40 epochs"
    title = "Digits, an epoch" if quick else size
    return methods(base, ROWS, title=title, num_seeds=num_seeds, quick=quick, only=only)


def get_sweep(argument: str | None = None) -> Sweep:
    return build(**card.parse(build, argument or ""))
