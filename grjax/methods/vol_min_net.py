"""A transition matrix that is learned with the network, by making it as small as the labels allow."""

from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from grjax import optimizers
from grjax.data.feed import Batch, DeviceData
from grjax.devices import AXIS, PyTree
from grjax.losses.memory import TrainingLoss, scatter
from grjax.methods.method import Method, Parts, Seen
from grjax.methods.network import Network, beginning, evaluated, gradient, inputs
from grjax.methods.single import Left, example_losses
from grjax.ranges import In


class WithTransition(NamedTuple):
    """The learner: a network of clean labels, and how they become the given ones."""

    network: Network
    weights: jax.Array  # float32 [C, C]; `transition` makes the matrix of them
    opt_state: PyTree  # of the weights


def vol_min_net(
    parts: Parts,
    *,
    lam: Annotated[float, In("[0, inf)")] = 1e-4,
    start: float = -2.0,
    transition_optimizer: Literal["adam", "momentum", "sgd"] = "momentum",
    transition_learning_rate: Annotated[float, In("[0, inf)")] = 0.01,
) -> Method:
    """VolMinNet: the loss of the noisy prediction p T, plus lam log|det T|, with T learned too.

    T[i, j] stands for P(given label j | clean class i). The network is trained to say p, the clean class, so
    that p T fits the given labels; of all T that make this possible the one of least volume is looked for.
    Evaluation, audit and estimator go by p. Nothing is known of the noise beforehand.

    Args:
      parts: model, loss, optimiser and augmentation. The loss may be any of logits, taken at log(p T); the
        published method's is cross-entropy.
      lam: of the volume, >= 0.
      start: where each weight of T begins, see `transition`; the lower, the nearer is T to the identity.
      transition_optimizer: of T; momentum is 0.9, and there is no weight decay.
      transition_learning_rate: of T, times the schedule of the network's.

    Returns:
      The method; its learner is a `WithTransition`. It reports log|det T|, and believes in the noise rate
      that T has where all classes are as frequent.

    Raises:
      ConfigError: a value out of its range.

    Reference: Li et al., ICML 2021 (arXiv:2102.02400).
    """
    begin = beginning(parts)
    own = optimizers.create(
        transition_optimizer, schedule=parts.schedule, learning_rate=transition_learning_rate
    )

    def init(seed: ArrayLike, labels: ArrayLike) -> WithTransition:
        weights = jnp.full((parts.num_classes,) * 2, start, jnp.float32)
        return WithTransition(begin(jax.random.key(seed), labels), weights, own.init(weights))

    def step(
        learner: WithTransition, step: jax.Array, data: DeviceData, batch: Batch
    ) -> tuple[WithTransition, Seen]:
        network = learner.network
        given = inputs(parts, step, data, batch)
        losses_at = example_losses(parts, network, given, batch, step)

        def mean_loss(both: PyTree) -> tuple[jax.Array, tuple[jax.Array, jax.Array, Left]]:
            params, weights = both
            matrix = transition(weights)
            losses, left = losses_at(params, noisy(parts.loss, matrix))
            log_volume = jnp.linalg.slogdet(matrix).logabsdet
            losses += lam * log_volume
            return losses.mean(), (losses, log_volume, left)

        (gradients, of_weights), (losses, log_volume, left) = gradient(
            parts, mean_loss, (network.params, learner.weights)
        )
        logits, batch_stats, rows = left
        updates, opt_state = own.update(of_weights, learner.opt_state, learner.weights)
        memory = scatter(network.loss_memory, batch.positions, rows, AXIS)
        metrics = {"log_volume": log_volume}
        after = WithTransition(
            network.updated(parts, gradients, batch_stats, memory),
            optax.apply_updates(learner.weights, updates),
            opt_state,
        )
        return after, Seen(batch.positions, given.labels, logits, losses, given.share, metrics)

    def logits(learner: WithTransition, images: jax.Array) -> jax.Array:
        return evaluated(parts, learner.network, images)

    def losses(
        learner: WithTransition, images: jax.Array, labels: jax.Array, step: jax.Array
    ) -> dict[str, jax.Array]:
        loss = noisy(parts.loss, transition(learner.weights))
        return {"losses": loss.evaluate(logits(learner, images), labels, step)}

    def beliefs(learner: WithTransition) -> dict[str, jax.Array]:
        return {"noise_rate": 1 - jnp.diagonal(transition(learner.weights)).mean()}

    return Method(init, step, logits, losses, beliefs=beliefs)


def transition(weights: ArrayLike) -> jax.Array:
    """T [C, C] of its weights: the rows of I + (1 - I) sigmoid(weights), each over its sum.

    So the diagonal is the largest entry of each row, whatever the weights are.

    Example:
      >>> import jax.numpy as jnp
      >>> from grjax.methods.vol_min_net import transition
      >>> transition(jnp.zeros((2, 2))).tolist()
      [[0.667, 0.333], [0.333, 0.667]]
    """
    weights = jnp.asarray(weights)
    others = 1 - jnp.eye(len(weights), dtype=weights.dtype)
    rows = 1 - others + others * jax.nn.sigmoid(weights)
    return rows / rows.sum(-1, keepdims=True)


def noisy(loss: TrainingLoss, matrix: jax.Array) -> TrainingLoss:
    """The loss of the noisy prediction: taken at log(p T) where the loss given is taken at log p.

    Args:
      loss: of logits.
      matrix: T [C, C].
    """

    def log_noisy(logits: jax.Array) -> jax.Array:
        p = jax.nn.softmax(logits) @ matrix
        return jnp.log(jnp.maximum(p, jnp.finfo(p.dtype).tiny))

    def apply(logits: jax.Array, *others: Any, **views: jax.Array) -> tuple[jax.Array, Any]:
        return loss.apply(log_noisy(logits), *others, **jax.tree.map(log_noisy, views))

    return loss._replace(
        apply=apply,
        evaluate=lambda logits, labels, step: loss.evaluate(log_noisy(logits), labels, step),
    )
