"""A label audit of arrays in memory, in one call."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from grjax import dynamics, predictions
from grjax.analysis import suspects
from grjax.analysis.suspects import Audit
from grjax.array_training import train_on_arrays


def audit(
    images: ArrayLike,
    labels: ArrayLike,
    config: Mapping[str, Any] | None = None,
    *,
    class_names: Sequence[str] | None = None,
    seed: int = 0,
    workdir: Path | None = None,
) -> Audit:
    """Trains on labels that may be wrong, and says which probably are.

    Args:
      images: uint8 [N, height, width, C] or [N, height, width]; or features, floating [N, D].
      labels: integers [N] in [0, C), or the names of the classes.
      config: keys of a run's config that differ from `grjax.array_training.recipe`, nested or dotted, as
        {'loss.beta': 8.0, 'train_epochs': 20}.
      class_names: in the order of the labels; see `grjax.data.from_arrays`.
      seed: of initialisation and order.
      workdir: where the run is kept; None: in a temporary folder, gone afterwards.

    Returns:
      The audit, whose arrays are in the order of the examples.

    Raises:
      ConfigError: arrays or a config that cannot be trained on.

    Example:
      >>> from sklearn.datasets import load_wine
      >>> from grjax import analysis
      >>> x, y = load_wine(return_X_y=True)
      >>> y[:9] = 2  # of class 0
      >>> audit = analysis.audit(x, y, {'train_epochs': 30})
      >>> bool(audit.suspected[:9].mean() > 0.7), bool(audit.suspected[9:].mean() < 0.1)
      (True, True)
    """
    with tempfile.TemporaryDirectory(prefix="grjax_audit_") as folder:
        run = Path(folder) / "run" if workdir is None else workdir
        trained = train_on_arrays(
            images, labels, config or {}, class_names=class_names, seed=seed, workdir=run
        )
        found = dynamics.summary(trained.state.dynamics, trained.experiment.noise.ids)
        return suspects.find(predictions.read(run), trained.experiment.dataset.class_names, found)
