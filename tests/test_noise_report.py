"""`--mode=noise`, and the provenance of a run's labels."""

import dataclasses
import json

import numpy as np
import pytest

from grjax import config, corruption, noise
from grjax.analysis.noise_report import draw, report_noise
from grjax.errors import WorkdirError
from grjax.evaluate import evaluate_checkpoint
from grjax.train import train_and_evaluate
from grjax.workdir.folder import keep_noise, open_for, read_config


def small(**overrides):
    """A run of two steps, with one evaluation."""
    layer = {
        **({} if "noise.name" in overrides else {"noise.rate": 0.4}),
        "model.features": (8,),
        "model.hidden": 16,
        "train_steps": 2,
        "eval_every_steps": 2,
        "checkpoint_every_steps": 2,
        "tensorboard": False,
        **overrides,
    }
    return config.resolve(config.unflatten(layer))


def test_a_look_at_the_noise_writes_and_prints_it(data_dir, tmp_path, capsys):
    summary = report_noise(small(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "noise.npz", "noise.csv", "noise.json", "noise.png", "noise.svg",
    }  # fmt: skip
    _, noisy = corruption.corrupted_data(small())
    noisy.check_equals(tmp_path / "noise.npz")
    rows = np.loadtxt(tmp_path / "noise.csv", int, delimiter=",", skiprows=1)
    np.testing.assert_array_equal(rows, np.stack([noisy.ids, noisy.clean, noisy.labels], axis=1))
    assert (tmp_path / "noise.csv").read_text().splitlines()[0] == "id,clean_label,noisy_label"
    written = json.loads((tmp_path / "noise.json").read_text())
    assert written == {**summary, "class_names": list("0123456789")}
    assert summary["convention"] == {"name": "symmetric", "rate": 0.4, "seed": 0}
    assert summary["sha256"] == noisy.sha256
    assert summary["nominal_rate"] == summary["expected_rate"] == 0.4
    assert summary["realised_rate"] == noisy.mislabelled.mean()
    assert summary["transition_counts"] == noisy.transition_counts.tolist()
    for label in range(10):
        of_class = noisy.clean == label
        assert summary["class_rates"][label] == pytest.approx(noisy.mislabelled[of_class].mean())
    printed = capsys.readouterr().out
    for part in ("symmetric", "0.4000", f"{noisy.realised_rate:.4f}", noisy.sha256, "label (column)"):
        assert part in printed


COMPOSED = {
    "noise.name": "compose",
    "noise.parts": ({"name": "pair_flip", "rate": 0.2}, {"name": "symmetric", "rate": 0.2}),
    "noise.seed": 4,
}
SELECTED = {
    "imbalance.name": "step",
    "imbalance.ratio": 2.0,
    "open_set.name": "digits",
    "open_set.rate": 0.1,
}


def test_a_look_replaces_a_look_and_nothing_else(data_dir, tmp_path):
    report_noise(small(**{"noise.rate": 0.2}), tmp_path)
    report_noise(small(), tmp_path)
    looked_at = (tmp_path / "noise.npz").read_bytes()
    _, noisy = corruption.corrupted_data(small())
    noisy.check_equals(tmp_path / "noise.npz")
    dataset, other = corruption.corrupted_data(small(**{"noise.seed": 1}))
    with pytest.raises(WorkdirError, match="other noisy labels"):  # as a run of other noise begins
        keep_noise(other, dataset.class_names, tmp_path, new=True)
    open_for(small(), tmp_path)  # now the folder is a run's
    with pytest.raises(WorkdirError, match="other noisy labels"):
        report_noise(small(**{"noise.rate": 0.2}), tmp_path)
    assert (tmp_path / "noise.npz").read_bytes() == looked_at
    report_noise(small(), tmp_path)


def test_a_run_keeps_and_checks_where_its_labels_come_from(data_dir, tmp_path):
    workdir = tmp_path / "run"
    _, ours = corruption.corrupted_data(small(**COMPOSED, **SELECTED))
    dataclasses.replace(ours, replaced_by=None).save_csv(tmp_path / "labels.csv")
    from_file = {"noise.name": "file", "noise.path": str(tmp_path / "labels.csv")}
    run = small(**from_file, **SELECTED)
    report_noise(run, workdir)
    looked_at = json.loads((workdir / "noise.json").read_text())
    summary = train_and_evaluate(run, workdir)
    provenance = json.loads((workdir / "noise.json").read_text())
    assert provenance == looked_at
    assert provenance["convention"] == {
        "name": "file",
        "path": str(tmp_path / "labels.csv"),
        "seed": 0,
        "imbalance": {"name": "step", "ratio": 2.0},
        "open_set": {"name": "digits", "rate": 0.1},
    }
    assert provenance["sha256"] == summary["noise_sha256"] == ours.sha256
    assert summary["noise_rate_nominal"] is None
    assert summary["noise_rate_realised"] == ours.realised_rate
    # A file that moved is the same noise; one that changed is not.
    moved = {"noise.path": str((tmp_path / "labels.csv").rename(tmp_path / "moved.csv"))}
    assert evaluate_checkpoint(workdir, overrides=moved)["noise_sha256"] == ours.sha256
    other = corruption.corrupted_data(small(**SELECTED))[1]
    dataclasses.replace(other, replaced_by=None).save_csv(tmp_path / "moved.csv")
    with pytest.raises(WorkdirError, match="other noisy labels"):
        evaluate_checkpoint(workdir, overrides=moved)


def test_a_composition_is_found_again_in_a_workdir(data_dir, tmp_path):
    run = small(**COMPOSED)
    summary = report_noise(run, tmp_path)
    parts = [dict(part) for part in COMPOSED["noise.parts"]]
    assert summary["convention"] == {"name": "compose", "seed": 4, "parts": parts}
    for _ in range(2):
        open_for(run, tmp_path)
    _, again = corruption.corrupted_data(config.resolve(read_config(tmp_path)))
    assert again.sha256 == summary["sha256"]


def test_a_folder_that_cannot_be_made_is_refused(data_dir, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkdirError, match=r"^--workdir=.*file/run: cannot be written"):
        report_noise(small(), tmp_path / "file" / "run")


@pytest.mark.parametrize("num_classes", [3, 100])
def test_pictures_repeat(tmp_path, num_classes):
    noisy = noise.create("symmetric", rate=0.4)(np.arange(1000) % num_classes, num_classes)
    names = tuple(map(str, range(num_classes)))
    for ending in ("png", "svg"):
        path = tmp_path / f"noise.{ending}"
        draw(noisy, names, path)
        first = path.read_bytes()
        assert len(first) > 1000
        draw(noisy, names, path)
        assert path.read_bytes() == first
    assert len(list(tmp_path.iterdir())) == 2


def test_of_many_classes_the_noisiest_are_printed(capsys):
    from grjax.analysis.noise_report import print_tables

    labels = np.arange(100_000) % 100
    noisy = noise.create("asymmetric_cifar100_swap", rate=0.4)(labels, 100)
    print_tables(noisy, tuple(f"class{number}" for number in range(100)))
    printed = capsys.readouterr().out
    assert "the 20 noisiest of 100 classes" in printed
    shown = [line for line in printed.splitlines() if line.startswith("│ class")]
    assert len(shown) == 20
    swapped = [f"class{label}" for label in np.flatnonzero(np.bincount(labels[noisy.mislabelled]))]
    assert all(line.split()[1] in swapped for line in shown)
