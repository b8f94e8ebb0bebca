"""Emphasis: the weight w(p) of an example as a function of how much the model agrees with its label.

An *emphasis density function* (EDF; Wang et al., arXiv:1905.11233) says how strongly an example pulls on
the logits, given p, the softmax probability of its annotated label: it is the L1 norm of the example's logit
gradient. A family is a pytree with a method

    log_weight(log_odds [...]) -> log w(p) [...]

of the log-odds d = log(p / (1 - p)), from which p, 1 - p and log p follow without cancellation even where p
rounds to 0 or 1. Its parameters may be traced, vmapped, scheduled, or arrays that broadcast against p; `at`
picks each example's own from parameters given for each class. Adding a family is one such dataclass.
"""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Literal, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

Normalization = Literal["none", "integral", "batch"]

# That of the layers which the authors of Gradient Rescaling released for Caffe, see `log_fade`.
EPSILON = 1e-6


@runtime_checkable
class Emphasis(Protocol):
    """A weight function; a pytree of its parameters."""

    def log_weight(self, log_odds: jax.Array, /) -> jax.Array:
        """Log w(p) for log-odds of the label [...], in their dtype; -inf where the weight is 0."""
        ...


def log_p(log_odds: jax.Array) -> jax.Array:
    """Log p from log-odds [...]; finite also at p = 0, so that 0 times it is 0 and no NaN."""
    return -jnp.minimum(jax.nn.softplus(-log_odds), jnp.finfo(log_odds.dtype).max)


def log_not_p(log_odds: jax.Array) -> jax.Array:
    """Log (1 - p) from log-odds [...]; finite also at p = 1."""
    return log_p(-log_odds)


def log_fade(log_odds: jax.Array, epsilon: ArrayLike) -> jax.Array:
    """Log of 2 (1 - p) / (2 (1 - p) + epsilon), by which the pull of a fitted example fades.

    A gradient of L1 norm w(p) is w / (2 (1 - p)) times softmax - onehot. The layers that the authors of
    Gradient Rescaling released divide by 2 (1 - p) + 1e-6 instead: an example pulls with half of its weight
    where 1 - p = 5e-7, and ever less beyond. Without it an example whose w(1) is not 0 pulls for ever, and a
    network that has fitted it grows without bound.

    Args:
      log_odds: of the label, [...].
      epsilon: >= 0, broadcastable to [...]; 0 gives exactly 0, so the weight stays unchanged.

    Returns:
      An array [...], <= 0, exact also where p rounds to 1.
    """
    log_half = jnp.log(0.5 * jnp.asarray(epsilon, log_odds.dtype))
    return -jax.nn.softplus(log_half - log_not_p(log_odds))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class PowerExponential:
    """w(p) = exp(beta * p^lam * (1 - p)), the EDF of Gradient Rescaling; lam = 1 is IMAE's.

    Its mode, for beta > 0, is p = lam / (lam + 1): lam = 0 puts the emphasis on the hardest examples,
    lam = 1 on p = 1/2. The larger beta, the narrower the emphasis; beta = 0 weighs all examples alike.

    Attributes:
      lam: lambda >= 0, float array, any shape that broadcasts.
      beta: float array, any shape that broadcasts.

    Reference: Wang et al., arXiv:1905.11233, section 3; IMAE: arXiv:1903.12141.
    """

    lam: ArrayLike
    beta: ArrayLike

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        lam = jnp.asarray(self.lam, log_odds.dtype)
        beta = jnp.asarray(self.beta, log_odds.dtype)
        return beta * jnp.exp(lam * log_p(log_odds)) * jax.nn.sigmoid(-log_odds)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Normal:
    """w(p) = exp(-beta * p * (p - 2 psi)): a normal density around psi, up to a constant.

    Attributes:
      psi: the mode, for beta > 0 and psi in [0, 1].
      beta: 1 / (2 variance) of the normal density.

    Reference: Wang et al., arXiv:1905.11233.
    """

    psi: ArrayLike
    beta: ArrayLike

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        psi, beta = jnp.asarray(self.psi, log_odds.dtype), jnp.asarray(self.beta, log_odds.dtype)
        p = jax.nn.sigmoid(log_odds)
        return -beta * p * (p - 2 * psi)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Exponential:
    """w(p) = exp(beta * (1 - p)): mode 0 for beta > 0, 1 for beta < 0.

    Attributes:
      beta: rate.

    Reference: Wang et al., arXiv:1905.11233.
    """

    beta: ArrayLike

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        return jnp.asarray(self.beta, log_odds.dtype) * jax.nn.sigmoid(-log_odds)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Beta:
    """w(p) = p^(alpha - 1) * (1 - p)^(eta - 1): a beta density, up to a constant.

    Up to a factor it holds cross-entropy (1, 2), MAE (2, 2), MSE (2, 3) and GCE (q + 1, 2).

    Attributes:
      alpha: > 0 for a finite integral; mode (alpha - 1) / (alpha + eta - 2) where both exceed 1.
      eta: > 0 for a finite integral. `log_integral` is accurate from 1/2 on, of either.

    Reference: Wang et al., arXiv:1905.11233.
    """

    alpha: ArrayLike
    eta: ArrayLike

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        alpha, eta = jnp.asarray(self.alpha, log_odds.dtype), jnp.asarray(self.eta, log_odds.dtype)
        return (alpha - 1) * log_p(log_odds) + (eta - 1) * log_not_p(log_odds)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Combined:
    """w(p) = exp(log_c) * p^a * (1 - p)^b * exp(beta * p^lam * (1 - p)): every family above is a member.

    (Normal with beta is this one with a = b = 0, lam = 1, the same beta, and psi = 1/2.)

    Attributes:
      a, b: exponents of p and of 1 - p.
      lam, beta: as of `PowerExponential`.
      log_c: log of the constant factor.
    """

    a: ArrayLike = 0.0
    b: ArrayLike = 0.0
    lam: ArrayLike = 0.0
    beta: ArrayLike = 0.0
    log_c: ArrayLike = 0.0

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        a, b, log_c = (jnp.asarray(each, log_odds.dtype) for each in (self.a, self.b, self.log_c))
        powers = a * log_p(log_odds) + b * log_not_p(log_odds)
        return log_c + powers + PowerExponential(self.lam, self.beta).log_weight(log_odds)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class WeightFunction:
    """Any weight of one's own: w(p) = function(p).

    Where p rounds to 0 or 1 the function sees just that; the families above stay exact there.

    Attributes:
      function: p in [0, 1], float [...] -> weights >= 0, [...]. Part of the pytree's structure: keep one
        function object, not a new lambda a step, or each step compiles.
      jumps: the p in (0, 1), ascending, at which the function jumps or bends, as that of a truncated loss
        does: its integral is taken from one to the next, and several per cent off without them.
    """

    function: Callable[[jax.Array], jax.Array] = dataclasses.field(metadata={"static": True})
    jumps: tuple[float, ...] = dataclasses.field(default=(), metadata={"static": True})

    def breaks(self) -> tuple[ArrayLike, ...]:
        return self.jumps

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        return jnp.log(self.function(jax.nn.sigmoid(log_odds)))


E = TypeVar("E", bound=Emphasis)


def at(emphasis: E, labels: jax.Array) -> E:
    """Class-wise emphasis: the parameters of each example's own class.

    Args:
      emphasis: parameters of shape [C], one for each class, or scalars, which stay unchanged.
      labels: class indices, integer [...].

    Returns:
      The same family with parameters of shape [...].
    """
    return jax.tree.map(lambda leaf: jnp.asarray(leaf)[labels] if jnp.ndim(leaf) else leaf, emphasis)


# The trapezoidal rule in u, with p = sigmoid(u) on an interval: the integrand and all its derivatives vanish
# at both ends, where the rule converges faster than any power of the step.
_NODES = np.linspace(-32.0, 32.0, 257)
_LOG_STEPS = np.log(_NODES[1] - _NODES[0]) - np.logaddexp(0, _NODES) - np.logaddexp(0, -_NODES)


def _log_quadrature(
    emphasis: Emphasis, log_factor: Callable[[jax.Array], jax.Array] | None, dtype: jax.typing.DTypeLike
) -> jax.Array:
    """Log of the integral of w(p) * exp(log_factor(log-odds)) over [0, 1]: [...] of the parameters."""
    shape = np.broadcast_shapes(*(jnp.shape(leaf) for leaf in jax.tree.leaves(emphasis)))
    emphasis = jax.tree.map(lambda leaf: jnp.broadcast_to(jnp.asarray(leaf), shape)[None], emphasis)
    emphasis = jax.lax.stop_gradient(emphasis)
    column = (-1, *(1,) * len(shape))
    nodes = jnp.asarray(_NODES, dtype).reshape(column)
    log_steps = jnp.asarray(_LOG_STEPS, dtype).reshape(column)
    # A weight that jumps or bends at known p is integrated from one such p to the next.
    breaks = [jnp.clip(jnp.asarray(p, dtype), 0, 1) for p in getattr(emphasis, "breaks", tuple)()]
    edges = [jnp.zeros((), dtype), *breaks, jnp.ones((), dtype)]
    pieces = []
    for low, high in itertools.pairwise(edges):
        width = high - low
        # Both from sums of positive terms: exact near 0, near 1 and near the edges.
        p_less = low + width * jax.nn.sigmoid(nodes)
        p_more = (1 - high) + width * jax.nn.sigmoid(-nodes)
        log_odds = jnp.log(p_less) - jnp.log(p_more) if breaks else nodes
        exponent = emphasis.log_weight(log_odds) + log_steps + jnp.log(width)
        if log_factor is not None:
            exponent += log_factor(log_odds)
        pieces.append(jax.nn.logsumexp(jnp.broadcast_to(exponent, (len(_NODES), *shape)), axis=0))
    return jax.nn.logsumexp(jnp.stack(pieces), axis=0)


def log_integral(emphasis: Emphasis, dtype: jax.typing.DTypeLike = jnp.float32) -> jax.Array:
    """Log of the integral of w(p) over p from 0 to 1. No gradient flows to the parameters.

    By quadrature with 257 nodes. Relative error of the integral below 1e-6 in `PowerExponential` for beta in
    [-30, 30] and lam in {0} or [0.25, 4], in float32 no better than the rounding of log w itself; in the
    families with powers for exponents of p and 1 - p down to -1/2.

    Args:
      emphasis: an EDF; parameters of shape [...], or scalars.
      dtype: floating dtype of the computation.

    Returns:
      An array of the parameters' broadcast shape [...].
    """
    return _log_quadrature(emphasis, None, dtype)


def mean(emphasis: Emphasis, dtype: jax.typing.DTypeLike = jnp.float32) -> jax.Array:
    """Mean of p under the density w / integral of w: [...] of the parameters."""
    return jnp.exp(_log_quadrature(emphasis, log_p, dtype) - log_integral(emphasis, dtype))


def variance(emphasis: Emphasis, dtype: jax.typing.DTypeLike = jnp.float32) -> jax.Array:
    """Emphasis variance: of p under the density w / integral of w.

    Args:
      emphasis: an EDF; parameters of shape [...], or scalars.
      dtype: floating dtype of the computation.

    Returns:
      An array of the parameters' broadcast shape [...]; 1/12 where all examples weigh the same.

    Reference: Wang et al., arXiv:1905.11233.
    """
    first = mean(emphasis, dtype)

    def log_squared_deviation(log_odds: jax.Array) -> jax.Array:
        return 2 * jnp.log(jnp.abs(jax.nn.sigmoid(log_odds) - first[None]))

    return jnp.exp(_log_quadrature(emphasis, log_squared_deviation, dtype) - log_integral(emphasis, dtype))


def mode(emphasis: Emphasis, dtype: jax.typing.DTypeLike = jnp.float32) -> jax.Array:
    """Emphasis mode: the p in [0, 1] with the largest weight; the smallest one of several.

    Found on a grid that is refined around its maximum: to 1e-3 or better in float32, 1e-6 in float64 (near
    a maximum a weight changes less than its rounding).

    Args:
      emphasis: an EDF; parameters of shape [...], or scalars.
      dtype: floating dtype of the computation.

    Returns:
      An array of the parameters' broadcast shape [...].

    Reference: Wang et al., arXiv:1905.11233.
    """
    shape = np.broadcast_shapes(*(jnp.shape(leaf) for leaf in jax.tree.leaves(emphasis)))
    emphasis = jax.tree.map(lambda leaf: jnp.broadcast_to(jnp.asarray(leaf), shape)[None], emphasis)
    fractions = jnp.linspace(0, 1, 129, dtype=dtype).reshape(-1, *(1,) * len(shape))
    low, high = jnp.zeros(shape, dtype), jnp.ones(shape, dtype)
    largest = jnp.finfo(dtype).max
    for _ in range(4):
        p = low[None] + (high - low)[None] * fractions
        log_odds = jnp.clip(jnp.log(p) - jnp.log1p(-p), -largest, largest)
        best = jnp.argmax(jnp.broadcast_to(emphasis.log_weight(log_odds), p.shape), axis=0)
        found = jnp.take_along_axis(p, best[None], axis=0)[0]
        step = (high - low) / 128
        low, high = jnp.maximum(found - step, 0), jnp.minimum(found + step, 1)
    return found


def log_normalizer(
    emphasis: Emphasis,
    log_weights: jax.Array,
    normalization: Normalization,
    axis_name: str | None = None,
    *,
    least: ArrayLike = 0.0,
) -> jax.Array:
    """Log of what a weight is divided by.

    Args:
      emphasis: the EDF.
      log_weights: its log w(p) for a batch, [...].
      normalization: 'none': 1. 'integral': the integral of w over p in [0, 1] (derivative normalisation).
        'batch': the mean of w over all of `log_weights`.
      axis_name: for 'batch' inside `jax.pmap` or `jax.shard_map`: the axis over which the batch is spread.
      least: >= 0, added to the sum of w over the batch for 'batch'. Where all weights together are far less,
        as in a batch that a network with huge logits has either fitted or given up, they are not scaled up
        to pull as a whole batch does.

    Returns:
      A scalar, or for 'integral' an array of the parameters' shape.

    Raises:
      ValueError: an unknown normalisation.
    """
    if normalization == "none":
        return jnp.zeros((), log_weights.dtype)
    if normalization == "integral":
        return log_integral(emphasis, log_weights.dtype)
    if normalization == "batch":
        maximum = jnp.max(log_weights)
        if axis_name is not None:
            maximum = jax.lax.pmax(maximum, axis_name)
        maximum = jnp.where(maximum == -jnp.inf, 0, maximum)  # all weights are 0
        total, number = jnp.mean(jnp.exp(log_weights - maximum)), log_weights.size
        if axis_name is not None:
            total, number = jax.lax.pmean(total, axis_name), jax.lax.psum(number, axis_name)
        log_least = jnp.log(jnp.asarray(least, log_weights.dtype) / number)
        log_total = jnp.logaddexp(jnp.log(total) + maximum, log_least)
        return jnp.where(log_total > -jnp.inf, log_total, 0)
    raise ValueError(f"normalization must be 'none', 'integral' or 'batch', got {normalization!r}")
