"""How strong every treatment is, by five measures that do not ask the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.hits.finite import refuse_missing
from hcs.hits.magnitude_mahalanobis import white_wells
from hcs.hits.repeated import refuse_repeated_wells
from hcs.statistics.energy import energy_test
from hcs.statistics.grit import grit
from hcs.statistics.multiple_testing import benjamini_hochberg

MAD_TO_SD = 1.4826
INDUCED = 3.0
"""Robust z beyond which a feature counts as induced."""


def magnitudes(
    profiles: NDArray[np.floating],
    *,
    plates: Sequence[str],
    wells: Sequence[str],
    perturbations: Sequence[str],
    is_control: NDArray[np.bool_],
    groups: Sequence[str] | None = None,
    seed: int = 0,
) -> pl.DataFrame:
    """Return one row a perturbation, sorted, controls left out.

    - `mahalanobis`: length of the mean deviation of its wells from their plates' controls, whitened by the shrunk
      covariance of the controls of other plates; `mahalanobis_ratio`: that in lengths which as many control wells have,
      1 in their root mean square.
    - `induction_percent`: features whose median robust z over its wells, by the controls of each plate, is beyond 3.
    - `grit`: how many standard deviations of controls its profiles are closer (Pearson) to their group than to
      controls. Without `groups`, its wells are held against one another, and the mean over wells is given.
    - `energy_distance` of its wells from the controls of their plates, with the p-value of the E-test and its q-value.

    What cannot be had is null: a plate without controls counts for nothing, grit needs another profile of the group.

    Args:
        profiles: (N, D), finite.
        plates: (N,).
        wells: (N,), names.
        perturbations: (N,).
        is_control: (N,).
        groups: (N,), such as the gene that guides target.
        seed: Of the deals of the E-test.

    Raises:
        InputRejectedError: If a profile is not finite, a well comes twice, or controls are too few for a covariance.
    """
    values = np.asarray(profiles, dtype=np.float64)
    _check(values, plates, wells, is_control)
    plate_numbers = np.unique(np.asarray(plates, dtype=np.str_), return_inverse=True)[1]
    names, numbers = np.unique(np.asarray(perturbations, dtype=np.str_), return_inverse=True)
    white = white_wells(values, plate_numbers, list(wells), is_control)
    induced = _robust_z(values, plate_numbers, is_control)
    gritty = _grit(values, numbers, groups, is_control)
    rows = []
    for number in np.unique(numbers[~is_control]):
        own = np.flatnonzero((numbers == number) & ~is_control)
        used = own[white.n_references[own] > 0]
        length, ratio = white.length(own, plate_numbers)
        on_plates = np.flatnonzero(is_control & np.isin(plate_numbers, plate_numbers[used]))
        pool = np.concatenate([used, on_plates])
        test = energy_test(values[pool], plate_numbers[pool], np.isin(pool, used), seed=seed) if len(used) else None
        rows.append(
            {
                "perturbation": str(names[number]),
                "n_replicates": len(used),
                "n_plates": len(np.unique(plate_numbers[used])),
                "n_controls": len(on_plates),
                "mahalanobis": length,
                "mahalanobis_ratio": ratio,
                "induction_percent": _induction(induced[used]),
                "grit": gritty[number],
                "energy_distance": test.distance if test else None,
                "energy_p_value": test.p_value if test else None,
                "energy_smallest_possible_p": test.smallest_possible_p if test else None,
            }
        )
    table = pl.DataFrame(rows, infer_schema_length=None)
    q_values = benjamini_hochberg(table["energy_p_value"].cast(pl.Float64).fill_null(np.nan).to_numpy())
    floats = [name for name, kind in table.schema.items() if kind.is_float()]
    return table.with_columns(energy_q_value=pl.Series(q_values)).with_columns(
        pl.col(*floats, "energy_q_value").fill_nan(None)
    )


def _robust_z(
    values: NDArray[np.float64], plates: NDArray[np.intp], is_control: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return values in robust standard deviations of the controls of their plate; NaN where these do not vary."""
    z = np.full_like(values, np.nan)
    for plate in np.unique(plates[is_control]):
        on_plate = plates == plate
        controls = values[on_plate & is_control]
        middle = np.median(controls, axis=0)
        spread = MAD_TO_SD * np.median(np.abs(controls - middle), axis=0)
        np.divide(
            values[on_plate] - middle, spread, out=(scaled := np.full_like(values[on_plate], np.nan)), where=spread > 0
        )
        z[on_plate] = scaled
    return z


def _induction(z: NDArray[np.float64]) -> float | None:
    is_known = np.isfinite(z).all(axis=0) if len(z) else np.zeros(0, dtype=np.bool_)
    if not is_known.any():
        return None
    return 100 * float((np.abs(np.median(z[:, is_known], axis=0)) > INDUCED).mean())


def _grit(
    values: NDArray[np.float64],
    numbers: NDArray[np.intp],
    groups: Sequence[str] | None,
    is_control: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return grit by perturbation number."""
    if groups is not None:
        of = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)[1]
        return grit(values, perturbations=numbers, groups=of, is_control=is_control)
    of_wells = grit(values, perturbations=np.arange(len(values)), groups=numbers, is_control=is_control)
    found = np.full(int(numbers.max()) + 1, np.nan)
    for number in np.unique(numbers[~is_control]):
        own = of_wells[(numbers == number) & ~is_control]
        if np.isfinite(own).any():
            found[number] = np.nanmean(own)
    return found


def _check(
    values: NDArray[np.float64], plates: Sequence[str], wells: Sequence[str], is_control: NDArray[np.bool_]
) -> None:
    refuse_missing(values, np.arange(len(values)), name=lambda row: f"well {wells[row]} of plate {plates[row]}")
    refuse_repeated_wells(plates, wells)
    n_controls = int(is_control.sum())
    if not 0 < n_controls < len(values):
        raise InputRejectedError(
            f"negative controls and other wells are expected, but {n_controls} of {len(values)} wells are controls"
        )
