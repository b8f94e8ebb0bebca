"""Label noise that depends on the image."""

from typing import Annotated, Literal

import numpy as np
from scipy.special import ndtr, ndtri

from grjax.noise.draws import FLIP_RATES, choose, class_uniforms, uniforms
from grjax.ranges import In

SPREAD = 0.1  # standard deviation of the flip rates, before truncation
CHUNK = 256  # images that are decoded and multiplied at a time

Scaling = Literal["standardised", "unit", "raw"]
Flips = Literal["truncated_normal", "exact_global"]


def instance_dependent(
    labels: np.ndarray,
    num_classes: int,
    ids: np.ndarray,
    images: np.ndarray,
    *,
    rate: Annotated[float, In("[0, 1]")],
    scaling: Scaling = "standardised",
    draw: Flips = "truncated_normal",
    seed: int,
) -> np.ndarray:
    """Instance-dependent noise: which wrong label, and how likely, depends on the image.

    Example i of class y is flipped with probability q_i, from a normal distribution of mean `rate` and
    standard deviation 0.1 truncated to [0, 1]; it becomes class j != y with probability
    softmax over j != y of (x_i . W_y)_j, where W_y [S, C], one for each class, has standard normal entries.

    The expected rate is the mean of the truncated normal distribution (`expected_rate`), which is `rate`
    at 0.5 and elsewhere drawn towards it: at 0.2 to 0.206, and far at the ends, at 0.01 to 0.084, at 0.05 to
    0.101, at 0.10 to 0.129. Rate 0 is no noise by definition. An example's fate depends on its image and
    (seed, id) alone, up to rounding of x . W, and is nested: q_i grows with `rate`.

    With draw 'exact_global' there is no q_i: floor(rate N) examples are flipped, all alike likely, as the
    'dependent' noise of LogitClip and JAL has it. Which they are depends on which examples there are, too.

    The scaling of x decides what noise it is, and published code differs in it. Logits of standard
    deviation far above 1 give each image one wrong label that it nearly always takes:

      'raw': pixels 0..255; logits in the thousands.
      'standardised': each image less its mean, over its standard deviation; logits of standard deviation
        sqrt(S), 55 on CIFAR, as after the usual normalisation by channel.
      'unit': that over sqrt(S); standard normal logits, wrong labels spread over several classes.

    Args:
      labels: clean labels in [0, num_classes), integer [N].
      num_classes: C >= 2.
      ids: example ids >= 0, integer [N].
      images: uint8 or float32 [N, height, width, channels]; S numbers each.
      rate: mean of the flip rates before truncation; of an exact draw, the fraction flipped; in [0, 1].
      scaling: of the images, see above.
      draw: which examples are flipped, see above.
      seed: seed of the draw and of the matrices W, >= 0.

    Returns:
      Noisy labels, int32 [N]; `labels` stays unchanged.

    Reference: Xia et al., NeurIPS 2020, algorithm 2.
    """
    noisy = labels.astype(np.int32)
    if rate == 0:
        return noisy
    flip, which = uniforms(seed, ids)
    if draw == "exact_global":
        flipped = choose(flip, labels, ids, rate, draw)
    else:
        flipped = flip < _truncated_normal(uniforms(seed, ids, FLIP_RATES)[0], rate)
    size = int(np.prod(images.shape[1:]))
    for label in np.unique(labels[flipped]):
        members = np.flatnonzero((labels == label) & flipped)
        u = np.maximum(class_uniforms(seed, int(label), size * num_classes), 2.0**-54)
        matrix = ndtri(u).reshape(size, num_classes)
        for start in range(0, len(members), CHUNK):
            chunk = members[start : start + CHUNK]
            logits = _features(images[chunk], scaling) @ matrix
            logits[:, label] = -np.inf
            noisy[chunk] = _draw(logits, which[chunk])
    return noisy


def expected_rate(rate: Annotated[float, In("[0, 1]")], draw: Flips = "truncated_normal") -> float:
    """The mean of the flip rates: of a normal distribution truncated to [0, 1], 0 for `rate` 0."""
    if rate == 0 or draw == "exact_global":
        return float(rate)
    low, high = -rate / SPREAD, (1 - rate) / SPREAD
    density = (np.exp(-(low**2) / 2) - np.exp(-(high**2) / 2)) / np.sqrt(2 * np.pi)
    return float(rate + SPREAD * density / (ndtr(high) - ndtr(low)))


def _draw(logits: np.ndarray, u: np.ndarray) -> np.ndarray:
    """A class for each row of logits [N, C], drawn from its softmax by the number u [N] in [0, 1)."""
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    upper = np.cumsum(weights, axis=1) / weights.sum(axis=1, keepdims=True)
    # The last class that is possible, where rounding leaves `upper` below 1.
    last = logits.shape[1] - 1 - np.argmax(weights[:, ::-1] > 0, axis=1)
    return np.minimum((u[:, None] >= upper).sum(axis=1), last)


def _truncated_normal(u: np.ndarray, rate: Annotated[float, In("[0, 1]")]) -> np.ndarray:
    """Quantiles of the flip rates."""
    low, high = ndtr(-rate / SPREAD), ndtr((1 - rate) / SPREAD)
    return np.clip(rate + SPREAD * ndtri(low + u * (high - low)), 0, 1)


def _features(images: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Images as float64 [N, S]; a constant image is all zeros unless it is 'raw'."""
    pixels = images.reshape(len(images), -1).astype(np.float64)
    if scaling == "raw":
        return pixels
    centred = pixels - pixels.mean(axis=1, keepdims=True)
    standardised = centred / np.maximum(centred.std(axis=1, keepdims=True), 1e-6)
    return standardised / np.sqrt(pixels.shape[1]) if scaling == "unit" else standardised
