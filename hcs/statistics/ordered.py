"""Quantiles of every feature at once, read off sorted columns; missing values are left out.

A column is sorted once and gives its median, its quartiles and how many of its values are measured. That is exact, and
the same bits for any order of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SortedColumns:
    """The values of D features in N rows, each feature's in rising order."""

    values: NDArray[np.floating]
    """(D, N), NaN at the end."""
    n_measured: NDArray[np.intp]
    """(D,), values that are not NaN."""

    @property
    def median(self) -> NDArray[np.float64]:
        """Return the middle value or the mean of the two, (D,); NaN where nothing is measured."""
        upper = self._at(self.n_measured // 2)
        return np.where(self.n_measured % 2, upper, (self._at((self.n_measured - 1) // 2) + upper) / 2.0)

    def quantile(self, share: float) -> NDArray[np.float64]:
        """Return the value below which this share lies, (D,), linear between neighbours as numpy's default."""
        place = np.maximum(self.n_measured - 1, 0) * share
        below = np.floor(place).astype(np.intp)
        low, high = self._at(below), self._at(np.minimum(below + 1, np.maximum(self.n_measured - 1, 0)))
        return np.where(place > below, low + (high - low) * (place - below), low)

    def _at(self, place: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return each feature's value at this place; place 0 of a feature without any value is NaN."""
        features = np.arange(len(self.values))
        return self.values[features, np.clip(place, 0, self.values.shape[1] - 1)].astype(np.float64)


def sort_columns(values: NDArray[np.floating]) -> SortedColumns:
    """Return the columns of a matrix (N, D), N at least 1, in rising order."""
    columns = np.sort(np.ascontiguousarray(values.T), axis=1)  # NaN goes to the end
    if not np.isnan(columns[:, -1]).any():
        return SortedColumns(columns, np.full(len(columns), columns.shape[1], dtype=np.intp))
    return SortedColumns(columns, (~np.isnan(columns)).sum(axis=1))


def median_deviation(columns: SortedColumns, centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of |x - centre| of every feature, (D,), in float64."""
    deviations = np.subtract(columns.values, centre[:, None], dtype=np.float64)
    np.abs(deviations, out=deviations)
    deviations.sort(axis=1)
    return SortedColumns(deviations, columns.n_measured).median
