"""What a design scores: by how much the dealt wells resemble one another more than the rest of their plates.

The score is a sum over the pairs of dealt wells. A treatment's table holds what every possible pair adds to it, one
block for every two plates, and a design is the list of the places of its pairs in that table. The lists are the same
for all treatments of a layout; only the tables differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement
from math import comb

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.designs import Layout
from hcs.statistics.pool import Pools

_PAIRS_AT_ONCE = 32_768
"""Pairs that are looked up together: 256 kB, which a core has near."""


@dataclass(frozen=True)
class Blocks:
    """Where the pairs of wells of two plates lie in a table, for every two plates that designs draw a pair from."""

    layout: Layout

    @property
    def plates(self) -> tuple[tuple[int, int], ...]:
        """Pairs of plates, a plate with itself where two wells of it are drawn."""
        n_drawn = self.layout.n_drawn
        pairs = combinations_with_replacement(range(len(n_drawn)), 2)
        return tuple((a, b) for a, b in pairs if a != b or n_drawn[a] > 1)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Entries of each block: wells of the one plate times wells of the other."""
        wells = self.layout.n_wells
        return tuple(wells[a] * wells[b] for a, b in self.plates)

    @property
    def n_pairs(self) -> int:
        """Pairs of wells of one design."""
        return comb(sum(self.layout.n_drawn), 2)

    def of_tables(self, tables: NDArray[np.float64]) -> Iterator[tuple[int, int, NDArray[np.float64]]]:
        """Yield every two plates and what their wells add, (T, wells of the one, of the other), of tables (T, L)."""
        start = 0
        for (a, b), size in zip(self.plates, self.sizes, strict=True):
            yield a, b, tables[:, start : start + size].reshape(len(tables), self.layout.n_wells[a], -1)
            start += size

    def largest_differences(self, differences: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return by how much scores of a design of controls may differ: (T,), given differences of tables (T, L)."""
        total = np.zeros(len(differences))
        n_drawn, n_controls = self.layout.n_drawn, self.layout.n_controls
        for a, b, block in self.of_tables(differences):
            among = block[:, : n_controls[a], : n_controls[b]]
            n_pairs = comb(n_drawn[a], 2) if a == b else n_drawn[a] * n_drawn[b]
            # First over rows, which are long vectors.
            total += n_pairs * np.maximum(among.max(axis=1).max(axis=1), -among.min(axis=1).min(axis=1))
        return total

    def most_of_one_replicate(self, tables: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what one replicate can add at most to the score of a design of controls, by plate: (T, A)."""
        n_drawn, n_controls = self.layout.n_drawn, self.layout.n_controls
        most = np.zeros((len(tables), len(n_drawn)))
        for a, b, block in self.of_tables(tables):
            most[:, a] += (n_drawn[b] - (a == b)) * block[:, n_controls[a] :, : n_controls[b]].max(axis=(1, 2))
            if a != b:
                most[:, b] += n_drawn[a] * block[:, : n_controls[a], n_controls[b] :].max(axis=(1, 2))
        return most

    def places(self, designs: NDArray[np.int32]) -> NDArray[np.intp]:
        """Return where the pairs of each design lie in a table: (pairs, B) for designs (B, R)."""
        firsts = np.repeat(self.layout.first_wells, self.layout.n_drawn)
        return self.places_on_plates(designs.T.astype(np.intp) - firsts[:, None])

    def places_on_plates(self, wells: NDArray[np.integer]) -> NDArray[np.intp]:
        """Return the same for designs (R, B) whose wells are numbered from 0 on every plate."""
        places = np.empty((self.n_pairs, wells.shape[1]), dtype=np.intp)
        local = wells.astype(np.intp, copy=False)
        for row, (i, j, start, width) in enumerate(self._pairs):
            np.multiply(local[i], width, out=places[row])
            places[row] += local[j]
            places[row] += start
        return places

    @property
    def _pairs(self) -> list[tuple[int, int, int, int]]:
        """Each two wells of a design, where their block starts, and how many wells its second plate has."""
        plate_of = np.repeat(np.arange(len(self.layout.n_drawn)), self.layout.n_drawn).tolist()
        starts = dict(zip(self.plates, np.cumsum((0, *self.sizes)).tolist(), strict=False))
        return [
            (i, j, starts[plate_of[i], plate_of[j]], self.layout.n_wells[plate_of[j]])
            for i, j in combinations(range(len(plate_of)), 2)
        ]

    def control_blocks(self, table: NDArray[np.float64]) -> dict[tuple[int, int], NDArray[np.float64]]:
        """Return what each two wells of a design of controls add to its score, by the numbers of the controls."""
        n_controls = np.repeat(self.layout.n_controls, self.layout.n_drawn).tolist()
        n_wells = np.repeat(self.layout.n_wells, self.layout.n_drawn).tolist()
        return {
            (i, j): table[start : start + n_wells[i] * width].reshape(-1, width)[: n_controls[i], : n_controls[j]]
            for i, j, start, width in self._pairs
        }

    @property
    def observed(self) -> NDArray[np.int32]:
        """The design that was made, (1, R): a treatment's wells stand last on every plate of a pool."""
        ends = np.cumsum(self.layout.n_wells)
        wells = [range(end - drawn, end) for end, drawn in zip(ends.tolist(), self.layout.n_drawn, strict=True)]
        return np.array([[well for plate in wells for well in plate]], dtype=np.int32)


def score_tables(pools: Pools, blocks: Blocks) -> NDArray[np.float64]:
    """Return what every pair of wells adds to the score of a design that deals it, (T, L).

    The negatives of a dealt well are the wells of its plate that were not dealt, so their mean similarity to it is the
    plate's sum less that of the dealt ones, over their number: a term of each well, less one of each dealt pair of a
    plate. The term of a well is spread over the pairs that it takes part in.
    """
    layout = blocks.layout
    n_dealt = sum(layout.n_drawn)
    wells = [of_wells(pools, plate) / n_dealt for plate in range(len(layout.n_drawn))]
    partner = _partners(blocks)
    tables = np.empty((len(pools.own), sum(blocks.sizes)))
    start = 0
    for (a, b), size in zip(blocks.plates, blocks.sizes, strict=True):
        block = tables[:, start : start + size].reshape(len(tables), layout.n_wells[a], layout.n_wells[b])
        start += size
        factor = 2 / (n_dealt - 1) + (2 / pools.controls.n_controls[a] if a == b else 0.0)
        _fill_cosines(pools, a, b, out=block)
        block *= factor / n_dealt
        if partner[a] == b:
            block -= wells[a][:, :, None] / (layout.n_drawn[b] - (a == b))
        if partner[b] == a:
            block -= wells[b][:, None, :] / (layout.n_drawn[a] - (a == b))
    return tables


def _partners(blocks: Blocks) -> dict[int, int]:
    """Return the plate with whose wells each plate's wells carry their own term: the first that it has a block with."""
    partners: dict[int, int] = {}
    for a, b in blocks.plates:
        partners.setdefault(a, b)
        partners.setdefault(b, a)
    return partners


def _fill_cosines(pools: Pools, a: int, b: int, *, out: NDArray[np.float64]) -> None:
    """Write the cosines of the wells of one plate with those of another into `out`, (T, wells of a, of b)."""
    controls_a, own_a = pools.wells_of(a)
    controls_b, own_b = pools.wells_of(b)
    n = len(pools.controls.centred)
    n_a, n_b = pools.controls.n_controls[a], pools.controls.n_controls[b]
    replicates_a, replicates_b = (slice(own.start - n, own.stop - n) for own in (own_a, own_b))
    middles_b = np.concatenate([pools.middles[:, b, controls_a], pools.middles[:, b, own_a]], axis=1)
    middles_a = np.concatenate([pools.middles[:, a, controls_b], pools.middles[:, a, own_b]], axis=1)
    middles_a -= pools.between[:, a, b, None]
    np.subtract(pools.controls.products[controls_a, controls_b], middles_b[:, :n_a, None], out=out[:, :n_a, :n_b])
    np.subtract(
        pools.own[:, replicates_b, controls_a].transpose(0, 2, 1), middles_b[:, :n_a, None], out=out[:, :n_a, n_b:]
    )
    np.subtract(pools.own[:, replicates_a, controls_b], middles_b[:, n_a:, None], out=out[:, n_a:, :n_b])
    np.subtract(pools.own[:, replicates_a, own_b], middles_b[:, n_a:, None], out=out[:, n_a:, n_b:])
    out -= middles_a[:, None, :]
    out *= _inverse_lengths(pools, a)[:, :, None]
    out *= _inverse_lengths(pools, b)[:, None, :]


def _inverse_lengths(pools: Pools, plate: int) -> NDArray[np.float64]:
    controls, own = pools.wells_of(plate)
    return np.concatenate([pools.inverse_lengths[:, controls], pools.inverse_lengths[:, own]], axis=1)


def of_wells(pools: Pools, plate: int) -> NDArray[np.float64]:
    """Return the sum of each well's cosines with the others of its plate, over the number of negatives: (T, wells)."""
    controls, own = pools.wells_of(plate)
    n = len(pools.controls.centred)
    replicates = slice(own.start - n, own.stop - n)
    inverse = _inverse_lengths(pools, plate)
    n_controls = pools.controls.n_controls[plate]
    of_controls, of_own = inverse[:, :n_controls], inverse[:, n_controls:]
    across, among = pools.own[:, replicates, controls], pools.own[:, replicates, own]
    with_controls = of_controls @ pools.controls.products[controls, controls]
    with_controls += (of_own[:, None, :] @ across)[:, 0]
    with_own = (across @ of_controls[:, :, None])[:, :, 0] + (of_own[:, None, :] @ among)[:, 0]
    middles = np.concatenate([pools.middles[:, plate, controls], pools.middles[:, plate, own]], axis=1)
    # The sum of (x_i - m)(x_j - m) / l_j over j, then the well itself, whose cosine is 1 unless it has no direction.
    total = np.hstack([with_controls, with_own])
    total -= middles * inverse.sum(axis=1, keepdims=True)
    total -= (middles * inverse).sum(axis=1, keepdims=True)
    total += pools.between[:, plate, plate, None] * inverse.sum(axis=1, keepdims=True)
    sums: NDArray[np.float64] = (total * inverse - (inverse > 0)) / n_controls
    return sums


def scores(table: NDArray[np.float64], places: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the score of every design, (B,), from a treatment's table (L,) and the places of pairs (pairs, B)."""
    step = max(1, _PAIRS_AT_ONCE // len(places))
    if places.shape[1] <= step:
        return np.asarray(np.add.reduce(table.take(places), axis=0))
    found = np.empty(places.shape[1])
    for start in range(0, len(found), step):
        np.add.reduce(table.take(places[:, start : start + step]), axis=0, out=found[start : start + step])
    return found
