"""Where the values of a feature lie and how far they spread, in three conventions; missing values are left out."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.ordered import median_deviation, sort_columns
from hcs.statistics.robust import MAD_TO_SD

Scaling = Literal["mad_robustize", "robustize", "standardize"]

_ROWS_AT_ONCE = 64


def centre_and_scale(
    values: NDArray[np.floating], *, scaling: Scaling
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a location and a spread of every feature, (D,) each, float64.

    `mad_robustize` is the median and 1.4826 MAD, `robustize` the median and the distance of the quartiles,
    `standardize` the mean and the standard deviation with N below the sum. All three are the numbers of pycytominer,
    which takes the last two from scikit-learn.

    Args:
        values: (N, D), N at least 1. NaN is left out.
        scaling: The convention.

    Returns:
        NaN where a feature has no value. A spread is exactly 0 where it cannot be told from rounding.
    """
    if scaling == "standardize":
        return _mean_and_deviation(values)
    columns = sort_columns(values)
    median = columns.median + 0.0  # -0.0 and 0.0 compare equal, so which one stands in the middle depends on the order
    if scaling == "mad_robustize":
        return median, MAD_TO_SD * median_deviation(columns, median)
    spread = columns.quantile(0.75) - columns.quantile(0.25)
    return median, np.where(spread < 10 * np.finfo(values.dtype).eps, 0.0, spread)


def _mean_and_deviation(values: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    n, mean, squares = _moments(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = squares / n
    # The bound of Chan, Golub and LeVeque (1983) on the error of a variance from two passes, as scikit-learn has it.
    eps = np.finfo(np.float64).eps
    is_rounding = variance <= n * eps * variance + (n * mean * eps) ** 2
    return mean, np.where(is_rounding, 0.0, np.sqrt(variance))


def _moments(
    values: NDArray[np.floating],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return how many values each feature has, their mean, and the sum of squares about it, in two passes."""
    n = np.full(values.shape[1], float(len(values)))
    total = values.sum(axis=0, dtype=np.float64)
    has_gaps = bool(np.isnan(total).any())
    if has_gaps:
        n -= np.isnan(values).sum(axis=0)
        total = np.nansum(values, axis=0, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / n
    squares = np.zeros(values.shape[1])
    for start in range(0, len(values), _ROWS_AT_ONCE):
        centred = np.subtract(values[start : start + _ROWS_AT_ONCE], mean, dtype=np.float64)
        if has_gaps:
            np.nan_to_num(centred, copy=False, posinf=np.inf, neginf=-np.inf)
        squares += np.einsum("nd,nd->d", centred, centred)
    return n, mean, squares
