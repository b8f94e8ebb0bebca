"""Early stopping layer by layer: the later a layer, the shorter it is trained on all labels."""

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike

from grjax.data.feed import Batch, DeviceData
from grjax.devices import AXIS, PyTree
from grjax.errors import ConfigError
from grjax.losses.memory import scatter
from grjax.methods.averaging import Average
from grjax.methods.method import Learner, Method, Parts, Seen
from grjax.methods.network import Network, beginning, evaluated, gradient, inputs
from grjax.methods.single import Left, example_losses
from grjax.ranges import In
from grjax.registry import closest


class Progressive(NamedTuple):
    """The learner: a network, and which examples it is trained on."""

    network: Network  # its optimiser's state is an `Optimizers`
    kept: jax.Array  # bool [N of the training split]
    class_weights: jax.Array  # float32 [C]
    labels: jax.Array  # int32 [N], given
    seed: jax.Array  # uint32 []: of the layers that begin anew


class Optimizers(NamedTuple):
    """The state of both optimisers."""

    whole: PyTree  # of the run's own, which trains the whole network
    late: PyTree  # of Adam, which trains layers that have begun anew


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
    by Adam, for `late_epochs`; then the head alone likewise for `head_epochs`. From there on the whole
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
    layers = functools.cache(lambda: layers_in_order(parts.model, parts.image_shape))
    if late_from is not None:
        late_layers(layers(), late_from)
    head_begins = early_epochs + late_epochs
    chosen_from = head_begins + head_epochs
    adam = optax.adam(late_learning_rate)

    def optimizer_at(epoch: jax.Array | int) -> optax.GradientTransformation:
        """The run's optimiser for the whole network, or Adam for a part of it."""

        def init(params: PyTree) -> Optimizers:
            return Optimizers(parts.optimizer.init(params), adam.init(params))

        def update(gradients: PyTree, state: Any, params: PyTree = None) -> tuple[PyTree, Optimizers]:
            whole, of_whole = parts.optimizer.update(gradients, state.whole, params)
            late, of_late = adam.update(gradients, state.late, params)
            is_whole = (epoch < early_epochs) | (epoch >= chosen_from)
            is_late, is_head = late_layers(layers(), late_from), layers()[-1]
            updates = {}
            for name in params:
                trained = ~is_whole & ((name == is_head) | ((name in is_late) & (epoch < head_begins)))
                updates[name] = jax.tree.map(
                    lambda own, adams, trained=trained: jnp.where(
                        is_whole, own, jnp.where(trained, adams, 0)
                    ),
                    whole[name],
                    late[name],
                )
            return updates, Optimizers(of_whole, of_late)

        return optax.GradientTransformation(init, update)

    begin = beginning(dataclasses.replace(parts, optimizer=optimizer_at(0)))

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
        phased = dataclasses.replace(parts, optimizer=optimizer_at(step // parts.steps_per_epoch))
        network = network.updated(phased, gradients, batch_stats, memory)
        return learner._replace(network=network), Seen(batch.positions, given.labels, logits, losses)

    def logits(learner: Progressive, images: jax.Array) -> jax.Array:
        return evaluated(parts, learner.network, images)

    def losses(
        learner: Progressive, images: jax.Array, labels: jax.Array, step: jax.Array
    ) -> dict[str, jax.Array]:
        return {"losses": parts.loss.evaluate(logits(learner, images), labels, step)}

    def begin_epoch(learner: Learner, records: Mapping[str, np.ndarray], epoch: int) -> Learner:
        if late_epochs and epoch == early_epochs:
            return renewed(learner, late_layers(layers(), late_from), epoch)
        if head_epochs and epoch == head_begins:
            return renewed(learner, layers()[-1:], epoch)
        if epoch < chosen_from:
            return learner
        kept = records["classes"] == learner.labels
        counts = np.bincount(records["classes"][kept], minlength=parts.num_classes)
        weights = counts[counts > 0].sum() / max((counts > 0).sum(), 1) / np.maximum(counts, 1)
        return learner._replace(kept=kept, class_weights=np.where(counts, weights, 0).astype(np.float32))

    def renewed(learner: Progressive, names: Sequence[str], epoch: int) -> Progressive:
        """The learner with layers that begin anew, and with them Adam and the average."""
        key = jax.random.fold_in(jax.random.key(learner.seed), 1 + epoch)
        fresh = jax.jit(functools.partial(parts.model.init, train=False))(
            key, jnp.zeros((1, *parts.image_shape))
        )
        network = learner.network

        def with_fresh(old: PyTree, new: PyTree) -> PyTree:
            return {name: new[name] if name in names else old[name] for name in old}

        params = with_fresh(network.params, fresh["params"])
        average = network.average
        if isinstance(average, Average):
            average = average.replace(steps=np.zeros((), np.int32))
        network = network.replace(
            params=params,
            batch_stats=with_fresh(network.batch_stats, fresh.get("batch_stats", {})),
            opt_state=network.opt_state._replace(late=adam.init(params)),
            average=average,
        )
        return learner._replace(network=network)

    def beliefs(learner: Progressive) -> dict[str, jax.Array]:
        return {"kept": jnp.asarray(learner.kept, jnp.float32)}

    return Method(init, step, logits, losses, begin_epoch, beliefs=beliefs)


def layers_in_order(model: nn.Module, image_shape: Sequence[int]) -> list[str]:
    """The layers of a model that have parameters, in the order in which an image meets them.

    Example:
      >>> from grjax import models
      >>> from grjax.methods.pes import layers_in_order
      >>> layers_in_order(models.create("lenet", num_classes=10), (28, 28, 1))
      ['conv1', 'conv2', 'fc1', 'fc2', 'fc']
    """
    met: list[str] = []

    def note(call: Any, args: Any, options: Any, context: nn.module.InterceptorContext) -> Any:
        path = context.module.path
        if path and path[0] not in met:
            met.append(path[0])
        return call(*args, **options)

    with nn.intercept_methods(note):
        variables = jax.eval_shape(
            functools.partial(model.init, train=False), jax.random.key(0), jnp.zeros((1, *image_shape))
        )
    return [name for name in met if name in variables["params"]]


def late_layers(layers: Sequence[str], late_from: str | None) -> list[str]:
    """Those of `layers` that are late, with the head, which is the last.

    Args:
      layers: of a model, in order.
      late_from: the first late one, or its name up to an underscore. None: the last stage, whose blocks are
        called layerN_M; or else the last layer before the head, with the norm after it.

    Raises:
      ConfigError: no layer of this name.

    Example:
      >>> from grjax.methods.pes import late_layers
      >>> late_layers(["conv1", "bn1", "layer1_0", "layer2_0", "layer2_1", "fc"], None)
      ['layer2_0', 'layer2_1', 'fc']
    """
    if late_from is None:
        *body, _ = layers
        weighty = [name for name in body if not _is_norm(name)] or layers[-1:]
        stage = re.match(r"(layer\d+)_", weighty[-1])
        late_from = stage[1] if stage else weighty[-1]
    named = [name for name in layers if name == late_from or name.startswith(f"{late_from}_")]
    if not named:
        raise ConfigError(
            f"method.late_from: no layer {late_from!r} in the model; {closest(late_from, layers)}"
        )
    return list(layers[layers.index(named[0]) :])


def _is_norm(name: str) -> bool:
    return re.fullmatch(r"bn\d*|norm|BatchNorm_\d+|.+_bn", name) is not None
