"""A label audit of arrays in memory, in one call."""

import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from grjax import dynamics
from grjax.analysis import cross_validation, suspects
from grjax.analysis.suspects import Audit
from grjax.data import class_labels
from grjax.errors import DataWarning
from grjax.fit import train_on_arrays
from grjax.paths import as_path
from grjax.plain_values import plain
from grjax.workdir import predictions


def audit(
    images: ArrayLike,
    labels: ArrayLike,
    config: Mapping[str, Any] | None = None,
    *,
    class_names: Sequence[str] | np.ndarray | Mapping[Any, Any] | None = None,
    folds: int | None = None,
    seed: int = 0,
    workdir: str | os.PathLike[str] | None = None,
) -> Audit:
    """Trains on labels that may be wrong, and says which probably are.

    Args:
      images: uint8 [N, height, width, C] or [N, height, width]; or features, floating [N, D].
      labels: integers [N] in [0, C), or the names of the classes.
      config: keys of a run's config that differ from `grjax.fit.recipe`, nested or dotted, as
        {'loss.beta': 8.0, 'train_epochs': 20}.
      class_names: in the order of the labels; see `grjax.data.from_arrays`.
      folds: K >= 2, for K trainings, each without another K-th of the examples; see
        `grjax.analysis.cross_validation`. It ranks better and takes K times as long; 5 is usual. None: one
        training.
      seed: of initialisation and order, and of the folds.
      workdir: where the run is kept, of several each in a folder 'fold0', ... of its own, and where the same
        call goes on after it was stopped; None: in a temporary folder, gone afterwards.

    Returns:
      The audit, whose arrays are in the order of the examples.

    Raises:
      ConfigError: arrays or a config that cannot be trained on.
      WorkdirError: the folder holds another run.
      PreemptedError, CtrlCError: SIGTERM or Ctrl-C came, and what is in the workdir is saved.

    Warns:
      DataWarning: more than half of the labels are suspected; see `Audit.doubt`.

    Example:
      >>> from sklearn.datasets import load_wine
      >>> from grjax import analysis
      >>> x, y = load_wine(return_X_y=True)
      >>> y[:9] = 2  # of class 0
      >>> audit = analysis.audit(x, y, {'train_epochs': 30})
      >>> bool(audit.suspected[:9].mean() > 0.7), bool(audit.suspected[9:].mean() < 0.1)
      (True, True)
    """
    given, folds, seed = class_labels.read(labels, "labels"), plain(folds), plain(seed)
    with tempfile.TemporaryDirectory(prefix="grjax_audit_") as temporary:
        folder = Path(temporary) / "run" if workdir is None else as_path(workdir)
        parts = [] if folds is None else cross_validation.held_out_parts(given, folds, seed)
        histories, found = [], []
        for number in range(folds or 1):
            part, run = (parts[number], folder / f"fold{number}") if parts else (None, folder)
            trained = train_on_arrays(
                images,
                given,
                config or {},
                class_names=class_names,
                held_out=part,
                seed=seed + number,
                workdir=run,
                kept=workdir is not None,
            )
            histories.append(predictions.read(run))
            found.append(dynamics.summary(trained.state.dynamics, trained.experiment.noise.ids))
        names = trained.experiment.dataset.class_names
        if not parts:
            audited = suspects.find(histories[0], names, found[0])
        else:
            history = cross_validation.combine(histories, parts, len(names))
            dynamics_of_all = cross_validation.combine_dynamics(found, len(history.ids))
            audited = suspects.find(history, names, dynamics_of_all)
    if audited.doubt is not None:
        warnings.warn(audited.doubt, DataWarning, stacklevel=2)
    return audited
