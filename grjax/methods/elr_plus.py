"""Two networks whose averages give each other's targets."""

from typing import Annotated

import flax.struct
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grjax.data.feed import Batch, DeviceData
from grjax.devices import AXIS, PyTree
from grjax.errors import ConfigError
from grjax.losses.memory import gather, scatter
from grjax.methods import averaging, mixup
from grjax.methods.averaging import Average
from grjax.methods.method import Method, Parts, Seen
from grjax.methods.network import forward, gradient, inputs
from grjax.methods.small_loss import Pair, begin_pair, pair_logits, pair_losses, refuse_mixing_and_views
from grjax.ranges import In


class WithTargets(flax.struct.PyTreeNode):
    """The learner: of both networks everything, the first one's first."""

    networks: Pair
    averages: tuple[Average, Average]  # of parameters alone
    targets: tuple[jax.Array, jax.Array]  # float32 [N, C]


def elr_plus(
    parts: Parts,
    *,
    lam: Annotated[float, In("[0, inf)")] = 3.0,
    beta: Annotated[float, In("[0, 1)")] = 0.7,
    alpha: Annotated[float, In("[0, inf)")] = 1.0,
    decay: Annotated[float, In("[0, 1)")] = 0.997,
    decay_ramp_steps: Annotated[int, In("[0, inf)")] = 40_000,
    lam_ramp_steps: Annotated[int, In("[0, inf)")] = 0,
) -> Method:
    """ELR+: early-learning regularisation with two networks, averages of their parameters, and mixup.

    At each step, for each network: the average of the *other* one predicts p on the images as they are, and
    the example's target becomes t <- beta t + (1 - beta) p, from 0. Images, labels and targets are mixed with
    those of a partner, share s = max(l, 1 - l), l ~ Beta(alpha, alpha), and the network minimises

        s L(z, y) + (1 - s) L(z, y') + lam r(step) log(1 - <q, softmax(z)>),   q = s t + (1 - s) t'

    with the config's loss L, which is cross-entropy in the paper. The averages have the decay
    `decay` r(step); r(step) = exp(-5 (1 - step / steps)^2) rises to 1 over the ramp's steps. Evaluation takes
    the mean of both networks' logits.

    Args:
      parts: model, loss, optimiser and augmentation; without mixing, further views, and memory of the loss.
      lam: weight of the regulariser, >= 0; published: 3 for CIFAR-10, 7 for CIFAR-100.
      beta: momentum of the targets, in [0, 1); published: 0.7, CIFAR-100 0.9.
      alpha: of mixup, >= 0; 0: none.
      decay: of the averages in the end, in [0, 1).
      decay_ramp_steps: steps over which it rises; 0: none.
      lam_ramp_steps: steps over which the regulariser rises; published: 0, CIFAR-100 40,000.

    Returns:
      The method; its learner is a `WithTargets`.

    Raises:
      ConfigError: a value out of its range, or a config with mixing, further views or a loss with memory.

    Reference: Liu et al., NeurIPS 2020 (arXiv:2007.00151).
    """
    refuse_mixing_and_views(parts, "elr_plus")
    memory = jax.eval_shape(lambda labels: parts.loss.init(labels, 2), jnp.zeros(1, jnp.int32))
    if jax.tree.leaves(memory):
        raise ConfigError("loss.name: a loss with a memory cannot be mixed; 'elr_plus' takes one without")
    begin = begin_pair(parts)

    def init(seed: ArrayLike, labels: ArrayLike) -> WithTargets:
        networks = begin(seed, labels)
        first, second = (averaging.begin(network.params, {}) for network in networks)
        shape = (jnp.shape(labels)[0], parts.num_classes)
        return WithTargets(networks, (first, second), (jnp.zeros(shape), jnp.zeros(shape)))

    def step(
        learner: WithTargets, step: jax.Array, data: DeviceData, batch: Batch
    ) -> tuple[WithTargets, Seen]:
        images, labels, _, dropout = inputs(parts, step, data, batch)
        # For the method's own draws; `inputs` uses 0, 1 and 2.
        step_key = jax.random.fold_in(jax.random.fold_in(jax.random.key(parts.seed), step), 3)
        weight = lam * rising(step, lam_ramp_steps)

        def trained(number: int) -> tuple:
            network, average = learner.networks[number], learner.averages[number]
            key, own_dropout = (jax.random.fold_in(each, number) for each in (step_key, dropout))
            # In training mode, whose statistics are those of this batch; they are not kept.
            teacher, its_average = learner.networks[1 - number], learner.averages[1 - number]
            predicted, _ = forward(
                parts, its_average.params, teacher.batch_stats, images, dropout=own_dropout
            )
            before = gather(learner.targets[number], batch.positions)
            targets = moved(before, jax.nn.softmax(predicted), beta)
            pairs, seen = None, (images, targets)
            if alpha:
                share_key, partner_key = jax.random.split(key)
                share = mixup.own_share(share_key, alpha)
                others, of_partners = mixup.partners(partner_key, (seen, labels))
                pairs, seen = (share, of_partners), mixup.mixed(share, seen, others)

            def objective(params: PyTree) -> tuple[jax.Array, tuple]:
                logits, batch_stats = forward(
                    parts, params, network.batch_stats, seen[0], dropout=own_dropout
                )
                losses, _ = parts.loss.apply(logits, labels, network.loss_memory, step)
                if pairs is not None:
                    of_other, _ = parts.loss.apply(logits, pairs[1], network.loss_memory, step)
                    losses = pairs[0] * losses + (1 - pairs[0]) * of_other
                losses = losses + weight * pull(logits, seen[1])
                return losses.mean(), (losses, logits, batch_stats)

            gradients, (losses, logits, batch_stats) = gradient(parts, objective, network.params)
            after = network.updated(parts, gradients, batch_stats, network.loss_memory)
            average = averaging.updated(average, after.params, {}, decay * rising(step + 1, decay_ramp_steps))
            kept = scatter(learner.targets[number], batch.positions, targets, AXIS)
            return after, average, kept, losses, logits

        networks, averages, targets, losses, logits = zip(trained(0), trained(1), strict=True)
        return WithTargets(Pair(*networks), averages, targets), Seen(
            batch.positions, labels, sum(logits) / 2, sum(losses) / 2
        )

    return Method(
        init,
        step,
        lambda learner, images: pair_logits(parts, learner.networks, images),
        lambda learner, images, labels, step: pair_losses(
            parts, learner.networks, images, labels=labels, step=step
        ),
    )


def rising(step: ArrayLike, ramp_steps: int) -> jax.Array:
    """exp(-5 (1 - step / ramp_steps)^2) until `ramp_steps`, then 1: float32 []; without a ramp 1.

    Example:
      >>> from grjax.methods.elr_plus import rising
      >>> [round(float(rising(step, 100)), 3) for step in (0, 50, 100, 200)]
      [0.007, 0.287, 1.0, 1.0]
    """
    if not ramp_steps:
        return jnp.ones((), jnp.float32)
    left = jnp.maximum(1 - step / jnp.asarray(ramp_steps, jnp.float32), 0)
    return jnp.exp(-5 * jnp.square(left))


def moved(targets: jax.Array, predicted: jax.Array, beta: ArrayLike) -> jax.Array:
    """The targets [B, C] after a prediction [B, C], to which no gradient flows."""
    return jnp.asarray(beta * targets + (1 - beta) * jax.lax.stop_gradient(predicted))


def pull(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """log(1 - <targets, p>) [B], with p = softmax(logits) clipped to [1e-4, 1 - 1e-4], as in `losses.elr`."""
    p = jnp.clip(jax.nn.softmax(logits), 1e-4, 1 - 1e-4)
    return jnp.log(1 - (targets * p).sum(-1))
