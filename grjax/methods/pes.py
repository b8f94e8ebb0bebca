"""Early stopping layer by layer: the later a layer, the shorter it is trained on all labels."""

from collections.abc import Mapping
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from grjax.data.feed import Batch, DeviceData
from grjax.devices import AXIS, PyTree
from grjax.errors import ConfigError
from grjax.losses.memory import scatter
from grjax.methods.late_layers import Phases
from grjax.methods.method import Learner, Method, Parts, Seen
from grjax.methods.network import Network, beginning, evaluated, gradient, inputs
from grjax.methods.single import Left, example_losses
from grjax.ranges import In


class Progressive(NamedTuple):
    """The learner: a network, and which examples it is trained on."""

    network: Network  # its optimiser's state: `late_layers.Optimizers`
    kept: jax.Array  # bool [N of the training split]
    class_weights: jax.Array  # float32 [C]
    labels: jax.Array  # int32 [N], given
    seed: jax.Array  # uint32 []: of the layers that begin anew


def pes(
    parts: Parts,
    *,
    early_epochs: Annotated[int, In("[0, inf)")] = 25,
    late_epochs: Annotated[int, In("[0, inf)")] = 7,
    head_epochs: Annotated[int, In("[0, inf)")] = 5,
    late_learning_rate: Annotated[float, In("[0, inf)")] = 1e-4,
    late_from: str | None = None,
) -> Method:
    """Progressive early stopping: late layers learn wrong labels first, so they are trained anew and shorter.

    The whole network is trained for `early_epochs`. Then its late layers begin anew and are trained alone,
    by Adam, for `late_epochs`; then the head alone, also by Adam, for `head_epochs`. From there on the whole
    network is trained again, on the examples whose label the network predicts, chosen anew before each epoch,
    with weights that make the classes count alike: the mean number of kept examples of a class over that of
    the example's class. The run's optimiser sees every gradient, so its moments and its schedule go on where
    Adam takes the steps. Running batch-norm statistics go on in all layers.

    Args:
      parts: model, loss, optimiser and augmentation; without mixing. The published method's loss is
        cross-entropy.
      early_epochs: of the whole network, >= 0. Published: 25 on CIFAR-10, 30 on CIFAR-100.
      late_epochs: of the late layers and the head, >= 0; 0: they do not begin anew.
      head_epochs: of the head, >= 0; 0: it does not begin anew.
      late_learning_rate: of Adam, >= 0.
      late_from: the first late layer, or the stage whose blocks are the first, as 'layer4'; all that come
        after it are late. None: the last stage of a ResNet, of other models the last layer of weights before
        the head.

    Returns:
      The method; its learner is a `Progressive`.

    Raises:
      ConfigError: a value out of its range, an unknown layer, or a config with mixing.

    Reference: Bai et al., NeurIPS 2021 (arXiv:2106.15853).
    """
    if parts.mix is not None:
        raise ConfigError("method.name: 'pes' does not take data.mixing; leave it out")
    phases = Phases(parts, early_epochs, late_epochs, head_epochs, late_learning_rate, late_from)
    begin = beginning(phases.parts_at(0))

    def init(seed: ArrayLike, labels: ArrayLike) -> Progressive:
        return Progressive(
            begin(jax.random.key(seed), labels),
            kept=jnp.ones(jnp.shape(labels)[0], bool),
            class_weights=jnp.ones(parts.num_classes),
            labels=jnp.asarray(labels, jnp.int32),
            seed=jnp.asarray(seed, jnp.uint32),
        )

    def step(
        learner: Progressive, step: jax.Array, data: DeviceData, batch: Batch
    ) -> tuple[Progressive, Seen]:
        network = learner.network
        given = inputs(parts, step, data, batch)
        losses_at = example_losses(parts, network, given, batch, step)
        weights = learner.kept[batch.positions] * learner.class_weights[given.labels]
        # The mean over the kept examples of all devices, as pmean divides by their number once more.
        weights /= jnp.maximum(jax.lax.pmean(weights.mean(), AXIS), 1e-12)

        def mean_loss(params: PyTree) -> tuple[jax.Array, tuple[jax.Array, Left]]:
            losses, left = losses_at(params, parts.loss)
            losses *= weights.astype(losses.dtype)
            return losses.mean(), (losses, left)

        gradients, (losses, (logits, batch_stats, rows)) = gradient(parts, mean_loss, network.params)
        memory = scatter(network.loss_memory, batch.positions, rows, AXIS)
        phased = phases.parts_at(step // parts.steps_per_epoch)
        network = network.updated(phased, gradients, batch_stats, memory)
        return learner._replace(network=network), Seen(batch.positions, given.labels, logits, losses)

    def logits(learner: Progressive, images: jax.Array) -> jax.Array:
        return evaluated(parts, learner.network, images)

    def losses(
        learner: Progressive, images: jax.Array, labels: jax.Array, step: jax.Array
    ) -> dict[str, jax.Array]:
        return {"losses": parts.loss.evaluate(logits(learner, images), labels, step)}

    def begin_epoch(learner: Learner, records: Mapping[str, np.ndarray], epoch: int) -> Learner:
        network = phases.begun(learner.network, seed=learner.seed, epoch=epoch)
        learner = learner._replace(network=network)
        if epoch < phases.end:
            return learner
        kept = records["classes"] == learner.labels
        counts = np.bincount(records["classes"][kept], minlength=parts.num_classes)
        weights = counts[counts > 0].sum() / max((counts > 0).sum(), 1) / np.maximum(counts, 1)
        return learner._replace(kept=kept, class_weights=np.where(counts, weights, 0).astype(np.float32))

    def beliefs(learner: Progressive) -> dict[str, jax.Array]:
        return {"kept": jnp.asarray(learner.kept, jnp.float32)}

    return Method(init, step, logits, losses, begin_epoch, beliefs=beliefs)
