"""Random designs in batches, the same for all treatments of a layout, sorted by how much they share.

Most designs deal control wells alone: these are kept as the numbers of their wells. Of those that deal one of a
treatment's wells, and of the few that deal more, the places of their pairs in a table are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, pairwise
from math import prod

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.design_scores import Blocks
from hcs.statistics.designs import Layout, draw_designs
from hcs.statistics.shared_designs import SharedDesigns, shared_designs

MIN_DRAWS = 999
"""Of the first batch. A smaller floor would let early stopping pile p-values up near 1."""
_PAIRS_AT_ONCE = 500_000
"""Pairs of dealt wells of a batch of draws, at most."""
_KEPT_BATCHES = 24
"""Batches that stay in memory for the next plates with as many wells: 30 MB, and a million draws of five wells."""
_LARGEST_CODE = 2**18
"""Entries of a table by several wells at once: 2 MB."""


@dataclass(frozen=True)
class Batch:
    """Designs that were drawn together."""

    n_designs: int
    controls: NDArray[np.intp]
    """(B',), numbers of the designs that deal control wells alone, in rising order as all numbers."""
    of_controls: NDArray[np.integer]
    """(R, B'), their wells, numbered from 0 on every plate."""
    codes: tuple[NDArray[np.int32], ...]
    """(B',), one number for the first wells of each design, one for the others; empty if two do not do."""
    single: NDArray[np.intp]
    """(S,), those that deal one well of the treatment."""
    of_single: NDArray[np.int32]
    """(pairs, S), the places of their pairs in a table."""
    single_controls: NDArray[np.int32]
    """(pairs, S), the same, but the place after the last of a table for a pair with the treatment's well."""
    single_plates: NDArray[np.intp]
    """(S,), the plate of that well."""
    mixed: NDArray[np.intp]
    """(M,), the others, which deal several."""
    of_mixed: NDArray[np.int32]
    """(pairs, M)."""


def draw_batch(blocks: Blocks, *, seed: int, number: int, max_draws: int) -> Batch:
    """Return a batch of designs: few in the first, because most treatments need no more, then twice as many each."""
    return _kept_batch(blocks.layout, seed, number, _size(blocks, number, max_draws))


def first_designs(blocks: Blocks, *, seed: int, max_draws: int) -> SharedDesigns:
    """Return the design that was made, then those of the first batch, which has number 0."""
    return _kept_first_designs(blocks.layout, seed, _size(blocks, 0, max_draws))


def code_groups(layout: Layout) -> tuple[range, ...]:
    """Return which wells of a design a code stands for, for each of one or two codes; none if they are too many."""
    sizes = np.repeat(layout.n_controls, layout.n_drawn).tolist()
    ends = [0]
    while ends[-1] < len(sizes):
        end = ends[-1] + 1
        while end < len(sizes) and prod(sizes[ends[-1] : end + 1]) <= _LARGEST_CODE:
            end += 1
        ends.append(end)
    return tuple(range(start, end) for start, end in pairwise(ends)) if len(ends) <= 3 else ()


def _size(blocks: Blocks, number: int, max_draws: int) -> int:
    largest = max(1, _PAIRS_AT_ONCE // blocks.n_pairs)
    start, size = 0, min(MIN_DRAWS, largest)
    for _ in range(number):
        start, size = start + size, min(2 * size, largest)
    return min(size, max_draws - start)


def _draw(layout: Layout, seed: int, number: int, size: int) -> NDArray[np.int32]:
    """Return designs that follow from the seed and the number of replicates and controls of each plate."""
    counts = [count for plate in zip(layout.n_drawn, layout.n_wells, strict=True) for count in plate]
    rng = np.random.default_rng(np.random.SeedSequence([seed, number, *counts]))
    return draw_designs(layout, size, rng)


@lru_cache(maxsize=2)
def _kept_first_designs(layout: Layout, seed: int, size: int) -> SharedDesigns:
    return shared_designs(layout, np.vstack([Blocks(layout).observed, _draw(layout, seed, 0, size)]))


@lru_cache(maxsize=_KEPT_BATCHES)
def _kept_batch(layout: Layout, seed: int, number: int, size: int) -> Batch:
    blocks = Blocks(layout)
    designs = _draw(layout, seed, number, size)
    firsts = np.repeat(layout.first_wells, layout.n_drawn).astype(np.int32)
    wells = np.ascontiguousarray(designs.T) - firsts[:, None]
    is_own = wells >= np.repeat(layout.n_controls, layout.n_drawn).astype(np.int32)[:, None]
    n_own = is_own.sum(axis=0, dtype=np.int32)
    controls, single, mixed = np.flatnonzero(n_own == 0), np.flatnonzero(n_own == 1), np.flatnonzero(n_own > 1)
    of_single = blocks.places(designs[single]).astype(np.int32)
    own_of_single = is_own[:, single]
    with_own = np.stack([own_of_single[i] | own_of_single[j] for i, j in combinations(range(len(wells)), 2)])
    plate_of = np.repeat(np.arange(len(layout.n_drawn)), layout.n_drawn)
    is_small = max(layout.n_wells) < np.iinfo(np.int16).max
    dealt = wells[:, controls]
    of_controls: NDArray[np.int16] | NDArray[np.int32] = dealt.astype(np.int16) if is_small else dealt.astype(np.int32)
    return Batch(
        n_designs=size,
        controls=controls,
        of_controls=of_controls,
        codes=tuple(_codes(of_controls, group, layout) for group in code_groups(layout)),
        single=single,
        of_single=of_single,
        single_controls=np.where(with_own, np.int32(sum(blocks.sizes)), of_single),
        single_plates=plate_of[own_of_single.argmax(axis=0)],
        mixed=mixed,
        of_mixed=blocks.places(designs[mixed]).astype(np.int32),
    )


def _codes(wells: NDArray[np.integer], group: range, layout: Layout) -> NDArray[np.int32]:
    sizes = np.repeat(layout.n_controls, layout.n_drawn).tolist()
    codes = np.zeros(wells.shape[1], dtype=np.int32)
    for place in group:
        codes *= np.int32(sizes[place])
        codes += wells[place]
    return codes
