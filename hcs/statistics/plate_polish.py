"""Tukey's median polish of a plate, for all features at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SWEEPS = 10
"""As in the B score of C. Brideau et al. 2003, J Biomol Screen 8:634."""

_SETTLED = 1e-6


@dataclass(frozen=True)
class PlateEffects:
    """What a plate's rows and columns add to its wells, for D features."""

    overall: NDArray[np.float64]
    """(D,), what all wells have in common."""
    rows: NDArray[np.float64]
    """(R, D), with median 0 over the rows that have a well; 0 for the others."""
    columns: NDArray[np.float64]
    """(C, D), likewise."""


def polish_plate(
    values: NDArray[np.floating], rows: NDArray[np.intp], columns: NDArray[np.intp], *, n_rows: int, n_columns: int
) -> PlateEffects:
    """Return what rows and columns of a plate add, by median polish.

    In turn the median of every row and of every column is taken out of what is left, until another sweep changes next
    to nothing, and 10 times at most. `hcs.statistics.polish.median_polish` does so for one table, to convergence.

    Args:
        values: (N, D), finite, N at least 1; no two wells in one place.
        rows: (N,), from 0.
        columns: (N,), from 0.
        n_rows: R, of the plate.
        n_columns: C.
    """
    left = np.full((n_rows, n_columns, values.shape[1]), np.nan)
    left[rows, columns] = values
    of_rows, of_columns = np.zeros((n_rows, values.shape[1])), np.zeros((n_columns, values.shape[1]))
    tolerance = _SETTLED * np.ptp(values, axis=0)
    for _ in range(SWEEPS):
        step = _medians(left)
        left -= step[:, None]
        of_rows += step
        change = np.abs(step).max(axis=0)
        step = _medians(left.swapaxes(0, 1))
        left -= step
        of_columns += step
        if (np.maximum(change, np.abs(step).max(axis=0)) <= tolerance).all():
            break
    has_row, has_column = np.zeros(n_rows, dtype=np.bool_), np.zeros(n_columns, dtype=np.bool_)
    has_row[rows], has_column[columns] = True, True
    middle_row, middle_column = np.median(of_rows[has_row], axis=0), np.median(of_columns[has_column], axis=0)
    return PlateEffects(
        overall=middle_row + middle_column,
        rows=np.where(has_row[:, None], of_rows - middle_row, 0.0),
        columns=np.where(has_column[:, None], of_columns - middle_column, 0.0),
    )


def _medians(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median over the second axis of what is there, (L, D); 0 for a line without a well."""
    n = (~np.isnan(table[:, :, :1])).sum(axis=1, keepdims=True)  # a well has all features or none
    ordered = np.sort(table, axis=1)  # NaN goes to the end
    low = np.take_along_axis(ordered, np.maximum(n - 1, 0) // 2, axis=1)[:, 0]
    high = np.take_along_axis(ordered, np.minimum(n // 2, table.shape[1] - 1), axis=1)[:, 0]
    return np.where(n[:, 0] > 0, (low + high) / 2.0, 0.0)
