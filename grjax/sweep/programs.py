"""Programs that trials share: one compilation for all configs that differ in traced values alone."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from grjax import corruption, data
from grjax import experiment as experiment_lib
from grjax.data.feed import Batch, DeviceData
from grjax.devices import PyTree, Step
from grjax.evaluate import device_data
from grjax.experiment import Experiment
from grjax.metrics import Row
from grjax.runs import Programs, Run
from grjax.steps import TrainState
from grjax.sweep import traced
from grjax.together import Together


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
        self._compiled: dict[tuple[type, int], tuple[Step, Step]] = {}

    def compiled(self, together: Together) -> tuple[Step, Step]:
        """The train and the evaluation step of trials that run together."""
        key = type(together), together.size
        if key not in self._compiled:
            self._compiled[key] = together.train(self._train_step), together.evaluate(self._eval_step)
        return self._compiled[key]

    def _train_step(
        self, state: TrainState, inputs: tuple[traced.Values, DeviceData], batches: Batch
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """The train step of one device, for any trial of the group."""
        values, images = inputs
        self.compilations["train"] += 1  # this is Python: it runs when the step is traced
        return traced.rebuilt(self.experiment, self.config, values).train_step()(state, images, batches)

    def _eval_step(
        self, state: TrainState, inputs: tuple[traced.Values, DeviceData], batch: tuple[Batch, jax.Array]
    ) -> dict[str, jax.Array]:
        """The evaluation step of one device, for any trial of the group."""
        values, images = inputs
        self.compilations["evaluation"] += 1
        return traced.rebuilt(self.experiment, self.config, values).eval_step()(state, images, batch)


class Shared:
    """Data sets, images on the devices and programs of all trials that a process runs."""

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
        """The metrics of the steps of all groups."""
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

    def run(self, config: ConfigDict, workdir: Path, on_row: Callable[[Row], None] | None = None) -> Run:
        """A run of a config in a folder, with data and checks that its group has already."""
        experiment = experiment_lib.create(config, dataset=self._dataset(config), check_shapes=False)
        return Run(config, workdir, experiment, on_row)

    def programs(self, config: ConfigDict, together: Together) -> Programs:
        """The programs of the config's group, for trials that run together.

        Raises:
          ConfigError: the config asks for something impossible.
        """
        group = self.group(config)
        p_train_step, p_eval_step = group.compiled(together)

        def init_state(run: Run) -> TrainState:
            # As an array, so that it does not compile for each seed anew.
            seed = np.asarray(run.experiment.init_seed, np.uint32)
            return group.init(seed, run.experiment.noise.labels)

        def inputs(runs: Sequence[Run]) -> tuple[PyTree, DeviceData]:
            values = together.join([arrays(traced.values(run.config)) for run in runs])
            labels = together.join([run.experiment.noise.labels for run in runs])
            return values, self._device_data(runs[0].experiment).replace(labels=labels)

        return Programs(together, init_state, inputs, p_train_step, p_eval_step)

    def _device_data(self, experiment: Experiment) -> DeviceData:
        """As `evaluate.device_data`, but images that the trial before had too are not copied again."""
        splits = experiment.dataset.splits.values()
        images = [split.images for split in splits]
        if self._images is None or any(a is not b for a, b in zip(images, self._images[0], strict=False)):
            self._images = images, device_data(experiment)
        return self._images[1]

    def _dataset(self, config: ConfigDict) -> data.Dataset:
        key = config.data.to_json(sort_keys=True) + str(corruption.noise_columns(config))
        if key not in self._datasets:
            self._datasets[key] = corruption.load(config)
        return self._datasets[key]


def arrays(values: traced.Values) -> PyTree:
    """Traced values as arrays: seeds uint32, others float32 [] each."""

    def array(value: Any) -> np.ndarray:
        return np.asarray(value, np.uint32 if isinstance(value, int) else np.float32)

    return jax.tree.map(array, values)
