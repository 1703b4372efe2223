"""The joint design permutation of one treatment at a time: where it has many replicates, as positive controls have.

Tables of pairs (`hcs.statistics.design_scores`) grow with the square of the wells: 400 replicates are 80,000 pairs a
design, and 6,400 controls 300 MB of products. Here wells are directions in feature space. The sum of the cosines of all
pairs of some directions is half the squared length of their sum, less their number, so that a design costs one sum over
its wells:

    score = ((|S|^2 - q) / (R - 1) + sum over plates of (|S_a|^2 - S_a V_a) / n_a) / R

with S the sum of the R dealt directions and S_a that of a plate's, q the number of them that have a direction at all,
V_a the sum over the whole pool of the plate, and n_a its wells that are not dealt. The score is that of
`hcs.statistics.permutation`, and so is the rule by which draws end.

Profiles of one feature come here too, whose directions are 1 and -1: most of their designs are tied, and rounding of
products would tell them apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hcs.statistics.control_pool import NEGLIGIBLE_LENGTH, order_of_controls, without_rounding
from hcs.statistics.designs import Layout, draw_designs
from hcs.statistics.draws import Undecided
from hcs.statistics.pool import ROUNDING, plate_weights, typical_square
from hcs.statistics.similarity import TIE_TOLERANCE

_MOST_PAIRS = 300
"""Of dealt wells in a design, up to which tables are faster."""
_MOST_VALUES = 1e10
"""Values that are added up for one treatment, at most: a quarter of a minute. `smallest_possible_p` tells of it."""
_LEAST_DRAWS = 9_999
_FIRST_DRAWS = 999
_WELLS_AT_ONCE = 1_000_000
"""Dealt wells of the designs that are drawn together: 4 MB."""
_VALUES_AT_ONCE = 100_000
"""Of the sums that are made together: 0.8 MB, which a core has near."""
_CROWDED = 16
"""Where one well of so many is dealt or more, a product with all of them is faster than a sum over the dealt ones."""


def is_tested_alone(layout: Layout, *, n_features: int) -> bool:
    """Return whether treatments are tested one at a time."""
    return n_features == 1 or comb(sum(layout.n_drawn), 2) > _MOST_PAIRS


def most_draws(layout: Layout, *, n_features: int, max_draws: int) -> int:
    """Return how many draws a treatment gets at most."""
    return min(max_draws, max(_LEAST_DRAWS, int(_MOST_VALUES / (sum(layout.n_drawn) * n_features))))


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
class ManyReplicates:
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


def many_replicates(
    controls: NDArray[np.floating], plates: NDArray[np.integer], replicate_plates: NDArray[np.integer]
) -> ManyReplicates:
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
    return ManyReplicates(tuple(in_order))


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


class Scorer:
    """Scores designs of one treatment."""

    def __init__(self, layout: Layout, directions: Sequence[NDArray[np.float64]]) -> None:
        """Take the directions of the wells of each plate, controls first, (n + r, D)."""
        self._layout = layout
        self._directions = np.vstack(directions)
        self._has_direction = (self._directions != 0).any(axis=1)
        self._of_wells = np.concatenate(
            [
                # Of a plate with one dealt well, the square of its sum is that of the well.
                (part @ part.sum(axis=0) - (np.einsum("nd,nd->n", part, part) if drawn == 1 else 0.0)) / n
                for part, drawn, n in zip(directions, layout.n_drawn, layout.n_controls, strict=True)
            ]
        )
        drawn, wells = np.array(layout.n_drawn), np.array(layout.n_wells)
        self._crowded = np.flatnonzero((drawn > 1) & (wells <= _CROWDED * drawn)).tolist()
        self._several = np.flatnonzero((drawn > 1) & (wells > _CROWDED * drawn))
        self._places = np.split(np.arange(drawn.sum()), np.cumsum(drawn)[:-1])
        self._singles = np.flatnonzero(np.repeat(drawn, drawn) == 1)

    def scores(self, wells: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return the score of every design, (B,), given (B, R) wells, numbered from 0 plate after plate."""
        found = np.empty(len(wells))
        step = max(1, _VALUES_AT_ONCE // ((1 + len(self._several)) * self._directions.shape[1]))
        for start in range(0, len(wells), step):
            found[start : start + step] = self._scores(wells[start : start + step])
        return found

    def _scores(self, wells: NDArray[np.integer]) -> NDArray[np.float64]:
        total = np.zeros((len(wells), self._directions.shape[1]))
        scores = np.zeros(len(wells))
        n_controls = np.array(self._layout.n_controls)
        if len(self._singles):
            total += self._sums(wells[:, self._singles], np.array([len(self._singles)]))[:, 0]
        for plate in self._crowded:
            of_plate = self._sum_of_many(wells[:, self._places[plate]], plate)
            total += of_plate
            scores += np.einsum("bd,bd->b", of_plate, of_plate) / n_controls[plate]
        if len(self._several):
            sizes = np.array(self._layout.n_drawn)[self._several]
            of_plates = self._sums(wells[:, np.concatenate([self._places[plate] for plate in self._several])], sizes)
            total += of_plates.sum(axis=1)
            scores += np.einsum("bad,bad->ba", of_plates, of_plates) @ (1 / n_controls[self._several])
        n_directed = np.count_nonzero(self._has_direction[wells], axis=1)
        scores += (np.einsum("bd,bd->b", total, total) - n_directed) / (wells.shape[1] - 1)
        scores -= self._of_wells[wells].sum(axis=1)
        return np.asarray(scores / wells.shape[1])

    def _sums(self, wells: NDArray[np.integer], sizes: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the sums of the directions of some wells of each design, so many after one another: (B, groups, D)."""
        n_designs, n_wells = wells.shape
        ends = (np.arange(n_designs)[:, None] * n_wells + np.cumsum(sizes)).ravel()
        shape = (len(ends), len(self._directions))
        dealt = csr_array((np.ones(wells.size), np.ascontiguousarray(wells).ravel(), np.append(0, ends)), shape=shape)
        return np.asarray(dealt @ self._directions).reshape(n_designs, len(sizes), -1)

    def _sum_of_many(self, wells: NDArray[np.integer], plate: int) -> NDArray[np.float64]:
        """Return the same of one plate of which a good part is dealt, by a product of matrices: (B, D)."""
        first, n_wells = self._layout.first_wells[plate], self._layout.n_wells[plate]
        is_dealt = np.zeros((len(wells), n_wells))
        np.put_along_axis(is_dealt, wells.astype(np.intp) - first, 1.0, axis=1)
        return np.asarray(is_dealt @ self._directions[first : first + n_wells])


def count_exactly(pool: ManyReplicates, replicates: NDArray[np.floating], designs: NDArray[np.integer]) -> int:
    """Return how many of these designs (B, R) score as high as a treatment (R, D)."""
    scorer = Scorer(pool.layout, pool.directions(replicates))
    threshold = float(scorer.scores(_observed(pool.layout))[0]) - TIE_TOLERANCE
    return int(np.count_nonzero(scorer.scores(designs) >= threshold))


def draw_many(pool: ManyReplicates, replicates: NDArray[np.floating], *, seed: int, max_draws: int) -> Undecided:
    """Return what random designs say of a treatment: as many as decide, or `max_draws` of them.

    Args:
        pool: The plates.
        replicates: (R, D).
        seed: Of the run. Draws follow from it and the number of replicates and controls of each plate alone.
        max_draws: Of `most_draws`.
    """
    layout = pool.layout
    scorer = Scorer(layout, pool.directions(replicates))
    threshold = float(scorer.scores(_observed(layout))[0]) - TIE_TOLERANCE
    found = Undecided(threshold, n_at_least=0, n_drawn=0)
    for number, size in enumerate(_batch_sizes(layout, max_draws)):
        if found.is_decided:
            break
        at_least = scorer.scores(_draw(layout, seed=seed, number=number, size=size)) >= threshold
        if number:
            found.count(size, np.flatnonzero(at_least))
        else:  # every one gets the first draws counted
            found = Undecided(threshold, n_at_least=int(at_least.sum()), n_drawn=size)
    return found


def _observed(layout: Layout) -> NDArray[np.intp]:
    """Return the design that was made, (1, R): a treatment's wells stand last on every plate."""
    ends = np.cumsum(layout.n_wells)
    own = [np.arange(end - drawn, end) for end, drawn in zip(ends.tolist(), layout.n_drawn, strict=True)]
    return np.concatenate(own)[None]


def _draw(layout: Layout, *, seed: int, number: int, size: int) -> NDArray[np.int32]:
    counts = [count for plate in zip(layout.n_drawn, layout.n_wells, strict=True) for count in plate]
    rng = np.random.default_rng(np.random.SeedSequence([seed, number, *counts]))
    return draw_designs(layout, size, rng)


def _batch_sizes(layout: Layout, max_draws: int) -> Iterator[int]:
    """Yield how many designs are drawn together: few first, which decide most treatments, then twice as many each."""
    most = max(_FIRST_DRAWS, _WELLS_AT_ONCE // sum(layout.n_drawn))
    size, left = _FIRST_DRAWS, max_draws
    while left > 0:
        yield min(size, left)
        left -= size
        size = min(2 * size, most)
