"""What a step of each method costs: its time as a ratio to that of cross-entropy with one network.

  python -m benchmarks.methods      stores docs/results/data/methods_speed_{cpu,gpu}.json
  python -m benchmarks.methods --networks cnn --rounds 2 --no-store
  python -m benchmarks.methods --networks cnn --methods SOP --no-store     beside cross-entropy alone

All methods are in one process and take turns, for some steps a round; a figure is the median over the rounds
of the ratio within a round. Beside it the table has what the method must cost: its forward and backward
passes over a batch, a backward pass counted as two forward passes. DivideMix and PES-semi are timed after
their warm-up.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grjax import host

host.tune(restart=True)  # before jax is imported

import jax

import grjax.config
from benchmarks.environment import environment
from benchmarks.folders import RESULTS
from benchmarks.train import made_up
from grjax import experiment
from grjax.evaluate import Evaluation
from grjax.train import programs_of

# name: section `method`, and its forward and backward passes over a batch
METHODS: dict[str, tuple[dict[str, Any], int, int]] = {
    "cross-entropy": ({"name": "single"}, 1, 1),
    "an average": ({"name": "single", "average": 0.99}, 1, 1),
    "SAM": ({"name": "single", "sam": 0.05}, 2, 2),
    "posterior emphasis": ({"name": "posterior_emphasis"}, 1, 1),
    "SOP": ({"name": "sop"}, 1, 1),
    "VolMinNet": ({"name": "vol_min_net"}, 1, 1),
    "PES": ({"name": "pes"}, 1, 1),
    "Co-teaching": ({"name": "co_teaching", "rate": 0.4}, 2, 2),
    "Co-teaching+": ({"name": "co_teaching_plus", "rate": 0.4}, 2, 2),
    "JoCoR": ({"name": "jocor", "rate": 0.4}, 2, 2),
    "ELR+": ({"name": "elr_plus"}, 4, 2),
    # A pass over two views of each example, and one over the mixed images of each view.
    "DISC": ({"name": "disc"}, 4, 4),
    # Each network predicts 4 B images, has 2 B predicted by the other, and makes a step on 4 B mixed ones.
    "DivideMix": ({"name": "divide_mix", "warmup_epochs": 0}, 20, 8),
    # Its MixMatch: 4 B images are predicted, and 4 B mixed ones trained on.
    "PES-semi": ({"name": "pes_semi", "early_epochs": 0, "head_epochs": 0}, 8, 4),
}
# name: model and shape of an image
NETWORKS = {"cnn": ("cnn", (8, 8, 1)), "resnet20": ("resnet20", (32, 32, 3))}


class Timed:
    """A method that has made its first steps."""

    def __init__(self, method: dict[str, Any], model: str, data: str, batch_size: int):
        layer = {
            "data": {"name": "npz", "dir": data, "augmentation": ()},
            "noise": {"name": "symmetric", "rate": 0.4},
            "model": {"name": model},
            "loss": {"name": "cross_entropy"},
            "method": method,
            "batch_size": batch_size,
            "train_steps": 2**20,
            "eval_every_steps": 2**20,
            "checkpoint_every_steps": 2**20,
        }
        parts = experiment.create(grjax.config.resolve(layer))
        programs, itself = programs_of(parts), parts.method()
        run: Any = argparse.Namespace(experiment=parts)
        self._inputs = programs.inputs([run])
        together = programs.together
        state = together.join([programs.init_state(run)])
        groups = None
        if itself.begin_epoch is not None:
            evaluation = Evaluation(programs.p_eval_step, together, self._inputs, [parts])
            [records] = evaluation.predict(state, "train")
            [alone] = together.separate(state)
            learner = jax.tree.map(np.asarray, alone.learner)
            after = itself.begin_epoch(learner, records.records(), 0)
            state = together.join([alone.replace(learner=after)])
            groups = itself.groups(after) if itself.groups else None
        self._state, self._step = state, programs.p_train_step
        self._batches = map(together.batches, ([batch] for batch in parts.train_batches(0, groups)))
        self.seconds(2)

    def seconds(self, steps: int) -> float:
        """The time of one step: the mean of so many, after one in the memory that others left."""
        self._one()
        start = time.perf_counter()
        for _ in range(steps):
            self._one()
        return (time.perf_counter() - start) / steps

    def _one(self) -> None:
        self._state, metrics = self._step(self._state, self._inputs, next(self._batches))
        jax.block_until_ready(metrics)


def measure(
    network: str, rounds: int, steps: int, *, batch_size: int, names: Sequence[str] = tuple(METHODS)
) -> dict[str, Any]:
    """The ratio of each method, and cross-entropy's seconds; it is the first of the names."""
    model, shape = NETWORKS[network]
    with tempfile.TemporaryDirectory() as folder:
        data = str(made_up(Path(folder), shape, 2_000))
        timed = {name: Timed(METHODS[name][0], model, data, batch_size) for name in names}
        times = [{name: each.seconds(steps) for name, each in timed.items()} for _ in range(rounds)]
    reference = names[0]
    ratios = {name: statistics.median(one[name] / one[reference] for one in times) for name in names}
    return {"ratios": ratios, "seconds": statistics.median(one[reference] for one in times)}


def table(found: dict[str, Any]) -> str:
    """The results in Markdown."""
    networks = [name for name in NETWORKS if name in found]
    lines = [f"| | {' | '.join(networks)} | its passes |", "|---" * (len(networks) + 2) + "|"]
    for name, (_, forward, backward) in METHODS.items():
        if name not in found[networks[0]]["ratios"]:  # of an earlier or a shorter run
            continue
        cells = [f"{found[network]['ratios'][name]:.2f}" for network in networks]
        lines.append(f"| {name} | {' | '.join(cells)} | {(forward + 2 * backward) / 3:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--methods", nargs="+", default=list(METHODS)[1:], choices=METHODS)
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=10, help="of a round")
    parser.add_argument("--no-store", action="store_true")
    flags = parser.parse_args()
    found: dict[str, Any] = {"environment": environment(), "batch_size": flags.batch_size}
    names = list(dict.fromkeys([next(iter(METHODS)), *flags.methods]))
    for network in flags.networks:
        steps = flags.steps if network == "cnn" else max(flags.steps // 5, 1)
        found[network] = measure(network, flags.rounds, steps, batch_size=flags.batch_size, names=names)
        print(f"{network}: {1000 * found[network]['seconds']:.1f} ms a step of cross-entropy", flush=True)
    print(table(found))
    if not flags.no_store:
        stored = RESULTS / f"methods_speed_{jax.default_backend()}.json"
        stored.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
