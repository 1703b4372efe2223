"""Profiles with missing or infinite values are refused, and the feature is named."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError


def refuse_missing(profiles: NDArray[np.floating]) -> None:
    """Raise if a value is NaN or infinite.

    Args:
        profiles: (W, D).

    Raises:
        InputRejectedError: Names the first such feature, counted from 0, and the row.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        suspects = np.flatnonzero(~np.isfinite(profiles.sum(axis=0, dtype=np.float64)))
    for feature in suspects:
        rows = np.flatnonzero(~np.isfinite(profiles[:, feature]))
        if len(rows):
            raise InputRejectedError(
                f"finite values are expected, but feature {feature} is {profiles[rows[0], feature]} in row {rows[0]} "
                f"({len(rows)} rows like it, {len(suspects)} features to look at); leave such features out, as by the "
                "selection step `drop_na`, or fill the gaps"
            )
