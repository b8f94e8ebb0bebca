"""Emphasis: the weight w(p) of an example as a function of how much the model agrees with its label.

An *emphasis density function* (EDF; Wang et al., arXiv:1905.11233) says how strongly an example pulls on
the logits, given p, the softmax probability of its annotated label. Everything here is a function of the
log-odds d = log(p / (1 - p)), from which p, 1 - p and log p follow without cancellation even where p
rounds to 0 or 1 in floating point.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class PowerExponential:
    """w(p) = exp(beta * p^lam * (1 - p)), the EDF of Gradient Rescaling.

    Its mode, for beta > 0, is p = lam / (lam + 1): lam = 0 puts the emphasis on the hardest examples,
    lam = 1 on p = 1/2. The larger beta, the narrower the emphasis; beta = 0 weighs all examples alike.

    A pytree: both parameters may be traced, vmapped, or arrays that broadcast against p.

    Attributes:
      lam: lambda >= 0, float array, any shape that broadcasts.
      beta: float array, any shape that broadcasts.

    Reference: Wang et al., arXiv:1905.11233, section 3.
    """

    lam: jax.typing.ArrayLike
    beta: jax.typing.ArrayLike

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        """Log w(p) for log-odds of the label [...], in their dtype; p^0 = 1 also at p = 0."""
        # -log p is infinite at p = 0, and lam = 0 must not meet infinity: 0 * inf is NaN.
        minus_log_p = jnp.minimum(jax.nn.softplus(-log_odds), jnp.finfo(log_odds.dtype).max)
        lam = jnp.asarray(self.lam, log_odds.dtype)
        beta = jnp.asarray(self.beta, log_odds.dtype)
        return beta * jnp.exp(-lam * minus_log_p) * jax.nn.sigmoid(-log_odds)


# The trapezoidal rule in the log-odds: with p = sigmoid(d) the integrand and all its derivatives vanish at
# both ends, where the rule converges faster than any power of the step.
_NODES = np.linspace(-32.0, 32.0, 257)
_LOG_WEIGHTS = np.log(_NODES[1] - _NODES[0]) - np.logaddexp(0, _NODES) - np.logaddexp(0, -_NODES)


def log_integral(emphasis: PowerExponential, dtype: jax.typing.DTypeLike = jnp.float32) -> jax.Array:
    """Log of the integral of w(p) over p from 0 to 1.

    Relative error of the integral below 1e-6 for beta in [-30, 30] and lam in {0} or [0.25, 4], in float32
    no better than the rounding of beta * p^lam * (1 - p) itself.

    Args:
      emphasis: an EDF; parameters of shape [...], or scalars.
      dtype: floating dtype of the computation.

    Returns:
      An array of the parameters' broadcast shape [...].
    """
    shape = np.broadcast_shapes(*(jnp.shape(leaf) for leaf in jax.tree.leaves(emphasis)))
    emphasis = jax.tree.map(lambda leaf: jnp.broadcast_to(jnp.asarray(leaf), shape)[None], emphasis)
    nodes = jnp.asarray(_NODES, dtype).reshape(-1, *(1,) * len(shape))
    log_weights = jnp.asarray(_LOG_WEIGHTS, dtype).reshape(nodes.shape)
    return jax.nn.logsumexp(emphasis.log_weight(nodes) + log_weights, axis=0)
