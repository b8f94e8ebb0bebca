"""Held-out alignment: which training examples help data that the network does not train on.

The held-out error is R = mean(1 - p_y), half of the mean absolute error, on labels as noisy as those that are
trained on. Summed over all labels, 1 - p_y is the same for every prediction. So under symmetric noise of rate
r, the expected gradient of R is that of the clean labels times 1 - r C / (C - 1): shorter, but not turned.

A loss of p sends the gradient w(p) d to the logits of an example, where

  d = (softmax(z) - onehot(y)) / (2 (1 - p))

has an L1 norm of 1. A step along it changes the parameters by -eta w J' d, where J is the Jacobian of the
logits. To first order it changes R by -eta w <v, J' d> = -eta w <J v, d>, where v is the gradient of R. The
alignment a = <J v, d> is therefore positive where a step on the example lowers the held-out error, and says
how fast. One product J v for a batch (`jax.linearize`) gives it for all examples of the batch; the gradient
of no single example is ever formed.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grjax.data.feed import Batch, DeviceData
from grjax.devices import AXIS, PyTree, Step, parallelize, replicate, split_over_devices, spread
from grjax.errors import ConfigError
from grjax.evaluate import device_data, restored
from grjax.experiment import Experiment
from grjax.losses import rescale
from grjax.methods import Learner, Method
from grjax.methods.averaging import Average
from grjax.methods.network import Network
from grjax.paths import as_path
from grjax.steps import TrainState, evaluated_images
from grjax.workdir import alignments, layout
from grjax.workdir.alignments import Alignment

PARTS = 8  # of the held-out examples; how the alignments by each differ says how far their mean may be off


def measure_alignment(
    workdir: str | os.PathLike[str],
    step: int | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Path:
    """Measures which training examples of a run help its held-out data, and writes alignment_{step}.npz.

    The alignment of a training example is how fast a step along its gradient lowers the mean of 1 - p_y on
    the held-out examples, for a gradient whose L1 norm on the logits is 1; it is negative where the step
    raises it. Networks are in evaluation mode, images as in an evaluation. Several networks count by the mean
    of their logits, an average of parameters by itself. It takes about ten passes over the training set.

    Args:
      workdir: of a run with a validation split; its labels should be noisy, too
        (`data.validation_labels='noisy'`).
      step: of the checkpoint; None: the latest.
      overrides: as of `grjax.evaluate.evaluate_checkpoint`: where the data lie, and eval_batch_size; batches
        have at most so many examples, and at most as many as in training.

    Returns:
      The path of the file, which `grjax.workdir.alignments` describes.

    Raises:
      ConfigError: another override, or the run holds no examples out.
      WorkdirError: no such run or checkpoint, or its noise is not the config's any more.
    """
    workdir = as_path(workdir)
    experiment, step, state = restored(workdir, step, overrides)
    measured = align(experiment, state, step)
    if jax.process_index() == 0:
        alignments.keep(workdir, measured)
    return workdir / layout.alignment(step)


def align(experiment: Experiment, state: TrainState, step: int) -> Alignment:
    """The alignment of each training example at a state.

    Args:
      experiment: whose validation split is the held-out data.
      state: with the learner.
      step: of the state.

    Raises:
      ConfigError: there is no validation split, or one of a single example.
    """
    split = _held_out(experiment)
    number = len(experiment.labels(split))
    parts = [np.arange(number)[part::PARTS] for part in range(min(PARTS, number))]
    method, size = experiment.method(), experiment.evaluated_size
    data, state = device_data(experiment), replicate(state)

    p_gradient_step = parallelize(gradient_step(method, size))
    gradients = []
    for positions in parts:
        # Scaled so that the mean over the parts is the gradient over all, also where they differ in size.
        factor, total = len(parts) / number, None
        for batch, labels, real in _batches(experiment, split, positions):
            weights = (factor * real).astype(np.float32)
            examples = spread((batch, split_over_devices(labels), split_over_devices(weights)))
            found = p_gradient_step(state, data, examples)
            total = found if total is None else jax.tree.map(jnp.add, total, found)
            jax.block_until_ready(total)  # virtual devices of a CPU may deadlock over a queue of collectives
        gradients.append(total)
    directions = replicate(jax.tree.map(lambda *leaves: jnp.stack(leaves), *gradients))

    p_align_step = parallelize(align_step(method, size))
    everything = np.arange(len(experiment.labels("train")))
    p, aligned = [], []
    for batch, labels, real in _batches(experiment, "train", everything):
        examples = spread((batch, split_over_devices(labels)))
        found = p_align_step(state, (data, directions), examples)
        p.append(np.asarray(found["p"])[real])
        aligned.append(np.asarray(found["alignments"])[real])
    return Alignment(step, np.concatenate(p), np.concatenate(aligned).T, split, number)


def gradient_step(method: Method, image_size: int | None) -> Step:
    """The step of one device: (state, data, (batch [B], labels [B], weights [B])) -> gradient of the error.

    It is that of the sum of weights * (1 - p_y) over the batches of all devices, see `parameters`.

    Args:
      method: whose learner is looked at.
      image_size: see `grjax.steps.make_eval_step`.
    """

    def step(state: TrainState, data: DeviceData, examples: tuple[Batch, jax.Array, jax.Array]) -> PyTree:
        batch, labels, weights = examples
        images = evaluated_images(batch, data, image_size)

        def error(params: PyTree) -> jax.Array:
            logits = method.logits(with_parameters(state.learner, params), images)
            return (weights * (1 - label_probability(logits, labels))).sum()

        return jax.lax.psum(jax.grad(error)(parameters(state.learner)), AXIS)

    return step


def align_step(method: Method, image_size: int | None) -> Step:
    """The step of one device: (state, (data, directions [F, ...]), (batch [B], labels [B])) -> records.

    The records, of the batches of all devices, are 'p' [all B], of the labels, and 'alignments' [all B, F].

    Args:
      method: whose learner is looked at.
      image_size: see `grjax.steps.make_eval_step`.
    """

    def step(
        state: TrainState, inputs: tuple[DeviceData, PyTree], examples: tuple[Batch, jax.Array]
    ) -> dict[str, jax.Array]:
        (data, directions), (batch, labels) = inputs, examples
        images = evaluated_images(batch, data, image_size)
        logits, along = jax.linearize(
            lambda params: method.logits(with_parameters(state.learner, params), images),
            parameters(state.learner),
        )
        unit = unit_gradient(logits, labels)
        # One direction after another: as many activations as one needs.
        found = jax.lax.map(lambda direction: (along(direction) * unit).sum(-1), directions)
        records = {"p": label_probability(logits, labels), "alignments": found.T}
        return jax.lax.all_gather(records, AXIS, tiled=True)

    return step


def label_probability(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Softmax at the label: logits [..., C], labels integer [...] -> [...], float32 at least."""
    wide = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return jnp.take_along_axis(jax.nn.softmax(wide), labels[..., None], axis=-1)[..., 0]


def unit_gradient(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """(softmax(z) - onehot(y)) / (2 (1 - p)), exact also where p rounds to 1: [..., C], its L1 norm is 1."""
    wide = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return jax.grad(lambda z: rescale(z, labels, 1.0).sum())(wide)


def parameters(learner: Learner) -> list[PyTree]:
    """The parameters of each network in a learner that are evaluated: of an average, where one is kept."""
    return [_shown(network).params for network in _nodes(learner)[0] if isinstance(network, Network)]


def with_parameters(learner: Learner, params: list[PyTree]) -> Learner:
    """The learner with other parameters in the places of `parameters`."""
    nodes, structure = _nodes(learner)
    left = iter(params)
    for place, node in enumerate(nodes):
        if isinstance(node, Network):
            shown = _shown(node).replace(params=next(left))
            nodes[place] = node.replace(average=shown) if isinstance(shown, Average) else shown
    return jax.tree.unflatten(structure, nodes)


def _shown(network: Network) -> Network | Average:
    return network.average if isinstance(network.average, Average) else network


def _nodes(learner: Learner) -> tuple[list[Any], Any]:
    """The networks and other leaves of a learner, and its structure above them."""
    return jax.tree.flatten(learner, is_leaf=lambda node: isinstance(node, Network))


def _held_out(experiment: Experiment) -> str:
    for split in ("validation_noisy", "validation"):
        if split in experiment.dataset.splits:
            if len(experiment.labels(split)) > 1:
                return split
            raise ConfigError("--alignment: the validation split has 1 example; it takes 2 at least")
    raise ConfigError(
        "--alignment: the run holds no examples out; train one with data.validation_fraction=0.2 and "
        "data.validation_labels='noisy'"
    )


def _batches(
    experiment: Experiment, split: str, positions: np.ndarray
) -> Iterator[tuple[Batch, np.ndarray, np.ndarray]]:
    """Batches of the examples at some positions of a split: (batch, labels [B], which are real, bool [B]).

    The last batch is filled up with repetitions of the last example.
    """
    devices = jax.device_count()
    most = min(experiment.batch_size, experiment.eval_batch_size)  # of which a gradient is known to fit
    size = max(most // devices, 1) * devices
    number, labels = len(positions), experiment.labels(split)

    def places(batch: int) -> np.ndarray:
        return np.arange(size) + batch * size

    def at(batch: int) -> np.ndarray:
        return positions[np.minimum(places(batch), number - 1)].astype(np.int32)

    for batch, images in enumerate(experiment.feed.batches(split, at, 0, -(-number // size))):
        yield images, labels[at(batch)], places(batch) < number
