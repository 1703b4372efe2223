"""What rows and columns of a plate add to its wells, and what is left without them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError

MOST_SWEEPS = 500


@dataclass(frozen=True, eq=False)
class PolishedTable:
    """A two-way table taken apart: `overall + rows[i] + columns[j] + residuals[i, j]` is the table.

    Attributes:
        overall: What all values have in common.
        rows: (R,), what each row adds; 0 for a row without a value.
        columns: (C,), what each column adds; 0 for a column without a value.
        residuals: (R, C), what is left; NaN where the table has no value.
        is_settled: Whether another sweep would change nothing: all rows and columns of the residuals have the median 0,
            up to the tolerance.
    """

    overall: float
    rows: NDArray[np.float64]
    columns: NDArray[np.float64]
    residuals: NDArray[np.float64]
    is_settled: bool


def median_polish(table: NDArray[np.float64], *, tolerance: float = 1e-6) -> PolishedTable:
    """Return a table without what its rows and columns add: Tukey's median polish.

    Source: J. W. Tukey 1977, Exploratory Data Analysis, chapters 10 and 11. In turn, rows first, the median of every
    row and of every column is taken out of the residuals and added to the row's and the column's effect, whose own
    medians go to the overall effect. It ends where another sweep would change next to nothing, and after `MOST_SWEEPS`
    in any case; the sizes of the residuals never grow in sum. It is the positional part of the B score (C. Brideau et
    al. 2003, J Biomol Screen 8:634), which also divides the residuals by their scale.

    Medians do not follow a few active wells. But a row or column that is active as a whole, such as a column of
    controls, is taken for an effect of its place and disappears.

    Args:
        table: (R, C), finite, or NaN where there is no value.
        tolerance: It ends where no row has a median beyond this share of the table's largest deviation, right after
            those of the columns were taken out.

    Raises:
        InputRejectedError: If it is no table with rows and columns, or holds an infinite value.
    """
    values = np.asarray(table, dtype=np.float64)
    if values.ndim != 2 or 0 in values.shape or np.isinf(values).any():
        raise InputRejectedError(
            f"a table of finite values with rows and columns is expected, NaN where there is none, but one of shape "
            f"{values.shape} {'with infinite values ' if values.size and np.isinf(values).any() else ''}came"
        )
    residuals, rows, columns = values.copy(), np.zeros(values.shape[0]), np.zeros(values.shape[1])
    known = values[~np.isnan(values)]
    deviation = float(np.abs(known - np.median(known)).max()) if known.size else 0.0
    of_rows, is_settled = _medians(residuals), False
    for _ in range(MOST_SWEEPS):
        residuals -= of_rows[:, None]
        rows += of_rows
        of_columns = _medians(residuals.T)
        residuals -= of_columns
        columns += of_columns
        of_rows = _medians(residuals)
        if is_settled := bool(np.abs(of_rows).max() <= tolerance * deviation):
            break
    return PolishedTable(*_centred(rows, columns, values), residuals, is_settled)


def _centred(
    rows: NDArray[np.float64], columns: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Return the overall effect, to which the medians of rows and columns are moved, and both; empty ones stay 0."""
    is_known = ~np.isnan(values)
    overall, centred = 0.0, []
    for effects, has_value in ((rows, is_known.any(axis=1)), (columns, is_known.any(axis=0))):
        middle = float(np.median(effects[has_value])) if has_value.any() else 0.0
        overall += middle
        centred.append(np.where(has_value, effects - middle, 0.0))
    return overall, centred[0], centred[1]


def _medians(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of the values of every row, (R,); 0 where there are none. Sorting moves NaN behind them."""
    ordered = np.sort(table, axis=1)
    counts = np.count_nonzero(~np.isnan(table), axis=1)
    lines = np.arange(len(table))
    middle = ordered[lines, np.maximum(counts - 1, 0) // 2] / 2 + ordered[lines, counts // 2] / 2
    return np.where(counts > 0, middle, 0.0)
