"""The encoder `named`: four numbers a channel that a person can read, and the baseline that learned ones must beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FEATURE_NAMES = ("mean", "sd", "percentile_99", "texture")
"""Of each channel. A new definition needs a new `schemas.encoders.NAMED_FEATURES_VERSION`, which identifies it."""

_FINE, _COARSE = 2, 8
"""Pixels. One pixel would measure the camera's noise; eight lie within a cell at every usual magnification."""
_SMOOTHEST = 2.0**-20


def named_features(corrected: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return mean, standard deviation, 99th percentile and texture of every channel.

    Texture is log2 of the ratio of two values of the variogram, the mean squared difference of pixels 2 apart and 8
    apart along rows and columns. It does not depend on gain or offset: 0 is as rough near by as far off (noise), and
    each unit below halves what is near by (out of focus, or evenly stained). 0 for a constant channel.

    Args:
        corrected: (C, Y, X), float32, illumination-corrected.

    Returns:
        (C, 4), float32, in the order of `FEATURE_NAMES`; the first three in the file's intensity units.
    """
    return np.array([_describe(plane) for plane in corrected], dtype=np.float32).reshape(-1, len(FEATURE_NAMES))


def _describe(plane: NDArray[np.float32]) -> tuple[float, float, float, float]:
    mean = float(np.mean(plane, dtype=np.float64))
    centred = plane - np.float32(mean)
    sd = float(np.sqrt(np.mean(np.square(centred), dtype=np.float64)))
    rank = -(-plane.size * 99 // 100) - 1
    percentile_99 = float(np.partition(plane, rank, axis=None)[rank])
    return mean, sd, percentile_99, _texture(plane)


def _texture(plane: NDArray[np.float32]) -> float:
    coarse = _mean_squared_difference(plane, _COARSE)
    if coarse == 0:
        return 0.0
    fine = _mean_squared_difference(plane, _FINE)
    return float(np.log2(max(fine / coarse, _SMOOTHEST)))


def _mean_squared_difference(plane: NDArray[np.float32], lag: int) -> float:
    """Return the mean over all pairs of pixels that lie `lag` apart along a row or a column; 0 if there is none."""
    along_columns = np.square(plane[lag:] - plane[:-lag])
    along_rows = np.square(plane[:, lag:] - plane[:, :-lag])
    n_pairs = along_columns.size + along_rows.size
    if n_pairs == 0:
        return 0.0
    return float((along_columns.sum(dtype=np.float64) + along_rows.sum(dtype=np.float64)) / n_pairs)
