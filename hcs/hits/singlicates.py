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
_LEAST = 2
"""Controls of a plate: one to fit on, one to compare with."""
TOO_FEW_CONTROLS = f"fewer than {_LEAST} negative controls on its plate: one half is fitted on, the other compared with"
_LEAST_FOR_SCALE = 8
"""Fitted controls of a plate: fewer tell the spread of a feature too badly to divide by it."""


@dataclass(frozen=True)
class SingleWells:
    """N wells, each by itself beside the controls that nothing was fitted on."""

    distances: NDArray[np.float64]
    """(N,), Mahalanobis distance from the centre of the plate; NaN where a plate has fewer than two controls."""
    p_values: NDArray[np.float64]
    """(N,), NaN for wells that were not asked about, and on such plates."""
    smallest_possible_p: float
    n_references: int
    """Controls of all plates that distances are compared with."""
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

    One half of each plate's controls (`fitted_controls`) gives the plate's centre and, of 8 or more, the spread of
    every feature; all of these halves together give one covariance, shrunk by Ledoit and Wolf. Profiles that were
    normalized on all controls were made smaller by the spread of those that are compared with, too: dividing by that
    of one half takes it out again. The Mahalanobis distance of a well is compared with those of all controls of the
    other halves: p is the share of them, the well itself among them, that lie at least as far.

    Args:
        values: (N, D), finite, normalized plate by plate.
        plates: (N,), 0, 1, ...
        wells: (N,), names.
        is_control: (N,).
        is_asked: (N,), disjoint from the controls.

    Raises:
        InputRejectedError: If there are too few controls for a covariance, or they do not differ.
    """
    fitted = fitted_controls(values, plates, wells, is_control)
    n_fitted, n_held = (np.bincount(plates[half], minlength=len(plates)) for half in (fitted, is_control & ~fitted))
    is_callable = (n_fitted >= 1)[plates]
    distances = _distances(values, plates, fitted, is_callable)
    references = distances[is_control & ~fitted & is_callable]
    tested = is_asked & is_callable
    p_values = np.full(len(values), np.nan)
    p_values[tested] = conformal_p_values(distances[tested], references)
    return SingleWells(distances, p_values, 1 / (1 + len(references)), len(references), n_held[plates])


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
    is_underpowered = found.smallest_possible_p > q_max / max(int(is_tested.sum()), 1)
    is_called = pl.col("p_value").is_not_null()
    return pl.DataFrame(
        {
            "row": rows,
            "distance": pl.Series(found.distances[rows]).fill_nan(None),
            "p_value": pl.Series(p_values).fill_nan(None),
            "smallest_possible_p": pl.Series(np.where(is_tested, found.smallest_possible_p, np.nan)).fill_nan(None),
            "q_value": pl.Series(q_values).fill_nan(None),
        }
    ).with_columns(
        is_hit=(pl.col("q_value") <= q_max).fill_null(value=False),
        call=pl.when(~is_called)
        .then(pl.lit("not_callable"))
        .when(pl.col("q_value") <= q_max)
        .then(pl.lit("active"))
        .otherwise(pl.lit("underpowered" if is_underpowered else "inactive")),
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
    deviations = np.full_like(values, np.nan)
    for plate in np.unique(plates[is_callable]):
        on_plate = plates == plate
        own = values[on_plate & fitted]
        deviations[on_plate] = (values[on_plate] - own.mean(axis=0)) / _spreads(own)
    # Around the mean of one well nothing varies: such a plate tells nothing of the covariance.
    counts = np.bincount(plates[fitted], minlength=len(plates))
    telling = np.sort(np.flatnonzero(fitted & (counts >= 2)[plates]))
    white = ledoit_wolf(_in_order(deviations[telling])).inverse_root()
    distances = np.full(len(values), np.nan)
    distances[is_callable] = np.sqrt(np.square(deviations[is_callable] @ white).sum(axis=1))
    return distances


def _spreads(fitted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the standard deviation of each feature over a plate's fitted controls; 1 where these do not tell it."""
    if len(fitted) < _LEAST_FOR_SCALE:
        return np.ones(fitted.shape[1])
    spreads = fitted.std(axis=0, ddof=1)
    return np.where(spreads > ROUNDING * np.abs(fitted).max(axis=0), spreads, 1.0)


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
