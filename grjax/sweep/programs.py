"""Programs that trials share: one compilation for all configs that differ in traced values alone."""

from collections import Counter
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from grjax import corruption, data
from grjax import experiment as experiment_lib
from grjax.evaluate import device_data
from grjax.experiment import Experiment
from grjax.steps import Batch, DeviceData, PyTree, TrainState, parallelize, replicate
from grjax.sweep import traced
from grjax.sweep.mapping import Mapping, Step
from grjax.train import Prepared


class Group:
    """What trials of one `traced.key` share.

    Attributes:
      number: in the order in which groups were first seen.
      config: of the first of them.
      experiment: of that.
      compilations: so far, of the 'train' and the 'evaluation' step.
    """

    def __init__(self, number: int, config: ConfigDict, experiment: Experiment):
        self.number, self.config, self.experiment = number, config, experiment
        self.compilations: Counter[str] = Counter()
        self.init = experiment.init()
        self.p_train_step = parallelize(self.train_step, donate_state=True)
        self.p_eval_step = parallelize(self.eval_step)
        self._mapped: dict[tuple[type, int], tuple[Step, Step]] = {}

    def mapped(self, mapping: Mapping) -> tuple[Step, Step]:
        """The train and the evaluation step of several trials."""
        key = type(mapping), mapping.size
        if key not in self._mapped:
            self._mapped[key] = mapping.train(self.train_step), mapping.evaluate(self.eval_step)
        return self._mapped[key]

    def train_step(
        self, state: TrainState, inputs: tuple[traced.Values, DeviceData], batches: Batch
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """The train step of one device, for any trial of the group."""
        values, images = inputs
        self.compilations["train"] += 1  # this is Python: it runs when the step is traced
        return traced.rebuilt(self.experiment, self.config, values).train_step()(state, images, batches)

    def eval_step(
        self, state: TrainState, inputs: tuple[traced.Values, DeviceData], batch: tuple[Batch, jax.Array]
    ) -> dict[str, jax.Array]:
        """The evaluation step of one device, for any trial of the group."""
        values, images = inputs
        self.compilations["evaluation"] += 1
        return traced.rebuilt(self.experiment, self.config, values).eval_step()(state, images, batch)


class Shared:
    """Data sets, images on the devices and programs of all trials that a process runs.

    `prepare` is what `train_and_evaluate` takes for a config in place of programs of its own.
    """

    def __init__(self) -> None:
        self._groups: dict[str, Group] = {}
        self._datasets: dict[str, data.Dataset] = {}
        self._images: tuple[list[Any], DeviceData] | None = None  # of the last data set, and whose they are

    @property
    def groups(self) -> list[Group]:
        """All groups so far."""
        return list(self._groups.values())

    @property
    def compilations(self) -> Counter[str]:
        """Of the steps of all groups."""
        return sum((group.compilations for group in self.groups), Counter())

    def group(self, config: ConfigDict) -> Group:
        """The group of a config, made if it is the first of it.

        Raises:
          ConfigError: the config asks for something impossible.
        """
        experiment_lib.check(config)
        key = traced.key(config)
        if key not in self._groups:
            experiment = experiment_lib.create(config, dataset=self._dataset(config))
            self._groups[key] = Group(len(self._groups), config, experiment)
        return self._groups[key]

    def experiment(self, config: ConfigDict) -> Experiment:
        """The experiment of a config, with data and checks that its group has already."""
        return experiment_lib.create(config, dataset=self._dataset(config), check_shapes=False)

    def prepare(self, config: ConfigDict) -> Prepared:
        """The experiment of a config with the programs of its group.

        Raises:
          ConfigError: the config asks for something impossible.
        """
        group, experiment = self.group(config), self.experiment(config)
        return Prepared(
            experiment,
            lambda: self.init_state(config, experiment),
            lambda: (replicate(arrays(traced.values(config))), self.device_data(experiment)),
            group.p_train_step,
            group.p_eval_step,
        )

    def init_state(self, config: ConfigDict, experiment: Experiment) -> TrainState:
        """The state before the first step of a config's experiment."""
        # As an array, so that it does not compile for each seed anew.
        seed = np.asarray(experiment.init_seed, np.uint32)
        return self.group(config).init(seed, experiment.noise.labels)

    def device_data(self, experiment: Experiment) -> DeviceData:
        """As `evaluate.device_data`, but images that the trial before had too are not copied again."""
        splits = experiment.dataset.splits.values()
        images = [split.images for split in splits]
        if self._images is None or any(a is not b for a, b in zip(images, self._images[0], strict=False)):
            self._images = images, device_data(experiment)
        return self._images[1].replace(labels=replicate(experiment.noise.labels))

    def _dataset(self, config: ConfigDict) -> data.Dataset:
        key = config.data.to_json(sort_keys=True)
        if key not in self._datasets:
            self._datasets[key] = corruption.load(config)
        return self._datasets[key]


def arrays(values: traced.Values) -> PyTree:
    """Traced values as arrays: seeds uint32, others float32 [] each."""

    def array(value: Any) -> np.ndarray:
        return np.asarray(value, np.uint32 if isinstance(value, int) else np.float32)

    return jax.tree.map(array, values)
