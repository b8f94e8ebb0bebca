"""What `scan_blocks` saves in tracing and compiling and what it costs in a step, as ratios in one run.

  python -m benchmarks.scan_blocks                                   ResNet-110 and ViT at CIFAR's shape
  python -m benchmarks.scan_blocks --models resnet20 --batch_size 8 --rounds 5

A step is the gradient of cross-entropy in training mode and an SGD update. Rounds alternate between the two
programs; a ratio is the median over rounds of (scanned) / (blocks in a row) just before it.
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
from grjax import models


def seconds(function: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """Of a call until its result is there, and the result."""
    start = time.perf_counter()
    result = jax.block_until_ready(function(*arguments))
    return time.perf_counter() - start, result


def programs(name: str, batch_size: int, scan: bool) -> tuple[dict[str, float], Callable[[], Any]]:
    """Seconds to trace and to compile a step of a model, and the step."""
    model = models.create(name, num_classes=10, scan_blocks=scan)
    images = jnp.ones((batch_size, *models.input_shape(name)))
    labels = jnp.arange(batch_size) % 10
    variables = jax.jit(lambda key: model.init(key, images, train=False))(jax.random.key(0))

    def step(variables: Any) -> Any:
        def loss(params: Any) -> tuple[jax.Array, Any]:
            arguments: dict[str, Any] = {"train": True, "mutable": ["batch_stats"]}
            logits, updated = model.apply({**variables, "params": params}, images, **arguments)
            return optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), updated

        gradients, updated = jax.grad(loss, has_aux=True)(variables["params"])
        return {"params": jax.tree.map(lambda p, g: p - 0.01 * g, variables["params"], gradients), **updated}

    trace, lowered = seconds(lambda: jax.jit(step).lower(variables))
    compilation, compiled = seconds(lowered.compile)
    return {"trace": trace, "compile": compilation}, lambda: compiled(variables)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["resnet110", "vit"])
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    flags = parser.parse_args()
    print(json.dumps(environment()))
    for name in flags.models:
        (row_times, row), (scan_times, scanned) = (
            programs(name, flags.batch_size, scan) for scan in (False, True)
        )
        for step in (row, scanned):
            seconds(step)
        rounds = [(seconds(row)[0], seconds(scanned)[0]) for _ in range(flags.rounds)]
        ratios = {key: scan_times[key] / row_times[key] for key in row_times}
        ratios["step"] = statistics.median(scan / one for one, scan in rounds)
        times = {**row_times, "step": statistics.median(one for one, _ in rounds)}
        for key, ratio in ratios.items():
            print(f"{name}: {key} scanned / in a row {ratio:.2f} ({times[key]:.2f} s in a row)")


if __name__ == "__main__":
    main()
