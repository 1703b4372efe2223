"""What designs score, by sums of directions instead of pairs of wells, and what they score at most.

The sum of the cosines of all pairs of some directions is half the squared length of their sum, less their number, so
that a design costs one sum over its wells:

    score = ((|S|^2 - q) / (R - 1) + sum over plates of (|S_a|^2 - S_a V_a) / n_a) / R

with S the sum of the R dealt directions and S_a that of a plate's, q the number of them that have a direction at all,
V_a the sum over the whole pool of the plate, and n_a its wells that are not dealt. It is the score of
`hcs.statistics.design_scores`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.sparse import csr_array

from hcs.statistics.designs import Layout

_VALUES_AT_ONCE = 400_000
"""Of the sums that are made together: 3 MB."""
_MAIN_DIRECTIONS = 64
_OF_THE_SCORE = 0.8
"""Bounds are of use where what is not looked at makes up less than this of a score."""
_LARGEST_GRAM = 2_000
"""Rows of products whose eigenvectors are looked for, which takes a second then."""
_ROUNDING_OF_BOUNDS = 1e-9
_CROWDED = 16
"""Where one well of so many is dealt or more, a product with all of them is faster than a sum over the dealt ones."""


class DirectionScores:
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

    def most_likely(self, wells: NDArray[np.integer], threshold: float) -> NDArray[np.intp]:
        """Return which designs (B, R) may score so much, in rising order; of all others it is sure that they do not."""
        bounds = self._spectrum.bounds(threshold * self._n_dealt) if self._spectrum else None
        if bounds is None:
            return np.arange(len(wells))
        step = max(1, _VALUES_AT_ONCE // bounds.of_wells.shape[1])
        parts = [wells[start : start + step] for start in range(0, len(wells), step)]
        return np.flatnonzero(np.concatenate([bounds.of_designs(part) for part in parts]) >= threshold)

    @cached_property
    def _spectrum(self) -> _Spectrum | None:
        """None where it would take longer than it could save."""
        if min(self._directions.shape) > _LARGEST_GRAM:
            return None
        parts = np.split(self._directions, np.cumsum(self._layout.n_wells)[:-1])
        drawn, n_controls = np.array(self._layout.n_drawn), np.array(self._layout.n_controls)
        largest = np.array([_largest_square(part) for part in parts])
        of_plates = np.where(drawn > 1, np.minimum(drawn, largest) * drawn / n_controls, 0.0).sum()
        along, squares = _main_directions(self._directions)
        rest = squares * self._n_dealt / (self._n_dealt - 1)
        of_wells = np.stack([self._of_wells, self._has_direction], axis=1)
        return _Spectrum(along, rest, of_wells, float(of_plates))

    @property
    def _n_dealt(self) -> int:
        return sum(self._layout.n_drawn)

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
        return _sums_of_rows(self._directions, wells, sizes)

    def _sum_of_many(self, wells: NDArray[np.integer], plate: int) -> NDArray[np.float64]:
        """Return the same of one plate of which a good part is dealt, by a product of matrices: (B, D)."""
        first, n_wells = self._layout.first_wells[plate], self._layout.n_wells[plate]
        is_dealt = np.zeros((len(wells), n_wells))
        np.put_along_axis(is_dealt, wells.astype(np.intp) - first, 1.0, axis=1)
        return np.asarray(is_dealt @ self._directions[first : first + n_wells])


@dataclass(frozen=True)
class _Spectrum:
    """What bounds what designs score: their sums along the directions in which wells reach furthest, and a rest.

    Where X has the directions of wells as rows and z says which are dealt, |S|^2 = |X' z|^2 splits into what lies along
    the main directions of X, and a rest that is at most the next eigenvalue of X' X times |z|^2 = R.
    """

    along: NDArray[np.float64]
    """(P, K), of each well, the furthest first."""
    rest: NDArray[np.float64]
    """(K + 1,), what is left at most of |S|^2 / (R - 1) beside the first 0, 1, ..., K of them."""
    of_wells: NDArray[np.float64]
    """(P, 2), what a well takes off by its likeness to its plate, and whether it has a direction."""
    of_plates: float
    """Sum over plates of |S_a|^2 / n_a, at most."""

    def bounds(self, wanted: float) -> _Bounds | None:
        """Return bounds that are of use to a treatment with such a score, times R; None where there are none."""
        enough = np.flatnonzero(self.rest + self.of_plates <= _OF_THE_SCORE * wanted)
        if not len(enough):
            return None
        return _Bounds(
            np.hstack([self.along[:, : enough[0]], self.of_wells]), float(self.rest[enough[0]]) + self.of_plates
        )


@dataclass(frozen=True)
class _Bounds:
    """What designs score at most, by few numbers of each well."""

    of_wells: NDArray[np.float64]
    """(P, k + 2): along the main directions, then the two of `_Spectrum`."""
    rest: float
    """Of the score times R, at most."""

    def of_designs(self, wells: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return (B,)."""
        n_dealt = wells.shape[1]
        sums = _sums_of_rows(self.of_wells, wells, np.array([n_dealt]))[:, 0]
        main = np.einsum("bk,bk->b", sums[:, :-2], sums[:, :-2])
        return np.asarray(((main - sums[:, -1]) / (n_dealt - 1) + self.rest - sums[:, -2]) / n_dealt)


def _main_directions(wells: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how far wells (P, D) reach along their main directions, (P, K), and the sums of the squares, (K + 1,)."""
    is_flat = wells.shape[1] <= wells.shape[0]
    gram = wells.T @ wells if is_flat else wells @ wells.T
    most = min(_MAIN_DIRECTIONS, len(gram) - 1)
    squares, vectors = eigh(gram, subset_by_index=(len(gram) - most - 1, len(gram) - 1))
    squares, vectors = np.maximum(squares[::-1], 0.0), vectors[:, :0:-1]
    along = wells @ vectors if is_flat else vectors * np.sqrt(squares[:-1])
    # What rounding leaves of one may belong to the next.
    return along, squares + _ROUNDING_OF_BOUNDS * squares[0]


def _largest_square(wells: NDArray[np.float64]) -> float:
    """Return the largest eigenvalue of the products of a plate's wells, (n, n)."""
    return float(np.linalg.eigvalsh(wells @ wells.T)[-1])


def _sums_of_rows(
    rows: NDArray[np.float64], wells: NDArray[np.integer], sizes: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the sums of the rows (P, K) of some wells of each design (B, n), (B, groups, K), given sizes of groups."""
    n_designs, n_wells = wells.shape
    ends = (np.arange(n_designs)[:, None] * n_wells + np.cumsum(sizes)).ravel()
    shape = (len(ends), len(rows))
    dealt = csr_array((np.ones(wells.size), np.ascontiguousarray(wells).ravel(), np.append(0, ends)), shape=shape)
    return np.asarray(dealt @ rows).reshape(n_designs, len(sizes), -1)
