"""The pool of a treatment: its replicates and the negative controls of the same plates, centred plate by plate.

Profiles are usually normalized on the very controls that they are then compared with. That puts the mean of the
controls of a plate at the origin and so makes controls repel one another, which treated wells do not. Centring each
plate's pool on its own mean treats both alike again, and makes a shift of a plate irrelevant.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.designs import Layout
from hcs.statistics.similarity import descending_ranks, unit_rows

NEGLIGIBLE_LENGTH = 1e-12
"""A centred profile shorter than this share of the plate's largest uncentred one is rounding, and counts as zero."""


@dataclass(frozen=True)
class CentredPool:
    """The wells of a pool in an order that depends on what they contain and on nothing else.

    Renamed plates, reordered rows, a common factor and a rotation of the profile space all give the same pool; only
    `is_replicate` knows which wells are the treatment's, and the order does not look at it.
    """

    similarities: NDArray[np.float64]
    """(P, P), cosine of the centred profiles; 0 with a well that lies at its plate's mean."""
    plates: NDArray[np.int32]
    """(P,), 0, 1, ... without gaps, ascending."""
    is_replicate: NDArray[np.bool_]
    """(P,), which wells are the treatment's."""

    @property
    def layout(self) -> Layout:
        """How many wells each plate has, and how many of them are the treatment's."""
        wells = np.bincount(self.plates)
        drawn = np.bincount(self.plates, weights=self.is_replicate)
        return Layout(tuple(int(count) for count in wells), tuple(int(count) for count in drawn))


def centred_pool(
    profiles: NDArray[np.float64], plates: NDArray[np.integer], is_replicate: NDArray[np.bool_]
) -> CentredPool:
    """Return the pool, each plate centred on the mean of its replicates and controls together.

    Args:
        profiles: (P, D), finite.
        plates: (P,), any integers, one a plate.
        is_replicate: (P,), the treatment's wells; the others are negative controls.
    """
    by_content = _order_by_content(profiles, plates, is_replicate)
    profiles, is_replicate = profiles[by_content], is_replicate[by_content]
    plates = _numbered_in_order(plates[by_content])
    centred, negligible = _centred(profiles, plates)
    units, lengths = unit_rows(centred, negligible=negligible)
    similarities = np.clip(units @ units.T, -1.0, 1.0)
    order = _order_by_geometry(similarities, lengths, plates, is_replicate)
    return CentredPool(
        similarities=similarities[np.ix_(order, order)],
        plates=_numbered_in_order(plates[order]),
        is_replicate=is_replicate[order],
    )


def _order_by_content(
    profiles: NDArray[np.float64], plates: NDArray[np.integer], is_replicate: NDArray[np.bool_]
) -> list[int]:
    """Order plates, and the wells in them, by their bytes: sums then run in one order whatever order the rows had."""
    content = [row.tobytes() for row in profiles + 0.0]  # + 0.0: -0.0 and 0.0 are one value, but not one byte string
    members = {plate: sorted(np.flatnonzero(plates == plate), key=content.__getitem__) for plate in np.unique(plates)}
    sizes = {plate: int(is_replicate[wells].sum()) for plate, wells in members.items()}
    in_order = sorted(members, key=lambda plate: (sizes[plate], [content[well] for well in members[plate]]))
    return [int(well) for plate in in_order for well in members[plate]]


def _numbered_in_order(plates: NDArray[np.integer]) -> NDArray[np.int32]:
    """Number plates whose wells stand together 0, 1, ... in the order in which they come."""
    numbers = np.zeros(len(plates), dtype=np.int32)
    np.cumsum(plates[1:] != plates[:-1], out=numbers[1:])
    return numbers


def _centred(
    profiles: NDArray[np.float64], plates: NDArray[np.int32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the profiles minus their plate's mean, and the length (P,) up to which one is rounding."""
    centred = np.empty_like(profiles)
    negligible = np.empty(len(profiles))
    for plate in range(plates[-1] + 1):
        on_plate = plates == plate
        pool = profiles[on_plate]
        centred[on_plate] = pool - pool.mean(axis=0)
        negligible[on_plate] = NEGLIGIBLE_LENGTH * np.sqrt(np.einsum("nd,nd->n", pool, pool).max())
    return centred, negligible


def _order_by_geometry(
    similarities: NDArray[np.float64],
    lengths: NDArray[np.float64],
    plates: NDArray[np.int32],
    is_replicate: NDArray[np.bool_],
) -> NDArray[np.intp]:
    """Order plates, and the wells in them, by length and then by a skewed sum of similarities.

    Both survive a rotation of the profile space and a common factor up to rounding, which the tolerance of the ranks
    absorbs. The cubes tell a well from its mirror image, which has the same length (a plate of one replicate and one
    control is always such a pair). What is still tied is interchangeable, or nearly so, and keeps its order.
    """
    sums_of_cubes = (similarities**3).sum(axis=1)
    squares = lengths**2
    plate_order = np.lexsort(
        (
            _ranks(_sums(sums_of_cubes**2, plates)),
            _ranks(_sums(squares, plates)),
            np.bincount(plates),
            _sums(is_replicate, plates),
        )
    )
    plate_rank = np.empty(len(plate_order), dtype=np.int64)
    plate_rank[plate_order] = np.arange(len(plate_order))
    order: NDArray[np.intp] = np.lexsort((_ranks(sums_of_cubes), _ranks(squares), plate_rank[plates]))
    return order


def _sums(values: NDArray[np.float64] | NDArray[np.bool_], plates: NDArray[np.int32]) -> NDArray[np.float64]:
    return np.bincount(plates, weights=values).astype(np.float64)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.int32]:
    scale = np.abs(values).max() or 1.0
    ranks: NDArray[np.int32] = descending_ranks((values / scale)[None, :])[0]
    return ranks
