"""Two networks that divide the examples for each other, and learn from the doubtful ones without labels."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from grjax import mixture
from grjax.data.feed import Batch, DeviceData
from grjax.devices import AXIS, PyTree
from grjax.losses.memory import gather, scatter
from grjax.methods import mixup
from grjax.methods.method import Method, Parts, Seen
from grjax.methods.mix_match import (
    mean_of_views,
    predicted,
    refined,
    semi_supervised,
    sharpened,
    two_views,
    with_a_batch_each,
)
from grjax.methods.network import Network, forward, gradient, inputs
from grjax.methods.noise_rate import wrong_share
from grjax.methods.small_loss import Pair, begin_pair, pair_logits, pair_losses, refuse_mixing_and_views
from grjax.ranges import In

_NAMES = ("first", "second")  # of the networks, in the names of their groups


class Dividing(flax.struct.PyTreeNode):
    """The learner; what has two rows has one for each network, the one that is trained by it."""

    networks: Pair
    divided: jax.Array  # bool []: the warm-up is over
    clean: (
        jax.Array
    )  # float32 [2, N]: probability that the label is right, by the losses of the other network
    labelled: jax.Array  # bool [2, N]: trained on with their labels
    unlabelled: jax.Array  # bool [2, N]: trained on without
    recent: jax.Array  # float32 [2, K, N]: losses in [0, 1] of the last K epochs, each network's own


def divide_mix(
    parts: Parts,
    *,
    warmup_epochs: Annotated[int, In("[0, inf)")] = 10,
    confidence_penalty: Annotated[float, In("[0, inf)")] = 0.0,
    loss_epochs: Annotated[int, In("[1, inf)")] = 1,
    threshold: Annotated[float, In("(0, 1)")] = 0.5,
    temperature: Annotated[float, In("(0, inf)")] = 0.5,
    alpha: Annotated[float, In("(0, inf)")] = 4.0,
    lam_u: Annotated[float, In("[0, inf)")] = 25.0,
    ramp_epochs: Annotated[float, In("(0, inf)")] = 16.0,
    prior: Annotated[float, In("[0, inf)")] = 1.0,
    undecided: Literal["divide", "keep"] = "divide",
) -> Method:
    """DivideMix: a mixture over each network's losses divides the examples for the other network.

    Warm-up: both networks minimise the config's loss on all examples. Then, before each epoch, two normal
    distributions are fitted to each network's cross-entropies, scaled to [0, 1]; w is the posterior of the
    lower one. The other network takes the examples with w > `threshold` as labelled, the rest as unlabelled.
    At each step a network sees two views of B labelled and of B unlabelled examples:

        target of a labelled one    w onehot(y) + (1 - w) p, p its own mean prediction over both views
        target of an unlabelled one mean prediction of both networks over both views

    both sharpened, t_k^(1/T) over its sum. All 4 B images and targets are mixed with those of random
    partners, share max(l, 1 - l), l ~ Beta(alpha, alpha). The loss is the cross-entropy of the first 2 B,
    plus `lam_u` r times the mean squared error of the others over all classes, plus `prior` times
    KL(uniform || mean prediction); r rises from 0 to 1 over `ramp_epochs`.

    Predictions for targets are those of evaluation mode: they change no batch-norm statistics, which follow
    the mixed images alone. Both networks are trained at each step, and an epoch has as many steps as always.
    A group has at least the examples of one batch: those nearest to the threshold are in both, if need be.

    Args:
      parts: model, loss, optimiser and augmentation; without mixing and further views. The loss is that of
        the warm-up; published: cross-entropy.
      warmup_epochs: >= 0; published: 10 for CIFAR-10, 30 for CIFAR-100.
      confidence_penalty: weight of the negative entropy of predictions in the warm-up, >= 0; published: 1
        for asymmetric noise, else 0.
      loss_epochs: K >= 1, epochs over which losses are averaged before they are divided; published: 1, and 5
        for symmetric noise of 90%.
      threshold: in (0, 1); published: 0.5, and 0.6 for symmetric noise of 90%.
      temperature: T > 0.
      alpha: > 0.
      lam_u: >= 0; published: from 0 to 150, by data set and noise.
      ramp_epochs: > 0.
      prior: >= 0.
      undecided: what is done with a network's losses where the log-odds of its p do not speak for two kinds
        of examples, by the test of `rate='estimated'` elsewhere. 'divide', as published: the mixture finds
        two in anything; 'keep': w is 1, and all examples are labelled.

    Returns:
      The method; its learner is a `Dividing`, and its records of an evaluation have the cross-entropy of each
      network, 'first_cross_entropy' and 'second_cross_entropy'.

    Raises:
      ConfigError: a value out of its range, or a config with mixing or more than one view.

    Reference: Li et al., ICLR 2020 (arXiv:2002.07394).
    """
    refuse_mixing_and_views(parts, "divide_mix")
    begin = begin_pair(parts)

    def init(seed: ArrayLike, labels: ArrayLike) -> Dividing:
        number = jnp.shape(labels)[0]
        return Dividing(
            networks=begin(seed, labels),
            divided=jnp.zeros((), bool),
            clean=jnp.ones((2, number), jnp.float32),
            labelled=jnp.ones((2, number), bool),
            unlabelled=jnp.zeros((2, number), bool),
            recent=jnp.zeros((2, loss_epochs, number), jnp.float32),
        )

    def step(learner: Dividing, step: jax.Array, data: DeviceData, batch: Any) -> tuple[Dividing, Seen]:
        if isinstance(batch, Batch):
            return warm_up(learner, step, data, batch)
        return divided(learner, step, data, batch)

    def warm_up(learner: Dividing, step: jax.Array, data: DeviceData, batch: Batch) -> tuple[Dividing, Seen]:
        images, labels, _, dropout = inputs(parts, step, data, batch)

        def trained(network: Network, key: jax.Array) -> tuple:
            remembered = gather(network.loss_memory, batch.positions)

            def objective(params: PyTree) -> tuple[jax.Array, tuple]:
                logits, batch_stats = forward(parts, params, network.batch_stats, images, dropout=key)
                losses, rows = parts.loss.apply(logits, labels, remembered, step)
                if confidence_penalty:
                    log_p = jax.nn.log_softmax(logits)
                    losses = losses + confidence_penalty * (jnp.exp(log_p) * log_p).sum(-1)
                return losses.mean(), (losses, logits, batch_stats, rows)

            gradients, (losses, logits, batch_stats, rows) = gradient(parts, objective, network.params)
            memory = scatter(network.loss_memory, batch.positions, rows, AXIS)
            return network.updated(parts, gradients, batch_stats, memory), losses, logits

        keys = dropout, jax.random.fold_in(dropout, 1)
        networks, losses, logits = zip(
            *(trained(*each) for each in zip(learner.networks, keys, strict=True)), strict=True
        )
        after = learner.replace(networks=Pair(*networks))
        return after, Seen(batch.positions, labels, sum(logits) / 2, sum(losses) / 2)

    def divided(
        learner: Dividing, step: jax.Array, data: DeviceData, batch: Mapping[str, Batch]
    ) -> tuple[Dividing, Seen]:
        # For the method's own draws; `inputs` uses 0, 1 and 2.
        step_key = jax.random.fold_in(jax.random.fold_in(jax.random.key(parts.seed), step), 3)
        since = step / parts.steps_per_epoch - warmup_epochs
        weight = lam_u * jnp.clip(since / ramp_epochs, 0, 1)

        def trained(number: int) -> tuple:
            network, other = learner.networks[number], learner.networks[1 - number]
            keys = jax.random.split(jax.random.fold_in(step_key, number), 5)
            x, u = batch[f"{_NAMES[number]}_labelled"], batch[f"{_NAMES[number]}_unlabelled"]
            images = two_views(parts, data, x, keys[0]), two_views(parts, data, u, keys[1])
            own = predicted(parts, network, jnp.concatenate(images))
            own_x, own_u = jnp.split(own, 2)
            both_u = (mean_of_views(own_u) + mean_of_views(predicted(parts, other, images[1]))) / 2
            labels = jax.nn.one_hot(data.labels[x.positions], parts.num_classes, dtype=own.dtype)
            clean = learner.clean[number][x.positions]
            of_x = sharpened(refined(labels, clean, mean_of_views(own_x)), temperature)
            of_u = sharpened(both_u, temperature)
            seen = jnp.concatenate(images), jnp.concatenate([of_x, of_x, of_u, of_u])
            share = mixup.own_share(keys[2], alpha)
            seen = mixup.mixed(share, seen, mixup.partners(keys[3], seen, groups=4))
            device = jax.lax.axis_index(AXIS)

            def objective(params: PyTree) -> tuple[jax.Array, tuple]:
                logits, batch_stats = forward(
                    parts, params, network.batch_stats, seen[0], dropout=jax.random.fold_in(keys[4], device)
                )
                on_x, on_u, of_prior = semi_supervised(logits, seen[1])
                total = on_x + weight * on_u + prior * of_prior
                return total, (total, batch_stats)

            gradients, (total, batch_stats) = gradient(parts, objective, network.params)
            after = network.updated(parts, gradients, batch_stats, network.loss_memory)
            first_views = jnp.concatenate([jnp.split(own_x, 2)[0], jnp.split(own_u, 2)[0]])
            return after, total, jnp.concatenate([x.positions, u.positions]), first_views

        networks, totals, positions, logits = zip(trained(0), trained(1), strict=True)
        # The networks see different examples; dynamics are those of the first.
        seen = Seen(
            positions=positions[0],
            labels=data.labels[positions[0]],
            logits=logits[0],
            losses=jnp.broadcast_to(sum(totals) / 2, positions[0].shape),
        )
        return learner.replace(networks=Pair(*networks)), seen

    def begin_epoch(learner: Dividing, records: Mapping[str, np.ndarray], epoch: int) -> Dividing:
        now = np.stack([scaled(records[f"{name}_cross_entropy"]) for name in _NAMES])
        recent = np.concatenate([np.asarray(learner.recent)[:, 1:], now[:, None]], axis=1)
        learner = learner.replace(recent=recent.astype(np.float32))
        if epoch < warmup_epochs:
            return learner
        # Those before the first epoch do not count, whose networks were not trained.
        mean = recent[:, -min(loss_epochs, max(epoch, 1)) :].mean(1)
        own = np.stack([clean_posterior(losses) for losses in mean])
        place = np.argsort(np.argsort(-own, axis=1, kind="stable"), axis=1)  # 0: the most probable
        if undecided == "keep":
            for row, name in zip(own, _NAMES, strict=True):
                if wrong_share(np.exp(-np.asarray(records[f"{name}_cross_entropy"], np.float64))) == 0:
                    row[:] = 1
        clean, place = own[::-1], place[::-1]  # each network goes by the other's losses
        labelled, unlabelled = with_a_batch_each(clean > threshold, place, batches=parts.steps_per_epoch)
        return learner.replace(
            divided=np.ones((), bool),
            clean=clean.astype(np.float32),
            labelled=labelled,
            unlabelled=unlabelled,
        )

    def groups(learner: Dividing) -> dict[str, np.ndarray] | None:
        if not np.asarray(learner.divided):
            return None
        return {
            f"{name}_{kind}": np.flatnonzero(np.asarray(getattr(learner, kind))[number])
            for number, name in enumerate(_NAMES)
            for kind in ("labelled", "unlabelled")
        }

    def beliefs(learner: Dividing) -> dict[str, jax.Array]:
        return {
            "kept": learner.labelled.mean(0, dtype=jnp.float32),
            "noise_rate": (1 - learner.clean).mean(),
        }

    return Method(
        init,
        step,
        lambda learner, images: pair_logits(parts, learner.networks, images),
        lambda learner, images, labels, step: pair_losses(
            parts, learner.networks, images, labels=labels, step=step
        ),
        begin_epoch,
        groups,
        beliefs,
    )


def scaled(losses: np.ndarray) -> np.ndarray:
    """Losses [N] moved to [0, 1] by the least and the greatest."""
    losses = np.asarray(losses, np.float64)
    return (losses - losses.min()) / max(float(np.ptp(losses)), 1e-12)


def clean_posterior(losses: np.ndarray) -> np.ndarray:
    """P(lower of two normal distributions | loss) [N], from losses in [0, 1]."""
    fitted = mixture.fit_gaussian(losses, least_variance=5e-4, iterations=10, tolerance=1e-2)
    return fitted.low_posterior(losses)
