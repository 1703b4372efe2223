"""The mean of every position over plates taken out, where layouts are shuffled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.profiling.corrections.correction import Corrected, Design
from hcs.profiling.corrections.position import (
    FIXED_SHARE,
    PlateSet,
    places_of,
    same_perturbation_share,
    tested_p,
)

FEWEST_AT_POSITION = 4
"""Wells that a position's mean is taken of."""


def well_position_means(values: NDArray[np.floating], design: Design) -> Corrected:
    """Return the profiles less the mean of their position over all plates, where the test finds an effect.

    Each well counts as its difference from the mean of its plate, negative controls from the mean of controls, so that
    the level of a plate and the distance between controls and treated wells stay. Plates of all batches count together,
    as for the profiles of JUMP: a mean needs many plates. Positions with fewer than 4 wells are left as they are.

    Raises:
        InputRejectedError: If wells have no position, no position has 4 wells, perturbations are not known, or the
            layout is fixed: the mean of a position is then the treatment itself.
    """
    rows, columns = places_of(design)
    _refuse_fixed(design)
    position = np.unique(np.column_stack([rows, columns]), axis=0, return_inverse=True)[1].reshape(-1)
    shared = np.flatnonzero(np.bincount(position)[position] >= FEWEST_AT_POSITION)
    if not len(shared):
        raise InputRejectedError(
            f"positions with at least {FEWEST_AT_POSITION} wells over all plates are expected, but there is none; "
            "choose a correction that works on one plate, such as median-polish"
        )
    p_value = tested_p(values, design, shared, [position[shared]])
    tested = PlateSet("all plates", np.arange(len(values)), p_value, f"{len(shared)} wells")
    notes = [tested.note("position effects", "means of positions removed", "left as they were")]
    if not tested.is_corrected:
        return Corrected(values, "nothing", 0, tuple(notes))
    corrected = np.array(values, copy=True)
    corrected[shared] = values[shared] - _means(values[shared], design, shared, position[shared])
    n_left = len(values) - len(shared)
    if n_left:
        notes.append(f"{n_left} wells in positions with fewer than {FEWEST_AT_POSITION} were left as they were")
    return Corrected(corrected, f"{len(shared):,} wells, labels ignored", len(shared), tuple(notes))


def _means(
    values: NDArray[np.floating], design: Design, chosen: NDArray[np.intp], position: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the mean difference in each well's position, (N, D)."""
    differences = np.asarray(values, dtype=np.float64).copy()
    strata = 2 * design.plates[chosen] + design.is_negcon[chosen]
    for stratum in np.unique(strata):
        differences[strata == stratum] -= differences[strata == stratum].mean(axis=0)
    places, place = np.unique(position, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(place))[:-1]])
    sums = np.add.reduceat(differences[order], starts, axis=0)
    means: NDArray[np.float64] = (sums / np.bincount(place, minlength=len(places))[:, None])[place]
    return means


def _refuse_fixed(design: Design) -> None:
    share = same_perturbation_share(design)
    if share is None:
        raise InputRejectedError(
            "means of positions need wells whose perturbation is known in positions that occur on several plates, to "
            "see that layouts differ, but there are none; name the column of the perturbations, or choose median-polish"
        )
    if share > FIXED_SHARE:
        raise InputRejectedError(
            f"layouts that differ between plates are expected, but {share:.0%} of the other wells in a treated well's "
            f"position hold the same perturbation (at most {FIXED_SHARE:.0%} may): the layout is fixed, and the "
            "mean of a position is the treatment itself; choose median-polish or loess"
        )
