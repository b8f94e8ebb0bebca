"""`--mode=audit`: which labels of a run's training set are probably wrong."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from rich.table import Table

from grjax import corruption, dynamics
from grjax import experiment as experiment_lib
from grjax.analysis import audit_files, audit_page, suspects
from grjax.analysis.suspects import Audit
from grjax.evaluate import config_of
from grjax.experiment import Experiment
from grjax.methods.network import Network
from grjax.paths import as_path
from grjax.progress import plain_console
from grjax.steps import TrainState
from grjax.workdir import layout, predictions
from grjax.workdir.checkpoints import Checkpoints
from grjax.workdir.files import read_npz, write_json

_MANY_CLASSES = 20  # of more, no matrix is printed; audit.json has it


def audit_run(
    workdir: str | os.PathLike[str], overrides: Mapping[str, Any] | None = None, *, export: bool = False
) -> dict[str, Any]:
    """Audits the training labels of a run, finished or not, from what it kept as it trained.

    Writes into the workdir audit.csv and audit.jsonl, a line for each example and the most suspect first;
    audit.html, and more pages, to look at; and audit.json, what is estimated. Where noise was injected, the
    right labels are known: audit.json then says how good the audit is.

    Args:
      workdir: of the run, with predictions.
      overrides: where its data lie now; see `grjax.evaluate.config_of`.
      export: write cleaned_labels.npz too, the labels with the suggestions for suspected ones, except where
        the given label may be as good (see `grjax.analysis.relabel`); and, of a run
        whose loss keeps targets in place of the labels, target_labels.npz, the largest class of each. Another
        run trains on either with noise.name='file' and noise.path.

    Returns:
      What audit.json holds.

    Raises:
      ConfigError: another override, or a run that was not evaluated after step 0.
      WorkdirError: no such run, it has no predictions, or its noise is not the config's any more.
    """
    workdir = as_path(workdir)
    config = config_of(workdir, overrides)
    dataset, noise = corruption.corrupted_data(config)
    noise.check_equals(workdir / layout.NOISE)
    audit = suspects.find(
        predictions.read(workdir), dataset.class_names, _read_dynamics(workdir, config, noise.ids)
    )
    result = audit.summary()
    known = noise.mislabelled.any() and not noise.mislabelled.all()
    result["against_truth"] = suspects.against_truth(audit, noise) if known else None
    if jax.process_index() == 0:
        images = dataset.splits["train"].images
        audit_files.write(audit, images, workdir)
        audit_page.write(audit, images, workdir, dataset.name)
        targets = _targets(workdir, config) if export else None
        if export:
            audit_files.export(audit.ids, audit.cleaned_labels, workdir / layout.CLEANED_LABELS)
        if targets is not None:
            audit_files.export(noise.ids, targets, workdir / layout.TARGET_LABELS)
        write_json(workdir / "audit.json", result)
        _print(audit, result)
        print(f"{workdir}: audit.html to look at, audit.csv, audit.jsonl, audit.json")
        if export:
            cleaned = workdir / layout.CLEANED_LABELS
            print(f"train on the cleaned labels: --config.noise.name=file --config.noise.path={cleaned}")
        if targets is not None:
            kept = workdir / layout.TARGET_LABELS
            print(f"train on the kept targets: --config.noise.name=file --config.noise.path={kept}")
    return result


def _read_dynamics(workdir: Path, config: ConfigDict, ids: np.ndarray) -> dict[str, np.ndarray] | None:
    """Dynamics from the file of a finished run, else from the latest checkpoint; None: there are none."""
    path = workdir / layout.DYNAMICS
    if path.exists():
        return read_npz(path)
    if not config.dynamics:
        return None
    _, found = _latest(workdir, config)
    return None if found is None else dynamics.summary(found.dynamics, ids)


def _targets(workdir: Path, config: ConfigDict) -> np.ndarray | None:
    """The class that the loss of a run has come to train each example on, int32 [N]; None: it keeps none."""
    experiment, state = _latest(workdir, config)
    of = experiment.parts.loss.targets
    if of is None or state is None:
        return None
    leaves = jax.tree.leaves(state.learner, is_leaf=lambda leaf: isinstance(leaf, Network))
    networks = [leaf for leaf in leaves if isinstance(leaf, Network)]
    return np.mean([of(network.loss_memory) for network in networks], axis=0).argmax(-1).astype(np.int32)


def _latest(workdir: Path, config: ConfigDict) -> tuple[Experiment, TrainState | None]:
    """The experiment of a run, and the state of its latest checkpoint; None where there is none."""
    checkpoints = Checkpoints(workdir / layout.CHECKPOINTS, config.keep_checkpoints)
    experiment = experiment_lib.create(config, training=False)
    steps = checkpoints.steps()
    found = experiment.restore(checkpoints, steps[-1]) if steps else None
    checkpoints.close()
    return experiment, found


def _print(audit: Audit, result: Mapping[str, Any]) -> None:
    console = plain_console()
    table = Table("", "value", title=f"label audit at step {result['last_step']}")
    table.add_row("examples", str(result["num_examples"]))
    table.add_row("suspected", str(result["num_suspected"]))
    table.add_row("relabelled in an export", str(result["num_relabelled"]))
    table.add_row("estimated noise rate", f"{result['estimated_noise_rate']:.4f}")
    for key, value in (result["against_truth"] or {}).items():
        table.add_row(f"{key.replace('_', ' ')}, known", "–" if value is None else f"{value:.4f}")
    console.print(table)
    for reason in (*([] if audit.doubt is None else [audit.doubt]), *result["kept_as_given"]):
        console.print(reason, soft_wrap=True)
    names = audit.class_names
    if len(names) <= _MANY_CLASSES:
        matrix = Table("", *names, title="estimated P(given label | right label), right ones in rows")
        for name, row in zip(names, audit.transition_matrix, strict=True):
            matrix.add_row(name, *(f"{value:.2f}" if value else "·" for value in row))
        console.print(matrix)
