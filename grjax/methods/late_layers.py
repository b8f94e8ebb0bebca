"""Networks that are trained as a whole, then in their late layers, then in the head, which begin anew."""

import dataclasses
import functools
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike

from grjax.devices import PyTree
from grjax.errors import ConfigError
from grjax.methods.averaging import Average
from grjax.methods.method import Parts
from grjax.methods.network import Network
from grjax.registry import closest


class Optimizers(NamedTuple):
    """The state of both optimisers."""

    whole: PyTree  # of the run's own, which trains the whole network
    late: PyTree  # of Adam, which trains layers that have begun anew


@dataclasses.dataclass(frozen=True)
class Phases:
    """What is trained in which epoch: everything, the late layers, the head, and then everything again.

    Attributes:
      parts: with the run's optimiser, which trains the whole network.
      early_epochs: of the whole network, >= 0.
      late_epochs: of the late layers and the head, by Adam; 0: they do not begin anew.
      head_epochs: of the head, by Adam anew; 0: it does not begin anew.
      learning_rate: of Adam.
      late_from: see `late_layers`.

    Raises:
      ConfigError: `late_from` names no layer.
    """

    parts: Parts
    early_epochs: int
    late_epochs: int
    head_epochs: int
    learning_rate: float
    late_from: str | None = None

    def __post_init__(self) -> None:
        if self.late_from is not None:
            late_layers(self._layers, self.late_from)

    @functools.cached_property
    def _layers(self) -> list[str]:
        return layers_in_order(self.parts.model, self.parts.image_shape)

    @property
    def _head_begins(self) -> int:
        return self.early_epochs + self.late_epochs

    @property
    def end(self) -> int:
        """The epoch from which on the whole network is trained again."""
        return self._head_begins + self.head_epochs

    def parts_at(self, epoch: jax.Array | int) -> Parts:
        """The parts with an optimiser that changes what is trained in an epoch; its state: `Optimizers`.

        The run's own sees every gradient, so its moments and its schedule go on where Adam takes the steps.
        """
        adam = optax.adam(self.learning_rate)

        def init(params: PyTree) -> Optimizers:
            return Optimizers(self.parts.optimizer.init(params), adam.init(params))

        def update(gradients: PyTree, state: Any, params: PyTree = None) -> tuple[PyTree, Optimizers]:
            whole, of_whole = self.parts.optimizer.update(gradients, state.whole, params)
            late, of_late = adam.update(gradients, state.late, params)
            is_whole = (epoch < self.early_epochs) | (epoch >= self.end)
            is_late, is_head = late_layers(self._layers, self.late_from), self._layers[-1]
            updates = {}
            for name in params:
                trained = ~is_whole & ((name == is_head) | ((name in is_late) & (epoch < self._head_begins)))
                updates[name] = jax.tree.map(
                    lambda own, adams, trained=trained: jnp.where(
                        is_whole, own, jnp.where(trained, adams, 0)
                    ),
                    whole[name],
                    late[name],
                )
            return updates, Optimizers(of_whole, of_late)

        return dataclasses.replace(self.parts, optimizer=optax.GradientTransformation(init, update))

    def begun(self, network: Network, *, seed: ArrayLike, epoch: int) -> Network:
        """The network at the beginning of an epoch: layers, Adam and average that begin anew there.

        Running batch-norm statistics go on in the other layers.
        """
        if self.late_epochs and epoch == self.early_epochs:
            names: Sequence[str] = late_layers(self._layers, self.late_from)
        elif self.head_epochs and epoch == self._head_begins:
            names = self._layers[-1:]
        else:
            return network
        key = jax.random.fold_in(jax.random.key(seed), 1 + epoch)
        fresh = jax.jit(functools.partial(self.parts.model.init, train=False))(
            key, jnp.zeros((1, *self.parts.image_shape))
        )

        def with_fresh(old: PyTree, new: PyTree) -> PyTree:
            return {name: new[name] if name in names else old[name] for name in old}

        params = with_fresh(network.params, fresh["params"])
        average = network.average
        if isinstance(average, Average):
            average = average.replace(steps=np.zeros((), np.int32))
        return network.replace(
            params=params,
            batch_stats=with_fresh(network.batch_stats, fresh.get("batch_stats", {})),
            opt_state=network.opt_state._replace(late=optax.adam(self.learning_rate).init(params)),
            average=average,
        )


def layers_in_order(model: nn.Module, image_shape: Sequence[int]) -> list[str]:
    """The layers of a model that have parameters, in the order in which an image meets them.

    Example:
      >>> from grjax import models
      >>> from grjax.methods.late_layers import layers_in_order
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
      >>> from grjax.methods.late_layers import late_layers
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
