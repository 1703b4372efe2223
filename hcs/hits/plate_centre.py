"""How far treatments lie from the middle of their plates, for screens whose negative controls may not be trusted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcs.hits.treatments import ScreenWells
from hcs.statistics.robust import spatial_median


def effects_from_plate_centre(screen: ScreenWells) -> NDArray[np.float64]:
    """Return the effect of each treatment against all wells of its plates, (T,), in the order of `screen.treatments`.

    As `hcs.hits.effect` defines it, with two changes: a plate's controls are all of its wells, and their mean and
    variance are robust ones, the spatial median and the median squared distance from it. Where most treatments are
    inactive it is much like `effect`; where most are active, what they share is taken for the middle. NaN where all
    wells of the plates are alike.
    """
    plates = np.unique(screen.plates)
    centres = np.empty((len(plates), screen.profiles.shape[1]))
    variances = np.empty(len(plates))
    for plate in plates:
        wells = screen.profiles[screen.plates == plate].astype(np.float64)
        centres[plate] = spatial_median(wells)
        squares = np.square(wells - centres[plate]).sum(axis=1)
        variances[plate] = np.median(squares)
    effects = np.full(len(screen.treatments), np.nan)
    for number, treatment in enumerate(screen.treatments):
        on = screen.plates[treatment.wells]
        total = (screen.profiles[treatment.wells] - centres[on]).sum(axis=0)
        variance = float(variances[on].sum())
        if variance > 0:
            effects[number] = np.sqrt(float(total @ total) / variance)
    return effects
