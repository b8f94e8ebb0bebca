"""The train step and the evaluation step around a method, as they run on one device of several.

They hold what all methods share: the number of the step, several steps in one call, training dynamics, and
the records of an evaluation.
"""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grjax import dynamics
from grjax.data.augment import center_crop
from grjax.data.feed import Batch, DeviceData
from grjax.devices import AXIS
from grjax.dynamics import Dynamics
from grjax.losses.memory import gather, scatter
from grjax.methods.method import Learner, Method


class TrainState(flax.struct.PyTreeNode):
    """Everything that training changes; nothing random is kept, keys follow from seed and step."""

    step: jax.Array  # int32 []
    learner: Learner  # of the method
    dynamics: Dynamics | tuple[()] = ()  # [N of the training split]; empty: none are collected


TrainStep = Callable[[TrainState, DeviceData, Any], tuple[TrainState, dict[str, jax.Array]]]
EvalStep = Callable[[TrainState, DeviceData, tuple[Batch, jax.Array]], dict[str, jax.Array]]


def make_init(method: Method, *, with_dynamics: bool) -> Callable[[ArrayLike, ArrayLike], TrainState]:
    """The beginning of a run: (seed of the parameters, noisy training labels int32 [N]) -> state.

    Args:
      method: whose learner begins.
      with_dynamics: collect training dynamics, see `grjax.dynamics`.
    """

    def init(seed: ArrayLike, labels: ArrayLike) -> TrainState:
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            learner=method.init(seed, labels),
            dynamics=dynamics.init(jnp.shape(labels)[0]) if with_dynamics else (),
        )

    return init


def make_train_step(method: Method) -> TrainStep:
    """The train step: (state, data, batches [K, B]) -> (state after K steps, metrics [K])."""

    def one_step(state: TrainState, data: DeviceData, batch: Any) -> tuple[TrainState, dict[str, jax.Array]]:
        learner, seen = method.step(state.learner, state.step, data, batch)
        rows: Dynamics | tuple[()] = ()
        if isinstance(state.dynamics, Dynamics):
            before = gather(state.dynamics, seen.positions)
            rows = dynamics.update(before, seen.logits, seen.labels, seen.share)
        after = TrainState(
            step=state.step + 1,
            learner=learner,
            dynamics=scatter(state.dynamics, seen.positions, rows, AXIS),
        )
        accuracy = (seen.logits.argmax(-1) == seen.labels).mean()
        metrics = {"loss": seen.losses.mean(), "accuracy": accuracy, **seen.metrics}
        return after, jax.lax.pmean(metrics, AXIS)

    def train_step(
        state: TrainState, data: DeviceData, batches: Any
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        if len(jax.tree.leaves(batches)[0]) == 1:
            # No loop of one: inside a loop XLA's convolutions on the CPU take some 30 times as long.
            state, metrics = one_step(state, data, jax.tree.map(lambda leaf: leaf[0], batches))
            return state, jax.tree.map(lambda metric: metric[None], metrics)
        return jax.lax.scan(lambda state, batch: one_step(state, data, batch), state, batches)

    return train_step


def make_eval_step(method: Method, image_size: int | None) -> EvalStep:
    """The evaluation step: (state, data, (batch [B], labels [B])) -> a record for each example.

    The records are 'classes' (predicted), 'p' (softmax probability of the label) and those of
    `Method.losses`, each [B of all devices].

    Args:
      method: whose learner is evaluated.
      image_size: of the square in the middle that is evaluated, where training crops; None: the whole image.
    """

    def eval_step(
        state: TrainState, data: DeviceData, examples: tuple[Batch, jax.Array]
    ) -> dict[str, jax.Array]:
        batch, labels = examples
        images = evaluated_images(batch, data, image_size)
        logits = method.logits(state.learner, images)
        log_p = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=-1)[:, 0]
        records = {
            "classes": logits.argmax(-1).astype(jnp.int32),
            "p": jnp.exp(log_p),
            # They run the networks again; XLA sees that it is the same computation, and does it once.
            **method.losses(state.learner, images, labels, state.step),
        }
        return jax.lax.all_gather(records, AXIS, tiled=True)

    return eval_step


def evaluated_images(batch: Batch, data: DeviceData, image_size: int | None) -> jax.Array:
    """What the networks see of a batch in an evaluation: float32 [B, height, width, C], standardised.

    Args:
      batch: of images.
      data: on the devices.
      image_size: see `make_eval_step`.
    """
    pixels = batch.pixels(data)
    return data.standardise(pixels if image_size is None else center_crop(pixels, image_size))
