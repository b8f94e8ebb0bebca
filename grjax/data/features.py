"""Where numbers become float32: what that type cannot hold is centred and scaled first, in float64.

float32 has 24 bits. A Unix time, 1.7e9 and a small difference, loses the difference; a column of 1e-42 or of
1e30 loses all, or overflows when it is squared. Networks see features standardised by channel anyway, so
another origin and unit changes nothing for them.
"""

import dataclasses

import numpy as np

# A channel whose mean is at most so many standard deviations from 0, and whose largest number lies between
# these, stays unchanged: float32 resolves it to 1e-4 standard deviations.
_OFFSET, _SMALLEST, _LARGEST = 2.0**10, 1e-30, 1e30
_CHUNK = 1024  # examples whose numbers are held as float64 at a time


@dataclasses.dataclass(frozen=True)
class Scaling:
    """How the channels of features become float32: ((x - centre) - offset) / scale, in float64.

    Attributes:
      centre, offset, scale: float64 [channels]; 0, 0 and 1 of channels that stay unchanged.
    """

    centre: np.ndarray
    offset: np.ndarray
    scale: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """float32 [..., channels]; numbers beyond the range of the type become infinite."""
        same = not self.centre.any() and not self.offset.any() and (self.scale == 1).all()
        if same or not features.size:
            with np.errstate(over="ignore"):
                return features.astype(np.float32)
        changed = np.empty(features.shape, np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, len(features), _CHUNK):
                part = features[start : start + _CHUNK].astype(np.float64)
                changed[start : start + _CHUNK] = ((part - self.centre) - self.offset) / self.scale
        return changed


def scaling(features: np.ndarray) -> Scaling:
    """The scaling that float32 needs of these features, channel by channel.

    Args:
      features: real numbers [..., channels]; those that are not finite count for nothing here.

    Example:
      >>> import numpy as np
      >>> from grjax.data import features
      >>> times = np.array([[1.7e9], [1.7e9 + 1e-3]])
      >>> features.scaling(times)(times).ravel().tolist()
      [-1.0, 1.0]
    """
    channels = features.shape[-1]
    centre, offset, scale = np.zeros(channels), np.zeros(channels), np.ones(channels)
    if features.dtype.kind not in "fiu" or features.dtype == np.uint8:
        return Scaling(centre, offset, scale)
    epsilon = float(np.finfo(features.dtype).eps) if features.dtype.kind == "f" else 2.0**-52
    for channel in range(channels):
        column = features[..., channel].astype(np.float64).ravel()
        column = column[np.isfinite(column)]
        if not column.size:
            continue
        middle = np.partition(column, column.size // 2)[column.size // 2]
        with np.errstate(over="ignore"):
            apart = column - middle  # exact where the numbers are close to each other
            widest = float(np.abs(apart).max())
        largest = float(np.abs(column).max())
        # Divided first: squares of the largest and the smallest numbers are not in the range of float64.
        unit = widest or 1.0
        deviation = unit * float(np.std(apart / unit)) if np.isfinite(unit) else largest
        constant = widest <= 4 * epsilon * abs(middle)  # up to rounding
        if constant:
            if largest > _LARGEST or 0 < largest < _SMALLEST:
                centre[channel], scale[channel] = middle, max(abs(middle), 1.0)
        elif not np.isfinite(widest):  # from one end of float64 to the other
            scale[channel] = largest
        elif abs(middle) > _OFFSET * deviation or largest > _LARGEST or max(widest, deviation) < _SMALLEST:
            centre[channel], scale[channel] = middle, deviation
            offset[channel] = unit * float(np.mean(apart / unit))
    return Scaling(centre, offset, scale)
