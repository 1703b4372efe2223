"""Which features hold what is not a finite number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ROWS_AT_ONCE = 512


def not_finite(values: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return the features that are NaN or infinite in a row, rising; far sooner than by a look at every value.

    Args:
        values: (N, D).
    """
    is_suspect = np.zeros(values.shape[1], dtype=np.bool_)
    with np.errstate(invalid="ignore", over="ignore"):
        for start in range(0, len(values), _ROWS_AT_ONCE):
            # A sum of finite values can overflow, but no other one is finite.
            is_suspect |= ~np.isfinite(values[start : start + _ROWS_AT_ONCE].sum(axis=0))
    suspects = np.flatnonzero(is_suspect)
    bad: NDArray[np.intp] = suspects[~np.isfinite(values[:, suspects]).all(axis=0)]
    return bad
