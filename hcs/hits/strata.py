"""Wells that may be compared: those of one cell line and one time point."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError


def in_stratum_of(rows: NDArray[np.intp], *, strata: NDArray[np.integer] | None, n_wells: int) -> NDArray[np.bool_]:
    """Return which wells are of the stratum of these rows; all of them where there are no strata.

    Args:
        rows: The wells of one treatment.
        strata: (N,), any integers, one a cell line and time point; None where the screen has one.
        n_wells: N.

    Raises:
        InputRejectedError: If the rows lie in more than one stratum: what a treatment does in one cell line is no
            replicate of what it does in another.
    """
    if strata is None:
        return np.ones(n_wells, dtype=np.bool_)
    found = np.unique(strata[rows])
    if len(found) > 1:
        raise InputRejectedError(
            f"the replicates of a treatment are expected in one stratum, a cell line at a time point, but its "
            f"{len(rows)} wells lie in {len(found)}; call it in each of them by itself"
        )
    return np.asarray(np.isin(strata, found))
