"""What a design scores: mean average precision, with a contrast of similarities to break ties."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.pool import CentredPool
from hcs.statistics.similarity import TIE_TOLERANCE, descending_ranks


class DesignScores:
    """Scores any number of designs of one pool from two tables that are made once.

    The first holds, for query i and candidate j, how many wells of i's plate are more similar to i than j is. Less
    those of them that are drawn too, it is the number of negatives that rank above j: all that average precision needs.
    """

    def __init__(self, pool: CentredPool) -> None:
        is_same_plate = pool.plates[:, None] == pool.plates[None, :]
        np.fill_diagonal(is_same_plate, False)
        above, self._has_ties = _wells_above(pool.similarities, is_same_plate)
        # One integer that sorts candidates by the wells above them and remembers whether they are on the query's plate.
        self._keys = (2 * above + is_same_plate).astype(np.int32)
        np.fill_diagonal(self._keys, np.iinfo(np.int32).max)  # the query itself sorts last and is cut off
        self._shares_plates = max(pool.layout.n_drawn) > 1
        n_negatives = (np.array(pool.layout.n_wells) - np.array(pool.layout.n_drawn))[pool.plates]
        self._pair_terms, self._query_terms = _contrast_terms(
            pool.similarities, is_same_plate, n_negatives, n_replicates=sum(pool.layout.n_drawn)
        )

    def mean_average_precisions(self, designs: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return the mean average precision of every design, (B,) for designs (B, R), ties favouring positives."""
        means: NDArray[np.float64] = self._precision_sums(designs, designs) / designs.shape[1]
        return means

    def _precision_sums(self, designs: NDArray[np.int32], queries: NDArray[np.int32]) -> NDArray[np.float64]:
        """Sum the average precisions of the queries (B, Q), some columns of the designs (B, R)."""
        pairs = queries[:, :, None].astype(np.intp) * len(self._keys) + designs[:, None, :]
        keys = np.sort(self._keys.ravel().take(pairs), axis=2)[:, :, :-1]
        n_above = keys >> 1
        if self._shares_plates:
            n_above -= self._drawn_above(keys)
        n_positives = np.arange(1.0, keys.shape[2] + 1)
        sums: NDArray[np.float64] = (n_positives / (n_positives + n_above)).sum(axis=(1, 2)) / keys.shape[2]
        return sums

    def _drawn_above(self, sorted_keys: NDArray[np.int32]) -> NDArray[np.int32]:
        """Count the drawn wells of the query's plate that are more similar to it than each positive is."""
        is_same_plate = sorted_keys & 1
        before = np.cumsum(is_same_plate, axis=2, dtype=np.int32) - is_same_plate
        if self._has_ties:
            # Wells tied with each other are not above each other: all count from the first of the tied.
            is_first = np.ones(sorted_keys.shape, dtype=bool)
            is_first[:, :, 1:] = sorted_keys[:, :, 1:] != sorted_keys[:, :, :-1]
            before = np.maximum.accumulate(np.where(is_first, before, 0), axis=2)
        return before

    def contrasts(self, designs: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return mean positive minus mean negative similarity, averaged over the queries of every design: (B,)."""
        pairs = self._pair_terms[designs[:, :, None], designs[:, None, :]].sum(axis=(1, 2))
        return np.asarray((pairs - self._query_terms[designs].sum(axis=1)) / designs.shape[1])

    def at_least(self, designs: NDArray[np.int32], *, precision: float, contrast: float) -> NDArray[np.bool_]:
        """Return which designs score at least this high: by precision, and where it is tied by contrast.

        A design is given up as soon as perfect precision of its remaining queries could not lift it to the mark, which
        for a strong treatment is after a few queries.
        """
        n_replicates = designs.shape[1]
        sums = np.zeros(len(designs))
        open_designs = np.arange(len(designs))
        for start, stop in pairwise(_query_bounds(n_replicates)):
            block = designs[open_designs]
            sums[open_designs] += self._precision_sums(block, block[:, start:stop])
            best = (sums[open_designs] + n_replicates - stop) / n_replicates
            open_designs = open_designs[best >= precision - TIE_TOLERANCE]
        is_at_least = np.zeros(len(designs), dtype=bool)
        is_at_least[open_designs] = sums[open_designs] / n_replicates > precision + TIE_TOLERANCE
        tied = open_designs[~is_at_least[open_designs]]
        is_at_least[tied] = self.contrasts(designs[tied]) >= contrast - TIE_TOLERANCE
        return is_at_least


def _query_bounds(n_replicates: int) -> list[int]:
    """Cut the queries of a design into at most eight parts of at least two."""
    return [*range(0, n_replicates, max(2, -(-n_replicates // 8))), n_replicates]


def _wells_above(similarities: NDArray[np.float64], is_same_plate: NDArray[np.bool_]) -> tuple[NDArray[np.int64], bool]:
    """Return how many wells of the row's plate are more similar than each column, and whether any two of them tie."""
    n_wells = len(similarities)
    candidates = similarities.copy()
    np.fill_diagonal(candidates, -np.inf)
    ranks = descending_ranks(candidates)
    rows = np.arange(n_wells)[:, None]
    at_rank = np.bincount((rows * n_wells + ranks).ravel(), weights=is_same_plate.ravel(), minlength=n_wells**2)
    at_rank = at_rank.reshape(n_wells, n_wells).astype(np.int64)
    above = np.take_along_axis(np.cumsum(at_rank, axis=1) - at_rank, ranks, axis=1)
    return above, bool(at_rank.max() > 1)


def _contrast_terms(
    similarities: NDArray[np.float64],
    is_same_plate: NDArray[np.bool_],
    n_negatives: NDArray[np.int64],
    *,
    n_replicates: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Split the contrast into a term per drawn pair and one per query.

    The negatives of a query are the wells of its plate less the drawn ones, so their mean similarity is the plate's sum
    (a query's term) less the drawn pairs' (a pair's term), over their number.
    """
    per_negative = 1.0 / n_negatives
    pair_terms = similarities * (1.0 / (n_replicates - 1) + is_same_plate * per_negative[:, None])
    np.fill_diagonal(pair_terms, 0.0)
    return pair_terms, (similarities * is_same_plate).sum(axis=1) * per_negative
