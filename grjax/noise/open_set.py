"""Open-set noise: images of another data set under the labels of this one."""

import hashlib
from typing import Annotated, Literal

import numpy as np

from grjax.errors import ConfigError
from grjax.noise.draws import OPEN_SET, OPEN_SET_ORDER, floor, rank_within, uniforms
from grjax.ranges import In, in_range


@in_range
def replace_images(
    images: np.ndarray,
    ids: np.ndarray,
    others: np.ndarray,
    other_ids: np.ndarray,
    *,
    rate: Annotated[float, In("[0, 1]")],
    draw: Literal["bernoulli", "exact_global"] = "bernoulli",
    seed: Annotated[int, In("[0, 2**64)")] = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """With probability `rate` an example's image becomes one of another data set, uniformly; its label stays.

    An image may be taken more than once. An example's fate is a function of (seed, id) and of the other data
    set alone, and nested in the rate: what is replaced at 0.2 is so at 0.4, by the same image. The draw is
    independent of that of label noise with the same seed.

    With draw 'exact_global' the images of floor(rate N) examples are replaced, each by another one. It is
    nested, too, and depends on no order, but on which examples there are.

    Args:
      images: uint8 or float32 [N, height, width, channels].
      ids: example ids >= 0, integer [N].
      others: images of the other data set, of the same dtype [M, height, width, channels].
      other_ids: their ids, integer [M].
      rate: in [0, 1].
      draw: see above.
      seed: of the draw, in [0, 2**64).

    Returns:
      The images with those replaced, [N, ...], and for each example the id of the image that replaces
      its own, or -1: int64 [N].

    Raises:
      ConfigError: images of another shape, too few for an exact draw, or a rate or seed out of range.

    Reference: Wang et al., CVPR 2018.
    """
    if (images.dtype, images.shape[1:]) != (others.dtype, others.shape[1:]):
        raise ConfigError(
            f"open_set.name: its images are {list(others.shape[1:])} {others.dtype}, those of the training "
            f"set {list(images.shape[1:])} {images.dtype}; take a data set of the same shape and dtype"
        )
    flip, which = uniforms(seed, ids, OPEN_SET)
    if draw == "exact_global":
        number = int(floor(rate * len(ids)))
        if number > len(others):
            raise ConfigError(
                f"open_set.rate: {rate} of {len(ids)} examples are {number}, and 'exact_global' takes each "
                f"image once: the other data set has {len(others)}; take a lower rate, or draw='bernoulli'"
            )
        ranks, _ = rank_within(np.zeros(len(ids), np.int64), flip, ids)
        order = np.lexsort((other_ids, uniforms(seed, other_ids, OPEN_SET_ORDER)[0]))
        replaced = ranks < number
        source = order[np.minimum(ranks, len(order) - 1)]
    else:
        source = np.floor(which * len(others)).astype(np.int64)
        replaced = flip < rate
    mixed = images.copy()
    mixed[replaced] = others[source[replaced]]
    return mixed, np.where(replaced, other_ids[source], -1)


def digest(images: np.ndarray, ids: np.ndarray, replaced_by: np.ndarray) -> str:
    """sha256 of the pixels of those images that are of the other data set, in the order of ascending ids.

    Ids alone do not say what replaces: two other data sets of one size have the same.

    Args:
      images: with those replaced, uint8 [N, height, width, channels].
      ids: example ids, integer [N].
      replaced_by: the id of the image that replaces an example's own, or -1: integer [N].
    """
    order = np.argsort(ids)
    sha256 = hashlib.sha256()
    for position in order[replaced_by[order] >= 0]:
        sha256.update(images[position].tobytes())
    return sha256.hexdigest()
