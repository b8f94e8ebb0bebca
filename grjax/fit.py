"""Training on arrays in memory, without any file of a data set: what audits and the estimator start with."""

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np
from ml_collections import ConfigDict
from numpy.typing import ArrayLike

from grjax import config as config_lib
from grjax import experiment as experiment_lib
from grjax.data import class_labels, from_arrays
from grjax.errors import ConfigError, WorkdirError
from grjax.experiment import Experiment
from grjax.paths import as_path
from grjax.plain_values import plain
from grjax.progress import Display
from grjax.steps import TrainState
from grjax.stopping import StopRequest
from grjax.train import train_and_evaluate
from grjax.workdir import layout
from grjax.workdir.checkpoints import Checkpoints
from grjax.workdir.files import read_npz, write_npz


@dataclasses.dataclass(frozen=True)
class Trained:
    """A finished run on arrays: its config, its parts, and its last state as NumPy arrays."""

    config: ConfigDict
    experiment: Experiment
    state: TrainState


def recipe(num_examples: int, num_classes: int, epochs: float = 40.0, *, features: bool) -> dict[str, Any]:
    """The keys of a config that suit arrays of unknown origin.

    For images, and for features of two or three classes, Gradient Rescaling with lam 1 and beta 16, as in
    configs/digits.py. At the start p is 1 / C, and from C = 4 on that weighs such examples less than half as
    much as those of p = 1/2. The CNN's batch norm helps it over that, the MLP does not learn: there see
    `emphasis`. That was chosen on digits and Fashion-MNIST as vectors with symmetric and pair-flip noise;
    see docs/results/audit.md.

    Args:
      num_examples: N. Where they are few a batch has a tenth, so that an epoch has ten steps or more.
      num_classes: C.
      epochs: of training.
      features: vectors; else images.
    """
    devices = jax.device_count()
    batch_size = min(max(num_examples // 10, 8), 128, num_examples)
    loss: dict[str, Any] = {"name": "gradient_rescaling", "lam": 1.0, "beta": 16.0}
    optimizer: dict[str, Any] = {"name": "momentum", "learning_rate": 0.01, "momentum": 0.9}
    if features and num_classes >= 4:
        loss["lam"], loss["beta"] = emphasis(num_classes)
        optimizer |= {"learning_rate": 0.03, "clip_norm": 1.0}
    return {
        "noise": {"name": "symmetric", "rate": 0.0},
        "model": {"name": "mlp", "hidden": (128, 128)} if features else {"name": "cnn"},
        "loss": loss,
        "optimizer": optimizer,
        "schedule": {"name": "cosine"},
        "train_epochs": epochs,
        "checkpoint_every_epochs": 10.0**6,
        "batch_size": max(batch_size - batch_size % devices, devices),
        "tensorboard": False,
    }


def emphasis(num_classes: int) -> tuple[float, float]:
    """The (lam, beta) with which hard examples are not given up before they are learned.

    The weight at p = 1 / C, where every example begins, is 3/8 of the largest: 0.475 and 10.4 to ten classes.
    Beyond, lam falls with log C, so that p^lam at p = 1 / C stays that of ten.

    Example:
      >>> from grjax import fit
      >>> [tuple(round(x, 3) for x in fit.emphasis(classes)) for classes in (10, 100)]
      [(0.475, 10.399), (0.237, 4.575)]
    """
    start = 1 / max(num_classes, 10)
    lam = 0.475 * math.log(0.1) / math.log(start)
    mode = lam / (lam + 1)
    return lam, math.log(8 / 3) / (mode**lam * (1 - mode) - start**lam * (1 - start))


def train_on_arrays(
    images: ArrayLike,
    labels: ArrayLike,
    *layers: Mapping[str, Any],
    class_names: Sequence[str] | np.ndarray | Mapping[Any, Any] | None = None,
    held_out: np.ndarray | None = None,
    seed: int = 0,
    workdir: str | os.PathLike[str],
    kept: bool = True,
) -> Trained:
    """Trains on the examples, without a word to the terminal; or goes on where the same call was stopped.

    The workdir is that of any run, with the arrays in own.npz; `--mode=audit` takes it, too.

    Args:
      images: numbers [N, height, width, C] or [N, height, width]; or features [N, D].
      labels: integers [N] in [0, C), or the names of the classes; of these and of images see
        `grjax.data.from_arrays`.
      *layers: keys of a config that differ from `recipe`, nested or dotted, each laid over those before it.
      class_names: in the order of the labels; see `grjax.data.from_arrays`.
      held_out: positions of examples not to train on, ascending; they are the run's test split, and the
        others keep their positions as ids. None: all are trained on.
      seed: of initialisation and order.
      workdir: a folder that holds no other run.
      kept: whether the workdir stays. If not, nothing could go on, and signals are left unchanged.

    Raises:
      ConfigError: arrays or a config that cannot be trained on.
      WorkdirError: the folder holds a run on other arrays, or of another config.
      PreemptedError, CtrlCError: SIGTERM or Ctrl-C came; the state is saved.
    """
    given, labels = np.asarray(images), class_labels.read(labels, "labels")
    if given.ndim not in (2, 3, 4) or given.dtype.kind not in "biuf":
        raise ConfigError(
            "images: must be numbers, [N, D], [N, height, width] or [N, height, width, C], "
            f"got {given.dtype} {list(given.shape)}"
        )
    layers, seed, workdir = plain(layers), plain(seed), as_path(workdir)
    # A run measures a test split; where no example is held out, the first stands in for it.
    tested = np.zeros(1, np.int64) if held_out is None else held_out
    trained = np.arange(len(given)) if held_out is None else np.setdiff1d(np.arange(len(given)), held_out)
    dataset = from_arrays(given, labels, test=(given[:1], labels[:1]), class_names=class_names)
    features = given.ndim == 2
    epochs = [layer["train_epochs"] for layer in layers if "train_epochs" in layer]
    for value in epochs:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise ConfigError(f"train_epochs: must be a positive number, got {value!r}")
    own = recipe(len(trained), dataset.num_classes, *epochs[-1:], features=features)
    path = workdir / layout.ARRAYS
    data = {"name": "npz", "dir": str(path)}
    run_config = config_lib.resolve(
        own,
        *(config_lib.unflatten(layer) for layer in layers),
        {"data": data, "init_seed": seed, "order_seed": seed, "keep_predictions": True},
    )
    if run_config.data.validation_fraction or run_config.imbalance.name != "none":
        raise ConfigError(
            "config: which of these arrays' examples are trained on is settled; leave out "
            "data.validation_fraction and imbalance"
        )
    if held_out is not None:  # whose labels would stay unchanged
        for section in ("noise", "open_set"):
            changed = run_config[section].to_dict()
            if changed != config_lib.resolve(own)[section].to_dict():
                raise ConfigError(f"{section}: must be left out where examples are held out, got {changed}")
    numbers = dataset.splits["train"].labels
    given = cast(np.ndarray, dataset.splits["train"].images)  # uint8 or float32, of any scale no more
    given = given[:, 0, 0] if features else given
    arrays = {"images": given[trained], "labels": numbers[trained], "ids": trained}
    test = {"test_images": given[tested], "test_labels": numbers[tested], "test_ids": tested}
    _keep(path, {**arrays, **test, "class_names": np.array(dataset.class_names)})
    experiment = experiment_lib.create(run_config)
    train_and_evaluate(
        run_config,
        workdir,
        experiment=experiment,
        display=Display(quiet=True),
        stop_request=None if kept else StopRequest(),
    )
    checkpoints = Checkpoints(workdir / layout.CHECKPOINTS, run_config.keep_checkpoints)
    state = experiment.restore(checkpoints, checkpoints.steps()[-1])
    checkpoints.close()
    return Trained(run_config, experiment, state)


def _keep(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes the arrays of a run into its folder, or checks that they are those it was begun with."""
    if path.exists():
        stored = read_npz(path)
        same = stored.keys() == arrays.keys() and all(
            np.array_equal(stored[key], value) for key, value in arrays.items()
        )
    else:
        same = not (path.parent / layout.CONFIG).exists()
        if same:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_npz(path, arrays)
    if not same:
        raise WorkdirError(f"workdir={path.parent}: holds a run on other arrays; take another folder")
