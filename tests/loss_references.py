"""Every registered loss a second time: NumPy float64, from its paper's formula, differentiated numerically.

A loss is tested by being registered, and needs a `Reference` here. Nothing is imported from the code under
test. `p` is softmax(z), `y` the label, `e` its one-hot vector.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import scipy.integrate
import scipy.special

LOG_ZERO = np.log(1e-4)  # A of RCE


@dataclasses.dataclass(frozen=True)
class Reference:
    """A loss as it is published.

    Attributes:
      loss: its registered name.
      value: (z [..., C], y [...], **options) -> [...].
      options: sets of values for all its traceable hyper-parameters, two at least.
      surrogate: what the gradient is the derivative of, by z, where it is not the value: parts of it are
        held constant, at logits that are given separately: (z, held, y, **options) -> [...].
      static: options that are no numbers.
      couples_batch: an example's loss depends on the others.
    """

    loss: str
    value: Callable[..., np.ndarray]
    options: tuple[Mapping[str, Any], ...] = ({},)
    surrogate: Callable[..., np.ndarray] | None = None
    static: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    couples_batch: bool = False

    def gradient(self, z: np.ndarray, y: np.ndarray, **options: Any) -> np.ndarray:
        """The gradient of each example's loss by its logits, [..., C], with a relative error about 1e-11."""
        surrogate = self.surrogate or (lambda z, held, y, **options: self.value(z, y, **options))
        return differentiate(lambda z_moved: surrogate(z_moved, z, y, **options), z)


def differentiate(function: Callable[[np.ndarray], np.ndarray], z: np.ndarray, h: float = 1e-3) -> np.ndarray:
    """d function(z)[...] / d z[..., k], by central differences of fourth order."""
    num_classes = z.shape[-1]
    moves = np.array([1, -1, 2, -2]) * h
    unit = np.eye(num_classes).reshape(num_classes, *(1,) * (z.ndim - 1), num_classes)
    values = function(z + np.multiply.outer(moves, unit))  # [4, C, ...]
    return np.moveaxis(np.tensordot(np.array([8, -8, -1, 1]) / (12 * h), values, axes=1), 0, -1)


def log_softmax(z: np.ndarray) -> np.ndarray:
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def softmax(z: np.ndarray) -> np.ndarray:
    return np.exp(log_softmax(z))


def one_hot(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.arange(z.shape[-1]) == np.asarray(y)[..., None]


def at(values: np.ndarray, y: np.ndarray) -> np.ndarray:
    """values[..., y]; leading axes of values beyond those of y are kept."""
    return np.where(one_hot(values, y), values, 0).sum(-1)


def cross_entropy(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """-log p = log(1 + sum over the others of exp(z_j - z_y)), exact also near p = 1."""
    return np.log1p(np.where(one_hot(z, y), 0, np.exp(z - at(z, y)[..., None])).sum(-1))


def entropy(z: np.ndarray) -> np.ndarray:
    return -(softmax(z) * log_softmax(z)).sum(-1)


# Losses of p alone, as written: (xp, p, **hyper-parameters) with NumPy or jax.numpy as `xp`.


def _gce(xp, p, q):
    return (1 - p**q) / q


def _truncated_gce(xp, p, q, k):
    return xp.where(p > k, _gce(xp, p, q), _gce(xp, k, q))


def _sce(xp, p, alpha, beta, log_zero):
    return -alpha * xp.log(p) + beta * -log_zero * (1 - p)


def _taylor_ce(xp, p, order):
    return sum((1 - p) ** i / i for i in range(1, order + 1))


def _phuber_ce(xp, p, tau):
    return xp.where(p > 1 / tau, -xp.log(p), -tau * p + np.log(tau) + 1)


def _phuber_gce(xp, p, tau, q):
    p_0 = tau ** (1 / (q - 1))
    return xp.where(p > p_0, _gce(xp, p, q), -tau * p + tau * p_0 + (1 - p_0**q) / q)


def _js(xp, p, pi):
    m = pi + (1 - pi) * p  # of the label's class; (1 - pi) p_k of another
    of_prediction = p * xp.log(p / m) + (1 - p) * np.log(1 / (1 - pi))
    return (pi * xp.log(1 / m) + (1 - pi) * of_prediction) / (-(1 - pi) * np.log(1 - pi))


WRITTEN: dict[str, Callable[..., Any]] = {
    "cross_entropy": lambda xp, p: -xp.log(p),
    "mae": lambda xp, p, scale: scale * (1 - p),
    "mse": lambda xp, p: (1 - p) ** 2,
    "gce": _gce,
    "truncated_gce": _truncated_gce,
    "rce": lambda xp, p, log_zero: -log_zero * (1 - p),
    "sce": _sce,
    "focal": lambda xp, p, gamma: -((1 - p) ** gamma) * xp.log(p),
    "taylor_ce": _taylor_ce,
    "phuber_ce": _phuber_ce,
    "phuber_gce": _phuber_gce,
    "agce": lambda xp, p, a, q: ((a + 1) ** q - (a + p) ** q) / q,
    "aul": lambda xp, p, a, q: ((a - p) ** q - (a - 1) ** q) / q,
    "ael": lambda xp, p, a: xp.exp(-p / a),
    "js": _js,
    "poly_1": lambda xp, p, coefficient: -xp.log(p) + coefficient * (1 - p),
}


def written(name: str) -> Callable[..., np.ndarray]:
    """The loss on logits, of a loss that is written as one of p."""
    return lambda z, y, **options: WRITTEN[name](np, np.exp(-cross_entropy(z, y)), **options)


# Weights that are no derivative of a written loss, as functions of p.


def gr_weight(p, lam, beta):
    return np.exp(beta * p**lam * (1 - p))


def combined_weight(p, a, b, lam, beta, log_c):
    return np.exp(log_c) * p**a * (1 - p) ** b * gr_weight(p, lam, beta)


@functools.cache
def integral(weight: Callable[..., float], *parameters: float) -> float:
    """The integral of a weight over p from 0 to 1."""
    breaks = [1e-6, 1e-3, 0.05, 0.2, 0.35, 0.5, 0.7, 0.95, 0.999]
    return scipy.integrate.quad(
        weight, 0, 1, args=parameters, points=breaks, epsabs=0, epsrel=1e-12, limit=500
    )[0]


def reweighted(weight: Callable[..., np.ndarray], normalization: str) -> Callable[..., np.ndarray]:
    """w(p) / (2 (1 - p)) times cross-entropy, the factor held constant, as a surrogate."""

    def surrogate(z, held, y, least=0.0, **options):
        log_p = -cross_entropy(held, y)
        w = weight(np.exp(log_p), **options)
        if normalization == "integral":
            w = w / integral(weight, *(options[key] for key in _parameters(weight)))
        if normalization == "batch":
            w = w / (w.mean() + least / w.size)
        return w / (-2 * np.expm1(log_p)) * cross_entropy(z, y)

    return surrogate


def _parameters(weight: Callable[..., np.ndarray]) -> tuple[str, ...]:
    return weight.__code__.co_varnames[1 : weight.__code__.co_argcount]


def imae_weight(p, beta):
    return gr_weight(p, 1.0, beta)


def gce_weight(p, q):
    return 2 * p**q * (1 - p)


def normalized_gce(normalization: str) -> Callable[..., np.ndarray]:
    """GCE over the integral of its weight, or over its mean in the batch."""

    def value(z, y, q, least=0.0):
        p = np.exp(-cross_entropy(z, y))
        of_batch = gce_weight(p, q).mean() + least / p.size
        norm = of_batch if normalization == "batch" else integral(gce_weight, q)
        return _gce(np, p, q) / norm

    return value


# Normalised, active and passive losses.


def fade(z, y, epsilon):
    """(1 - p) / (1 - p + epsilon / 2), by which examples stop contributing."""
    not_p = -np.expm1(-cross_entropy(z, y))
    return not_p / (not_p + epsilon / 2)


def fading(reference: Reference) -> Reference:
    """A loss of p alone with an epsilon in each set of its options: 0 in the first, then another."""

    batch = reference.static.get("normalization") == "batch"

    def least(epsilon):
        """What is added to the sum of weights over a batch."""
        return {"least": 0.01 * epsilon} if batch else {}

    def of_value(epsilon):
        return least(epsilon) if reference.loss == "gce" else {}  # the others' value is cross-entropy

    def surrogate(z, held, y, epsilon, **options):
        written = reference.surrogate or (lambda z, held, y, **options: reference.value(z, y, **options))
        return fade(held, y, epsilon) * written(z, held, y, **options, **least(epsilon))

    sets = reference.options * 2 if len(reference.options) == 1 else reference.options
    return dataclasses.replace(
        reference,
        value=lambda z, y, epsilon, **options: reference.value(z, y, **options, **of_value(epsilon)),
        surrogate=surrogate,
        options=tuple({**options, "epsilon": 1e-3 * (number % 2)} for number, options in enumerate(sets)),
    )


def nce(z, y):
    log_p = log_softmax(z)
    return at(log_p, y) / log_p.sum(-1)


def focal_terms(z, held, gamma):
    """-(1 - p_k)^gamma log p_k, the factor from logits that are held constant."""
    return -((1 - softmax(held)) ** gamma) * log_softmax(z)


def nfl(z, held, y, gamma):
    terms = focal_terms(z, held, gamma)
    return at(terms, y) / terms.sum(-1)


def ngce(z, y, q):
    terms = (1 - softmax(z) ** q) / q
    return at(terms, y) / terms.sum(-1)


def nnce(z, y, p_min):
    terms = -np.log(p_min) + np.log(np.maximum(softmax(z), p_min))
    return 1 - at(terms, y) / terms.sum(-1)


def nnfl(z, held, y, gamma, p_min):
    most = -((1 - p_min) ** gamma) * np.log(p_min)
    p, p_held = np.maximum(softmax(z), p_min), np.maximum(softmax(held), p_min)
    terms = most + (1 - p_held) ** gamma * np.log(p)
    return 1 - at(terms, y) / terms.sum(-1)


def dmi(z, held, y, offset):
    """Shares of -log(|det U| + offset): its first order in one example's p, by the cofactors of U."""
    p, num_classes = softmax(held).reshape(-1, z.shape[-1]), z.shape[-1]
    labels = np.asarray(y).reshape(-1)
    joint = np.array([p[labels == label].sum(0) for label in range(num_classes)])

    def without(row, column):
        return np.delete(np.delete(joint, row, 0), column, 1)

    each = range(num_classes)
    cofactors = np.array([[(-1) ** (i + j) * np.linalg.det(without(i, j)) for j in each] for i in each])
    det = np.linalg.det(joint)
    slope = -np.sign(det) * cofactors / (abs(det) + offset)
    change = len(p) * (slope[y] * softmax(z)).sum(-1) - (slope * joint).sum()
    return change - np.log(abs(det) + offset)


def amse(z, y, a, q=2.0):
    return (np.abs(softmax(z) - a * one_hot(z, y)) ** q).mean(-1)


def entropy_share(z, held, y, lam):
    """Of lam (log C - H(mean p)), whose gradient by one example's p is lam log m."""
    log_mean = np.log(softmax(held).reshape(-1, z.shape[-1]).mean(0))
    return lam * (np.log(z.shape[-1]) + (softmax(z) * log_mean).sum(-1))


def anl_ce_er(z, held, y, alpha, beta, lam, p_min):
    return alpha * nce(z, y) + beta * nnce(z, y, p_min) + entropy_share(z, held, y, lam)


def of_both(active, passive, *, active_options=(), passive_options=()):
    """alpha active + beta passive, each of (z, held, y, **its options)."""

    def surrogate(z, held, y, alpha, beta, **options):
        first = active(z, held, y, **{key: options[key] for key in active_options})
        second = passive(z, held, y, **{key: options[key] for key in passive_options})
        return alpha * first + beta * second

    return surrogate


def all_of(function):
    """A loss (z, y), nothing in it held constant, as a surrogate."""
    return lambda z, held, y, **options: function(z, y, **options)


def active_passive(name, surrogate, *options):
    return Reference(name, lambda z, y, **options: surrogate(z, z, y, **options), options, surrogate)


# Other targets.


def smoothed(z, y, epsilon):
    target = (1 - epsilon) * one_hot(z, y) + epsilon / z.shape[-1]
    return -(target * log_softmax(z)).sum(-1)


def bootstrap_soft(z, y, beta):
    return -((beta * one_hot(z, y) + (1 - beta) * softmax(z)) * log_softmax(z)).sum(-1)


def bootstrap_hard(z, y, beta):
    target = beta * one_hot(z, y) + (1 - beta) * one_hot(z, z.argmax(-1))
    return -(target * log_softmax(z)).sum(-1)


def epsilon_softmax(z, held, y, m, alpha, beta, mae_scale, gamma, p_min):
    def mixed(z):
        return at((softmax(z) + m * one_hot(z, z.argmax(-1))) / (1 + m), y)

    # 1 - mixed, exact where the label is nearly certain
    not_p = -np.expm1(-cross_entropy(held, y))
    focal = ((not_p + m * (held.argmax(-1) != y)) / (1 + m)) ** gamma
    return -alpha * focal * np.log(np.maximum(mixed(z), p_min)) + beta * mae_scale * (1 - at(softmax(z), y))


def proselflc(z, held, y, trust):
    e = (trust * (1 - entropy(held) / np.log(z.shape[-1])))[..., None]
    return -(((1 - e) * one_hot(z, y) + e * softmax(z)) * log_softmax(z)).sum(-1)


def proselflc_kl(z, held, y, trust):
    e = (trust * (1 - entropy(held) / np.log(z.shape[-1])))[..., None]
    target = (1 - e) * one_hot(z, y) + e * softmax(z)
    return (scipy.special.xlogy(target, target) - target * log_softmax(z)).sum(-1)


def proselflc_detached(z, held, y, trust):
    e = (trust * (1 - entropy(held) / np.log(z.shape[-1])))[..., None]
    return -(((1 - e) * one_hot(z, y) + e * softmax(held)) * log_softmax(z)).sum(-1)


def transition_matrix(transition, num_classes):
    if np.ndim(transition):
        return np.asarray(transition, np.float64)
    matrix = np.full((num_classes, num_classes), transition / (num_classes - 1))
    np.fill_diagonal(matrix, 1 - transition)
    return matrix


def forward_correction(z, y, transition):
    return -np.log(at(softmax(z) @ transition_matrix(transition, z.shape[-1]), y))


def backward_correction(z, y, transition):
    inverse = np.linalg.inv(transition_matrix(transition, z.shape[-1]))
    return -(inverse[y] * log_softmax(z)).sum(-1)


# A transition matrix that is neither symmetric nor doubly stochastic.
TRANSITION = np.array(
    [
        [0.7, 0.1, 0.1, 0.1, 0.0],
        [0.0, 0.8, 0.2, 0.0, 0.0],
        [0.1, 0.0, 0.6, 0.3, 0.0],
        [0.05, 0.05, 0.0, 0.9, 0.0],
        [0.0, 0.2, 0.0, 0.1, 0.7],
    ]
)


# Distances of distributions, and others.


def gjs(z, y, pi, views=()):
    """pi KL(e | m) + (1 - pi) / V sum KL(p_v | m), over -(1 - pi) log(1 - pi), of all classes."""
    e = one_hot(z, y)
    predictions = [softmax(each) for each in (z, *views)]
    m = pi * e + (1 - pi) * sum(predictions) / len(predictions)
    of_label = np.where(e, np.log(1 / m), 0).sum(-1)
    of_views = sum((p * np.log(p / m)).sum(-1) for p in predictions) / len(predictions)
    return (pi * of_label + (1 - pi) * of_views) / (-(1 - pi) * np.log(1 - pi))


def rll(z, y, alpha):
    p, e = softmax(z), one_hot(z, y)
    of_label = np.log1p(np.expm1(-cross_entropy(z, y)) / (alpha + 1))  # log((alpha + p) / (alpha + 1))
    return -of_label - np.where(e, 0, np.log(alpha / (alpha + p))).sum(-1) / (z.shape[-1] - 1)


def log_t(u, t):
    return np.log(u) if t == 1 else (u ** (1 - t) - 1) / (1 - t)


def exp_t(u, t):
    return np.exp(u) if t == 1 else np.maximum(1 + (1 - t) * u, 0) ** (1 / (1 - t))


def tempered_softmax(z, t):
    """exp_t(z - lambda) with lambda by bisection: between max z, where the sum is >= 1, and a bound."""
    num_classes = z.shape[-1]
    low = z.max(-1, keepdims=True)
    high = low - log_t(1 / num_classes, t)  # where the largest term is 1 / C
    for _ in range(200):
        middle = (low + high) / 2
        above = exp_t(z - middle, t).sum(-1, keepdims=True) > 1
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return exp_t(z - (low + high) / 2, t)


def bi_tempered(z, y, t1, t2):
    p, e = tempered_softmax(z, t2), one_hot(z, y)
    divergence = -np.where(e, log_t(p, t1), 0) - (e - p ** (2 - t1)) / (2 - t1)
    return divergence.sum(-1)


def logit_clip(z, y, delta, threshold):
    norm = np.sqrt((z**2).sum(-1, keepdims=True))
    return cross_entropy(np.where(norm > threshold, delta * z / norm, z), y)


def ldr_kl_of_softplus(z, y, lam, margin):
    positive = np.logaddexp(0, z)
    return ldr_kl(positive / positive.mean(-1, keepdims=True), y, lam, margin)


def ldr_kl(z, y, lam, margin):
    violations = z - at(z, y)[..., None] + margin * ~one_hot(z, y)
    return lam * np.log(np.exp(violations / lam).mean(-1))


GR = ({"lam": 0.5, "beta": 8.0}, {"lam": 2.0, "beta": -3.0}, {"lam": 0.0, "beta": 2.0})
GAMMAS = ({"gamma": 0.5}, {"gamma": 2.0})
CE = {"value": lambda z, y, **options: cross_entropy(z, y)}
FOCAL_DETACHED = reweighted(lambda p, gamma: 2 * (1 - p) ** (gamma + 1), "none")


def _of_held(surrogate):
    """The value of a surrogate: nothing held."""
    return lambda z, y, **options: surrogate(z, z, y, **options)


_NFL = functools.partial(of_both, nfl, active_options=("gamma",))
_NCE = functools.partial(of_both, all_of(nce))

REFERENCES: dict[str, Reference] = {
    "gradient_rescaling": Reference(
        "gradient_rescaling", options=GR, surrogate=reweighted(gr_weight, "integral"), **CE
    ),
    "gradient_rescaling, by the batch": Reference(
        "gradient_rescaling", options=GR, surrogate=reweighted(gr_weight, "batch"),
        static={"normalization": "batch"}, couples_batch=True, **CE,
    ),
    "gradient_rescaling, not normalised": Reference(
        "gradient_rescaling", options=GR, surrogate=reweighted(gr_weight, "none"),
        static={"normalization": "none"}, **CE,
    ),
    "imae": Reference(
        "imae", options=({"beta": 8.0}, {"beta": -2.0}), surrogate=reweighted(imae_weight, "integral"),
        **CE,
    ),
    "combined": Reference(
        "combined",
        options=(
            {"a": 0.7, "b": 1.0, "lam": 0.0, "beta": 0.0, "log_c": np.log(2)},
            {"a": 0.5, "b": 2.0, "lam": 0.5, "beta": 6.0, "log_c": -1.0},
        ),
        surrogate=reweighted(combined_weight, "none"),
        **CE,
    ),
    "cross_entropy": Reference("cross_entropy", written("cross_entropy")),
    "mae": Reference("mae", written("mae"), ({"scale": 1.0}, {"scale": 2.0})),
    "mse": Reference("mse", written("mse")),
    "gce": Reference("gce", written("gce"), ({"q": 0.7}, {"q": 0.2}, {"q": 1.0})),
    "gce, by the integral": Reference(
        "gce", normalized_gce("integral"), ({"q": 0.7}, {"q": 0.2}), static={"normalization": "integral"}
    ),
    "gce, by the batch": Reference(
        "gce", normalized_gce("batch"), ({"q": 0.7}, {"q": 0.2}), reweighted(gce_weight, "batch"),
        static={"normalization": "batch"}, couples_batch=True,
    ),
    "truncated_gce": Reference(
        "truncated_gce", written("truncated_gce"), ({"q": 0.7, "k": 0.5}, {"q": 0.3, "k": 0.1})
    ),
    "rce": Reference("rce", written("rce"), ({"log_zero": LOG_ZERO}, {"log_zero": -4.0})),
    "sce": Reference(
        "sce", written("sce"),
        (
            {"alpha": 0.1, "beta": 1.0, "log_zero": LOG_ZERO}, {"alpha": 6.0, "beta": 0.1, "log_zero": -4.0},
            {"alpha": 0.0, "beta": 1.0, "log_zero": -1.0}, {"alpha": 1.0, "beta": 0.0, "log_zero": -2.0},
        ),
    ),
    "focal": Reference("focal", written("focal"), GAMMAS),
    "focal, detached": Reference("focal", written("focal"), GAMMAS, FOCAL_DETACHED, {"detached": True}),
    "taylor_ce": Reference("taylor_ce", written("taylor_ce"), ({"order": 2}, {"order": 6}, {"order": 1})),
    "phuber_ce": Reference("phuber_ce", written("phuber_ce"), ({"tau": 2.0}, {"tau": 10.0})),
    "phuber_gce": Reference(
        "phuber_gce", written("phuber_gce"), ({"tau": 10.0, "q": 0.7}, {"tau": 2.0, "q": 0.3})
    ),
    "agce": Reference(
        "agce", written("agce"), ({"a": 0.6, "q": 0.6}, {"a": 4.0, "q": 0.2}, {"a": 1.8, "q": 3.0})
    ),
    "aul": Reference("aul", written("aul"), ({"a": 5.5, "q": 3.0}, {"a": 3.0, "q": 0.1})),
    "ael": Reference("ael", written("ael"), ({"a": 2.5}, {"a": 0.8})),
    "js": Reference("js", gjs, ({"pi": 0.5}, {"pi": 0.1}, {"pi": 0.9})),
    "poly_1": Reference("poly_1", written("poly_1"), ({"coefficient": 1.0}, {"coefficient": -0.5})),
    "nmae": Reference(
        "nmae",
        lambda z, y, scale: scale * (1 - at(softmax(z), y)) / (1 - softmax(z)).sum(-1),
        ({"scale": 1.0}, {"scale": 0.5}),
    ),
    "nrce": Reference(
        "nrce", lambda z, y: (LOG_ZERO * (1 - at(softmax(z), y))) / (LOG_ZERO * (1 - softmax(z))).sum(-1)
    ),
    "nce": Reference("nce", nce),
    "nfl": Reference("nfl", _of_held(nfl), GAMMAS, nfl),
    "nfl, as written": Reference("nfl", _of_held(nfl), GAMMAS, static={"detached": False}),
    "ngce": Reference("ngce", ngce, ({"q": 0.7}, {"q": 0.2})),
    "nnce": Reference("nnce", nnce, ({"p_min": 1e-7}, {"p_min": 0.05})),
    "nnfl": Reference(
        "nnfl", _of_held(nnfl), ({"gamma": 0.5, "p_min": 1e-7}, {"gamma": 2.0, "p_min": 0.05}), nnfl
    ),
    "amse": Reference("amse", amse, ({"a": 30.0, "q": 2.0}, {"a": 1.0, "q": 2.0}, {"a": 3.0, "q": 1.5})),
    "nce_mae": active_passive(
        "nce_mae", _NCE(all_of(written("mae")), passive_options=("scale",)),
        {"alpha": 1.0, "beta": 1.0, "scale": 1.0}, {"alpha": 10.0, "beta": 0.1, "scale": 2.0},
    ),
    "nce_rce": active_passive(
        "nce_rce", _NCE(all_of(written("rce")), passive_options=("log_zero",)),
        {"alpha": 1.0, "beta": 1.0, "log_zero": LOG_ZERO}, {"alpha": 10.0, "beta": 0.1, "log_zero": -4.0},
    ),
    "nfl_mae": active_passive(
        "nfl_mae", _NFL(all_of(written("mae")), passive_options=("scale",)),
        {"alpha": 1.0, "beta": 1.0, "gamma": 0.5, "scale": 1.0},
        {"alpha": 10.0, "beta": 0.1, "gamma": 2.0, "scale": 2.0},
    ),
    "nfl_rce": active_passive(
        "nfl_rce", _NFL(all_of(written("rce")), passive_options=("log_zero",)),
        {"alpha": 1.0, "beta": 1.0, "gamma": 0.5, "log_zero": LOG_ZERO},
        {"alpha": 10.0, "beta": 0.1, "gamma": 2.0, "log_zero": -4.0},
    ),
    "nce_agce": active_passive(
        "nce_agce", _NCE(all_of(written("agce")), passive_options=("a", "q")),
        {"alpha": 1.0, "beta": 4.0, "a": 6.0, "q": 1.5}, {"alpha": 10.0, "beta": 0.1, "a": 1.8, "q": 3.0},
    ),
    "nce_aul": active_passive(
        "nce_aul", _NCE(all_of(written("aul")), passive_options=("a", "q")),
        {"alpha": 1.0, "beta": 4.0, "a": 6.3, "q": 1.5}, {"alpha": 10.0, "beta": 0.015, "a": 6.0, "q": 3.0},
    ),
    "nce_ael": active_passive(
        "nce_ael", _NCE(all_of(written("ael")), passive_options=("a",)),
        {"alpha": 1.0, "beta": 4.0, "a": 5.0}, {"alpha": 10.0, "beta": 0.1, "a": 1.5},
    ),
    "anl_ce": active_passive(
        "anl_ce", _NCE(all_of(nnce), passive_options=("p_min",)),
        {"alpha": 5.0, "beta": 5.0, "p_min": 1e-7}, {"alpha": 10.0, "beta": 1.0, "p_min": 0.05},
    ),
    "anl_fl": active_passive(
        "anl_fl", _NFL(nnfl, passive_options=("gamma", "p_min")),
        {"alpha": 5.0, "beta": 5.0, "gamma": 0.5, "p_min": 1e-7},
        {"alpha": 10.0, "beta": 1.0, "gamma": 2.0, "p_min": 0.05},
    ),
    "jal_ce": active_passive(
        "jal_ce", _NCE(all_of(amse), passive_options=("a",)),
        {"alpha": 1.0, "beta": 1.0, "a": 30.0}, {"alpha": 5.0, "beta": 0.1, "a": 5.0},
    ),
    "jal_fl": active_passive(
        "jal_fl", _NFL(all_of(amse), passive_options=("a",)),
        {"alpha": 1.0, "beta": 1.0, "gamma": 0.5, "a": 30.0},
        {"alpha": 5.0, "beta": 0.1, "gamma": 2.0, "a": 5.0},
    ),
    "label_smoothing": Reference("label_smoothing", smoothed, ({"epsilon": 0.1}, {"epsilon": 0.5})),
    "confidence_penalty": Reference(
        "confidence_penalty", lambda z, y, beta: cross_entropy(z, y) - beta * entropy(z),
        ({"beta": 0.1}, {"beta": 1.5}),
    ),
    "bootstrap_soft": Reference("bootstrap_soft", bootstrap_soft, ({"beta": 0.95}, {"beta": 0.4})),
    "bootstrap_hard": Reference("bootstrap_hard", bootstrap_hard, ({"beta": 0.8}, {"beta": 0.3})),
    "epsilon_softmax": Reference(
        "epsilon_softmax", _of_held(epsilon_softmax),
        (
            {"m": 1e5, "alpha": 0.01, "beta": 5.0, "mae_scale": 2.0, "gamma": 0.0, "p_min": 1e-8},
            {"m": 3.0, "alpha": 1.0, "beta": 0.5, "mae_scale": 1.0, "gamma": 0.1, "p_min": 0.01},
        ),
        epsilon_softmax,
    ),
    "rll": Reference("rll", rll, ({"alpha": 0.01}, {"alpha": 1.0})),
    "anl_ce_er": Reference(
        "anl_ce_er", _of_held(anl_ce_er),
        (
            {"alpha": 5.0, "beta": 5.0, "lam": 2.0, "p_min": 1e-7},
            {"alpha": 10.0, "beta": 1.0, "lam": 0.01, "p_min": 0.05},
        ),
        anl_ce_er, couples_batch=True,
    ),
    "dmi": Reference(
        "dmi", _of_held(dmi), ({"offset": 1e-3}, {"offset": 3.0}), dmi, couples_batch=True
    ),
    "proselflc": Reference("proselflc", _of_held(proselflc), ({"trust": 0.9}, {"trust": 0.3}), proselflc),
    "proselflc, the divergence": Reference(
        "proselflc", _of_held(proselflc_kl), ({"trust": 0.9}, {"trust": 0.3}), proselflc_kl, {"kl": True}
    ),
    "proselflc, detached": Reference(
        "proselflc", _of_held(proselflc), ({"trust": 0.9}, {"trust": 0.3}), proselflc_detached,
        {"detached": True},
    ),
    "proselflc, the divergence, detached": Reference(
        "proselflc", _of_held(proselflc_kl), ({"trust": 0.9}, {"trust": 0.3}), proselflc_detached,
        {"kl": True, "detached": True},
    ),
    "forward_correction": Reference(
        "forward_correction", forward_correction, ({"transition": 0.4}, {"transition": 0.1})
    ),
    "forward_correction, of a matrix": Reference(
        "forward_correction", forward_correction, ({"transition": TRANSITION}, {"transition": np.eye(5)})
    ),
    "backward_correction": Reference(
        "backward_correction", backward_correction, ({"transition": 0.4}, {"transition": 0.1})
    ),
    "backward_correction, of a matrix": Reference(
        "backward_correction", backward_correction, ({"transition": TRANSITION}, {"transition": np.eye(5)})
    ),
    "brier": Reference("brier", lambda z, y: ((softmax(z) - one_hot(z, y)) ** 2).sum(-1)),
    "gjs": Reference("gjs", gjs, ({"pi": 0.5}, {"pi": 0.1}, {"pi": 0.9})),
    "bi_tempered": Reference(
        "bi_tempered", bi_tempered,
        ({"t1": 0.8, "t2": 1.2}, {"t1": 0.2, "t2": 4.0}, {"t1": 1.0, "t2": 1.0}, {"t1": 0.0, "t2": 1.0}),
    ),
    "logit_clip": Reference(
        "logit_clip", logit_clip, ({"delta": 2.5, "threshold": 0.4}, {"delta": 5.0, "threshold": 5.0})
    ),
    "ldr_kl": Reference("ldr_kl", ldr_kl, ({"lam": 10.0, "margin": 0.1}, {"lam": 1.0, "margin": 2.0})),
    "ldr_kl, of softplus": Reference(
        "ldr_kl", ldr_kl_of_softplus, ({"lam": 10.0, "margin": 0.1}, {"lam": 1.0, "margin": 2.0}),
        static={"scores": "softplus"},
    ),
}  # fmt: skip
REFERENCES |= {
    case: fading(found)
    for case, found in REFERENCES.items()
    if found.loss in {*WRITTEN, "gradient_rescaling", "imae", "combined", "nmae", "nrce"}
}
REFERENCES["cross_entropy, optax's"] = Reference("cross_entropy", written("cross_entropy"))


# Losses with a memory: (z, held, y, rows, step, **options) -> losses [B], new rows [B, ...].


def elr(z, held, y, rows, step, lam, beta):
    p_held = np.clip(softmax(held), 1e-4, 1 - 1e-4)
    rows = beta * rows + (1 - beta) * p_held / p_held.sum(-1, keepdims=True)
    p = np.clip(softmax(z), 1e-4, 1 - 1e-4)
    return cross_entropy(z, y) + lam * np.log(1 - (p * rows).sum(-1)), rows


def self_adaptive(z, held, y, rows, step, momentum, begin_steps):
    if step < begin_steps:
        return cross_entropy(z, y), rows
    rows = momentum * rows + (1 - momentum) * softmax(held)
    weights = rows.max(-1)
    return -weights / weights.mean() * (rows * log_softmax(z)).sum(-1), rows


def sat_sce(z, held, y, rows, step, momentum, alpha, beta, begin_steps):
    if step < begin_steps:
        return cross_entropy(z, y), rows
    rows = momentum * rows + (1 - momentum) * softmax(held)
    weights = rows.max(-1)
    forward, reverse = (rows * log_softmax(z)).sum(-1), (softmax(z) * np.log(rows)).sum(-1)
    return -weights / weights.mean() * (alpha * forward + beta * reverse), rows


def ldam_margins(y, num_classes, max_margin=0.4):
    counts = np.array([(y == label).sum() for label in range(num_classes)])
    return (max_margin * (counts / counts.min()) ** -0.25)[y]


def ldam(z, held, y, rows, step, max_margin, scale):
    return cross_entropy(scale * (z - rows[:, None] * one_hot(z, y)), y), rows


def nlnl(z, held, y, rows, step, seed):
    """The draw of the library, whose uniformity has a test of its own."""
    of_step = jax.random.fold_in(jax.random.key(seed), step)
    offsets = [int(jax.random.randint(jax.random.fold_in(of_step, row), (), 1, z.shape[-1])) for row in rows]
    return -np.log(1 - at(softmax(z), (y + offsets) % z.shape[-1])), rows


def truncated_gce_pruned(z, held, y, rows, step, q, k, begin_steps, every_steps, window_steps):
    rounds = range(begin_steps, step + 1, every_steps)
    if any(step in range(start, start + window_steps) for start in rounds):
        rows = at(softmax(held), y) > k
    return np.where(rows, _gce(np, at(softmax(z), y), q), _gce(np, k, q)), rows


@dataclasses.dataclass(frozen=True)
class MemoryReference:
    """A loss with a memory as it is published: `init` (y [N], C) -> rows [N, ...]; `evaluate` as a loss."""

    init: Callable[..., np.ndarray]
    apply: Callable[..., tuple[np.ndarray, np.ndarray]]
    evaluate: Callable[..., np.ndarray]
    options: Mapping[str, Any]
    couples_batch: bool = False
    changes: bool = True  # whether the memory does


def _cross_entropy(z, y, **options):
    return cross_entropy(z, y)


MEMORY_REFERENCES: dict[str, MemoryReference] = {
    "elr": MemoryReference(
        lambda y, num_classes: np.zeros((len(y), num_classes)), elr, _cross_entropy, {"lam": 3.0, "beta": 0.7}
    ),
    "self_adaptive": MemoryReference(
        lambda y, num_classes: np.eye(num_classes)[y], self_adaptive, _cross_entropy,
        {"momentum": 0.8, "begin_steps": 3}, couples_batch=True,
    ),
    "sat_sce": MemoryReference(
        lambda y, num_classes: np.eye(num_classes)[y], sat_sce, _cross_entropy,
        {"momentum": 0.8, "alpha": 0.7, "beta": 0.4, "begin_steps": 3}, couples_batch=True,
    ),
    "ldam": MemoryReference(
        ldam_margins, ldam, lambda z, y, scale, **options: cross_entropy(scale * z, y),
        {"max_margin": 0.4, "scale": 3.0}, changes=False,
    ),
    "nlnl": MemoryReference(
        lambda y, num_classes: np.arange(len(y)), nlnl, _cross_entropy, {"seed": 3}, changes=False
    ),
    "truncated_gce_pruned": MemoryReference(
        lambda y, num_classes: np.ones(len(y), bool), truncated_gce_pruned,
        lambda z, y, q, **options: _gce(np, at(softmax(z), y), q),
        {"q": 0.7, "k": 0.3, "begin_steps": 2, "every_steps": 4, "window_steps": 2},
    ),
}  # fmt: skip
