"""Treatments of a screen that have one well: how far it lies from controls says what no replicate can."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.hits.evidence import NO_OTHER, Evidence
from hcs.hits.singlicates import LEAST_CONTROLS, TOO_FEW_CONTROLS, SingleWells, compare_single_wells
from hcs.hits.treatments import ScreenWells
from hcs.statistics.permutation import DesignTest


def with_single_wells(
    evidence: Sequence[Evidence], screen: ScreenWells, *, strata: NDArray[np.integer] | None
) -> list[Evidence]:
    """Return the evidence with a p-value for treatments of one well too, where their stratum has controls for it.

    They are compared as `compare_single_wells` does, with controls of their stratum; `n_controls`
    counts those of the well's plate that p is made with, and `reason` says how p came about, or why there is none.

    Args:
        evidence: Of all treatments of the screen.
        screen: The wells.
        strata: (N,), a number a cell line and time point; None where the screen has one.
    """
    single = [number for number, item in enumerate(evidence) if len(item.replicates) == 1]
    if not single:
        return list(evidence)
    wells = np.array([evidence[number].replicates[0] for number in single], dtype=np.intp)
    known = np.zeros(len(screen.plates), dtype=np.intp) if strata is None else strata
    result = list(evidence)
    for stratum in np.unique(known[wells]):
        members = np.flatnonzero(known[wells] == stratum)
        is_used = screen.is_negcon.copy()
        is_used[wells[members]] = True
        rows = np.flatnonzero(is_used & (known == stratum))
        found = _compared(screen, rows, wells[members])
        place = np.searchsorted(rows, wells[members])
        for member, at in zip(members.tolist(), place.tolist(), strict=True):
            result[single[member]] = _told(evidence[single[member]], found, at)
    return result


def _compared(screen: ScreenWells, rows: NDArray[np.intp], wells: NDArray[np.intp]) -> SingleWells | str:
    """Return how these wells compare among the wells of their stratum, or why that cannot be told."""
    used = screen.profiles[rows].astype(np.float64)
    try:
        return compare_single_wells(
            used,
            np.unique(screen.plates[rows], return_inverse=True)[1],
            screen.positions[rows].tolist(),
            is_control=screen.is_negcon[rows],
            is_asked=np.isin(rows, wells),
        )
    except InputRejectedError as error:
        return str(error)


def _told(item: Evidence, found: SingleWells | str, at: int) -> Evidence:
    """Return the evidence of a treatment with what was found of its well, which is at this place."""
    if item.n_controls < LEAST_CONTROLS:
        return replace(item, reason=f"{item.reason}; {TOO_FEW_CONTROLS}")
    if isinstance(found, str):
        return replace(item, reason=f"{item.reason}; its distance from controls cannot be told: {found}")
    test = DesignTest(
        p_value=float(found.p_values[at]),
        smallest_possible_p=float(found.smallest_possible_p[at]),
        n_scored=int(found.n_references[at]) + 1,
        is_exact=True,
    )
    said = f"p is of its distance from controls, beside those of {found.n_references[at]} held out for it"
    reason = (item.reason or NO_OTHER).replace(NO_OTHER, said)
    return replace(item, test=test, n_controls=int(found.n_controls[at]), reason=reason)
