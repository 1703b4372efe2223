"""Calls of wells that have no replicate, as in most primary screens.

A single well cannot agree with others. What can be asked is whether it lies further from the controls of its plate than
control wells do that nothing was fitted on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.hits.control_halves import fitted_controls
from hcs.hits.finite import refuse_missing
from hcs.hits.repeated import refuse_repeated_wells
from hcs.statistics.conformal import conformal_p_values
from hcs.statistics.ledoit_wolf import ledoit_wolf
from hcs.statistics.multiple_testing import benjamini_hochberg

ROUNDING = 1e-9
"""A spread below this share of the largest value comes from adding floats, not from wells."""
LEAST_CONTROLS = 2
"""Controls of a plate: one to fit on, one to compare with."""
TOO_FEW_CONTROLS = (
    f"fewer than {LEAST_CONTROLS} negative controls on its plate: one half is fitted on, the other compared with"
)
_NEARLY_AS_USUAL = 0.75
"""Plates with at least this much of the usual number of fitted controls all fit on as many as the fewest of them."""
_LEAST_FOR_SCALE = 4
"""Fitted controls of a plate: fewer tell the spread of a feature too badly to divide by it."""


@dataclass(frozen=True)
class SingleWells:
    """N wells, each by itself beside the controls that nothing was fitted on."""

    distances: NDArray[np.float64]
    """(N,), Mahalanobis distance from the centre of the plate; NaN where a plate has fewer than two controls."""
    p_values: NDArray[np.float64]
    """(N,), NaN for wells that were not asked about, and on such plates."""
    smallest_possible_p: NDArray[np.float64]
    """(N,), NaN where a plate has fewer than two controls."""
    n_references: NDArray[np.intp]
    """(N,), controls that the distance is compared with: of all plates with as many fitted controls."""
    n_controls: NDArray[np.intp]
    """(N,), those of them that are on the well's own plate."""


def compare_single_wells(
    values: NDArray[np.float64],
    plates: NDArray[np.intp],
    wells: Sequence[str],
    *,
    is_control: NDArray[np.bool_],
    is_asked: NDArray[np.bool_],
) -> SingleWells:
    """Return whether wells lie further from the controls of their plate than controls do that nothing was fitted on.

    One half of each plate's controls (`fitted_controls`) gives the plate's centre and, of 4 or more, the spread of
    every feature, else that of all plates together; all of these halves together give one covariance, shrunk by Ledoit
    and Wolf. Profiles that were normalized on all controls were made smaller by the spread of those that are compared
    with, too: dividing by that of one half takes it out again. The Mahalanobis distance of a well is compared with
    those of the controls of the other halves: p is the share of them, the well itself among them, that lie at least as
    far.

    Distances have one distribution only where as many controls were fitted on. So plates with at least three quarters
    of the usual half all fit on as many as the fewest of them, and hold out the others; wells of a plate with fewer
    are compared with held-out controls of plates with as few.

    Args:
        values: (N, D), finite, normalized plate by plate.
        plates: (N,), 0, 1, ...
        wells: (N,), names.
        is_control: (N,).
        is_asked: (N,), disjoint from the controls.

    Raises:
        InputRejectedError: If there are too few controls for a covariance, or they do not differ.
    """
    n_controls = np.bincount(plates[is_control], minlength=int(plates.max(initial=0)) + 1)
    fitted = fitted_controls(values, plates, wells, is_control, most=_most_fitted(n_controls))
    held_out = is_control & ~fitted
    n_fitted, n_held = (np.bincount(plates[half], minlength=len(n_controls))[plates] for half in (fitted, held_out))
    distances = _distances(values, plates, fitted, n_fitted >= 1)
    p_values, smallest = np.full((2, len(values)), np.nan)
    n_references = np.zeros(len(values), dtype=np.intp)
    for count in np.unique(n_fitted[n_fitted >= 1]):
        alike = n_fitted == count
        references = distances[held_out & alike]
        p_values[is_asked & alike] = conformal_p_values(distances[is_asked & alike], references)
        n_references[alike], smallest[alike] = len(references), 1 / (1 + len(references))
    return SingleWells(distances, p_values, smallest, n_references, n_held)


def _most_fitted(n_controls: NDArray[np.integer]) -> int | None:
    """Return how many controls of a plate are fitted on at most: what all plates have that have nearly as usual."""
    halves = n_controls[n_controls >= LEAST_CONTROLS] // 2
    return int(halves[halves >= _NEARLY_AS_USUAL * np.median(halves)].min()) if halves.size else None


def call_singlicates(
    profiles: NDArray[np.floating],
    *,
    plates: Sequence[str],
    wells: Sequence[str],
    is_control: NDArray[np.bool_],
    q_max: float = 0.05,
) -> pl.DataFrame:
    """Return one call for every well that is no control, as `compare_single_wells` compares it.

    q is that of Benjamini and Hochberg over wells. A well is `active` if its q is at most `q_max`; else `underpowered`
    if even the smallest p exceeds `q_max` over the number of wells that were tested; else `inactive`. On a plate with
    fewer than two controls it is `not_callable`.

    Args:
        profiles: (N, D), finite, normalized plate by plate.
        plates: (N,).
        wells: (N,), names.
        is_control: (N,).
        q_max: Largest false discovery rate of a hit.

    Returns:
        `row, distance, p_value, smallest_possible_p, q_value, is_hit, call, reason, n_controls`, by row; `row` counts
        from 0, and `n_controls` are those of its plate that p is made with.

    Raises:
        InputRejectedError: If a profile is not finite, a well comes twice, or there are too few controls.
    """
    values = np.asarray(profiles, dtype=np.float64)
    numbers = np.unique(np.asarray(plates, dtype=np.str_), return_inverse=True)[1]
    _check(values, plates, wells, is_control)
    found = compare_single_wells(values, numbers, wells, is_control=is_control, is_asked=~is_control)
    rows = np.flatnonzero(~is_control)
    p_values = found.p_values[rows]
    is_tested = ~np.isnan(p_values)
    q_values = np.full(len(rows), np.nan)
    q_values[is_tested] = benjamini_hochberg(p_values[is_tested])
    smallest = np.where(is_tested, found.smallest_possible_p[rows], np.nan)
    is_underpowered = smallest > q_max / max(int(is_tested.sum()), 1)
    is_called = pl.col("p_value").is_not_null()
    return pl.DataFrame(
        {
            "row": rows,
            "distance": pl.Series(found.distances[rows]).fill_nan(None),
            "p_value": pl.Series(p_values).fill_nan(None),
            "smallest_possible_p": pl.Series(smallest).fill_nan(None),
            "q_value": pl.Series(q_values).fill_nan(None),
        }
    ).with_columns(
        is_hit=(pl.col("q_value") <= q_max).fill_null(value=False),
        call=pl.when(~is_called)
        .then(pl.lit("not_callable"))
        .when(pl.col("q_value") <= q_max)
        .then(pl.lit("active"))
        .when(pl.Series(is_underpowered))
        .then(pl.lit("underpowered"))
        .otherwise(pl.lit("inactive")),
        reason=pl.when(~is_called).then(pl.lit(TOO_FEW_CONTROLS)),
        n_controls=pl.Series(found.n_controls[rows]),
    )


def _distances(
    values: NDArray[np.float64],
    plates: NDArray[np.intp],
    fitted: NDArray[np.bool_],
    is_callable: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return the Mahalanobis distance of every well from its plate's fitted controls; NaN where there are none."""
    # Around the mean of one well nothing varies: such a plate tells nothing of the covariance.
    counts = np.bincount(plates[fitted], minlength=int(plates.max(initial=0)) + 1)
    telling = np.flatnonzero(fitted & (counts >= 2)[plates])
    if not len(telling):
        raise InputRejectedError(
            f"a plate with at least {2 * LEAST_CONTROLS} negative controls is expected, half of which are fitted on, "
            "but no plate has so many"
        )
    deviations = np.full_like(values, np.nan)
    for plate in np.unique(plates[is_callable]):
        on_plate = plates == plate
        deviations[on_plate] = values[on_plate] - values[on_plate & fitted].mean(axis=0)
    largest = np.abs(values[telling]).max(axis=0)
    of_all = _known(
        _spread(_in_order(deviations[telling]), n_means=len(np.unique(plates[telling]))), largest, unknown=1.0
    )
    for plate in np.unique(plates[is_callable]):
        on_plate = plates == plate
        own = deviations[on_plate & fitted]
        enough = len(own) >= _LEAST_FOR_SCALE
        deviations[on_plate] /= _known(_spread(own, n_means=1), largest, unknown=of_all) if enough else of_all
    white = ledoit_wolf(_in_order(deviations[telling])).inverse_root()
    distances = np.full(len(values), np.nan)
    with np.errstate(over="ignore"):  # a well so far off is infinitely far
        distances[is_callable] = np.sqrt(np.square(deviations[is_callable] @ white).sum(axis=1))
    return distances


def _spread(deviations: NDArray[np.float64], *, n_means: int) -> NDArray[np.float64]:
    """Return the standard deviation of each feature around this many means."""
    spread: NDArray[np.float64] = np.sqrt(np.square(deviations).sum(axis=0) / (len(deviations) - n_means))
    return spread


def _known(
    spread: NDArray[np.float64], largest: NDArray[np.float64], *, unknown: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the spread where it is one, and not the rounding of values as large as these."""
    return np.where(spread > ROUNDING * largest, spread, unknown)


def _in_order(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows in the order of what they contain, so that sums have the same bits for any order of a table."""
    return rows[np.lexsort(rows.T[::-1])]


def _check(
    values: NDArray[np.float64], plates: Sequence[str], wells: Sequence[str], is_control: NDArray[np.bool_]
) -> None:
    refuse_missing(values, np.arange(len(values)), name=lambda row: f"well {wells[row]} of plate {plates[row]}")
    refuse_repeated_wells(plates, wells)
    if not is_control.any():
        raise InputRejectedError(
            f"negative controls are expected, but none of {len(values)} wells is one; say which are, or take a table "
            "that holds them"
        )
