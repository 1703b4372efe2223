"""How wells are dealt into blocks that are clustered one after the other, by content and not by their order."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.content import content_keys


@dataclass(frozen=True)
class Deal:
    """N wells in the order of their batches, in a batch in a random one.

    Block j of m is every m-th well from the j-th on, so that each holds its share of every batch, and wells of one
    batch stand together in it.
    """

    order: NDArray[np.intp]
    """(N,), the well at each place."""
    ends: NDArray[np.intp]
    """(B + 1,), where each batch begins, and the end."""
    n_blocks: int
    copies: NDArray[np.intp]
    """(C, 2), places that hold the same content as an earlier place of the same batch, and that place."""

    @property
    def shares(self) -> NDArray[np.float64]:
        """Return each batch's share of the wells, (B,)."""
        return np.diff(self.ends) / len(self.order)

    def batch_slices(self) -> list[slice]:
        """Return the places of each batch."""
        return [slice(low, high) for low, high in pairwise(self.ends)]

    def block_slices(self, block: int) -> tuple[slice, list[tuple[int, slice]]]:
        """Return the places of a block, and of each batch that has wells in it the number and the rows of the block."""
        bounds = np.maximum(-(-(self.ends - block) // self.n_blocks), 0)
        rows = [slice(int(low), int(high)) for low, high in pairwise(bounds)]
        present = [(batch, part) for batch, part in enumerate(rows) if part.stop > part.start]
        return slice(block, None, self.n_blocks), present


def deal(
    values: NDArray[np.floating], batches: NDArray[np.integer], *, n_blocks: int, rng: np.random.Generator
) -> Deal:
    """Return the deal of these wells; one well has the same place for any order of the rows and numbers of batches.

    Args:
        values: (N, D), finite.
        batches: (N,), any integers.
        n_blocks: At most as many as there are wells.
        rng: Of the order in a batch.
    """
    keys = content_keys(values)
    _, numbers = np.unique(batches, return_inverse=True)
    smallest = np.full(int(numbers.max()) + 1, np.inf)
    np.minimum.at(smallest, numbers, keys)
    rank = np.argsort(np.argsort(smallest, kind="stable"), kind="stable")[numbers]
    by_content = np.lexsort((keys, rank))
    ends = np.concatenate([[0], np.cumsum(np.bincount(rank))]).astype(np.intp)
    places = np.concatenate([low + rng.permutation(high - low) for low, high in pairwise(ends)])
    order = np.empty(len(places), dtype=np.intp)
    order[places] = by_content
    may_be_copy = np.zeros(len(keys), dtype=np.bool_)
    may_be_copy[1:] = (np.diff(keys[by_content]) == 0) & (np.diff(rank[by_content]) == 0)
    return Deal(order, ends, n_blocks, _copies(values, by_content, may_be_copy, places))


def _copies(
    values: NDArray[np.floating], by_content: NDArray[np.intp], may_be_copy: NDArray[np.bool_], places: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Return the place of every well that equals the one before it in the order of content, and its first copy's."""
    is_copy = may_be_copy.copy()
    suspects = np.flatnonzero(may_be_copy)
    is_copy[suspects] = (values[by_content[suspects]] == values[by_content[suspects - 1]]).all(axis=1)
    first = np.maximum.accumulate(np.where(is_copy, 0, np.arange(len(is_copy))))
    copies: NDArray[np.intp] = np.stack([places[is_copy], places[first[is_copy]]], axis=1)
    return copies
