"""Early stopping of the head decides which labels are believed; other examples are learned from without."""

from collections.abc import Mapping
from typing import Annotated, Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from grjax.data.feed import Batch, DeviceData
from grjax.devices import AXIS, PyTree
from grjax.methods import mixup
from grjax.methods.late_layers import Phases
from grjax.methods.method import Method, Parts, Seen
from grjax.methods.mix_match import (
    mean_of_views,
    predicted,
    semi_supervised,
    sharpened,
    two_views,
    with_a_batch_each,
)
from grjax.methods.network import Network, beginning, evaluated, forward, gradient
from grjax.methods.single import single
from grjax.methods.small_loss import refuse_mixing_and_views
from grjax.ranges import In


class Believing(flax.struct.PyTreeNode):
    """The learner."""

    network: Network  # its optimiser's state: `late_layers.Optimizers`
    divided: jax.Array  # bool []: labels are believed or not; before, all are
    labelled: jax.Array  # bool [N]: trained on with their labels
    unlabelled: jax.Array  # bool [N]: trained on without
    labels: jax.Array  # int32 [N], given
    seed: jax.Array  # uint32 []: of the head that begins anew


def pes_semi(
    parts: Parts,
    *,
    early_epochs: Annotated[int, In("[0, inf)")] = 20,
    head_epochs: Annotated[int, In("[0, inf)")] = 5,
    late_learning_rate: Annotated[float, In("[0, inf)")] = 1e-4,
    lam_u: Annotated[float, In("[0, inf)")] = 5.0,
    ramp_epochs: Annotated[float, In("(0, inf)")] = 16.0,
    temperature: Annotated[float, In("(0, inf)")] = 0.5,
    alpha: Annotated[float, In("(0, inf)")] = 4.0,
    second_alpha: Annotated[float, In("(0, inf)")] = 0.75,
) -> Method:
    """PES with MixMatch: the labels that a network predicts, stopped early, are believed; others are dropped.

    The whole network is trained for `early_epochs` on all examples with the config's loss. Then the head
    begins anew and is trained alone, by Adam, for `head_epochs`. From there on, before each epoch, the
    examples whose label the network predicts become labelled and the others unlabelled, and a step sees two
    views of B labelled and of B unlabelled ones:

        target of a labelled one    its label
        target of an unlabelled one mean prediction p over both views, sharpened: p_k^(1/T) over its sum

    All 4 B images and targets are mixed with those of random partners, share max(l, 1 - l), l ~ Beta(a, a),
    a = `alpha` in the first half of the run and `second_alpha` in the second. The loss is the cross-entropy
    of the first 2 B plus `lam_u` r times the mean squared error of the others over all classes; r rises from
    0 to 1 over `ramp_epochs`.

    Predictions for targets are those of evaluation mode: they change no batch-norm statistics. The run's
    optimiser sees every gradient, so its moments and its schedule go on where Adam takes the steps. A group
    has at least the examples of one batch: those whose label is most, or least, probable are in both, if need
    be.

    Args:
      parts: model, loss, optimiser and augmentation; without mixing and further views. The loss is that of
        the first two phases; published: cross-entropy.
      early_epochs: of the whole network, >= 0; published: 20 on CIFAR-10, 35 on CIFAR-100.
      head_epochs: of the head, >= 0; 0: it does not begin anew.
      late_learning_rate: of Adam, >= 0; published for PES: 1e-4.
      lam_u: >= 0; published: 5 on CIFAR-10N, 75 on CIFAR-100N.
      ramp_epochs: > 0; of DivideMix.
      temperature: T > 0.
      alpha: > 0.
      second_alpha: > 0.

    Returns:
      The method; its learner is a `Believing`.

    Raises:
      ConfigError: a value out of its range, or a config with mixing or more than one view.

    Reference: Bai et al., NeurIPS 2021 (arXiv:2106.15853).
    """
    refuse_mixing_and_views(parts, "pes_semi")
    phases = Phases(parts, early_epochs, 0, head_epochs, late_learning_rate)
    begin = beginning(phases.parts_at(0))

    def init(seed: ArrayLike, labels: ArrayLike) -> Believing:
        number = jnp.shape(labels)[0]
        return Believing(
            network=begin(jax.random.key(seed), labels),
            divided=jnp.zeros((), bool),
            labelled=jnp.ones(number, bool),
            unlabelled=jnp.zeros(number, bool),
            labels=jnp.asarray(labels, jnp.int32),
            seed=jnp.asarray(seed, jnp.uint32),
        )

    def step(learner: Believing, step: jax.Array, data: DeviceData, batch: Any) -> tuple[Believing, Seen]:
        phased = phases.parts_at(step // parts.steps_per_epoch)
        if isinstance(batch, Batch):
            network, seen = single(phased).step(learner.network, step, data, batch)
        else:
            network, seen = semi(phased, learner.network, step, data, batch)
        return learner.replace(network=network), seen

    def semi(
        phased: Parts, network: Network, step: jax.Array, data: DeviceData, batch: Mapping[str, Batch]
    ) -> tuple[Network, Seen]:
        x, u = batch["labelled"], batch["unlabelled"]
        # For the method's own draws; `inputs` uses 0, 1 and 2.
        step_key = jax.random.fold_in(jax.random.fold_in(jax.random.key(parts.seed), step), 3)
        keys = jax.random.split(step_key, 5)
        weight = lam_u * jnp.clip((step / parts.steps_per_epoch - phases.end) / ramp_epochs, 0, 1)
        images = jnp.concatenate([two_views(parts, data, x, keys[0]), two_views(parts, data, u, keys[1])])
        logits_x, logits_u = jnp.split(predicted(parts, network, images), 2)
        of_x = jax.nn.one_hot(data.labels[x.positions], parts.num_classes, dtype=logits_x.dtype)
        of_u = sharpened(mean_of_views(logits_u), temperature)
        own = images, jnp.concatenate([of_x, of_x, of_u, of_u])
        share = mixup.own_share(keys[2], jnp.where(2 * step < parts.total_steps, alpha, second_alpha))
        seen = mixup.mixed(share, own, mixup.partners(keys[3], own, groups=4))
        dropout = jax.random.fold_in(keys[4], jax.lax.axis_index(AXIS))

        def objective(params: PyTree) -> tuple[jax.Array, tuple]:
            logits, batch_stats = forward(parts, params, network.batch_stats, seen[0], dropout=dropout)
            on_x, on_u, _ = semi_supervised(logits, seen[1])
            total = on_x + weight * on_u
            return total, (total, batch_stats)

        gradients, (total, batch_stats) = gradient(parts, objective, network.params)
        positions = jnp.concatenate([x.positions, u.positions])
        first_views = jnp.concatenate([jnp.split(each, 2)[0] for each in (logits_x, logits_u)])
        after = network.updated(phased, gradients, batch_stats, network.loss_memory)
        return after, Seen(
            positions, data.labels[positions], first_views, jnp.broadcast_to(total, positions.shape)
        )

    def logits(learner: Believing, images: jax.Array) -> jax.Array:
        return evaluated(parts, learner.network, images)

    def losses(
        learner: Believing, images: jax.Array, labels: jax.Array, step: jax.Array
    ) -> dict[str, jax.Array]:
        return {"losses": parts.loss.evaluate(logits(learner, images), labels, step)}

    def begin_epoch(learner: Believing, records: Mapping[str, np.ndarray], epoch: int) -> Believing:
        learner = learner.replace(network=phases.begun(learner.network, seed=learner.seed, epoch=epoch))
        if epoch < phases.end:
            return learner
        believed = records["classes"] == np.asarray(learner.labels)
        place = np.argsort(np.lexsort((-records["p"], ~believed)), kind="stable")
        labelled, unlabelled = with_a_batch_each(believed, place, batches=parts.steps_per_epoch)
        return learner.replace(divided=np.ones((), bool), labelled=labelled, unlabelled=unlabelled)

    def groups(learner: Believing) -> dict[str, np.ndarray] | None:
        if not np.asarray(learner.divided):
            return None
        return {
            "labelled": np.flatnonzero(np.asarray(learner.labelled)),
            "unlabelled": np.flatnonzero(np.asarray(learner.unlabelled)),
        }

    def beliefs(learner: Believing) -> dict[str, jax.Array]:
        return {"kept": jnp.asarray(learner.labelled, jnp.float32)}

    return Method(init, step, logits, losses, begin_epoch, groups, beliefs)
