"""Real CIFAR-100 end to end: from the archive to training steps, under every kind of noise, by both feeds.

  python -m benchmarks.cifar100 --dir=cifar-100-python.tar.gz --human=CIFAR-100N_labels.npz

Prepares the data set, then trains ResNet-20 (batch 128, pad-crop and flip, symmetric noise 0.4, Gradient
Rescaling) for some hundred steps by the resident and by the streaming feed, and compares parameters and
losses bit for bit; then for a few steps under each noise model. Prints tables and stores
docs/results/data/cifar100_{device}.json. Nothing is evaluated: the steps are too few to say anything of
accuracy. On two CPU cores: about 8 minutes.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from grjax import host

host.tune()  # before jax is imported

import jax
import numpy as np

import grjax.config
from benchmarks.environment import environment
from benchmarks.folders import RESULTS
from grjax import experiment, noise
from grjax.devices import parallelize, replicate, spread
from grjax.evaluate import device_data

# Models that CIFAR-100 has no labels or no scores for, and such as have no draw of their own.
_NOT_HERE = (
    "asymmetric_cifar10",
    "asymmetric_cifar10_in_place",
    "asymmetric_fashion_mnist",
    "asymmetric_mnist",
    "cifar10_n",
    "score_based",
)


def options_of(name: str, human: str | None, folder: Path) -> dict[str, Any] | None:
    """The options with which a noise model is run here; None: it cannot be."""
    if name in _NOT_HERE or (name == "cifar100_n" and human is None):
        return None
    special: dict[str, dict[str, Any]] = {
        "cifar100_n": {"path": human},
        "compose": {"parts": ({"name": "pair_flip", "rate": 0.2}, {"name": "symmetric", "rate": 0.2})},
        "file": {"path": str(folder / "labels.npz")},
        "instance_dependent": {"rate": 0.4, "scaling": "standardised"},
        "transition_matrix": {"matrix": str(folder / "matrix.npy")},
    }
    return special.get(name, {"rate": 0.4})


def train(layer: dict[str, Any], num_steps: int) -> dict[str, Any]:
    """Steps of ResNet-20 from its initial state, and how long they took after the first."""
    base = {
        "data": {"name": "cifar100", "augmentation": ("pad_crop", "flip")},
        "model": {"name": "resnet20"},
        "loss": {"name": "gradient_rescaling", "lam": 0.5, "beta": 8.0},
        "optimizer": {"name": "momentum", "learning_rate": 0.1, "weight_decay": 1e-4},
        "noise": {"name": "symmetric", "rate": 0.4},
        "train_steps": num_steps,
    }
    parts = experiment.create(grjax.config.resolve(base, grjax.config.unflatten(layer)))
    state, data = replicate(parts.init_state()), device_data(parts)
    step, losses = parallelize(parts.train_step(), donate_state=True), []
    for number, batch in enumerate(parts.train_batches(0)):
        state, metrics = step(state, data, spread(batch))
        losses.append(float(metrics["loss"][0]))
        if number == 0:
            start = time.perf_counter()
    return {
        "experiment": parts,
        "losses": losses,
        "params": jax.tree.map(np.asarray, state.params),
        "examples_per_second": (num_steps - 1) * parts.batch_size / (time.perf_counter() - start),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--dir", required=True, help="CIFAR-100's archive or folder")
    parser.add_argument("--human", help="CIFAR-100N's label file")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--few", type=int, default=10, help="steps under each noise model")
    parser.add_argument("--workdir", type=Path, default=Path("runs/cifar100"), help="for intermediate files")
    parser.add_argument("--no-store", action="store_true")
    flags = parser.parse_args()
    flags.workdir.mkdir(parents=True, exist_ok=True)
    directory = {"data.dir": flags.dir}
    results: dict[str, Any] = {"environment": environment(), "steps": flags.steps}

    feeds = {name: train({**directory, "data.feed": name}, flags.steps) for name in ("resident", "streaming")}
    one, other = feeds.values()
    same = one["losses"] == other["losses"] and all(
        np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(one["params"]), jax.tree.leaves(other["params"]), strict=True)
    )
    results["feeds"] = {
        name: {key: found[key] for key in ("examples_per_second", "losses")} for name, found in feeds.items()
    }
    results["same_bits"] = same
    print(f"resident and streaming after {flags.steps} steps: {'the same bits' if same else 'DIFFERENT'}")
    for name, found in feeds.items():
        mean = np.mean(found["losses"][-50:])
        print(f"  {name:10} {found['examples_per_second']:,.0f} examples/s, loss of the last 50 {mean:.3f}")

    # What another framework would have written, and a matrix of one's own.
    one["experiment"].noise.save(flags.workdir / "labels.npz")
    matrix = np.asarray(noise.transition("pair_flip", 100, rate=0.3))
    np.save(flags.workdir / "matrix.npy", matrix)
    print("\n| noise | nominal | realised | loss, first and last | sha256 |\n|---|---|---|---|---|")
    results["noise"] = {}
    for name in noise.names():
        options = options_of(name, flags.human, flags.workdir)
        if options is None:
            continue
        found = train({**directory, "noise": {"name": name, **options}}, flags.few)
        labels, (first, *_, last) = found["experiment"].noise, found["losses"]
        nominal = "–" if labels.nominal_rate is None else f"{labels.nominal_rate:.4g}"
        results["noise"][name] = {
            "options": {key: value for key, value in options.items() if key != "path"},
            "nominal_rate": labels.nominal_rate,
            "realised_rate": labels.realised_rate,
            "sha256": labels.sha256,
            "losses": found["losses"],
        }
        row = (
            f"`{name}`",
            nominal,
            f"{labels.realised_rate:.4f}",
            f"{first:.2f}, {last:.2f}",
            labels.sha256[:12],
        )
        print(f"| {' | '.join(row)} |", flush=True)
    if not flags.no_store:
        text = json.dumps(results, indent=1)
        (RESULTS / f"cifar100_{jax.devices()[0].platform}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
