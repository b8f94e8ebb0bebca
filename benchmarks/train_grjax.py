"""The contender of `benchmarks.train` that is grjax: experiment, feed and steps as `run.py` has them."""

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from grjax import host

host.tune(restart=True)  # before jax is imported

import jax
import jax.numpy as jnp
import numpy as np

import grjax.config
from benchmarks.environment import environment
from benchmarks.rounds import Facts, serve
from grjax import experiment
from grjax.devices import parallelize, replicate, spread
from grjax.evaluate import device_data


def seconds(function: Callable[..., Any], *arguments: jax.Array) -> float:
    """Median time of a call until its result is there, after a first one."""
    times = []
    for _ in range(6):
        start = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def probe(spec: Facts) -> Facts:
    """What the machine is, and what it does at best: multiply-adds of a matrix product, bytes of a copy."""
    on_cpu = jax.default_backend() == "cpu"
    size, length = (2048, 2**26) if on_cpu else (8192, 2**28)
    size, length = size // spec["shrink"], length // spec["shrink"]
    peaks = {}
    for dtype in ("float32", "bfloat16"):
        a = jnp.ones((size, size), dtype)
        peaks[dtype] = 2 * size**3 / seconds(jax.jit(jnp.matmul), a, a)
    vector = jnp.ones(length)
    times = []
    copy = jax.jit(lambda x: x + 1, donate_argnums=0)  # or fresh memory would be timed, too
    for _ in range(6):
        start = time.perf_counter()
        vector = jax.block_until_ready(copy(vector))
        times.append(time.perf_counter() - start)
    bandwidth = 2 * vector.nbytes / statistics.median(times[1:])
    return {
        "environment": environment(),
        "platform": jax.default_backend(),
        "flops_per_second": peaks,
        "bytes_per_second": bandwidth,
    }


def contend(spec: Facts) -> None:
    layer = {
        "data": {"name": "npz", "dir": spec["data"], "augmentation": spec["augmentation"]},
        "noise": {"name": "symmetric", "rate": 0.4},
        "model": {"name": spec["model"], **({"dtype": "bfloat16"} if spec["bfloat16"] else {})},
        "loss": {"name": "cross_entropy"},
        "optimizer": {"name": "momentum", "learning_rate": 0.01, "weight_decay": 1e-4},
        "batch_size": spec["batch_size"],
        "train_steps": 2**20,
        "eval_every_steps": 2**20,
        "checkpoint_every_steps": 2**20,
        "max_steps_per_call": spec["steps_per_call"],
    }
    parts = experiment.create(grjax.config.resolve(layer))
    state, data = replicate(parts.init_state()), device_data(parts)
    p_step: Any = parallelize(parts.train_step(), donate_state=True)
    batches = parts.train_batches(0)
    one_at_a_time = jax.default_backend() == "cpu" and jax.device_count() > 1
    pending: list[dict[str, jax.Array]] = []

    def step() -> None:
        """As the loop of grjax/train.py."""
        nonlocal state
        state, metrics = p_step(state, data, spread(next(batches)))
        if one_at_a_time:
            jax.block_until_ready(metrics)
        pending.append(metrics)
        if len(pending) > 1:
            np.asarray(pending.pop(0)["loss"])

    def at_end() -> Facts:
        stats = jax.local_devices()[0].memory_stats() or {}
        one = jax.tree.map(
            lambda leaf: leaf[:, :1], spread(next(batches))
        )  # of a loop, its body would count once
        compiled = p_step.lower(state, data, one).compile()
        [cost, *_] = costs if isinstance(costs := compiled.cost_analysis(), list) else [costs]
        return {
            "device_megabytes": stats["peak_bytes_in_use"] / 2**20 if "peak_bytes_in_use" in stats else None,
            "flops_per_step": cost["flops"] * jax.device_count(),  # counted for one of them
            "bytes_per_step": cost["bytes accessed"] * jax.device_count(),
        }

    before = time.perf_counter()
    step()
    jax.block_until_ready(state)
    ready = {"first_call_seconds": time.perf_counter() - before, "steps_per_call": parts.steps_per_call}
    serve(step, lambda: jax.block_until_ready(state), ready, at_end)


if __name__ == "__main__":
    SPEC = json.loads(sys.argv[1])
    if SPEC.get("probe"):
        print(json.dumps(probe(SPEC)), flush=True)
        sys.stdin.read()
        print("{}", flush=True)
    else:
        contend(SPEC)
