"""The scores of the same designs for many treatments at once.

A table of what every pair of wells adds (`hcs.statistics.design_scores`) pays for a treatment of which many designs are
looked at. Most treatments are decided by the first thousand, which deal fewer pairs than there are in the pool. For
these the products of controls are looked up once for all treatments, and what a treatment adds to them is a sum over
wells instead of pairs:

    the sum over pairs of w g_i g_j (x_i - m_a) (x_j - m_b)

splits into that of w g_i g_j x_i x_j, where x_i x_j is common to all treatments unless a well is the treatment's own,
and sums over wells of products with middles. Treatments lie side by side in memory, so that every step is one of long
vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hcs.statistics.design_scores import of_wells
from hcs.statistics.designs import Layout
from hcs.statistics.pool import Pools

_VALUES_AT_ONCE = 60_000
"""Values of wells that lie side by side: half a megabyte, which a core has near."""


@dataclass(frozen=True)
class SharedDesigns:
    """D designs of R wells, taken apart into what treatments share and what they do not."""

    layout: Layout
    wells: NDArray[np.intp]
    """(D, R), as numbers in a pool: controls, then replicates."""
    pair_weights: NDArray[np.float64]
    """(R, R), by how much the cosine of two dealt wells counts; 0 for a well with itself."""
    dealt: csr_array
    """(D, P), 1 for a dealt well."""
    own: csr_array
    """(D, (1 + R) P), -1 for a dealt well; then the weights of pairs of a treatment's well, R, with any well, P."""

    def scores(self, pools: Pools) -> NDArray[np.float64]:
        """Return the score of every design for every treatment, (D, T)."""
        products = self._shared_products(pools)
        step = max(1, _VALUES_AT_ONCE // (self.dealt.shape[1] * self.wells.shape[1]))
        found = np.empty((len(self.wells), len(pools.own)))
        for start in range(0, len(pools.own), step):
            some = slice(start, start + step)
            found[:, some] = self._scores(pools.part(some), products)
        return found

    def _shared_products(self, pools: Pools) -> NDArray[np.float64]:
        """Return half the weighted products of dealt controls, (D, R, R), 0 where a well is the treatment's own."""
        n = len(pools.controls.centred)
        is_control = self.wells < n
        rows = np.where(is_control, self.wells, 0)
        products = pools.controls.products[rows[:, :, None], rows[:, None, :]]
        products *= 0.5 * self.pair_weights
        products *= is_control[:, :, None] & is_control[:, None, :]
        return np.asarray(products)

    def _scores(self, pools: Pools, products: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (D, T)."""
        inverse, with_middles, own = _terms(pools, self.layout)
        dealt = inverse.take(self.wells, axis=0)
        total = self.own @ own
        total += np.einsum("drt,drt->dt", dealt, products @ dealt)
        by_plate = self._by_plate(dealt)
        n_designs, n_plates, n_treatments = by_plate.shape
        middles = (self.dealt @ with_middles).reshape(n_designs, n_plates, n_treatments)
        total -= np.einsum("dat,dat->dt", by_plate, middles)
        return np.asarray(total)

    def _by_plate(self, dealt: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sums over the wells of a plate, (D, A, T) of (D, R, T)."""
        if max(self.layout.n_drawn) == 1:
            return dealt
        starts = np.cumsum((0, *self.layout.n_drawn))[:-1]
        return np.asarray(np.add.reduceat(dealt, starts, axis=1))


def shared_designs(layout: Layout, designs: NDArray[np.integer]) -> SharedDesigns:
    """Return designs (D, R), wells numbered as in the layout, ready to be scored."""
    n_designs, n_dealt = designs.shape
    n_controls = sum(layout.n_controls)
    n_wells = n_controls + n_dealt
    wells = _pool_numbers(layout)[designs]
    plate_of = np.repeat(np.arange(len(layout.n_drawn)), layout.n_drawn)
    weights = _weights(layout)[plate_of[:, None], plate_of]
    np.fill_diagonal(weights, 0.0)
    ends = np.arange(n_designs + 1) * n_dealt
    dealt = csr_array((np.ones(wells.size), wells.ravel(), ends), shape=(n_designs, n_wells))
    first, second = np.triu_indices(n_dealt, k=1)
    numbers, pairs = np.nonzero((wells[:, first] >= n_controls) | (wells[:, second] >= n_controls))
    left, right = wells[numbers, first[pairs]], wells[numbers, second[pairs]]
    # A pair is listed with the treatment's well, or the later of two, as the row.
    row, column = np.maximum(left, right), np.minimum(left, right)
    rows = np.concatenate([np.repeat(np.arange(n_designs), n_dealt), numbers])
    columns = np.concatenate([wells.ravel(), (1 + row - n_controls) * n_wells + column])
    values = np.concatenate([np.full(wells.size, -1.0), weights[first[pairs], second[pairs]]])
    own = csr_array((values, (rows, columns)), shape=(n_designs, (1 + n_dealt) * n_wells))
    return SharedDesigns(layout, wells, weights, dealt, own)


def _pool_numbers(layout: Layout) -> NDArray[np.intp]:
    """Return the number in a pool of every well of the layout."""
    is_own = np.concatenate(
        [np.arange(n) >= n - drawn for n, drawn in zip(layout.n_wells, layout.n_drawn, strict=True)]
    )
    numbers = np.empty(len(is_own), dtype=np.intp)
    numbers[~is_own] = np.arange(sum(layout.n_controls))
    numbers[is_own] = sum(layout.n_controls) + np.arange(sum(layout.n_drawn))
    return numbers


def _weights(layout: Layout) -> NDArray[np.float64]:
    """Return by how much the cosine of two dealt wells counts, by their plates, (A, A)."""
    n_dealt = sum(layout.n_drawn)
    weights = np.full((len(layout.n_drawn),) * 2, 2 / (n_dealt - 1))
    weights[np.diag_indices_from(weights)] += 2 / np.array(layout.n_controls)
    return weights / n_dealt


def _terms(pools: Pools, layout: Layout) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return what wells add, treatments last: inverse lengths, products with middles, and what is a treatment's own.

    Returns:
        (P, T); (P, A T), weighted and scaled; and ((1 + R) P, T): what a well adds by itself, then the cosines, as from
        the origin, of each of the treatment's wells with all.
    """
    n_treatments, n_own, n_wells = pools.own.shape
    n_plates = len(layout.n_drawn)
    plates = np.arange(n_plates)
    plate_of = np.concatenate([plates.repeat(layout.n_controls), plates.repeat(layout.n_drawn)])
    weights = _weights(layout)
    # Each is copied to its new order first: operations on two orders at once are slow.
    inverse = np.ascontiguousarray(pools.inverse_lengths.T)
    with_middles = pools.middles.transpose(2, 1, 0).copy()
    with_middles -= np.multiply(0.5, pools.between.transpose(1, 2, 0), order="C")[plate_of]
    with_middles *= inverse[:, None, :]
    # A dealt well has no cosine with itself, which the sum over all wells of its plate has: it is taken out here.
    own = np.empty((1 + n_own, n_wells, n_treatments))
    itself = with_middles[np.arange(n_wells), plate_of]
    np.multiply(itself, inverse, out=own[0])
    own[0] *= -weights[plate_of, plate_of, None]
    for plate in range(n_plates):
        of_plate = np.ascontiguousarray(of_wells(pools, plate).T) / n_own
        own[0][plate_of == plate] += of_plate
    with_middles *= weights[plate_of][:, :, None]
    own[1:] = pools.own.transpose(1, 2, 0)
    own[1:] *= inverse
    own[1:] *= inverse[n_wells - n_own :, None, :]
    return inverse, with_middles.reshape(n_wells, -1), own.reshape(-1, n_treatments)
