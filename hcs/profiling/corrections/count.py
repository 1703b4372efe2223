"""What follows the number of cells taken out, as far as it does so among negative controls."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.profiling.corrections.correction import Corrected, Design
from hcs.profiling.corrections.position import batches_of, plates_of

FEWEST_CONTROLS = 16
"""Of a batch, with a count; a slope from fewer is noise."""


def cell_count(values: NDArray[np.floating], design: Design) -> Corrected:
    """Return the profiles less what the number of cells explains among negative controls.

    In each batch one slope a feature is fitted on the fitted negative controls, each counted from its plate's mean.
    Counts of other wells are cut to the range of the plate's controls before the slope is applied: beyond it nothing
    is known, and a toxic treatment's few cells are its effect and stay in its profile.

    Raises:
        InputRejectedError: If no batch has 16 fitted controls with counts that differ.
    """
    if design.cell_counts is None:
        raise InputRejectedError("counts of cells are needed, but none came; name their column with --count")
    counts = np.where(np.isfinite(design.cell_counts), design.cell_counts, np.nan)
    corrected = np.array(values, copy=True)
    notes: list[str] = []
    n_fitted = 0
    for name, batch in batches_of(design):
        controls = batch[design.is_negcon[batch] & design.is_fitted[batch] & ~np.isnan(counts[batch])]
        slope = _slope(values, counts, design, controls)
        if slope is None:
            notes.append(
                f"{name}: {len(controls)} fitted negative controls have counts, where at least {FEWEST_CONTROLS} that "
                "differ are needed; left as it was"
            )
            continue
        n_fitted += len(controls)
        for plate in plates_of(design, batch):
            away, note = _cells_away(counts[plate], counts[np.intersect1d(plate, controls)])
            corrected[plate] = values[plate] - away[:, None] * slope
            notes += [f"{name}: {note}"] if note else []
    if not n_fitted:
        raise InputRejectedError(
            f"at least {FEWEST_CONTROLS} negative controls of a batch with differing counts of cells are expected, but "
            f"no batch has them: {notes[0]}"
        )
    return Corrected(corrected, f"{n_fitted:,} negative controls with counts", n_fitted, tuple(notes))


def _slope(
    values: NDArray[np.floating], counts: NDArray[np.float64], design: Design, controls: NDArray[np.intp]
) -> NDArray[np.float64] | None:
    """Return what one cell more adds to each feature, (D,), by least squares within plates; None if none can tell."""
    if len(controls) < FEWEST_CONTROLS:
        return None
    products, squares = np.zeros(values.shape[1]), 0.0
    for plate in plates_of(design, controls):
        centred = counts[plate] - counts[plate].mean()
        products += centred @ (values[plate] - values[plate].mean(axis=0, dtype=np.float64))
        squares += float(centred @ centred)
    if squares <= 1e-12 * float((counts[controls] ** 2).sum()):
        return None
    return np.asarray(products / squares)


def _cells_away(
    counts: NDArray[np.float64], of_controls: NDArray[np.float64]
) -> tuple[NDArray[np.float64], str | None]:
    """Return how far each well of a plate is from the mean control, cut to their range, and what a person must know."""
    if not len(of_controls):
        note = f"a plate of {len(counts)} wells without fitted controls that have counts, left as it was"
        return np.zeros(len(counts)), note
    is_counted = ~np.isnan(counts)
    away = np.clip(counts, of_controls.min(), of_controls.max()) - of_controls.mean()
    n_missing = int((~is_counted).sum())
    note = f"{n_missing} wells of a plate without a count, left as they were"
    return np.where(is_counted, away, 0.0), note if n_missing else None
