"""One network that trusts an example as far as its predictions for two views of it stand out."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from grjax.data import augment
from grjax.data.augment import BatchAugmentation
from grjax.data.feed import Batch, DeviceData
from grjax.devices import AXIS, PyTree
from grjax.errors import ConfigError
from grjax.losses.generalized import gce
from grjax.losses.memory import scatter
from grjax.methods import mixup
from grjax.methods.instance_selection import (
    CLEAN,
    CORRECTED,
    HARD,
    LEFT_OUT,
    Predicted,
    Selection,
    moved,
    prediction,
    selected,
)
from grjax.methods.method import Method, Parts, Seen
from grjax.methods.mix_match import two_views
from grjax.methods.network import Network, beginning, evaluated, forward, gradient
from grjax.methods.small_loss import refuse_mixing_and_views
from grjax.ranges import In


class Selecting(flax.struct.PyTreeNode):
    """The learner."""

    network: Network
    predicted: Predicted
    selection: Selection


def disc(
    parts: Parts,
    *,
    warmup_epochs: Annotated[int, In("[1, inf)")] = 20,
    momentum: Annotated[float, In("[0, 1)")] = 0.99,
    correction_margin: Annotated[float, In("[0, 1]")] = 0.5,
    correction_cap: Annotated[float, In("[0, 1]")] = 0.9,
    q: Annotated[float, In("[0, inf)")] = 0.7,
    lam_hard: Annotated[float, In("[0, inf)")] = 1.0,
    lam_mixup: Annotated[float, In("[0, inf)")] = 1.0,
    alpha: Annotated[float, In("(0, inf)")] = 5.0,
    strong: Sequence[str | Mapping[str, Any]] = (),
) -> Method:
    """DISC: each example has thresholds of its own, which say whether its label is believed, and how far.

    Two views of each example, a weak and a strong one, go through the network in one forward pass; p_w and
    p_s are what it says of them. Between epochs, with thresholds t_w and t_s that begin at 1 / N,

        clean      p_w[y] > t_w and p_s[y] > t_s
        hard       one of the two
        corrected  neither, and max p > min((t_w + t_s) / 2 + margin, cap),  p = (p_w + p_s) / 2

    and after that t <- momentum t + (1 - momentum) max of that view's p. p_w and p_s are those of the step
    at which the example last came by. For `warmup_epochs` the loss is L(z_w, y) + L(z_s, y), with the
    config's loss L; from then on the sum of

        1 / B sum over clean ones of                L(z_w, y) + L(z_s, y)
        lam_hard / B sum over hard ones of          GCE_q(z_w, y) + GCE_q(z_s, y)
        lam_mixup, for each view, times the mean of  s L(z', y') + (1 - s) L(z', y'')

    The last is over the n examples of the batch of any of the three kinds: each image is mixed with the one
    that a random permutation of them gives it, with one share s = max(l, 1 - l), l ~ Beta(alpha, alpha), for
    a view of a batch. y' and y'' are the labels of both, which are argmax p for corrected ones. Each view's
    mixed images are a forward pass of their own.

    The published code decides by the true noise: momentum is 0.95 for asymmetric noise and rates of 0.6 and
    more, lam_hard 0.2 for these rates. Here they are options. Other differences from it:

      - a batch in which nothing is selected gives no gradient, but weight decay and momentum of the optimiser
        go on; there no step is made.
      - the pass over mixed images has B rows as any other: pairs of selected ones are repeated, so that batch
        norm sees no other images. There it has n rows.
      - an epoch leaves out the rest of the examples that fills no batch; these keep the predictions of the
        epoch before.

    Args:
      parts: model, loss, optimiser and augmentation, which makes both views; without mixing, further views,
        and memory of the loss. The published method's loss is cross-entropy.
      warmup_epochs: >= 1. Published: 20, and 15 for instance-dependent noise.
      momentum: of the thresholds, in [0, 1), for each epoch. Published: 0.99 in runs of 200 epochs.
      correction_margin: how far max p must be above the mean of both thresholds, in [0, 1].
      correction_cap: a max p above it is always enough, in [0, 1]. The authors' code has 0.9, other accounts
        0.99.
      q: of the generalised cross-entropy of hard examples, >= 0.
      lam_hard: weight of hard examples, >= 0.
      lam_mixup: weight of the mixed images of each view, >= 0; 0: there are none.
      alpha: of the mixing, > 0.
      strong: augmentations as in data.augmentation, which the second view goes through after them; they must
        keep the shape. Empty: both views are two draws of data.augmentation. Published: two operations of
        RandAugment, each with probability 1/2, and a grey square; see configs/disc_cifar10.py.

    Returns:
      The method; its learner is a `Selecting`. It believes that clean and hard examples are kept and that
      all other labels are wrong; in the warm-up it keeps all. It reports the shares of the training set that
      are clean, hard and corrected.

    Raises:
      ConfigError: a value out of its range, or a config with mixing, further views, or a loss with memory;
        or a strong augmentation that is not known, changes the shape, or is for features.

    Reference: Li et al., CVPR 2023; github.com/JackYFL/DISC.
    """
    refuse_mixing_and_views(parts, "disc")
    memory = jax.eval_shape(lambda labels: parts.loss.init(labels, 2), jnp.zeros(1, jnp.int32))
    if jax.tree.leaves(memory):
        raise ConfigError("loss.name: a loss with a memory cannot be mixed; 'disc' takes one without")
    stronger, begin = strong_augmentation(parts, strong), beginning(parts)

    def init(seed: ArrayLike, labels: ArrayLike) -> Selecting:
        labels = jnp.array(labels, jnp.int32)  # a copy: a step takes the memory of the learner
        number = len(labels)
        return Selecting(
            begin(jax.random.key(seed), labels),
            Predicted(
                of_label=jnp.zeros((number, 2)),
                largest=jnp.zeros((number, 2)),
                largest_mean=jnp.zeros(number),
                classes=jnp.zeros(number, jnp.int32),
            ),
            Selection(
                kinds=jnp.full(number, CLEAN, jnp.int32),
                labels=labels,
                thresholds=jnp.full((number, 2), 1 / number),
            ),
        )

    def begun(learner: Selecting, labels: jax.Array, epoch: jax.Array) -> Selection:
        """The selection of an epoch, at its first step."""
        before = learner.selection
        kinds, of_mixing = selected(
            learner.predicted, before.thresholds, labels, margin=correction_margin, cap=correction_cap
        )
        trusted = epoch < warmup_epochs
        return Selection(
            kinds=jnp.where(trusted, CLEAN, kinds),
            labels=jnp.where(trusted, labels, of_mixing),
            thresholds=moved(before.thresholds, learner.predicted.largest, momentum),
        )

    def step(learner: Selecting, step: jax.Array, data: DeviceData, batch: Batch) -> tuple[Selecting, Seen]:
        epoch, into_epoch = jnp.divmod(step, parts.steps_per_epoch)
        selection = jax.lax.cond(
            (epoch > 0) & (into_epoch == 0),
            lambda: begun(learner, data.labels, epoch),
            lambda: learner.selection,
        )
        network, labels = learner.network, data.labels[batch.positions]
        kinds = selection.kinds[batch.positions]
        # For the method's own draws; `inputs` uses 0, 1 and 2.
        step_key = jax.random.fold_in(jax.random.fold_in(jax.random.key(parts.seed), step), 3)
        views_key, dropout, *mixing_keys = jax.random.split(step_key, 4)
        dropout = jax.random.fold_in(dropout, jax.lax.axis_index(AXIS))
        images = two_views(parts, data, batch, views_key, stronger)
        of_mixing = selection.labels[batch.positions]
        mixtures = [
            mixup.among(key, kinds != LEFT_OUT, view, of_mixing, alpha=alpha)
            for key, view in zip(mixing_keys, jnp.split(images, 2), strict=True)
            if lam_mixup
        ]
        # The step is one program: in the warm-up the mixed images weigh nothing.
        weight = lam_mixup * (epoch >= warmup_epochs)

        def loss(logits: jax.Array, labels: jax.Array) -> jax.Array:
            return parts.loss.apply(logits, labels, network.loss_memory, step)[0]

        def objective(params: PyTree) -> tuple[jax.Array, tuple]:
            logits, batch_stats = forward(parts, params, network.batch_stats, images, dropout=dropout)
            first, second = jnp.split(logits, 2)
            values = jnp.where(kinds == CLEAN, loss(first, labels) + loss(second, labels), 0)
            on_hard = gce(first, labels, q=q) + gce(second, labels, q=q)
            values += lam_hard * jnp.where(kinds == HARD, on_hard, 0)
            after_views = batch_stats
            for number, mixed in enumerate(mixtures):
                key = jax.random.fold_in(dropout, number)
                z, batch_stats = forward(parts, params, batch_stats, mixed.images, dropout=key)
                own, others = (loss(z, labels) for labels in mixed.labels)
                # Of another example than the one at this place: what has a meaning is the mean of all.
                values += weight * mixed.weights * (mixed.share * own + (1 - mixed.share) * others)
            batch_stats = jax.tree.map(
                lambda mixed, views: jnp.where(weight > 0, mixed, views), batch_stats, after_views
            )
            return values.mean(), (values, first, second, batch_stats)

        gradients, (values, first, second, batch_stats) = gradient(parts, objective, network.params)
        rows = prediction(first, second, labels)
        rows = jax.tree.map(lambda row, kept: row.astype(kept.dtype), rows, learner.predicted)
        after = Selecting(
            network.updated(parts, gradients, batch_stats, network.loss_memory),
            scatter(learner.predicted, batch.positions, rows, AXIS),
            selection,
        )
        shares = {"clean": CLEAN, "hard": HARD, "corrected": CORRECTED}
        metrics = {name: (selection.kinds == kind).mean(dtype=jnp.float32) for name, kind in shares.items()}
        return after, Seen(batch.positions, labels, first, values, metrics=metrics)

    def logits(learner: Selecting, images: jax.Array) -> jax.Array:
        return evaluated(parts, learner.network, images)

    def losses(
        learner: Selecting, images: jax.Array, labels: jax.Array, step: jax.Array
    ) -> dict[str, jax.Array]:
        return {"losses": parts.loss.evaluate(logits(learner, images), labels, step)}

    def beliefs(learner: Selecting) -> dict[str, jax.Array]:
        kept = (learner.selection.kinds >= HARD).astype(jnp.float32)
        return {"kept": kept, "noise_rate": 1 - kept.mean()}

    return Method(init, step, logits, losses, beliefs=beliefs)


def strong_augmentation(parts: Parts, chosen: Sequence[str | Mapping[str, Any]]) -> BatchAugmentation | None:
    """What makes a strong view of an augmented one; None: nothing.

    Raises:
      ConfigError: an unknown augmentation, one that changes the shape, or one for features.
    """
    if not chosen:
        return None
    if parts.image_dtype != np.uint8:
        raise ConfigError(
            "method.strong: must be empty here, it is made for uint8 images, these are "
            f"{np.dtype(parts.image_dtype)}"
        )
    try:
        augmentation = augment.create(chosen)
        shape = augment.shape_after(augmentation, parts.image_shape)
    except ConfigError as error:
        raise ConfigError(str(error).replace("data.augmentation", "method.strong", 1)) from None
    if shape != parts.image_shape:
        raise ConfigError(
            f"method.strong: must keep the shape of the images, it makes {shape} of {parts.image_shape}"
        )
    return augmentation
