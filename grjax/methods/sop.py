"""Sparse over-parametrisation: each example has parameters of its own that take up a wrong label."""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grjax.data.feed import Batch, DeviceData
from grjax.devices import AXIS, PyTree
from grjax.errors import ConfigError
from grjax.losses.memory import gather, scatter
from grjax.methods import sharpness
from grjax.methods.method import Method, Parts, Seen
from grjax.methods.network import Network, beginning, evaluated, forward, inputs
from grjax.ranges import In

_LEAST = 1e-4  # of a corrected probability before it is normalised


class Noise(NamedTuple):
    """What each example's label is thought to have been moved by."""

    u: jax.Array  # float32 [N]: u^2 is what the given label gets
    v: jax.Array  # float32 [N, C]: v^2 is what the other classes lose


class Overparametrised(NamedTuple):
    """The learner: a network, and the noise of each training example."""

    network: Network
    noise: Noise


def sop(
    parts: Parts,
    *,
    learning_rate_u: Annotated[float, In("[0, inf)")] = 10.0,
    learning_rate_v: Annotated[float, In("[0, inf)")] = 10.0,
    consistency: Annotated[float, In("[0, inf)")] = 0.0,
    balance: Annotated[float, In("[0, inf)")] = 0.0,
) -> Method:
    """SOP: the loss of p + U - V, where U and V are parameters of each example; SOP+ has two terms more.

    With y the given label as one-hot and h that of the largest p,

      U = min(u^2 y, 1),  V = min(v^2 (1 - y), 1),  q = max(p + U - stop_gradient(V), 1e-4) / its sum

    and an example's loss is -log q_y + |h + U - V - y|^2. All begin near 0. The gradients to u and v are the
    smaller, the smaller these are, so that they grow for those labels alone that stay unlikely for long: for
    these U comes to explain the label, and the network need not. u and v take plain gradient steps on the
    mean over the batch. So the share of one example falls with the batch size, and the rates go with it; the
    published ones are for batches of 128. With the rate 10 and the largest gradient u takes more than a
    hundred epochs from 1e-8 to 1: shorter runs need higher rates.

    SOP+ adds consistency KL(stop_gradient(p) | p of a second view), and balance times the mean over classes
    of -log(mean of q over the batch).

    Args:
      parts: model, loss, optimiser and augmentation; without mixing. The loss may be any of logits, taken at
        log q; the published method's is cross-entropy.
      learning_rate_u: of u, >= 0. Published: 10 on CIFAR-10, 1 on CIFAR-100, there 0.1 for asymmetric noise.
      learning_rate_v: of v, >= 0. Published: 10, and 100 on CIFAR-100 for asymmetric noise.
      consistency: >= 0, published for SOP+: 0.9. Needs two views.
      balance: >= 0, published for SOP+: 0.1.

    Returns:
      The method; its learner is an `Overparametrised`. It believes that 1 - U of an example is kept, and that
      the labels with U > 1/2 are wrong.

    Raises:
      ConfigError: a value out of its range, or a config with mixing, or whose views do not fit.

    Reference: Liu et al., ICML 2022 (arXiv:2202.14026).
    """
    if parts.mix is not None:
        raise ConfigError("method.name: 'sop' does not take data.mixing; leave it out")
    if parts.views != (views := 2 if consistency else 1):
        raise ConfigError(
            f"data.views: must be {views} for 'sop' with method.consistency={consistency}, got {parts.views}"
        )
    begin = beginning(parts)

    def init(seed: ArrayLike, labels: ArrayLike) -> Overparametrised:
        key = jax.random.key(seed)
        for_u, for_v = jax.random.split(jax.random.fold_in(key, 1))
        number = jnp.shape(labels)[0]
        noise = Noise(
            u=1e-8 * jax.random.normal(for_u, (number,)),
            v=1e-8 * jax.random.normal(for_v, (number, parts.num_classes)),
        )
        return Overparametrised(begin(key, labels), noise)

    def step(
        learner: Overparametrised, step: jax.Array, data: DeviceData, batch: Batch
    ) -> tuple[Overparametrised, Seen]:
        network = learner.network
        images, labels, _, dropout = inputs(parts, step, data, batch)
        remembered = gather(network.loss_memory, batch.positions)

        def mean_loss(params: PyTree, noise: Noise):
            logits, batch_stats = forward(parts, params, network.batch_stats, images, dropout=dropout)
            first, *second = jnp.split(logits, parts.views)
            log_q, distance = corrected(first, labels, noise)
            losses, rows = parts.loss.apply(log_q, labels, remembered, step)
            losses += distance
            if second:
                losses += consistency * divergence(first, second[0])
            if balance:
                mean = jax.lax.pmean(jax.nn.softmax(log_q).mean(0), AXIS)
                losses -= balance * jnp.log(jnp.maximum(mean, _LEAST)).mean()
            return losses.mean(), (losses, first, batch_stats, rows)

        noise = gather(learner.noise, batch.positions)
        both = jax.grad(mean_loss, argnums=(0, 1), has_aux=True)
        (gradients, of_noise), (losses, logits, batch_stats, rows) = both(network.params, noise)

        def further(params: PyTree) -> PyTree:
            return jax.lax.pmean(both(params, noise)[0][0], AXIS)

        gradients = jax.lax.pmean(gradients, AXIS)
        gradients = sharpness.aware(network.params, gradients, further, rho=parts.sam)
        # An example is on one device alone, whose mean is over its part of the batch.
        share = 1 / jax.lax.axis_size(AXIS)
        moved = Noise(
            u=noise.u - learning_rate_u * share * of_noise.u,
            v=noise.v - learning_rate_v * share * of_noise.v,
        )
        memory = scatter(network.loss_memory, batch.positions, rows, AXIS)
        after = Overparametrised(
            network.updated(parts, gradients, batch_stats, memory),
            scatter(learner.noise, batch.positions, moved, AXIS),
        )
        return after, Seen(batch.positions, labels, logits, losses)

    def logits(learner: Overparametrised, images: jax.Array) -> jax.Array:
        return evaluated(parts, learner.network, images)

    def losses(
        learner: Overparametrised, images: jax.Array, labels: jax.Array, step: jax.Array
    ) -> dict[str, jax.Array]:
        return {"losses": parts.loss.evaluate(logits(learner, images), labels, step)}

    def beliefs(learner: Overparametrised) -> dict[str, jax.Array]:
        explained = jnp.minimum(jnp.square(learner.noise.u), 1)
        return {"kept": 1 - explained, "noise_rate": (explained > 0.5).mean(dtype=jnp.float32)}

    return Method(init, step, logits, losses, beliefs=beliefs)


def corrected(logits: jax.Array, labels: jax.Array, noise: Noise) -> tuple[jax.Array, jax.Array]:
    """The log of q, as it is before it is normalised, and |h + U - V - y|^2.

    Args:
      logits: [B, C].
      labels: given, int32 [B].
      noise: of these examples.

    Returns:
      [B, C], whose softmax is q; [B].
    """
    p = jax.nn.softmax(logits)
    y = jax.nn.one_hot(labels, p.shape[-1], dtype=p.dtype)
    h = jax.nn.one_hot(logits.argmax(-1), p.shape[-1], dtype=p.dtype)
    to_label = jnp.minimum(jnp.square(noise.u)[:, None] * y, 1)
    from_others = jnp.minimum(jnp.square(noise.v) * (1 - y), 1)
    q = jnp.maximum(p + to_label - jax.lax.stop_gradient(from_others), _LEAST)
    return jnp.log(q), jnp.square(h + to_label - from_others - y).sum(-1)


def divergence(logits: jax.Array, of_view: jax.Array) -> jax.Array:
    """KL(p | p of another view) of each example [B], with the first held constant; logits [B, C] each."""
    log_p = jax.lax.stop_gradient(jax.nn.log_softmax(logits))
    return (jnp.exp(log_p) * (log_p - jax.nn.log_softmax(of_view))).sum(-1)
