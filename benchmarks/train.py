"""Images a second of whole training steps, beside a plain PyTorch loop that does the same.

  python -m benchmarks.train                    stores docs/results/data/train_speed_{cpu,gpu}.json
  python -m benchmarks.train --networks digits --rounds 2 --seconds 0.5 --no-store

A step is the feed, augmentation, forward and backward pass, optimiser and metrics: here as in
grjax/train.py, there a DataLoader with a worker process a core, a channels-last network and SGD. The networks
have the same layers and numbers of parameters. Each contender is a process of its own, which compiles without
a cache; those that are tuned call `grjax.host.tune` first, as `run.py` does. Then all take turns, for some
seconds a round. A figure is the median over the rounds, a ratio the median of the ratios to eager PyTorch in
the same round. The roofline is what the compiled program counts: its arithmetic beside the speed of a large
matrix product, its reads and writes beside that of a copy. Networks that are not measured stay unchanged
stored, if from the same machine and versions. Needs the extra `torch`. On two CPU cores: about 12 minutes.
"""

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.folders import RESULTS
from benchmarks.rounds import Contender, Facts
from grjax import host

REFERENCE = "PyTorch eager"
CROPS = ("pad_crop", "flip")
# name: model, shape of an image, augmentation
NETWORKS: dict[str, tuple[str, tuple[int, int, int], tuple[str, ...]]] = {
    "resnet20": ("resnet20", (32, 32, 3), CROPS),
    "resnet44": ("resnet44", (32, 32, 3), CROPS),
    "cnn8": ("cnn8", (32, 32, 3), CROPS),
    "digits": ("cnn", (8, 8, 1), ()),
}
OURS: Facts = {"module": "benchmarks.train_grjax", "bfloat16": False, "steps_per_call": 1, "tuned": "1"}
THEIRS: Facts = {
    "module": "benchmarks.train_torch", "bfloat16": False, "compile": False, "loader": True, "tuned": "0",
}  # fmt: skip


def contenders(platform: str, network: str) -> dict[str, Facts]:
    """Who runs, by name; the first is what `python run.py` does where nobody sets anything."""
    found = {"grjax as shipped": OURS}
    if platform == "gpu":
        found["grjax, 16 steps a call"] = OURS | {"steps_per_call": 16}
        found["grjax bfloat16, 16 steps a call"] = OURS | {"steps_per_call": 16, "bfloat16": True}
    else:
        found["grjax, small pages"] = OURS | {"tunables": "glibc.malloc.hugetlb=0"}
        found["grjax, malloc set up too"] = OURS | {"tuned": "malloc"}
        found["grjax, host untouched"] = OURS | {"tuned": "0"}
        found["grjax bfloat16"] = OURS | {"bfloat16": True}
    found[REFERENCE] = THEIRS
    found["PyTorch without DataLoader"] = THEIRS | {"loader": False}
    if platform == "cpu":
        found["PyTorch, huge pages"] = THEIRS | {"tuned": "1"}
        found["PyTorch, same malloc"] = THEIRS | {"tuned": "malloc"}
    found["PyTorch compiled"] = THEIRS | {"compile": True}
    found["PyTorch bfloat16"] = THEIRS | {"bfloat16": True}
    if platform == "gpu":
        found["PyTorch compiled bfloat16"] = THEIRS | {"compile": True, "bfloat16": True}
    return found


def start(spec: Facts, **more: Any) -> Contender:
    """A contender; several share a GPU, so none takes its memory beforehand."""
    environment = {
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "JAX_ENABLE_COMPILATION_CACHE": "false",
        host.VARIABLE: spec["tuned"],
        **({"GLIBC_TUNABLES": spec["tunables"]} if "tunables" in spec else {}),
    }
    return Contender(spec["module"], spec | more, environment)


def compare(specs: dict[str, Facts], more: Facts, rounds: int, seconds: float) -> dict[str, Facts]:
    """What was measured of each contender."""
    running: dict[str, Contender] = {}
    results: dict[str, Facts] = {}
    for name, spec in specs.items():
        running[name] = start(spec, **more)
        results[name] = {"seconds_to_first_step": running[name].seconds_to_ready, **running[name].ready}
        results[name]["images_per_second"], results[name]["load"] = [], []
        running[name].round(seconds / 2)  # not counted
    for _ in range(rounds):
        for name, contender in running.items():
            results[name]["load"].append(os.getloadavg()[0])
            found = contender.round(seconds)
            images = found["calls"] * results[name]["steps_per_call"] * more["batch_size"]
            results[name]["images_per_second"].append(images / found["seconds"])
    for name, contender in running.items():
        results[name] |= contender.end()
    return results


def add_derived(results: dict[str, Facts], specs: dict[str, Facts], machine: Facts, batch_size: int) -> None:
    """Ratios, and how near a step is to what the machine could do."""
    for name, result in results.items():
        rates = result["images_per_second"]
        reference = results.get(REFERENCE, result)["images_per_second"]
        result["ratio"] = statistics.median(a / b for a, b in zip(rates, reference, strict=True))
        if "flops_per_step" in result:
            peak = machine["flops_per_second"]["bfloat16" if specs[name]["bfloat16"] else "float32"]
            steps_per_second = statistics.median(rates) / batch_size
            result["of_peak_flops"] = result["flops_per_step"] * steps_per_second / peak
            result["of_peak_bytes"] = (
                result["bytes_per_step"] * steps_per_second / machine["bytes_per_second"]
            )


def table(network: str, results: dict[str, Facts]) -> str:
    """The results of one network in Markdown."""
    titles = (
        "images/s", "÷ PyTorch eager", "to the first step", "of it the first call", "memory",
        "of peak FLOP/s", "of peak bytes/s",
    )  # fmt: skip
    lines = [f"| {network} | {' | '.join(titles)} |", f"|---|{'---|' * len(titles)}"]
    for name, result in results.items():
        memory = f"{result['host_megabytes']:,.0f} MB"
        if result["device_megabytes"] is not None:
            memory += f", device {result['device_megabytes']:,.0f} MB"
        cells = [
            f"{statistics.median(result['images_per_second']):,.0f}",
            f"{result['ratio']:.2f}",
            f"{result['seconds_to_first_step']:.1f} s",
            f"{result['first_call_seconds']:.1f} s",
            memory,
            f"{result['of_peak_flops']:.0%}" if "of_peak_flops" in result else "–",
            f"{result['of_peak_bytes']:.0%}" if "of_peak_bytes" in result else "–",
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def made_up(folder: Path, shape: tuple[int, int, int], number: int) -> Path:
    """A file of random images for all contenders."""
    rng = np.random.default_rng(0)
    path = folder / f"{'x'.join(map(str, shape))}.npz"
    names = np.array(list("0123456789"))
    images = rng.integers(0, 256, (number, *shape), np.uint8)
    np.savez(path, images=images, labels=np.arange(number) % 10, class_names=names)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--contenders", nargs="+", help="names, as in the tables; by default all")
    parser.add_argument("--batch_size", type=int, help="128; on a GPU 256")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0, help="of a round")
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--shrink", type=int, default=1, help="divides the sizes of product and copy")
    parser.add_argument("--no-store", action="store_true")
    flags = parser.parse_args()

    probe = start(OURS, probe=True, shrink=flags.shrink)
    machine = probe.ready
    probe.end()
    batch_size = flags.batch_size or (256 if machine["platform"] == "gpu" else 128)
    stored = RESULTS / f"train_speed_{machine['platform']}.json"
    results: dict[str, Any] = json.loads(stored.read_text()) if stored.exists() else {"machine": {}}
    if results["machine"].get("environment") != machine["environment"]:
        results = {}
    results |= {"machine": machine, "batch_size": batch_size}
    print(json.dumps(machine), flush=True)
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        for network in flags.networks:
            model, shape, augmentation = NETWORKS[network]
            specs = contenders(machine["platform"], network)
            chosen = {name: specs[name] for name in flags.contenders or specs if name in specs}
            data = str(made_up(Path(folder), shape, flags.images))
            more = {"model": model, "augmentation": augmentation, "data": data, "batch_size": batch_size}
            found = compare(chosen, more, flags.rounds, flags.seconds)
            add_derived(found, chosen, machine, batch_size)
            results[network] = found
            tables.append(table(network, found))
            print(f"{network}: done", flush=True)
    print("\n" + "\n\n".join(tables))
    if not flags.no_store:
        RESULTS.mkdir(parents=True, exist_ok=True)
        text = json.dumps(results, indent=1)
        stored.write_text(text + "\n")


if __name__ == "__main__":
    main()
