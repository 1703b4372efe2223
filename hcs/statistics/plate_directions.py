"""The wells of treatments and their controls as directions in feature space, from the middles of their plates.

The same centring as in `hcs.statistics.pool`, which knows wells by their products alone. Controls of two plates are
never multiplied with one another here, so that memory grows with the plates and not with their square.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.control_pool import NEGLIGIBLE_LENGTH, order_of_controls, without_rounding
from hcs.statistics.designs import Layout
from hcs.statistics.pool import ROUNDING, plate_weights, typical_square


@dataclass(frozen=True)
class _Plate:
    """The controls of a plate, in an order of their geometry, and where a treatment's wells on it stand."""

    origin: NDArray[np.float64]
    """(D,), the mean of the controls."""
    negligible: float
    controls: NDArray[np.float64]
    """(n, D), from the origin."""
    products: NDArray[np.float64]
    """(n, n), of them."""
    own: NDArray[np.intp]
    """(r,), places among a treatment's R."""


@dataclass(frozen=True)
class PlateDirections:
    """The plates of treatments with as many replicates on each of them, in an order of their geometry."""

    plates: tuple[_Plate, ...]

    @property
    def layout(self) -> Layout:
        """How many wells are dealt on each plate, and over how many."""
        drawn = tuple(len(plate.own) for plate in self.plates)
        return Layout(tuple(len(plate.controls) + len(plate.own) for plate in self.plates), drawn)

    def directions(self, replicates: NDArray[np.floating]) -> list[NDArray[np.float64]]:
        """Return the directions of the wells of each plate, controls first, (n + r, D), given a treatment's (R, D).

        They begin at the middle of the plate's pool, as in `hcs.statistics.pool`; a well that lies there is zero.
        """
        return [_directions(plate, np.asarray(replicates[plate.own], dtype=np.float64)) for plate in self.plates]


def plate_directions(
    controls: NDArray[np.floating], plates: NDArray[np.integer], replicate_plates: NDArray[np.integer]
) -> PlateDirections:
    """Return the plates that some treatments lie on.

    Args:
        controls: (C, D), finite.
        plates: (C,), any integers, one a plate.
        replicate_plates: (R,), exactly the plates of `plates`.
    """
    names = np.unique(replicate_plates)
    found = [_plate(controls[plates == name], np.flatnonzero(replicate_plates == name)) for name in names.tolist()]
    sizes = [len(plate.controls) for plate in found]
    number = np.repeat(np.arange(len(found)), sizes)
    squares = np.concatenate([plate.products.diagonal() for plate in found])
    cubes = np.concatenate([_cubes(plate.products) for plate in found])
    order = order_of_controls(squares, cubes, number, np.array([len(plate.own) for plate in found]))
    starts = np.cumsum([0, *sizes])
    in_order = []
    for number_of_plate in dict.fromkeys(number[order].tolist()):
        plate, places = found[number_of_plate], order[number[order] == number_of_plate] - starts[number_of_plate]
        in_order.append(
            _Plate(
                plate.origin,
                plate.negligible,
                plate.controls[places],
                plate.products[np.ix_(places, places)],
                plate.own,
            )
        )
    return PlateDirections(tuple(in_order))


def _plate(controls: NDArray[np.floating], own: NDArray[np.intp]) -> _Plate:
    values = np.asarray(controls, dtype=np.float64)
    origin = values.mean(axis=0)
    negligible = NEGLIGIBLE_LENGTH * float(np.sqrt(np.einsum("nd,nd->n", values, values).max()))
    centred = without_rounding(values - origin, negligible)
    return _Plate(origin, negligible, centred, centred @ centred.T, own)


def _cubes(products: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.sqrt(products.diagonal())
    inverse = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    cosines = products * inverse[:, None] * inverse
    return np.asarray((cosines * cosines * cosines).sum(axis=1))


def _directions(plate: _Plate, replicates: NDArray[np.float64]) -> NDArray[np.float64]:
    own = without_rounding(replicates - plate.origin, plate.negligible)
    own = own[_order_of_replicates(own, plate.controls)]
    across, among = own @ plate.controls.T, own @ own.T
    of_controls, of_own = plate_weights(plate.products, across[None], among[None])
    squares = np.concatenate([plate.products.diagonal(), among.diagonal()])
    wells = np.vstack([plate.controls, own])
    wells -= np.concatenate([of_controls[0], of_own[0]]) @ wells
    lengths = np.einsum("nd,nd->n", wells, wells)
    lengths[lengths <= ROUNDING * typical_square(squares[None])[0, 0]] = 0.0
    np.sqrt(lengths, out=lengths)
    wells *= np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)[:, None]
    return wells


def _order_of_replicates(own: NDArray[np.float64], controls: NDArray[np.float64]) -> NDArray[np.intp]:
    """Order the replicates of a plate (r, D) by their geometry, so that rows may come in any order."""
    squares = np.einsum("rd,rd->r", own, own)
    scale = float(squares.max()) or 1.0
    cubes = ((own @ controls.T / scale) ** 3).sum(axis=1) / len(controls)
    order: NDArray[np.intp] = np.lexsort((np.round(cubes, 9), np.round(squares / scale, 9)))
    return order
