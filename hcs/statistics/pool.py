"""The pool of a treatment: its replicates and the negative controls of the same plates, centred plate by plate.

Profiles are usually normalized on the very controls that they are then compared with. That puts the mean of the
controls of a plate at the origin and so makes controls repel one another, which treated wells do not. Centring each
plate's pool on its own middle treats both alike again, and makes a shift of a plate irrelevant.

Then only the direction in which a well lies counts, not how far: normalizing on the controls makes them shorter than
treated wells, and a statistic that looks at lengths takes that for activity. The middle is a robust one, since a single
odd well, as a site full of debris is, would otherwise give all others of its plate the same direction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.designs import Layout
from hcs.statistics.similarity import descending_ranks, unit_rows

_LONGEST = 1.5
"""Length that a well is cut to where the middle of its plate's pool is sought, in median lengths of that pool."""
_STEPS = 8
"""Towards the middle of a pool; each leaves about a tenth of the distance."""
NEGLIGIBLE_LENGTH = 1e-12
"""A centred profile shorter than this share of the plate's largest uncentred one is rounding, and counts as zero."""


@dataclass(frozen=True)
class CentredPool:
    """The wells of a pool in an order that depends on what they contain and on nothing else.

    Renamed plates, reordered rows, a common factor and a rotation of the profile space all give the same pool; only
    `is_replicate` knows which wells are the treatment's, and the order does not look at it.
    """

    similarities: NDArray[np.float64]
    """(P, P), cosine of the centred profiles; 0 with itself, and with a well that lies in its plate's middle."""
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
    """Return the pool, each plate centred on the middle of its replicates and controls together.

    Args:
        profiles: (P, D), finite.
        plates: (P,), any integers, one a plate.
        is_replicate: (P,), the treatment's wells; the others are negative controls.
    """
    by_content = _order_by_content(profiles, plates, is_replicate)
    profiles, is_replicate = profiles[by_content], is_replicate[by_content]
    plates = _numbered_in_order(plates[by_content])
    centred = np.vstack([_centred(profiles[plates == plate]) for plate in range(plates[-1] + 1)])
    units, lengths = unit_rows(centred)
    similarities = np.clip(units @ units.T, -1.0, 1.0)
    np.fill_diagonal(similarities, 0.0)
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


def _centred(pool: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the wells of one plate minus their middle, (N, D), what is rounding as zero.

    The middle is Huber's (1964, Annals of Mathematical Statistics 35:73) in the form for vectors: where the wells, long
    ones cut, add up to zero.
    """
    negligible = NEGLIGIBLE_LENGTH * float(np.sqrt(np.einsum("nd,nd->n", pool, pool).max()))
    middle = pool.mean(axis=0)
    for _ in range(_STEPS):
        middle = middle + _cut(pool - middle, negligible).mean(axis=0)
    centred: NDArray[np.float64] = pool - middle
    _, lengths = unit_rows(centred, negligible=negligible)
    return np.where(lengths[:, None] > 0, centred, 0.0)


def _cut(vectors: NDArray[np.float64], negligible: float) -> NDArray[np.float64]:
    """Return vectors (N, D), longer ones cut to 1.5 times the median length."""
    _, lengths = unit_rows(vectors)
    limit = _LONGEST * float(np.median(lengths))
    return vectors * (limit / np.maximum(lengths, limit))[:, None] if limit > negligible else vectors


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
