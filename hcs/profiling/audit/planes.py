"""Wells in the plane of their first principal components, to be looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hcs.profiling.audit.wells import AuditWells, hashed
from hcs.statistics.similarity import unit_rows

MOST_POINTS: Final = 1_200
"""More make a page slow and hide one another."""
_SKETCH: Final = 12
_ROUNDS: Final = 8


@dataclass(frozen=True)
class Plane:
    """Points of N wells."""

    places: NDArray[np.float64]
    """(N, 2), first and second component, of profiles at length 1."""
    batches: NDArray[np.intp]
    """(N,), numbers of batches."""
    shares: tuple[float, float]
    """Of the variance, what each of the two components holds."""


def principal_plane(values: NDArray[np.floating], wells: AuditWells, *, rows: NDArray[np.intp]) -> Plane | None:
    """Return at most 1,200 wells in the plane of the first two principal components of profiles at length 1.

    Args:
        values: (W, D).
        wells: What is known of the wells.
        rows: The wells that the components are of.

    Returns:
        None for fewer than three wells or one feature, which have no plane.
    """
    if len(rows) < 3 or values.shape[1] < 2:
        return None
    units, _ = unit_rows(np.asarray(values[rows], dtype=np.float64))
    centred = units - units.mean(axis=0)
    total = float(np.square(centred).sum())
    if not total:
        return None
    directions = _leading(centred)
    places = centred @ directions
    shares = np.square(places).sum(axis=0) / total
    drawn = np.array(sorted(range(len(rows)), key=lambda i: hashed(str(i)))[:MOST_POINTS])
    return Plane(places[drawn], wells.design.batches[rows][drawn], (float(shares[0]), float(shares[1])))


def _leading(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the first two principal directions, (D, 2), by orthogonal iteration; the largest entry is positive."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((centred.shape[1], min(_SKETCH, centred.shape[1]))))[0]
    for _ in range(_ROUNDS):
        basis = np.linalg.qr(centred.T @ (centred @ basis))[0]
    _, _, turned = np.linalg.svd(centred @ basis, full_matrices=False)
    directions = basis @ turned[:2].T
    largest = np.abs(directions).argmax(axis=0)
    return np.asarray(directions * np.sign(directions[largest, np.arange(directions.shape[1])]))
