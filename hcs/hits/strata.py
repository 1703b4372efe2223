"""Wells that may be compared: those of one cell line and one time point."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError


def stratum_of(rows: NDArray[np.intp], *, strata: NDArray[np.integer] | None) -> int:
    """Return the stratum of these rows; 0 where there are no strata.

    Args:
        rows: The wells of one treatment.
        strata: (N,), any integers, one a cell line and time point; None where the screen has one.

    Raises:
        InputRejectedError: If the rows lie in more than one stratum: what a treatment does in one cell line is no
            replicate of what it does in another.
    """
    found = [0] if strata is None else np.unique(strata[rows]).tolist()
    if len(found) > 1:
        raise InputRejectedError(
            f"the replicates of a treatment are expected in one stratum, a cell line at a time point, but its "
            f"{len(rows)} wells lie in {len(found)}; call it in each of them by itself"
        )
    return int(found[0])


def in_stratum_of(rows: NDArray[np.intp], *, strata: NDArray[np.integer] | None, n_wells: int) -> NDArray[np.bool_]:
    """Return which of N wells are of the stratum of these rows, as `stratum_of` says; all where there are no strata."""
    stratum = stratum_of(rows, strata=strata)
    return np.ones(n_wells, dtype=np.bool_) if strata is None else np.asarray(strata == stratum)
