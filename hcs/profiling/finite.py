"""Profiles with missing or infinite values are refused, and the feature is named."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.statistics.finite import not_finite


def refuse_missing(profiles: NDArray[np.floating]) -> None:
    """Raise if a value is NaN or infinite.

    Args:
        profiles: (W, D).

    Raises:
        InputRejectedError: Names the first such feature, counted from 0, and the row.
    """
    bad = not_finite(profiles)
    if len(bad):
        rows = np.flatnonzero(~np.isfinite(profiles[:, bad[0]]))
        raise InputRejectedError(
            f"finite values are expected, but feature {bad[0]} is {profiles[rows[0], bad[0]]} in row {rows[0]} "
            f"({len(rows)} rows and {len(bad)} features like it); leave such features out, as by the selection step "
            "`drop_na`, or fill the gaps"
        )
