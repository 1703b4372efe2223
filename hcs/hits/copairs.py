"""Calls as copairs 0.5.5 makes them: its average precision, its null, its p-values; for comparison with other work."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.hits.calls import with_calls
from hcs.hits.treatments import ScreenWells
from hcs.statistics.configuration_null import NULL_SIZE, configuration_p_values
from hcs.statistics.query_precision import query_precisions


def call_as_copairs(screen: ScreenWells, *, same_plate: bool, q_max: float, seed: int) -> pl.DataFrame:
    """Return one call a treatment, in the order of `screen.treatments`.

    There is no re-centring, no tie-breaking and no permutation: see `hcs.statistics.configuration_null`. Doses are
    families here too, which they are not in copairs. A query without negatives has no average precision, where copairs
    gives it 1.

    Args:
        screen: The wells.
        same_plate: Whether the negatives of a well are the controls of its own plate alone; else those of all plates.
        q_max: Largest false discovery rate of a hit.
        seed: Of the null.

    Returns:
        `perturbation, concentration_micromolar, control_type, n_replicates, n_controls, mean_average_precision,
        p_value, smallest_possible_p, q_value, is_hit, call`.
    """
    number = np.full(len(screen.profiles), -1, dtype=np.intp)
    for place, treatment in enumerate(screen.treatments):
        number[treatment.wells] = place
    n_treatments = len(screen.treatments)
    found = query_precisions(screen.profiles, number, screen.is_negcon, screen.plates if same_plate else None)
    means, p_values = configuration_p_values(
        found.precisions, number[found.rows], found.configurations, n_treatments=n_treatments, seed=seed
    )
    scored = found.rows[~np.isnan(found.precisions)]
    rows = pl.DataFrame(
        {
            "perturbation": [treatment.perturbation for treatment in screen.treatments],
            "concentration_micromolar": pl.Series(
                [treatment.concentration_micromolar for treatment in screen.treatments], dtype=pl.Float64
            ),
            "control_type": [treatment.control_type for treatment in screen.treatments],
            "n_replicates": np.bincount(number[scored], minlength=n_treatments),
            "n_controls": _negatives(screen, number, same_plate=same_plate),
            "mean_average_precision": means,
            "p_value": p_values,
            "smallest_possible_p": np.where(np.isnan(p_values), np.nan, 1 / (1 + NULL_SIZE)),
        }
    ).with_columns(pl.col(pl.Float64).fill_nan(None))
    return with_calls(rows, q_max=q_max, one_well_apart=False)


def _negatives(screen: ScreenWells, numbers: NDArray[np.intp], *, same_plate: bool) -> NDArray[np.int64]:
    """Return how many controls the wells of each treatment are compared with, (T,), given each well's treatment."""
    if not same_plate:
        return np.full(len(screen.treatments), int(screen.is_negcon.sum()))
    n_plates = int(screen.plates.max(initial=0)) + 1
    negcons = np.bincount(screen.plates[screen.is_negcon], minlength=n_plates)
    treated = numbers >= 0
    treatment, plate = np.divmod(np.unique(numbers[treated] * n_plates + screen.plates[treated]), n_plates)
    counts = np.bincount(treatment, weights=negcons[plate], minlength=len(screen.treatments))
    return counts.astype(np.int64)
