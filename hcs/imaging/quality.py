"""Focus, saturation and intensity of one channel of one site, from the pixels as delivered."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from hcs.errors import PixelsError

_CAMERA_TOPS = (2**10 - 1, 2**12 - 1, 2**14 - 1)
_PLATEAU = 4


@dataclass(frozen=True)
class ChannelMeasures:
    """One channel of one site.

    Attributes:
        power_loglog_slope: Focus: more negative is blurrier; None where the image has no power to take a slope of.
        saturation_fraction: Share of pixels at the top of the range.
        mean: In the file's intensity units, like the next three.
        sd: Over all pixels (divided by N).
        percentile_1: Smallest value that at least 1 % of the pixels do not exceed.
        percentile_99: Smallest value that at least 99 % of the pixels do not exceed.
    """

    power_loglog_slope: float | None
    saturation_fraction: float
    mean: float
    sd: float
    percentile_1: float
    percentile_99: float


def measure_channel(plane: NDArray[Any], *, top_of_range: float) -> ChannelMeasures:
    """Return focus, saturation and intensity of one plane.

    A pixel is saturated at the top of the file's range. Cameras of 10, 12 or 14 bits deliver 16-bit files: where the
    brightest pixels of an integer plane are exactly 1023, 4095 or 16383, and at least 4 of them are, more than lie one
    below, that value is taken as the top, because light does not pile up on a power of two by itself.

    Args:
        plane: (Y, X), any real dtype, as delivered.
        top_of_range: Largest value that the file can hold.

    Raises:
        PixelsError: If values are not finite.
    """
    if plane.dtype.kind in "bu" and plane.dtype.itemsize <= 2:
        return _measure_counts(plane, top_of_range=top_of_range)
    return _measure_values(plane, top_of_range=top_of_range)


def power_loglog_slope(plane: NDArray[Any], *, mean: float | None = None) -> float | None:
    """Return the slope of log power on log radius of the spectrum, CellProfiler's `PowerLogLogSlope`.

    The definition is that of `centrosome.radial_power_spectrum`: power summed over rings of the Fourier transform with
    radius floor(r) + 1, quadrants folded by reversal, for radii 2, 3, ... below min(Y, X) / 8, and an ordinary
    least-squares line through the logarithms. CellProfiler first divides the image by median|x - mean|; that factor
    moves the line and not its slope, and it is infinite where over half of the pixels are equal, so it is left out.

    Args:
        plane: (Y, X), any real dtype.
        mean: Of the plane, where it is already known.

    Returns:
        The slope; None for a constant plane, one without power in two rings, or a side below 32 pixels.
    """
    height, width = plane.shape
    rings = _rings(height, width)
    if rings.last < 3:
        return None
    centre = float(np.mean(plane, dtype=np.float64)) if mean is None else mean
    centred = np.subtract(plane, centre, dtype=np.float32, casting="unsafe")
    power = _ring_power(centred, rings)[2:]
    seen = power > 0
    if np.count_nonzero(seen) < 2:
        return None
    # Shares of the power: then a gain of 2 leaves every digit of the slope as it is.
    x, y = np.log(np.arange(2, rings.last + 1)[seen]), np.log(power[seen] / power.sum())
    x = x - x.mean()
    return float((x * y).sum() / (x * x).sum())


@dataclass(frozen=True)
class _Rings:
    """Which ring each kept coefficient of a half spectrum belongs to, and its mirror image; 0 is none."""

    last: int
    columns: int
    rows: NDArray[np.intp]
    ring: NDArray[np.intp]
    mirrored: NDArray[np.intp]


@lru_cache(maxsize=8)
def _rings(height: int, width: int) -> _Rings:
    """Return the rings of a shape: only frequencies below an eighth of the smaller side are kept.

    Folding by reversal puts index n - 1 beside index 0, so a coefficient and its conjugate lie in different rings.
    """
    last = int(np.floor(min(height, width) / 8)) - 1
    near = max(last, 1)
    columns = min(near + 1, width // 2 + 1)
    rows = np.unique(np.concatenate([np.arange(near + 1), np.arange(height - near - 1, height)]) % height)
    column = np.arange(columns)

    def ring_of(y: NDArray[np.intp], x: NDArray[np.intp]) -> NDArray[np.intp]:
        folded_y, folded_x = np.minimum(y, height - 1 - y), np.minimum(x, width - 1 - x)
        radius = np.floor(np.sqrt(np.add.outer(folded_y**2, folded_x**2))).astype(np.intp) + 1
        return np.where((radius >= 2) & (radius <= last), radius, 0)

    mirrored = ring_of(-rows % height, -column % width)
    # Column 0, and the last one of an even width, are their own mirror images: the half spectrum holds them whole.
    mirrored[:, (-column % width) == column] = 0
    return _Rings(last=last, columns=columns, rows=rows, ring=ring_of(rows, column), mirrored=mirrored)


def _ring_power(centred: NDArray[np.float32], rings: _Rings) -> NDArray[np.float64]:
    """Return the power of rings 0 to `last` (0 collects the rest) of a plane without its mean."""
    by_row = fft.rfft(centred, axis=1)[:, : rings.columns]
    spectrum = fft.fft(by_row, axis=0)[rings.rows]
    power = (spectrum.real.astype(np.float64) ** 2 + spectrum.imag.astype(np.float64) ** 2).ravel()
    size = rings.last + 1
    whole: NDArray[np.float64] = np.zeros(size)
    for ring in (rings.ring, rings.mirrored):
        whole += np.bincount(ring.ravel(), weights=power, minlength=size)
    return whole


def _measure_counts(plane: NDArray[Any], *, top_of_range: float) -> ChannelMeasures:
    """Measure unsigned integers of up to 16 bits by their histogram: exact sums, no sorting."""
    counts = np.bincount(plane.ravel())
    values = np.arange(len(counts))
    n = int(plane.size)
    total = int((counts * values).sum())
    squares = int((counts * values * values).sum())
    mean = total / n
    # n x squares - total^2 is exact in Python's integers, so no variance is lost to a high mean.
    sd = float(np.sqrt((n * squares - total * total) / (n * n)))
    cumulated = np.cumsum(counts)
    low, high = np.searchsorted(cumulated, [_rank(n, 1), _rank(n, 99)])
    slope = None if sd == 0 else power_loglog_slope(plane, mean=mean)
    return ChannelMeasures(
        power_loglog_slope=slope,
        saturation_fraction=_saturated(counts, top_of_range) / n,
        mean=mean,
        sd=sd,
        percentile_1=float(low),
        percentile_99=float(high),
    )


def _saturated(counts: NDArray[np.intp], top_of_range: float) -> int:
    """Return how many pixels lie at the top of the file's range, or at that of a camera with fewer bits."""
    highest = len(counts) - 1
    if highest >= top_of_range:
        return int(counts[int(np.ceil(top_of_range)) :].sum())
    piled_up = counts[highest] >= _PLATEAU and counts[highest] > counts[highest - 1]
    return int(counts[highest]) if highest in _CAMERA_TOPS and piled_up else 0


def _measure_values(plane: NDArray[Any], *, top_of_range: float) -> ChannelMeasures:
    """Measure any other real dtype."""
    values = plane.astype(np.float64)
    mean = float(values.mean())
    if not np.isfinite(mean):
        raise PixelsError(
            "pixels of a channel were expected to be finite numbers, but some are NaN or infinite; export the images "
            "as integers, or leave the site out"
        )
    n = values.size
    low, high = _rank(n, 1) - 1, _rank(n, 99) - 1
    ordered = np.partition(values, (low, high), axis=None)
    constant = bool(plane.min() == plane.max())
    return ChannelMeasures(
        power_loglog_slope=None if constant else power_loglog_slope(plane, mean=mean),
        saturation_fraction=float(np.count_nonzero(values >= top_of_range)) / n,
        mean=mean,
        sd=0.0 if constant else float(values.std()),
        percentile_1=float(ordered[low]),
        percentile_99=float(ordered[high]),
    )


def _rank(n: int, percent: int) -> int:
    """Return the rank from 1 of the smallest value that at least this share of n values does not exceed."""
    return max(1, -(-n * percent // 100))
