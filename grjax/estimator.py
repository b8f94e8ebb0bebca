"""Gradient Rescaling as an estimator of scikit-learn."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from grjax import dynamics, methods
from grjax.analysis import suspects
from grjax.data import class_labels, features
from grjax.data.feed import DeviceData
from grjax.errors import ConfigError
from grjax.experiment import create_parts
from grjax.fit import train_on_arrays
from grjax.methods import Learner
from grjax.plain_values import plain
from grjax.workdir import predictions

_BATCH = 256  # examples at a time in prediction; always so many, so that one program is compiled


class GRClassifier(ClassifierMixin, BaseEstimator):
    """A classifier for labels that may be wrong, which also says which of them are suspect.

    A neural network trained by Gradient Rescaling: an MLP on features, a small CNN on images. Features and
    channels are standardised inside.

    Args:
      lam: of the loss, see `grjax.losses.gradient_rescaling`; None: as `grjax.fit.recipe` has it.
      beta: of the loss, too: the higher, the less is learned from examples that look wrong.
      method: of training, one of `grjax.methods.names()`, with its default options; others are keys of
        `config`, as {'method.rate': 0.2}.
      epochs: of training.
      config: other keys of a run's config, nested or dotted, as {'model.hidden': (64,)}; they win over the
        arguments above and over the recipe.
      random_state: seed of initial weights and order: an integer, a `RandomState`, or None.

    Attributes:
      classes_: [C], sorted.
      label_issues_: whether the label of a training example is suspected to be wrong, bool [N].
      audit_: with scores, suggestions and evidence, a `grjax.analysis.Audit`; its classes are positions in
        `classes_`.
      n_features_in_: D; of images the height.

    Example:
      >>> from sklearn.datasets import load_wine
      >>> from grjax.estimator import GRClassifier
      >>> X, y = load_wine(return_X_y=True)
      >>> y[:9] = 2  # of class 0
      >>> model = GRClassifier(epochs=30, random_state=0).fit(X, y)
      >>> bool((model.predict(X[:9]) == 0).mean() > 0.7), bool(model.label_issues_[:9].mean() > 0.7)
      (True, True)

    Reference: Wang et al., arXiv:1905.11233.
    """

    def __init__(
        self,
        *,
        lam: float | None = None,
        beta: float | None = None,
        method: str = "single",
        epochs: float = 40.0,
        config: Mapping[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.lam = lam
        self.beta = beta
        self.method = method
        self.epochs = epochs
        self.config = config
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> "GRClassifier":  # noqa: N803
        """Trains in a temporary folder that is gone afterwards.

        Args:
          X: features [N, D], or images [N, height, width] or [N, height, width, C].
          y: labels [N], of any type that sorts.

        Raises:
          ConfigError: a config that cannot be trained.
          ValueError: arrays that cannot be.
        """
        if y is not None and np.ndim(y) == 1:
            y = class_labels.read(y, "y", floating=True)
        images, y = validate_data(self, X, y, allow_nd=True)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ConfigError(f"y: must hold at least 2 classes, got one class: {self.classes_[0]!r}")
        seed = check_random_state(plain(self.random_state)).randint(2**31)
        loss = {key: value for key, value in (("lam", self.lam), ("beta", self.beta)) if value is not None}
        own = {"loss": loss, "method": {"name": self.method}, "train_epochs": self.epochs}
        layers = own, self.config or {}
        # float32 as training has it; `predict_proba` does the same.
        self._scaling = features.scaling(images[..., None] if images.ndim == 3 else images)
        images = self._as_float32(images)
        with tempfile.TemporaryDirectory(prefix="grjax_fit_") as folder:
            run = Path(folder)
            names = [str(name) for name in self.classes_]
            trained = train_on_arrays(
                images, labels, *layers, class_names=names, seed=seed, workdir=run, kept=False
            )
            history = predictions.read(run)
        found = dynamics.summary(trained.state.dynamics, trained.experiment.noise.ids)
        self.audit_ = suspects.find(history, tuple(names), found)
        self.label_issues_ = self.audit_.suspected
        self._shape = images.shape[1:]
        self._statistics = trained.experiment.statistics()
        # What the method is made of again for predictions: its functions themselves cannot be pickled.
        self._config, self._learner = trained.config, trained.state.learner
        parts = trained.experiment.parts
        self._lengths = parts.steps_per_epoch, parts.total_steps
        return self

    def predict_proba(self, X: ArrayLike) -> np.ndarray:  # noqa: N803
        """Probabilities of the classes, in the order of `classes_`: float32 [N, C]."""
        check_is_fitted(self)
        images = validate_data(self, X, allow_nd=True, reset=False)
        if images.shape[1:] != self._shape:
            raise ValueError(f"X: must be {['N', *self._shape]} as in fit, got {list(images.shape)}")
        images = self._as_float32(images)
        if images.ndim == 2:
            images = images[:, None, None]
        elif images.ndim == 3:
            images = images[..., None]
        padded = np.concatenate([images, np.repeat(images[-1:], -len(images) % _BATCH, axis=0)])
        batches = padded.reshape(-1, _BATCH, *padded.shape[1:])
        probabilities = self._probabilities(images.shape[1:])
        found = [np.asarray(probabilities(self._learner, batch)) for batch in batches]
        return np.concatenate(found)[: len(images)]

    def _as_float32(self, images: np.ndarray) -> np.ndarray:
        if images.dtype == np.uint8 and images.ndim > 2:
            return images
        return self._scaling(images[..., None])[..., 0] if images.ndim == 3 else self._scaling(images)

    def _probabilities(self, image_shape: tuple[int, ...]) -> Callable[[Learner, np.ndarray], jax.Array]:
        """The function (learner, images [B, ...]) -> probabilities [B, C], compiled."""
        steps_per_epoch, total_steps = self._lengths
        parts, _ = create_parts(
            self._config,
            image_shape=image_shape,
            num_classes=len(self.classes_),
            steps_per_epoch=steps_per_epoch,
            total_steps=total_steps,
        )
        options = {key: value for key, value in self._config.method.items() if key != "name"}
        method = methods.create(self._config.method.name, parts, **options)
        data = DeviceData(None, jnp.zeros(0, jnp.int32), *map(jnp.asarray, self._statistics))
        return jax.jit(lambda learner, batch: jax.nn.softmax(method.logits(learner, data.standardise(batch))))

    def predict(self, X: ArrayLike) -> np.ndarray:  # noqa: N803
        """The most probable classes [N]."""
        check_is_fitted(self)
        return self.classes_[self.predict_proba(X).argmax(1)]
