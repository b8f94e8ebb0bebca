"""Methods on 4,000 images of Fashion-MNIST, with and without the noise rate, under five kinds of labels.

  python run.py --mode=sweep --config=configs/fashion_mnist_methods.py --workdir=runs/fashion_mnist_methods
  python run.py --mode=sweep --config=configs/fashion_mnist_methods.py:quick=true --workdir=runs/quick

The first needs `--config.data.dir=/usr/share/datasets`, the files of Debian's dataset-fashion-mnist, or
whatever else docs/data.md names; the second is a short run on digits.

Methods and kinds of labels are those of configs/digits_methods.py, and so are the tables.

How it was sized: 400 images of each class, which are the same in all runs, a perceptron of 128 hidden units,
40 epochs of 31 steps, momentum 0.9, a cosine from a learning rate of 0.03, the first of .01, .03, .1 at which
cross-entropy fits more than half of the wrong labels (0.16, 0.60, 0.54 of them; symmetric .4, seed 100, which
the table does not use). Images are not augmented: the two views of DivideMix are one. lam and beta of GR are
those of configs/digits.py, not tuned here. Options of a method are its defaults; what does not fit into 40
epochs is scaled, and stands below. 105 runs a seed, about 4 s each on one core, of DivideMix about 40 s.
"""

from typing import Any

from grjax.configs.digits import get_config

from grjax.config import card
from grjax.configs import digits_methods
from grjax.sweep import Sweep

CE = digits_methods.CE
# A fifth of the run, as on digits.
SELC = {**digits_methods.SELC, "begin_epochs": 8.0}
# Two thirds of the published 25, 7 and 5 epochs; 1e-4 is for some 2,700 steps of the late layers, here 155.
PES = {"name": "pes", "early_epochs": 17, "late_epochs": 5, "head_epochs": 3, "late_learning_rate": 1.7e-3}
ELR_PLUS = {"name": "elr_plus", "decay_ramp_steps": 640}  # published: 40,000 of some 78,000
# At the published rates u and v need more than a hundred epochs to become large.
SOP = {"name": "sop", "learning_rate_u": 100.0, "learning_rate_v": 100.0}

SELF_SUFFICIENT: dict[str, dict[str, Any]] = digits_methods.SELF_SUFFICIENT | {
    "SELC": {"loss": SELC, "method": {"name": "single"}},
    "SOP, rates of 100": {"loss": CE, "method": SOP},
    "PES": {"loss": CE, "method": PES},
    "ELR+": {"loss": CE, "method": ELR_PLUS},
}
ROWS = SELF_SUFFICIENT | digits_methods.TOLD | digits_methods.ESTIMATED


def build(*, num_seeds: int = 3, quick: bool = False) -> Sweep:
    base = get_config()
    base.update({"model": {"name": "mlp", "hidden": (128,)}, "train_epochs": 40.0, "eval_every_epochs": 10.0})
    base.optimizer.learning_rate = 0.03
    if not quick:
        base.data.name = "fashion_mnist"
        base.imbalance = {"name": "subset", "ratio": 15.0}
    size = "4,000 images of Fashion-MNIST, a perceptron of 128 units, 40 epochs"
    return digits_methods.methods(
        base, ROWS, title="Digits, an epoch" if quick else size, num_seeds=num_seeds, quick=quick
    )


def get_sweep(argument: str | None = None) -> Sweep:
    return build(**card.parse(build, argument or ""))
