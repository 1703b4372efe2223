"""Row and column effects of every plate taken out by median polish, and the B score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.profiling.corrections.correction import Corrected, Design
from hcs.profiling.corrections.position import PlateSet, places_of, plates_of, tested_sets
from hcs.statistics.plate_polish import polish_plate
from hcs.statistics.robust import MAD_TO_SD
from hcs.statistics.threads import on_threads

FEWEST_WELLS = 24
"""Of a plate; medians of lines with fewer wells follow the wells themselves."""


@dataclass(frozen=True)
class _Polished:
    """What was found on one plate."""

    rows: NDArray[np.intp]
    """Of the table."""
    effects: NDArray[np.float64]
    """(N, D), of the places of these wells."""
    n_control_lines: int


def median_polish(values: NDArray[np.floating], design: Design) -> Corrected:
    """Return the profiles less what rows and columns add, plate by plate, in the sets where the test finds they do.

    The level of a plate stays. A row or column most of whose wells are negative controls is given no effect of its own,
    since being a control could not be told from it.

    Raises:
        InputRejectedError: If wells have no position, or a plate has too few wells.
    """
    sets, plates = _polished(values, design)
    corrected = np.array(values, copy=True)
    for plate in plates:
        corrected[plate.rows] = values[plate.rows] - plate.effects
    done = "rows and columns polished"
    return Corrected(corrected, *_fitted_on(plates), _notes(sets, plates, done, "left as it was"))


def b_score(values: NDArray[np.floating], design: Design) -> Corrected:
    """Return the B score: what median polish leaves, less the plate's median, over the plate's 1.4826 MAD.

    C. Brideau et al. 2003, J Biomol Screen 8:634. Plates where position makes no difference are centred and scaled
    without polish, so that all have one unit. A feature that does not vary on a plate is 0 there.

    Raises:
        InputRejectedError: If wells have no position, or a plate has too few wells.
    """
    sets, plates = _polished(values, design)
    corrected = np.asarray(values, dtype=np.float64).copy()
    for plate in plates:
        corrected[plate.rows] -= plate.effects
    n_flat = 0
    for rows in plates_of(design, np.arange(len(values))):
        left = corrected[rows] - np.median(corrected[rows], axis=0)
        scale = MAD_TO_SD * np.median(np.abs(left), axis=0)
        is_flat = scale <= 1e-12 * np.abs(values[rows]).max(axis=0)
        n_flat += int(is_flat.sum())
        corrected[rows] = np.where(is_flat, 0.0, left / np.where(is_flat, 1.0, scale))
    n_plates = len(np.unique(design.plates))
    notes = _notes(sets, plates, "rows and columns polished, then scaled by plate", "scaled by plate without polish")
    if n_flat:
        notes += (f"{n_flat} times a feature does not vary on a plate, and is 0 there",)
    made = corrected.astype(values.dtype)
    return Corrected(made, f"all {len(values):,} wells of {n_plates} plates, labels ignored", len(values), notes)


def _polished(values: NDArray[np.floating], design: Design) -> tuple[list[PlateSet], list[_Polished]]:
    rows, columns = places_of(design)
    _check_plates(design)
    sets = tested_sets(values, design)
    plates = [plate for one in sets if one.is_corrected for plate in plates_of(design, one.rows)]
    shape = int(rows.max()) + 1, int(columns.max()) + 1

    def polish(plate: NDArray[np.intp]) -> _Polished:
        effects, n_lines = _effects(values[plate], design.is_negcon[plate], rows[plate], columns[plate], shape)
        return _Polished(plate, effects, n_lines)

    return sets, on_threads(polish, plates, n_threads=None)


def _effects(
    values: NDArray[np.floating],
    is_negcon: NDArray[np.bool_],
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    shape: tuple[int, int],
) -> tuple[NDArray[np.float64], int]:
    """Return what the places of a plate's wells add, (N, D), and how many lines of controls were not looked at."""
    is_of_controls = [_mostly(is_negcon, line, n) for line, n in zip((rows, columns), shape, strict=True)]
    n_lines = int(is_of_controls[0].sum() + is_of_controls[1].sum())
    is_used = ~(is_of_controls[0][rows] | is_of_controls[1][columns])
    if not is_used.any():
        return np.zeros(values.shape), n_lines
    found = polish_plate(values[is_used], rows[is_used], columns[is_used], n_rows=shape[0], n_columns=shape[1])
    return found.rows[rows] + found.columns[columns], n_lines


def _mostly(is_negcon: NDArray[np.bool_], line: NDArray[np.intp], n_lines: int) -> NDArray[np.bool_]:
    """Return the lines with more negative controls than other wells, (L,)."""
    n_controls = np.bincount(line, weights=is_negcon, minlength=n_lines)
    return np.asarray(2 * n_controls > np.bincount(line, minlength=n_lines))


def _fitted_on(plates: list[_Polished]) -> tuple[str, int]:
    n_wells = sum(len(plate.rows) for plate in plates)
    return (f"all {n_wells:,} wells of {len(plates)} plates, labels ignored" if plates else "nothing"), n_wells


def _notes(sets: list[PlateSet], plates: list[_Polished], done: str, left: str) -> tuple[str, ...]:
    notes = tuple(one.note("row and column effects", done, left) for one in sets)
    n_lines = sum(plate.n_control_lines for plate in plates)
    if n_lines:
        notes += (
            f"{n_lines} rows or columns of plates hold mostly negative controls: no effect of theirs was removed",
        )
    return notes


def _check_plates(design: Design) -> None:
    n_wells = np.bincount(design.plates)
    few = np.flatnonzero((n_wells > 0) & (n_wells < FEWEST_WELLS))
    if len(few):
        raise InputRejectedError(
            f"plates with at least {FEWEST_WELLS} wells are expected for a median polish, but {len(few)} have fewer, "
            f"one of them {n_wells[few[0]]}; leave them out, or choose another correction"
        )
