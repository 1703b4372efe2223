"""One scale for the wells of a treatment and the controls beside them, whatever profiles were scaled on.

Profiles are usually scaled on the very controls that a treatment is compared with. Features whose scale came out too
small by chance then decide the directions of all other wells of that plate, and of the controls themselves they do not:
treated wells of one plate resemble and oppose one another more than controls do. Over plates it cancels out, since each
plate errs in its own way; within one it does not. Dividing each feature of a pool by its spread there is the same for
every deal, and takes back whatever a plate's features were shifted and multiplied by before.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.designs import Layout

CONTROLS_A_REPLICATE = 16
"""Of each replicate: from so many on their scale does no harm (`benchmarks/several_replicates.py`)."""
_ROUNDING = 1e-12
"""A spread below this share of the largest value of a feature comes from adding floats, not from wells."""


def needs_one_scale(layout: Layout) -> bool:
    """Return whether a plate holds several replicates of a treatment and few controls for each of them."""
    return any(
        drawn > 1 and controls < CONTROLS_A_REPLICATE * drawn
        for controls, drawn in zip(layout.n_controls, layout.n_drawn, strict=True)
    )


def on_one_scale(
    controls: NDArray[np.floating],
    control_plates: NDArray[np.integer],
    replicates: NDArray[np.floating],
    replicate_plates: NDArray[np.integer],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return controls (C, D) and replicates (R, D), each feature with mean 0 and standard deviation 1 on every plate.

    A feature that does not vary on a plate is 0 there. Adding a number to a feature of a plate, or multiplying it by
    one above 0, changes nothing but rounding.

    Args:
        controls: (C, D), finite.
        control_plates: (C,), any integers, one a plate.
        replicates: (R, D), of one treatment.
        replicate_plates: (R,).
    """
    scaled_controls, scaled_replicates = np.empty(controls.shape), np.empty(replicates.shape)
    for plate in np.unique(replicate_plates):
        is_control, is_own = control_plates == plate, replicate_plates == plate
        pool = _standardized(np.vstack([controls[is_control], replicates[is_own]]).astype(np.float64))
        n_controls = np.count_nonzero(is_control)
        scaled_controls[is_control], scaled_replicates[is_own] = pool[:n_controls], pool[n_controls:]
    return scaled_controls, scaled_replicates


def on_own_scale(controls: NDArray[np.floating], plates: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return controls (C, D), each feature with mean 0 and standard deviation 1 among those of every plate (C,)."""
    scaled = np.empty(controls.shape)
    for plate in np.unique(plates):
        is_own = plates == plate
        scaled[is_own] = _standardized(controls[is_own].astype(np.float64))
    return scaled


def _standardized(pool: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = pool - pool.mean(axis=0)
    spread = np.sqrt(np.square(centred).mean(axis=0))
    is_rounding = spread <= _ROUNDING * np.abs(pool).max(axis=0)
    return np.where(is_rounding, 0.0, centred / np.where(is_rounding, 1.0, spread))
