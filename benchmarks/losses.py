"""Time of every loss, forward and backward, as a ratio to optax's cross-entropy in the same run.

  python -m benchmarks.losses      all losses, all shapes; stores docs/results/data/losses_speed_cpu.json
  python -m benchmarks.losses --shapes 256x10 --losses gce nce --rounds 50 --no-store

Each figure is a median over rounds of (time of the loss) / (time of cross-entropy just before it), so that
what else the machine does touches both. On two CPU cores: about 10 minutes. On a GPU the same command runs
there and stores the file under the device's name.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

from grjax import host

host.tune()  # before jax is imported

import jax
import jax.numpy as jnp
import optax

from benchmarks.environment import environment
from benchmarks.folders import RESULTS
from grjax import losses

SHAPES = ((256, 10), (256, 100), (4096, 1000), (2048, 50257))

# Hyper-parameters that have no default; on the speed their values have no influence.
REQUIRED: dict[str, dict[str, Any]] = {
    "gradient_rescaling": {"lam": 1.0, "beta": 16.0},
    "imae": {"beta": 16.0},
    "proselflc": {"trust": 0.5},
    "forward_correction": {"transition": 0.4},
    "backward_correction": {"transition": 0.4},
}
# A matrix over 50,257 classes takes 10 GB.
MATRIX = ("forward_correction", "backward_correction")

Loss = Callable[[jax.Array, jax.Array], jax.Array]


def step(loss: Loss) -> Callable[[jax.Array, jax.Array], Any]:
    """Mean loss and its gradient, compiled."""
    return jax.jit(jax.value_and_grad(lambda logits, labels: loss(logits, labels).mean()))


def seconds(compiled: Callable[..., Any], repeats: int, *arguments: jax.Array) -> float:
    """The time of one call, over so many in a row."""
    start = time.perf_counter()
    for _ in range(repeats):
        out = compiled(*arguments)
    jax.block_until_ready(out)
    return (time.perf_counter() - start) / repeats


def ratio(loss: Loss, logits: jax.Array, labels: jax.Array, rounds: int) -> tuple[float, float]:
    """Median ratio to cross-entropy, and cross-entropy's median seconds."""
    reference, candidate = step(optax.losses.softmax_cross_entropy_with_integer_labels), step(loss)
    for compiled in (reference, candidate):
        seconds(compiled, 2, logits, labels)
    # Short calls are repeated: a round is some milliseconds at least.
    repeats = max(1, int(0.005 / seconds(reference, 2, logits, labels)))
    pairs = [
        (seconds(reference, repeats, logits, labels), seconds(candidate, repeats, logits, labels))
        for _ in range(rounds)
    ]
    return statistics.median(b / a for a, b in pairs), statistics.median(a for a, _ in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=[f"{rows}x{classes}" for rows, classes in SHAPES])
    parser.add_argument("--losses", nargs="+", default=losses.names())
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--no-store", action="store_true")
    flags = parser.parse_args()

    table: dict[str, dict[str, float]] = {name: {} for name in flags.losses}
    reference: dict[str, float] = {}
    for shape in flags.shapes:
        rows, classes = map(int, shape.split("x"))
        logits = 3 * jax.random.normal(jax.random.key(0), (rows, classes), jnp.float32)
        labels = jax.random.randint(jax.random.key(1), (rows,), 0, classes)
        rounds = flags.rounds if rows * classes < 10**7 else max(3, flags.rounds // 4)
        for name in flags.losses:
            if name in MATRIX and classes > 1000:
                continue
            loss = losses.create(name, **REQUIRED.get(name, {}))
            table[name][shape], reference[shape] = ratio(loss, logits, labels, rounds)
            print(f"{shape:>12}  {name:20} {table[name][shape]:.2f}", flush=True)

    print(f"\n| loss | {' | '.join(flags.shapes)} |\n|---|{'---|' * len(flags.shapes)}")
    milliseconds = [f"{1000 * reference[shape]:.3g} ms" for shape in flags.shapes]
    print(f"| optax's cross-entropy | {' | '.join(milliseconds)} |")
    for name, ratios in table.items():
        cells = [f"{ratios[shape]:.2f}" if shape in ratios else "–" for shape in flags.shapes]
        print(f"| {name} | {' | '.join(cells)} |")
    if not flags.no_store:
        device = jax.devices()[0].platform
        results = {"environment": environment(), "seconds_of_cross_entropy": reference, "ratios": table}
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / f"losses_speed_{device}.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
