"""The weight w(p) of losses in one picture, raw and as a density.

A loss is written `name` or `name:option=value,option=value`. One that depends on more than p is drawn for ten
classes of which the nine others are equally likely, see `EqualOthers`.
"""

import ast
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from grjax import losses
from grjax.emphasis import Emphasis, log_integral, mode
from grjax.errors import ConfigError
from grjax.registry import lookup

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, without the yellow that white swallows: distinct for colour-blind people too.
COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7", "#888888")
STYLES = ("solid", (0, (4, 1.5)), (0, (1, 1)))  # where lines coincide, the lower one shows through the upper

# Losses and Gradient Rescaling as in the paper's Figure 1b, with lam and beta of its table 9.
PAPER = (
    "cross_entropy",
    "mae",
    "mse",
    "gce:q=0.7",
    "gradient_rescaling:lam=0,beta=2",
    "gradient_rescaling:lam=0.5,beta=12",
    "gradient_rescaling:lam=1,beta=16",
    "gradient_rescaling:lam=2,beta=24",
)

# The pictures of docs/reference/losses.md.
FAMILIES: dict[str, tuple[str, ...]] = {
    "rescaling": (
        "gradient_rescaling:lam=0.5,beta=8", "gradient_rescaling:lam=0.5,beta=12",
        "gradient_rescaling:lam=1,beta=2", "imae:beta=16", "combined:a=0.5,b=1,lam=1,beta=4",
    ),
    "agreement": ("cross_entropy", "mae", "mse", "focal:gamma=0.5", "focal:gamma=0.5,detached=True"),
    "generalized": ("gce", "truncated_gce", "taylor_ce", "phuber_ce", "phuber_gce", "poly_1"),
    "symmetric": ("rce", "sce", "nmae", "nrce", "agce", "aul", "ael"),
    "normalized": (
        "nce", "nfl", "ngce", "nnce", "amse", "nce_mae", "nce_rce", "nce_agce", "anl_ce", "jal_ce",
    ),
    "targets": (
        "label_smoothing", "confidence_penalty", "bootstrap_soft", "bootstrap_hard", "epsilon_softmax",
        "proselflc:trust=0.5", "forward_correction:transition=0.4", "backward_correction:transition=0.4",
    ),
    "others": ("brier", "js", "gjs", "rll", "bi_tempered", "logit_clip", "ldr_kl"),
}  # fmt: skip


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class EqualOthers:
    """The L1 norm of any loss' logit gradient where all other classes are equally likely, as an `Emphasis`.

    For a loss of p alone it is w(p). For another it is a cut through what depends on all logits, at
    z = (d + log(C - 1), 0, ..., 0) with d the log-odds of the label.

    Attributes:
      loss: (logits `[..., C]`, labels `[...]`) -> `[...]`.
      num_classes: C.
    """

    loss: losses.Loss = dataclasses.field(metadata={"static": True})
    num_classes: int = dataclasses.field(default=10, metadata={"static": True})

    def log_weight(self, log_odds: jax.Array) -> jax.Array:
        """See `grjax.emphasis.Emphasis`."""
        of_label = jnp.clip(log_odds, -60, 60) + jnp.log(self.num_classes - 1.0)
        others = jnp.zeros((*log_odds.shape, self.num_classes - 1), log_odds.dtype)
        logits = jnp.concatenate([of_label[..., None], others], axis=-1)
        labels = jnp.zeros(log_odds.shape, jnp.int32)
        gradient = jax.grad(lambda logits: self.loss(logits, labels).sum())(logits)
        return jnp.log(jnp.abs(gradient).sum(-1))


def parse(text: str) -> tuple[str, Emphasis]:
    """A legend and the weight of a loss written as 'gce:q=0.7'.

    Args:
      text: a registered loss without memory, and its options as Python literals.

    Raises:
      ConfigError: not of that form, or an unknown loss or option.

    Example:
      >>> from grjax.analysis.weights import parse
      >>> parse("gradient_rescaling:lam=0.5,beta=8")
      ('gradient_rescaling λ = 0.5, β = 8', PowerExponential(lam=0.5, beta=8))
    """
    name, _, written = text.partition(":")
    options = _options(text, written)
    for key in ("epsilon", "normalization", "per_class"):
        if key in options and name in losses.names_of_p_alone():
            raise ConfigError(f"loss.{key}: is not of the weight, which is drawn both raw and normalised")
    for key, value in options.items():
        if isinstance(value, list | tuple):
            raise ConfigError(f"loss.{key}: must be a single value for a picture, got {value}")
    weight: Emphasis
    if name in losses.names_of_p_alone():
        weight = losses.weight(name, **options)
    else:
        lookup("loss.name", dict.fromkeys(losses.names()), name)
        weight = EqualOthers(losses.create(name, **options))
    symbols = {"lam": "λ", "beta": "β", "alpha": "α", "gamma": "γ", "tau": "τ"}
    legend = ", ".join(f"{symbols.get(key, key)} = {value}" for key, value in options.items())
    return f"{name} {legend}".strip(), weight


def _options(text: str, written: str) -> dict[str, Any]:
    """{'q': 0.7} of 'q=0.7'."""
    try:
        call = ast.parse(f"dict({written})", mode="eval").body
        if not isinstance(call, ast.Call) or call.args or any(each.arg is None for each in call.keywords):
            raise ValueError(written)
        return {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"losses: must be as 'gce' or 'gce:q=0.7', got {text!r}") from error


def figure(weights: Mapping[str, Emphasis]) -> "Figure":
    """The picture that `draw` writes: two panels, in each a line for each weight and a dot at its mode."""
    from matplotlib.figure import Figure  # without pyplot: no global state, no window

    picture = Figure(figsize=(9, 3.4), layout="constrained")
    raw, normalised = picture.subplots(1, 2)
    p = np.linspace(0, 1, 257)
    peaks: dict[Any, list[float]] = {raw: [], normalised: []}
    for number, (name, weight) in enumerate(weights.items()):
        log_w, log_norm = log_weight(weight, p), float(log_integral(weight))
        at_mode = float(mode(weight))
        log_peak = log_weight(weight, np.array([at_mode]))[0]
        if np.isnan(log_w).any() or max(log_w.max(), log_peak) > 700 or not np.isfinite(log_norm):
            raise ConfigError(
                f"losses: w(p) of {name!r} must be finite, and not 0 everywhere; check its hyper-parameters"
            )
        colour, style = COLOURS[number % len(COLOURS)], STYLES[number % len(STYLES)]
        for panel, log_scale in ((raw, 0.0), (normalised, log_norm)):
            panel.plot(p, np.exp(log_w - log_scale), label=name, color=colour, linestyle=style, linewidth=1.6)
            peaks[panel].append(np.exp(log_w.max() - log_scale))
            dot = np.exp(log_peak - log_scale)
            # No dot for a weight that is the same everywhere, or whose peak is too narrow for the picture.
            if np.ptp(log_w) > 1e-6 and dot < 1.1 * peaks[panel][-1]:
                panel.plot(at_mode, dot, "o", color=colour, markersize=4.5, clip_on=False, zorder=3)
    for panel, what in ((raw, "weight $w(p)$"), (normalised, r"$w(p)\,/\,\int_0^1 w$")):
        panel.set(xlabel="$p$, probability of the label", ylabel=what, xlim=(0, 1), ylim=(0, None))
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    if max(peaks[raw]) > 20 * min(peaks[raw]):  # on a linear scale the smaller ones would lie on the axis
        raw.set(yscale="log", ylim=(min(peaks[raw]) / 100, None))
    handles, names = raw.get_legend_handles_labels()
    picture.legend(handles, names, loc="outside right center", frameon=False, fontsize="small")
    return picture


# One program for each family and shape; its parameters are arguments.
_log_weight = jax.jit(lambda weight, log_odds: weight.log_weight(log_odds))


def log_weight(weight: Emphasis, p: np.ndarray) -> np.ndarray:
    """Log w of a scalar emphasis at p in [0, 1], [N], as float64 [N]."""
    largest = np.finfo(np.float32).max
    with np.errstate(divide="ignore"):
        log_odds = np.clip(np.log(p) - np.log1p(-p), -largest, largest).astype(np.float32)
    values = _log_weight(weight, jnp.asarray(log_odds))
    return np.asarray(jnp.broadcast_to(values, p.shape), np.float64)


def draw(weights: Mapping[str, Emphasis], path: Path) -> None:
    """Draws w(p) of each weight over p, left raw, right divided by its integral, with a dot at its mode.

    The left scale is logarithmic where the largest values differ by more than a factor of 20.

    Args:
      weights: the weight for each name in the legend, with scalar parameters; see `losses.weight`.
      path: of the picture; its ending says which format (.png, .svg, .pdf).

    Raises:
      ConfigError: a weight that is not finite somewhere, or 0 everywhere.
    """
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "grjax"}):  # the same weights give the same file
        picture = figure(weights)
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
