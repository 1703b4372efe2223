"""One scale for the wells of a treatment and the controls beside them, whatever profiles were scaled on.

Profiles are usually scaled on the very controls that a treatment is compared with. Features whose scale came out too
small by chance then decide the directions of all other wells of that plate, and of the controls themselves they do not:
treated wells of one plate resemble and oppose one another more than controls do, and where features are skewed those
of several plates do, too. Dividing each feature of a pool by its spread there is the same for every deal, and takes
back whatever the features of a plate were shifted and multiplied by before.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.designs import Layout

CONTROLS_A_REPLICATE = 16
"""Of each replicate: from so many on their scale does little harm (`benchmarks/few_controls.py`)."""
_LEAST_SPREAD = 2 / 3
"""Of the mean distance of all wells: that of the nearest alone is a noisy scale, and may be 0."""
_ROUNDING = 1e-12
"""A spread below this share of the largest value of a feature comes from adding floats, not from wells."""


def needs_one_scale(layout: Layout) -> bool:
    """Return whether a plate holds few controls for each of a treatment's replicates."""
    return any(
        controls < CONTROLS_A_REPLICATE * drawn
        for controls, drawn in zip(layout.n_controls, layout.n_drawn, strict=True)
    )


def on_one_scale(
    controls: NDArray[np.floating],
    control_plates: NDArray[np.integer],
    replicates: NDArray[np.floating],
    replicate_plates: NDArray[np.integer],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return controls (C, D) and replicates (R, D), each feature with median 0 and spread 1 on every plate.

    The spread is the mean distance from the median, of as many wells of a plate as there are controls, those that lie
    nearest, and at least two thirds of that of all: a treatment that shifts few features far keeps them far out. A
    feature that does not vary on a plate is 0 there. Adding a number to a feature of a plate, or multiplying it by one
    above 0, changes nothing but rounding.

    Args:
        controls: (C, D), finite.
        control_plates: (C,), any integers, one a plate.
        replicates: (R, D), of one treatment.
        replicate_plates: (R,).
    """
    scaled_controls, scaled_replicates = np.empty(controls.shape), np.empty(replicates.shape)
    for plate in np.unique(replicate_plates):
        is_control, is_own = control_plates == plate, replicate_plates == plate
        n_controls = int(is_control.sum())
        pool = np.vstack([controls[is_control], replicates[is_own]]).astype(np.float64)
        scaled = _scaled(pool, n_nearest=max(n_controls, (len(pool) + 1) // 2))
        scaled_controls[is_control], scaled_replicates[is_own] = scaled[:n_controls], scaled[n_controls:]
    return scaled_controls, scaled_replicates


def on_own_scale(controls: NDArray[np.floating], plates: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return controls (C, D), each feature with median 0 and spread 1 among those of every plate (C,)."""
    scaled = np.empty(controls.shape)
    for plate in np.unique(plates):
        own = controls[plates == plate].astype(np.float64)
        scaled[plates == plate] = _scaled(own, n_nearest=len(own))
    return scaled


def _scaled(pool: NDArray[np.float64], *, n_nearest: int) -> NDArray[np.float64]:
    """Return wells (n, D) less their median, divided by the mean distance of the nearest from it."""
    largest = np.abs(pool).max(axis=0)
    unit = pool / np.where(largest > 0, largest, 1.0)  # squares of what is huge or tiny are no numbers
    centred = unit - np.median(unit, axis=0)
    distances = np.sort(np.abs(centred), axis=0)
    spread = np.maximum(distances[:n_nearest].mean(axis=0), _LEAST_SPREAD * distances.mean(axis=0))
    is_rounding = spread <= _ROUNDING
    return np.where(is_rounding, 0.0, centred / np.where(is_rounding, 1.0, spread))
