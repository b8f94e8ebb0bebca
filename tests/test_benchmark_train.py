"""The benchmark of training: the same networks on both sides, processes in turn, medians of their rounds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from benchmarks import train
from benchmarks.rounds import Contender
from grjax import models

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", train.NETWORKS)
def test_the_networks_of_pytorch_have_the_same_parameters(name):
    torch = pytest.importorskip("torch")
    from benchmarks import train_torch

    model, shape, _ = train.NETWORKS[name]
    theirs = train_torch.network(model)
    ours = models.create(model, num_classes=10)
    variables = jax.eval_shape(
        lambda: ours.init(jax.random.key(0), jnp.zeros((1, *shape)), train=False)["params"]
    )
    # Sizes alone: kernels are laid out differently.
    assert sorted(leaf.size for leaf in jax.tree.leaves(variables)) == sorted(
        parameter.numel() for parameter in theirs.parameters()
    )
    assert theirs(torch.zeros(2, shape[2], *shape[:2])).shape == (2, 10)


CONTENDER = """
import json, sys
from benchmarks.rounds import serve

spec = json.loads(sys.argv[1])
if spec["fails"]:
    sys.exit(3)
print("a warning of some library")
calls = []
serve(lambda: calls.append(1), lambda: calls.append("waited"), {"spec": spec}, lambda: {"calls": calls})
"""


@pytest.fixture
def contender(tmp_path):
    (tmp_path / "fake_contender.py").write_text(CONTENDER)
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    return lambda **spec: Contender("fake_contender", spec, {"PYTHONPATH": path})


def test_a_contender_says_what_it_did_in_each_round(contender):
    running = contender(fails=False)
    assert running.ready == {"spec": {"fails": False}}
    assert running.seconds_to_ready > 0
    rounds = [running.round(0.0), running.round(0.0)]
    assert [found["calls"] for found in rounds] == [1, 1]
    assert all(found["seconds"] > 0 for found in rounds)
    end = running.end()
    assert end["calls"] == [1, "waited", 1, "waited"]
    assert end["host_megabytes"] > 1


def test_a_contender_that_fails_is_named(contender):
    with pytest.raises(RuntimeError, match=r"fake_contender .* ended with exit code 3"):
        contender(fails=True)


def test_figures_are_medians_and_ratios_those_of_the_same_round():
    base = {"seconds_to_first_step": 1.0, "first_call_seconds": 0.5, "host_megabytes": 10.0}
    results = {
        "grjax": {**base, "images_per_second": [100.0, 400.0, 300.0], "device_megabytes": 5.0,
                  "flops_per_step": 6e9, "bytes_per_step": 1e9},
        train.REFERENCE: {**base, "images_per_second": [50.0, 400.0, 600.0], "device_megabytes": None},
    }  # fmt: skip
    machine = {"flops_per_second": {"float32": 24e9}, "bytes_per_second": 2e9}
    train.add_derived(results, {"grjax": train.OURS, train.REFERENCE: train.THEIRS}, machine, batch_size=150)
    ours = results["grjax"]
    assert ours["ratio"] == 1.0  # of 2, 1 and 1/2
    assert results[train.REFERENCE]["ratio"] == 1.0
    # A step of 150 images takes 0.5 s; its arithmetic would take 0.25 s, its bytes 0.5 s.
    assert (ours["of_peak_flops"], ours["of_peak_bytes"]) == (0.5, 1.0)
    [*_, row, other] = train.table("digits", results).splitlines()
    assert row == "| grjax | 300 | 1.00 | 1.0 s | 0.5 s | 10 MB, device 5 MB | 50% | 100% |"
    assert other.endswith("| 10 MB | – | – |")


@pytest.mark.slow  # imports jax twice and torch once
def test_it_runs_small(tmp_path):
    pytest.importorskip("torch")
    command = [sys.executable, "-m", "benchmarks.train", "--networks", "digits",
               "--contenders", "grjax as shipped", train.REFERENCE, "--rounds", "1", "--seconds", "0.1",
               "--images", "256", "--batch_size", "32", "--shrink", "64", "--no-store"]  # fmt: skip
    environment = {**os.environ, "XLA_FLAGS": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    first, *_, ours, theirs = done.stdout.splitlines()
    assert json.loads(first)["platform"] == "cpu"
    assert ours.startswith("| grjax as shipped |")
    assert theirs.startswith(f"| {train.REFERENCE} |")
    assert theirs.split(" | ")[2] == "1.00"
