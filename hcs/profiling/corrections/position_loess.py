"""A smooth surface over every plate taken out, by local regression on row and column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError
from hcs.profiling.corrections.correction import Corrected, Design
from hcs.profiling.corrections.position import places_of, plates_of, tested_sets
from hcs.statistics.local_regression import robust_heights, surface_weights

FEWEST_FITTED = 16
"""Wells that a surface is fitted on."""
FARTHEST = 0.25
"""Controls are scattered if no well of the plate is farther from one than this share of the plate's diagonal."""


@dataclass(frozen=True)
class _Weights:
    """What one layout of fitted and other wells turns observations into."""

    at_observed: NDArray[np.float64]
    at_wanted: NDArray[np.float64]


def loess(values: NDArray[np.floating], design: Design) -> Corrected:
    """Return the profiles less a smooth surface, plate by plate, in the sets where the test finds effects of lines.

    The surface is fitted on the negative controls of a plate where at least 16 of them are scattered, and on all of its
    wells, labels ignored, otherwise; a minority of odd wells does not bend it in either case. Its mean over the plate
    is left, so that the level of a plate stays. Plates of one layout share the weights of the regression.

    Raises:
        InputRejectedError: If wells have no position, or a plate has fewer than 16 wells.
    """
    rows, columns = places_of(design)
    places = np.column_stack([rows, columns]).astype(np.float64)
    sets = tested_sets(values, design)
    corrected = np.array(values, copy=True)
    known: dict[bytes, _Weights] = {}
    n_on_controls = n_on_all = n_fitted = 0
    for plate in (plate for one in sets if one.is_corrected for plate in plates_of(design, one.rows)):
        is_control = design.is_fitted[plate] & design.is_negcon[plate]
        is_scattered = are_scattered(places[plate], is_control)
        fitted = is_control if is_scattered else np.ones(len(plate), dtype=np.bool_)
        if fitted.sum() < FEWEST_FITTED:
            raise InputRejectedError(
                f"at least {FEWEST_FITTED} wells are expected on a plate for a surface, but one has {int(fitted.sum())}"
                "; leave it out, or choose another correction"
            )
        weights = _weights(places[plate], fitted, known)
        surface = robust_heights(values[plate[fitted]], weights.at_observed, weights.at_wanted)
        corrected[plate] = values[plate] - (surface - surface.mean(axis=0))
        n_on_controls, n_on_all = n_on_controls + is_scattered, n_on_all + (not is_scattered)
        n_fitted += int(fitted.sum())
    notes = tuple(one.note("row and column effects", "a surface removed", "left as it was") for one in sets)
    return Corrected(corrected, _fitted_on(n_fitted, n_on_controls, n_on_all), n_fitted, notes)


def are_scattered(places: NDArray[np.float64], is_control: NDArray[np.bool_]) -> bool:
    """Return whether at least 16 controls leave no well of their plate far from one.

    Args:
        places: (N, 2), rows and columns.
        is_control: (N,).
    """
    if is_control.sum() < FEWEST_FITTED:
        return False
    distance = np.linalg.norm(places[:, None] - places[is_control][None], axis=2).min(axis=1)
    return bool(distance.max() <= FARTHEST * np.linalg.norm(np.ptp(places, axis=0)))


def _weights(places: NDArray[np.float64], fitted: NDArray[np.bool_], known: dict[bytes, _Weights]) -> _Weights:
    key = np.ascontiguousarray(np.column_stack([places, fitted])).tobytes()
    if key not in known:
        observed = places[fitted]
        at_wanted = surface_weights(observed, places)
        known[key] = _Weights(at_wanted[fitted], at_wanted)
    return known[key]


def _fitted_on(n_fitted: int, n_on_controls: int, n_on_all: int) -> str:
    if not n_fitted:
        return "nothing"
    kinds = [
        f"the negative controls of {n_on_controls} plates" if n_on_controls else "",
        f"all wells of {n_on_all} plates, labels ignored" if n_on_all else "",
    ]
    return f"{' and '.join(kind for kind in kinds if kind)}, {n_fitted:,} wells"
