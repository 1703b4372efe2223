"""The range of intensities of one channel of one plate, from a histogram of corrected pixels.

A histogram of 65,536 bins counts integers, so the range does not depend on the order of the sites,
and no pixel is sorted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 65_536
LOW_PERCENTILE = 0.1
HIGH_PERCENTILE = 99.9
NARROWEST = 1 / float(np.finfo(np.float32).max)
"""Width of a bin up to which single precision cannot tell bins apart: such pixels are all the same."""


@dataclass(frozen=True)
class IntensityRange:
    """What becomes 0 and what becomes 1, in the file's intensity units. `high` is above `low`."""

    low: float
    high: float


@dataclass(frozen=True)
class HistogramAxis:
    """Where the bins of a histogram lie. `width` is 0 where every pixel has the value `start`."""

    start: float
    width: float

    @property
    def stop(self) -> float:
        """The upper edge of the last bin."""
        return self.start + self.width * BINS


def histogram_axis(lowest: float, highest: float, *, dimmest: float, brightest: float) -> HistogramAxis:
    """Return an axis that holds every corrected pixel.

    Args:
        lowest: Smallest pixel of the sites as delivered.
        highest: Largest pixel of the sites as delivered.
        dimmest: Smallest value of the illumination function.
        brightest: Largest value of the illumination function.
    """
    start = lowest / (brightest if lowest > 0 else dimmest)
    stop = highest / (dimmest if highest > 0 else brightest)
    return HistogramAxis(start=start, width=(stop - start) / BINS)


def count_intensities(corrected: NDArray[np.float32], axis: HistogramAxis) -> NDArray[np.int64]:
    """Return how many pixels fall into each bin; what lies outside the axis counts at its ends.

    Args:
        corrected: Any shape, float32, finite.
        axis: From `histogram_axis`.

    Returns:
        (65536,), int64.
    """
    if axis.width <= NARROWEST:
        counts = np.zeros(BINS, dtype=np.int64)
        counts[0] = corrected.size
        return counts
    places = corrected - np.float32(axis.start)
    places *= np.float32(1 / axis.width)
    np.clip(places, 0, BINS - 1, out=places)
    return np.bincount(places.astype(np.intp).ravel(), minlength=BINS)


def range_of(counts: NDArray[np.int64], axis: HistogramAxis) -> IntensityRange:
    """Return the range between the 0.1 and the 99.9 percentile of what was counted.

    Where the two fall together (a channel whose bright pixels are rarer than one in a thousand) the range ends at
    the brightest pixel; in a constant channel it is one unit wide, and everything scales to 0.
    """
    low, high = (_percentile(counts, axis, share / 100) for share in (LOW_PERCENTILE, HIGH_PERCENTILE))
    if high - low <= axis.width:
        high = axis.stop
    low, high = float(np.float32(low)), float(np.float32(high))
    if high <= low:
        high = float(max(np.float32(low + 1), np.nextafter(np.float32(low), np.float32(np.inf))))
    return IntensityRange(low=low, high=high)


def _percentile(counts: NDArray[np.int64], axis: HistogramAxis, share: float) -> float:
    """Return the value below which this share of the pixels lies, interpolated within its bin."""
    cumulated = np.cumsum(counts)
    rank = share * float(cumulated[-1])
    place = int(np.searchsorted(cumulated, rank))
    within = (rank - float(cumulated[place] - counts[place])) / float(counts[place])
    return axis.start + (place + within) * axis.width
