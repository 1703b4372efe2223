"""What every score asks of profiles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError


def refuse_missing(profiles: NDArray[np.floating], rows: NDArray[np.intp], *, name: Callable[[int], str]) -> None:
    """Refuse profiles with a value that is missing or infinite.

    Args:
        profiles: (N, D).
        rows: Rows that take part.
        name: What a row is called in the message.

    Raises:
        InputRejectedError: If one of these rows has such a value.
    """
    lacking = rows[~np.isfinite(profiles[rows]).all(axis=1)]
    if len(lacking):
        raise InputRejectedError(
            f"every value of a profile must be finite, but {name(int(lacking[0]))} has one that is missing or infinite "
            f"({len(lacking)} such profiles); leave out the features or the rows without a measurement"
        )


def row_name(row: int) -> str:
    """Return what a row of a table is called, counted from 1."""
    return f"row {row + 1}"
