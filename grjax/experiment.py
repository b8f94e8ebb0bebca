"""What a config stands for: data, noise, model, loss, optimiser and the lengths of things."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.typing import ArrayLike, DTypeLike
from ml_collections import ConfigDict

from grjax import config as config_lib
from grjax import data, evaluation_times, first_edition, loggers, losses, methods, models, noise, optimizers
from grjax.corruption import corrupted_data
from grjax.data import augment, feed, mixing
from grjax.data.feed import Batch, Feed
from grjax.data.sampler import GroupSampler, Sampler
from grjax.devices import AXIS, PyTree
from grjax.errors import ConfigError, WorkdirError
from grjax.methods import Method, Parts
from grjax.models import import_torch
from grjax.steps import EvalStep, TrainState, TrainStep, make_eval_step, make_init, make_train_step
from grjax.workdir.checkpoints import Checkpoints


@dataclasses.dataclass(frozen=True)
class Experiment:
    """The parts of a run, built and checked; `create` makes them from a config."""

    dataset: data.Dataset
    noise: noise.NoisyLabels  # of the training split
    method_name: str
    method_options: Mapping[str, Any]
    parts: Parts  # what the method works with: model, loss, optimiser, ...
    schedule: optimizers.Schedule  # step -> factor of the learning rate
    learning_rate: float
    standardise: bool  # images, by mean and standard deviation of each channel
    sampler: Sampler
    feed: Feed
    batch_size: int
    eval_batch_size: int
    init_seed: int
    total_steps: int
    eval_every: int
    evaluate_start: bool  # before the first step
    checkpoint_every: int
    steps_per_call: int
    dynamics: bool  # whether training dynamics are collected

    def labels(self, split: str) -> np.ndarray:
        """The given labels of a split, of train the noisy ones: int32 [N]."""
        return self.noise.labels if split == "train" else self.dataset.splits[split].labels

    def train_batches(self, step: int, groups: Mapping[str, np.ndarray] | None = None) -> Iterator[PyTree]:
        """The batches of the calls from `step` to the end of the run, of `steps_per_call` steps each.

        Args:
          step: the first.
          groups: positions of the examples of each group, where the method has groups: a dict of one batch
            for each of them is given. None: one batch of all examples.
        """
        if groups is None:
            return self._batches_of(self.sampler, step)
        feeds = {
            name: self._batches_of(self.sampler.within(positions, number), step)
            for number, (name, positions) in enumerate(sorted(groups.items()))
        }
        return (dict(zip(feeds, batches, strict=True)) for batches in zip(*feeds.values(), strict=True))

    def _batches_of(self, sampler: Sampler | GroupSampler, step: int) -> Iterator[Batch]:
        def positions(call: int) -> np.ndarray:
            first = call * self.steps_per_call
            return np.stack([sampler[first + k] for k in range(self.steps_per_call)])

        calls = step // self.steps_per_call, self.total_steps // self.steps_per_call
        return self.feed.batches("train", positions, *calls, training=True)

    def statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """What is taken off each channel of an image, and what it is divided by: float32 [channels] each."""
        if self.standardise:
            return self.dataset.channel_statistics()
        channels = self.dataset.splits["train"].images.shape[-1]
        return np.zeros(channels, np.float32), np.ones(channels, np.float32)

    def evaluation_due(self, step: int) -> bool:
        """Whether the state at a step is evaluated."""
        return evaluation_times.due(step, self.total_steps, self.eval_every, self.evaluate_start)

    def learning_rate_at(self, step: int) -> float:
        """The learning rate with which the step after `step` is taken."""
        return self.learning_rate * float(self.schedule(step))

    def method(self) -> Method:
        """The method, with this experiment's parts."""
        return methods.create(self.method_name, self.parts, **self.method_options)

    def restore(self, checkpoints: Checkpoints, step: int) -> TrainState:
        """The state of a checkpoint, as NumPy arrays; also of one that grjax 0.1 saved.

        Raises:
          WorkdirError: the checkpoint is damaged, or of another structure.
        """
        like = jax.eval_shape(self.init_state)
        try:
            return checkpoints.restore(step, like)
        except WorkdirError as error:
            if self.method_name != "single":
                raise
            try:
                return first_edition.restore(checkpoints, step, like)
            except WorkdirError:
                raise error from None  # no checkpoint of grjax 0.1: the first error says what is wrong

    def init_state(self) -> TrainState:
        """The state before the first step."""
        return self.init()(self.init_seed, self.noise.labels)

    def init(self) -> Callable[[ArrayLike, ArrayLike], TrainState]:
        """The function (seed, noisy labels [N]) -> state before the first step."""
        return make_init(self.method(), with_dynamics=self.dynamics)

    def train_step(self) -> TrainStep:
        """The train step of one device."""
        return make_train_step(self.method())

    def eval_step(self) -> EvalStep:
        """The evaluation step of one device."""
        return make_eval_step(self.method(), self.evaluated_size)

    @property
    def evaluated_size(self) -> int | None:
        """The size of the square in the middle that is evaluated, where training crops; None: all of it."""
        cropped = self.parts.image_shape != self.dataset.splits["train"].images.shape[1:]
        return self.parts.image_shape[0] if cropped else None


# Options that the library passes itself, which a config therefore cannot set.
_SUPPLIED = {
    "loss": ("axis_name",),
    "method": ("parts",),
    "model": ("num_classes", "axis_name", "parent"),
    "optimizer": ("schedule",),
    "schedule": ("total_steps",),
}

# Keys of config.model that say where its weights begin; the others are options of the module.
_WEIGHTS = ("pretrained", "pretrained_head")


def check(config: ConfigDict, *, training: bool = True) -> None:
    """Checks what of a config needs neither data nor shapes: names, options and their ranges.

    Args:
      config: from `grjax.config.resolve`.
      training: whether the batch size of training must fit the devices.

    Raises:
      ConfigError: see the parts.
    """
    for section, supplied in _SUPPLIED.items():
        for key in supplied:
            if key in config[section]:
                raise ConfigError(f"{section}.{key}: is no option of a config, the library sets it")
    for key in ("batch_size", "eval_batch_size") if training else ("eval_batch_size",):
        if config[key] % jax.device_count():
            raise ConfigError(
                f"{key}: {config[key]} is not divisible by the {jax.device_count()} devices; "
                f"take a multiple of {jax.device_count()}"
            )
    if training:
        loggers.check(config)
    # The lengths that a loss may need are not known yet; these are long enough for everything.
    create_loss(config.loss, steps_per_epoch=10**6, total_steps=10**12)
    optimizers.create(**config.optimizer, schedule=lambda step: 1.0)
    noise.create(**config.noise)
    methods.check(**config.method)
    _check_views(config, mixing.create(config.data.mixing))


def create(
    config: ConfigDict,
    *,
    training: bool = True,
    dataset: data.Dataset | None = None,
    check_shapes: bool = True,
) -> Experiment:
    """Builds the parts of a run; whatever is wrong with the config shows here, before training.

    Args:
      config: from `grjax.config.resolve`.
      training: whether the batch size of training must fit the devices.
      dataset: what `data.load` gives for this config, where it is loaded already.
      check_shapes: whether to look for options of model and loss that do not fit the data.

    Raises:
      ConfigError: see the parts.
    """
    check(config, training=training)  # an error in names and options need not wait for the data
    dataset, noisy = corrupted_data(config, dataset)
    train = dataset.splits["train"]
    if config.data.augmentation and train.images.dtype != np.uint8:
        raise ConfigError(
            f"data.augmentation: must be empty for {config.data.name!r}, it is made for uint8 images, those "
            f"are {train.images.dtype}"
        )
    if config.batch_size > len(train):
        raise ConfigError(f"batch_size: {config.batch_size} exceeds the {len(train)} training examples")
    sampler = Sampler(len(train), config.batch_size, config.order_seed, config.data.order)

    per_epoch = sampler.steps_per_epoch
    total_steps = config_lib.steps(config, "train", per_epoch)
    eval_every = config_lib.steps(config, "eval_every", per_epoch)
    checkpoint_every = config_lib.steps(config, "checkpoint_every", per_epoch)
    parts, schedule = create_parts(
        config,
        image_shape=train.images.shape[1:],
        image_dtype=train.images.dtype,
        num_classes=dataset.num_classes,
        steps_per_epoch=per_epoch,
        total_steps=total_steps,
    )
    experiment = Experiment(
        dataset=dataset,
        noise=noisy,
        method_name=config.method.name,
        method_options={key: value for key, value in config.method.items() if key != "name"},
        parts=parts,
        schedule=schedule,
        learning_rate=config.optimizer.learning_rate,
        standardise=config.data.standardise,
        sampler=sampler,
        feed=feed.create(
            config.data.feed,
            dataset,
            config.data.workers,
            config.order_seed if config.data.random_resized_crop else None,
        ),
        batch_size=config.batch_size,
        eval_batch_size=config.eval_batch_size,
        init_seed=config.init_seed,
        total_steps=total_steps,
        eval_every=eval_every,
        evaluate_start=evaluation_times.starts_measured(
            config.evaluate_start, sum(map(len, dataset.splits.values()))
        ),
        checkpoint_every=checkpoint_every,
        steps_per_call=_largest_divisor(
            math.gcd(total_steps, eval_every, checkpoint_every), config.max_steps_per_call
        ),
        dynamics=config.dynamics,
    )
    method = experiment.method()  # which finds what is wrong with its options
    if method.begin_epoch is not None:  # a call of several steps ends where an epoch ends
        whole = math.gcd(experiment.steps_per_call, per_epoch)
        experiment = dataclasses.replace(experiment, steps_per_call=whole)
    if check_shapes:
        _check_shapes(experiment, create_loss(config.loss, per_epoch, total_steps))
    return experiment


def create_parts(
    config: ConfigDict,
    *,
    image_shape: tuple[int, ...],
    num_classes: int,
    steps_per_epoch: int,
    total_steps: int,
    image_dtype: DTypeLike = np.uint8,
) -> tuple[Parts, optimizers.Schedule]:
    """What the config's method works with, and the schedule of the learning rate in its optimiser.

    Args:
      config: from `grjax.config.resolve`.
      image_shape: of the images in the data set, (height, width, channels).
      num_classes: C.
      steps_per_epoch: of the run.
      total_steps: of the run.
      image_dtype: of the images in the data set; uint8, or floating for features.

    Raises:
      ConfigError: see the parts.
    """
    chosen = tuple(config.data.augmentation)
    augmentation = augment.create(augment.defaults(config.data.name) if chosen == ("default",) else chosen)
    model_options = {key: value for key, value in config.model.items() if key not in _WEIGHTS}
    schedule = optimizers.create_schedule(
        config.schedule.name,
        total_steps=total_steps,
        **config_lib.options_in_steps(config.schedule, steps_per_epoch, "schedule."),
    )
    parts = Parts(
        model=models.create(**model_options, num_classes=num_classes, axis_name=AXIS),
        loss=create_loss(config.loss, steps_per_epoch, total_steps, axis_name=AXIS),
        optimizer=optimizers.create(**config.optimizer, schedule=schedule),
        schedule=schedule,
        augment=augmentation,
        mix=mixing.create(config.data.mixing),
        views=config.data.views,
        image_shape=augment.shape_after(augmentation, image_shape),
        num_classes=num_classes,
        pretrain=import_torch.loader(**{key: config.model[key] for key in _WEIGHTS if key in config.model}),
        seed=config.order_seed,
        steps_per_epoch=steps_per_epoch,
        total_steps=total_steps,
        image_dtype=image_dtype,
    )
    return parts, schedule


def _check_shapes(experiment: Experiment, loss: losses.TrainingLoss) -> None:
    """Shapes alone: what model and loss find wrong with their options shows without computing."""
    jax.eval_shape(experiment.init_state)
    try:
        num_classes = experiment.dataset.num_classes
        logits = jax.ShapeDtypeStruct((experiment.batch_size, num_classes), np.float32)
        labels = jax.ShapeDtypeStruct((experiment.batch_size,), np.int32)
        step = jax.ShapeDtypeStruct((), np.int32)
        memory = jax.eval_shape(lambda labels: loss.init(labels, num_classes), labels)
        jax.eval_shape(loss.apply, logits, labels, memory, step)
    except ValueError as error:
        raise ConfigError(f"loss: {error}") from error


def create_loss(
    section: Mapping[str, Any], steps_per_epoch: int, total_steps: int, axis_name: str | None = None
) -> losses.TrainingLoss:
    """The loss of `config.loss`.

    Raises:
      ConfigError: an unknown loss, hyper-parameter or schedule.
    """
    options = loss_options(section, steps_per_epoch, total_steps)
    return losses.for_training(section["name"], axis_name=axis_name, **options)


def loss_options(section: Mapping[str, Any], steps_per_epoch: int, total_steps: int) -> dict[str, Any]:
    """The hyper-parameters of `config.loss`: its durations in steps, its sections functions of the step.

    Raises:
      ConfigError: an unknown schedule, or a duration that is no number.
    """
    options = config_lib.options_in_steps(section, steps_per_epoch, "loss.")
    for key, value in options.items():
        if isinstance(value, Mapping | ConfigDict):
            where = f"loss.{key}"
            if "name" not in value:
                raise ConfigError(f"{where}.name: a schedule needs a name, one of {losses.schedules.names()}")
            in_steps = config_lib.options_in_steps(value, steps_per_epoch, f"{where}.")
            options[key] = losses.schedules.create(
                value["name"], total_steps=total_steps, where=where, **in_steps
            )
    return options


def _check_views(config: ConfigDict, mix: mixing.Mixing | None) -> None:
    if config.data.views < 1:
        raise ConfigError(f"data.views: must be at least 1, got {config.data.views}")
    remembers = config.loss.name in losses.names_with_memory()
    several = [f"data.views={config.data.views}"] * (config.data.views > 1) + ["data.mixing"] * (
        mix is not None
    )
    if len(several) > 1:
        raise ConfigError(f"{several[0]} and data.mixing: take one of them")
    if several and remembers:
        raise ConfigError(f"{several[0]}: loss {config.loss.name!r} remembers its examples, one view of each")


def _largest_divisor(number: int, most: int) -> int:
    return max(divisor for divisor in range(1, min(number, most) + 1) if number % divisor == 0)
