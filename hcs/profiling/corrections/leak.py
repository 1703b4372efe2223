"""How far negative controls that a correction was not fitted on lie out, in lengths of those that it was."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.profiling.corrections.correction import Correction, Design


def held_out_ratio(values: NDArray[np.floating], design: Design) -> float:
    """Return the root mean square length of held-out controls over that of fitted ones.

    1 where a fit learned nothing of its own wells. Above, controls that were fitted on lie nearer to the origin than
    wells like them, and comparing treated wells with them makes inactive ones look active.

    Args:
        values: (W, D), corrected; lengths are from the origin.
        design: Which controls were fitted on.

    Returns:
        At least 0; infinite where all fitted controls lie at the origin and others do not.

    Raises:
        InputRejectedError: If there are no fitted or no held-out controls.
    """
    fitted, held_out = design.is_negcon & design.is_fitted, design.held_out
    if not fitted.any() or not held_out.any():
        raise InputRejectedError(
            "fitted and held-out negative controls are expected, but there are "
            f"{int(fitted.sum())} and {int(held_out.sum())}; fit on one half of every plate's controls"
        )
    of_fitted, of_held_out = (_root_mean_square(values[rows]) for rows in (fitted, held_out))
    if of_fitted == 0:
        return 1.0 if of_held_out == 0 else math.inf
    return of_held_out / of_fitted


def leak(correction: Correction, values: NDArray[np.floating], design: Design) -> float:
    """Return by how much a correction draws the controls that it is fitted on nearer than others.

    The ratio after it over the ratio before it, so that halves which differed already do not count.

    Args:
        correction: Any.
        values: (W, D), normalized.
        design: Which controls it may be fitted on.

    Raises:
        InputRejectedError: If there are no fitted or no held-out controls, or the correction refuses these wells.
    """
    return held_out_ratio(correction(values, design).values, design) / held_out_ratio(values, design)


def _root_mean_square(rows: NDArray[np.floating]) -> float:
    return math.sqrt(float(np.einsum("nd,nd->", rows, rows, dtype=np.float64)) / len(rows))
