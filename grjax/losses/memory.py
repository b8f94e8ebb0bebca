"""Losses with a memory of each training example, and what all losses look like to a train step.

A `TrainingLoss` is three pure functions. The memory is a pytree of arrays `[N, ...]`, one row for each
training example; the loss sees the rows of its batch and returns what they become. Who keeps the memory
gathers and scatters rows:

    memory = loss.init(labels, num_classes)                               # [N, ...]
    per_example, rows = loss.apply(logits, labels[ids], gather(memory, ids), step)
    memory = scatter(memory, ids, rows)

A loss without memory is one with an empty pytree. Adding a loss with memory: write a function from its
hyper-parameters to a `TrainingLoss`, and name it in `grjax.losses`.

All take logits `[B, C]`, floating and finite, labels `[B]`, integer, and the step, int32 `[]`; no gradient
flows through the memory. Scalar hyper-parameters may be traced.
"""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from grjax.losses.agreement import cross_entropy
from grjax.losses.generalized import gce
from grjax.losses.inputs import log_softmax
from grjax.ranges import In, in_range

Memory = Any  # a pytree of arrays [N, ...] or, for a batch, [B, ...]


class TrainingLoss(NamedTuple):
    """A loss as a train step uses it."""

    # (labels [N], num_classes) -> memory [N, ...]
    init: Callable[[jax.Array, int], Memory]
    # (logits [B, C], labels [B], rows [B, ...], step []) -> (losses [B], new rows [B, ...]); without memory
    # also with `views`, the logits of V - 1 other views of the same examples, [V - 1, B, C].
    apply: Callable[..., tuple[jax.Array, Memory]]
    # (logits [..., C], labels [...], step []) -> losses [...], of examples that have no memory
    evaluate: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
    # memory [N, ...] -> targets [N, C] that stand in for the labels by now; None: the labels stay
    targets: Callable[[Memory], jax.Array] | None = None


def without_memory(loss: Callable[..., jax.Array]) -> TrainingLoss:
    """A loss (logits, labels) -> [...] as a `TrainingLoss`.

    A loss with a keyword `views` sees all views of an example at once; another one is averaged over the
    views.
    """
    takes_views = "views" in inspect.signature(loss).parameters

    def apply(
        logits: jax.Array, labels: jax.Array, rows: Memory, step: jax.Array, views: jax.Array | None = None
    ) -> tuple[jax.Array, Memory]:
        del step
        if views is None:
            return loss(logits, labels), rows
        if takes_views:
            return loss(logits, labels, views=views), rows
        every = jnp.concatenate([logits[None], views])
        return loss(every, jnp.broadcast_to(labels, every.shape[:-1])).mean(0), rows

    return TrainingLoss(
        init=lambda labels, num_classes: (),
        apply=apply,
        evaluate=lambda logits, labels, step: loss(logits, labels),
    )


def gather(memory: Memory, ids: jax.Array) -> Memory:
    """The rows [B, ...] of the examples `ids` [B]."""
    return jax.tree.map(lambda leaf: leaf[ids], memory)


def scatter(memory: Memory, ids: jax.Array, rows: Memory, axis_name: str | None = None) -> Memory:
    """The memory [N, ...] with other rows [B, ...] for the examples `ids` [B], each of them once.

    With `axis_name`, inside `jax.pmap` or `jax.shard_map` the axis over which the batch is spread, every
    device holds the whole memory and gets the rows of all.
    """
    if axis_name is not None:
        ids, rows = jax.lax.all_gather((ids, rows), axis_name, tiled=True)
    return jax.tree.map(lambda leaf, row: leaf.at[ids].set(row), memory, rows)


@in_range
def elr(
    *, lam: Annotated[ArrayLike, In("[0, inf)")] = 3.0, beta: Annotated[ArrayLike, In("[0, 1)")] = 0.7
) -> TrainingLoss:
    """Early-learning regularisation: L = -log p_y + lam log(1 - <softmax(z), t>).

    The memory t, float32 `[N, C]`, begins at 0 and is a running mean of the predictions,
    t <- beta t + (1 - beta) softmax(z), before the loss is taken; p is clipped to [1e-4, 1 - 1e-4] and
    normalised for it, as in the authors' code. Evaluates as cross-entropy.

    Args:
      lam: weight of the regulariser, >= 0.
      beta: momentum of the memory, in [0, 1).

    Reference: Liu et al., NeurIPS 2020 (arXiv:2007.00151).
    """

    def init(labels: jax.Array, num_classes: int) -> jax.Array:
        return jnp.zeros((len(labels), num_classes), jnp.float32)

    def apply(
        logits: jax.Array, labels: jax.Array, rows: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        del step
        log_p, log_p_label, _ = log_softmax(logits, labels)
        p = jnp.clip(jnp.exp(log_p), 1e-4, 1 - 1e-4)
        constant = jax.lax.stop_gradient(p)
        prediction = constant / constant.sum(-1, keepdims=True)
        rows = jnp.asarray(beta * rows + (1 - beta) * prediction, rows.dtype)
        return -log_p_label + lam * jnp.log(1 - (p * rows).sum(-1)), rows

    return TrainingLoss(init, apply, lambda logits, labels, step: cross_entropy(logits, labels))


@in_range
def truncated_gce_pruned(
    *,
    q: Annotated[ArrayLike, In("(0, inf)")] = 0.7,
    k: Annotated[ArrayLike, In("(0, 1)")] = 0.5,
    begin_steps: Annotated[int, In("[0, inf)")],
    every_steps: Annotated[int, In("[1, inf)")],
    window_steps: Annotated[int, In("[1, inf)")],
) -> TrainingLoss:
    """Truncated generalised cross-entropy whose choice of examples is refreshed only now and then.

    The memory is a flag for each example, bool `[N]`, whether it takes part; its loss is GCE(q) if so, else
    the constant (1 - k^q) / q. From `begin_steps` on, every `every_steps`, the flags are set anew to p > k
    for a window of `window_steps`, an epoch, as the examples come by. The authors' code sets all flags
    between two epochs instead, from the best model so far. Evaluates as GCE.

    Args:
      q: exponent, see `truncated_gce`; > 0.
      k: least p of an example that takes part, 0 < k < 1.
      begin_steps: step of the first refreshment.
      every_steps: steps from one refreshment to the next.
      window_steps: steps that one takes: those of an epoch.

    Reference: Zhang & Sabuncu, NeurIPS 2018, algorithm 1.
    """

    def init(labels: jax.Array, num_classes: int) -> jax.Array:
        del num_classes
        return jnp.ones(len(labels), bool)

    def apply(
        logits: jax.Array, labels: jax.Array, rows: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        _, log_p_label, _ = log_softmax(logits, labels)
        since = step - begin_steps
        refresh = (since >= 0) & (since % every_steps < window_steps)
        kept = jnp.where(refresh, log_p_label > jnp.log(k), rows)
        constant = (1 - jnp.power(k, q)) / q
        return jnp.where(kept, gce(logits, labels, q=q), constant), kept

    return TrainingLoss(init, apply, lambda logits, labels, step: gce(logits, labels, q=q))


@in_range
def self_adaptive(
    *,
    momentum: Annotated[ArrayLike, In("[0, 1)")] = 0.9,
    begin_steps: Annotated[int, In("[0, inf)")],
    weighted: bool = True,
    axis_name: str | None = None,
) -> TrainingLoss:
    """Self-adaptive training: cross-entropy with targets that drift from the labels to the predictions.

    The memory t, float32 `[N, C]`, begins at onehot(y). Before `begin_steps` the loss is cross-entropy; from
    then on t <- momentum t + (1 - momentum) softmax(z), and L = -w sum over k of t_k log p_k with
    w = max over k of t_k, over its mean in the batch. Evaluates as cross-entropy. Self-ensemble label
    correction (SELC) is the same with w = 1: `weighted=False`.

    Args:
      momentum: of the memory, in [0, 1).
      begin_steps: steps of plain cross-entropy.
      weighted: whether examples count by how certain their targets are.
      axis_name: the pmapped axis over which the batch is spread.

    Returns:
      The loss as a train step uses it.

    Raises:
      ValueError: a hyper-parameter out of its range.

    Example:
      >>> from grjax import losses
      >>> loss = losses.self_adaptive(begin_steps=1000)

    Reference: Huang et al., NeurIPS 2020 (arXiv:2002.10319); SELC: Lu & He, IJCAI 2022 (arXiv:2205.01156).
    """

    def of_target(log_p: jax.Array, target: jax.Array) -> jax.Array:
        return -(target * log_p).sum(-1)

    return _drifting(momentum, begin_steps, axis_name, of_target, weighted=weighted)


@in_range
def sat_sce(
    *,
    momentum: Annotated[ArrayLike, In("[0, 1)")] = 0.9,
    alpha: Annotated[ArrayLike, In("[0, inf)")] = 1.0,
    beta: Annotated[ArrayLike, In("[0, inf)")] = 0.3,
    begin_steps: Annotated[int, In("[0, inf)")],
    axis_name: str | None = None,
) -> TrainingLoss:
    """Self-adaptive training with symmetric cross-entropy: the drifting target in both directions.

    As `self_adaptive`, with L = -w (alpha sum over k of t_k log p_k + beta sum over k of p_k log t_k). Where
    t_k underflows, its log is that of the least normal number. Evaluates as cross-entropy.

    Args:
      momentum: of the memory, in [0, 1).
      alpha: factor of cross-entropy, >= 0.
      beta: factor of reverse cross-entropy, >= 0.
      begin_steps: steps of plain cross-entropy.
      axis_name: the pmapped axis over which the batch is spread.

    Returns:
      The loss as a train step uses it.

    Raises:
      ValueError: a hyper-parameter out of its range.

    Example:
      >>> from grjax import losses
      >>> loss = losses.sat_sce(begin_steps=1000)

    Reference: Huang et al., NeurIPS 2020 (arXiv:2002.10319), in the authors' code.
    """

    def both(log_p: jax.Array, target: jax.Array) -> jax.Array:
        log_target = jnp.log(jnp.maximum(target, jnp.finfo(target.dtype).tiny))
        forward, reverse = (target * log_p).sum(-1), (jnp.exp(log_p) * log_target).sum(-1)
        return -jnp.asarray(alpha, log_p.dtype) * forward - jnp.asarray(beta, log_p.dtype) * reverse

    return _drifting(momentum, begin_steps, axis_name, both)


def _drifting(
    momentum: ArrayLike,
    begin_steps: int,
    axis_name: str | None,
    of_target: Callable[[jax.Array, jax.Array], jax.Array],
    *,
    weighted: bool = True,
) -> TrainingLoss:
    """Cross-entropy, and then a loss (log p [B, C], target [B, C]) -> [B] of targets that drift."""

    def init(labels: jax.Array, num_classes: int) -> jax.Array:
        return jax.nn.one_hot(labels, num_classes, dtype=jnp.float32)

    def apply(
        logits: jax.Array, labels: jax.Array, rows: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        log_p, log_p_label, _ = log_softmax(logits, labels)
        prediction = jax.lax.stop_gradient(jnp.exp(log_p))
        drifted = jnp.asarray(momentum * rows + (1 - momentum) * prediction, rows.dtype)
        corrected = of_target(log_p, drifted)
        if weighted:
            weights = drifted.max(-1)
            mean = weights.mean()
            if axis_name is not None:
                mean = jax.lax.pmean(mean, axis_name)
            corrected *= weights / mean
        begun = step >= begin_steps
        return jnp.where(begun, corrected, -log_p_label), jnp.where(begun, drifted, rows)

    return TrainingLoss(
        init,
        apply,
        evaluate=lambda logits, labels, step: cross_entropy(logits, labels),
        targets=lambda memory: memory,
    )


@in_range
def ldam(
    *,
    max_margin: Annotated[ArrayLike, In("[0, inf)")] = 0.5,
    scale: Annotated[ArrayLike, In("(0, inf)")] = 30.0,
) -> TrainingLoss:
    """Label-distribution-aware margins: L = -log of the label's softmax(scale (z - margin onehot(y))).

    The margin of a class with n training examples is proportional to n^(-1/4), max_margin of the rarest one.
    The memory is each example's margin, float32 `[N]`, from the labels that it is trained with, and never
    changes. Evaluates without margins, with the scale.

    Args:
      max_margin: of the rarest class, >= 0.
      scale: of the logits, > 0.

    Returns:
      The loss as a train step uses it.

    Raises:
      ValueError: a hyper-parameter out of its range.

    Example:
      >>> from grjax import losses
      >>> loss = losses.ldam(max_margin=0.5)

    Reference: Cao et al., NeurIPS 2019 (arXiv:1906.07413).
    """

    def init(labels: jax.Array, num_classes: int) -> jax.Array:
        counts = jnp.zeros(num_classes, jnp.float32).at[labels].add(1)
        inverse = jnp.where(counts > 0, jnp.maximum(counts, 1) ** -0.25, 0)
        return (jnp.asarray(max_margin, jnp.float32) * inverse / inverse.max())[labels]

    def apply(
        logits: jax.Array, labels: jax.Array, rows: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        del step
        logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
        margins = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype) * rows[:, None]
        return cross_entropy(jnp.asarray(scale, logits.dtype) * (logits - margins), labels), rows

    def evaluate(logits: jax.Array, labels: jax.Array, step: jax.Array) -> jax.Array:
        del step
        logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
        return cross_entropy(jnp.asarray(scale, logits.dtype) * logits, labels)

    return TrainingLoss(init, apply, evaluate)


@in_range
def nlnl(*, seed: Annotated[int, In("[0, 2**32)")] = 0) -> TrainingLoss:
    """Negative learning: L = -log(1 - p_k) of a class k that is not the label, drawn anew at each step.

    An example's k is a function of (seed, step, its number), uniform over the C - 1 other classes. The memory
    is the examples' numbers, int32 `[N]`. Evaluates as cross-entropy.

    Args:
      seed: of the draws, in [0, 2**32).

    Returns:
      The loss as a train step uses it.

    Raises:
      ValueError: a seed out of its range.

    Example:
      >>> from grjax import losses
      >>> loss = losses.nlnl(seed=1)

    Reference: Kim et al., ICCV 2019 (arXiv:1908.07387).
    """

    def init(labels: jax.Array, num_classes: int) -> jax.Array:
        del num_classes
        return jnp.arange(len(labels), dtype=jnp.int32)

    def apply(
        logits: jax.Array, labels: jax.Array, rows: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        log_p, _, labels = log_softmax(logits, labels)
        num_classes = log_p.shape[-1]
        of_step = jax.random.fold_in(jax.random.key(seed), step)
        keys = jax.vmap(jax.random.fold_in, (None, 0))(of_step, rows)
        offsets = jax.vmap(lambda key: jax.random.randint(key, (), 1, num_classes))(keys)
        drawn = jax.nn.one_hot((labels + offsets) % num_classes, num_classes, dtype=bool)
        # 1 - p_k is the sum of the others: exact where p_k rounds to 1.
        return -jax.nn.logsumexp(jnp.where(drawn, -jnp.inf, log_p), axis=-1), rows

    return TrainingLoss(init, apply, lambda logits, labels, step: cross_entropy(logits, labels))
