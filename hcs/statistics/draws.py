"""Random designs, drawn for a treatment until its p-value is known well enough.

Sequential Monte-Carlo (Besag and Clifford 1991, Biometrika 78:301): at least 999 draws, then until 20 of them score at
least as high as the treatment. The rule looks at one treatment alone. One that also stopped where p is known to be on
one side of a threshold of the whole family would make p depend on which other treatments there are.

A strong treatment needs all draws there may be, and nearly none of them comes near its score. Most designs deal control
wells alone, and how these score differs little between treatments: what that can be at most is known from their tables,
so that only designs that might reach the score are looked at for each treatment. Of designs that deal one of its wells
it is known how much that well can add at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.design_scores import Blocks, scores
from hcs.statistics.designs import Layout, draw_designs
from hcs.statistics.pool import Pools
from hcs.statistics.shared_designs import SharedDesigns, shared_designs
from hcs.statistics.similarity import TIE_TOLERANCE

MIN_DRAWS = 999
"""A smaller floor would let early stopping pile p-values up near 1."""
ENOUGH_EXCEEDANCES = 20
"""p is then known to a quarter of itself."""
MAX_DRAWS = 999_999
_PAIRS_AT_ONCE = 500_000
"""Pairs of dealt wells of a batch of draws, at most."""
_KEPT_BATCHES = 24
"""Batches that stay in memory for the next plates with as many wells: 60 MB, and a million draws of five wells."""
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Batch:
    """Designs that were drawn together, as the places of their pairs in a table."""

    n_designs: int
    controls: NDArray[np.intp]
    """(B',), numbers of the designs that deal control wells alone."""
    of_controls: NDArray[np.int32]
    """(pairs, B'), their places."""
    single: NDArray[np.intp]
    """(S,), those that deal one well of the treatment."""
    of_single: NDArray[np.int32]
    """(pairs, S)."""
    single_controls: NDArray[np.int32]
    """(pairs, S), the same, but the place after the last of a table for a pair with the treatment's well."""
    single_plates: NDArray[np.intp]
    """(S,), the plate of that well."""
    mixed: NDArray[np.intp]
    """(B'',), the others, which deal several."""
    of_mixed: NDArray[np.intp]
    """(pairs, B'')."""


@dataclass
class Undecided:
    """A treatment whose p-value is not known yet."""

    threshold: float
    """What counts as its score or more."""
    n_drawn: int = 0
    n_at_least: int = 0
    table: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """(L,), of `design_scores.score_tables`, while it is wanted."""

    @property
    def is_decided(self) -> bool:
        """Whether enough draws scored as high."""
        return self.n_at_least >= ENOUGH_EXCEEDANCES

    def count(self, n_designs: int, at_least: NDArray[np.intp], *, floor: int) -> None:
        """Count further draws, up to the one that decides.

        Args:
            n_designs: Number of draws.
            at_least: Which of them scored as high, in rising order.
            floor: Number of draws in all before which nothing is decided.
        """
        missing = ENOUGH_EXCEEDANCES - self.n_at_least
        stop = n_designs
        if len(at_least) >= missing:
            # Stopping inside the batch keeps the rule that of the paper: at the draw that brings the last exceedance.
            stop = max(int(at_least[missing - 1]) + 1, min(floor - self.n_drawn, n_designs))
        self.n_drawn += stop
        self.n_at_least += int(np.searchsorted(at_least, stop))


def first_draws(pools: Pools, blocks: Blocks, *, seed: int, max_draws: int) -> list[Undecided]:
    """Return the treatments with the draws that every one gets counted, without tables."""
    designs = _first_designs(blocks.layout, seed, _size(blocks, 0, max_draws))
    scores = designs.scores(pools)
    thresholds = scores[:, 0] - TIE_TOLERANCE
    items = []
    for threshold, is_at_least in zip(thresholds.tolist(), scores[:, 1:] >= thresholds[:, None], strict=True):
        item = Undecided(threshold)
        item.count(len(is_at_least), np.flatnonzero(is_at_least), floor=min(MIN_DRAWS, max_draws))
        items.append(item)
    return items


@lru_cache(maxsize=2)
def _first_designs(layout: Layout, seed: int, size: int) -> SharedDesigns:
    """Return the design that was made, then those of the first batch."""
    return shared_designs(layout, np.vstack([Blocks(layout).observed, _draw(layout, seed, 0, size)]))


def further_draws(waiting: Sequence[Undecided], blocks: Blocks, *, seed: int, max_draws: int) -> None:
    """Draw for treatments that have seen the first draws, until each is decided or `max_draws` is reached."""
    left = [item for item in waiting if not item.is_decided and item.n_drawn < max_draws]
    if not left:
        return
    likeness = np.mean([item.table for item in left], axis=0)
    with_nothing = np.append(likeness, 0.0)
    lowest = {id(item): item.threshold - _ROUNDING - blocks.largest_difference(item.table - likeness) for item in left}
    most_of_one = {id(item): blocks.most_of_one_replicate(item.table) for item in left}
    number = 0
    while left:
        number += 1
        batch = _batch(blocks, seed=seed, number=number, max_draws=max_draws)
        likened, likened_single = scores(likeness, batch.of_controls), scores(with_nothing, batch.single_controls)
        highest, highest_single = likened.max(initial=-np.inf), likened_single.max(initial=-np.inf)
        for item in left:
            low, most = lowest[id(item)], most_of_one[id(item)]
            found = [batch.mixed[scores(item.table, batch.of_mixed) >= item.threshold]]
            # For a strong treatment no design of most batches comes near: then nothing is compared one by one.
            if highest >= low:
                near = np.flatnonzero(likened >= low)
                found.append(batch.controls[near[scores(item.table, batch.of_controls[:, near]) >= item.threshold]])
            if highest_single + most.max() >= low:
                near = np.flatnonzero(likened_single + most[batch.single_plates] >= low)
                found.append(batch.single[near[scores(item.table, batch.of_single[:, near]) >= item.threshold]])
            item.count(batch.n_designs, np.sort(np.concatenate(found)), floor=0)
        left = [item for item in left if not item.is_decided and item.n_drawn < max_draws]


def _batch(blocks: Blocks, *, seed: int, number: int, max_draws: int) -> Batch:
    return _kept_batch(blocks.layout, seed, number, _size(blocks, number, max_draws))


def _size(blocks: Blocks, number: int, max_draws: int) -> int:
    """Return how many designs a batch has: few in the first, since most need no more, then twice as many each."""
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


@lru_cache(maxsize=_KEPT_BATCHES)
def _kept_batch(layout: Layout, seed: int, number: int, size: int) -> Batch:
    """Return designs, sorted by how many of the treatment's own wells they deal."""
    designs = _draw(layout, seed, number, size)
    own_starts = np.add(layout.first_wells, layout.n_controls).repeat(layout.n_drawn)
    is_own = designs >= own_starts
    n_own = is_own.sum(axis=1)
    blocks = Blocks(layout)
    places = blocks.places(designs)
    first, second = np.triu_indices(designs.shape[1], k=1)
    single = np.flatnonzero(n_own == 1)
    with_own = (is_own[single][:, first] | is_own[single][:, second]).T
    of_single = places[:, single].astype(np.int32)
    plate_of = np.repeat(np.arange(len(layout.n_drawn)), layout.n_drawn)
    return Batch(
        n_designs=size,
        controls=np.flatnonzero(n_own == 0),
        of_controls=places[:, n_own == 0].astype(np.int32),
        single=single,
        of_single=of_single,
        single_controls=np.where(with_own, np.int32(sum(blocks.sizes)), of_single),
        single_plates=plate_of[is_own[single].argmax(axis=1)],
        mixed=np.flatnonzero(n_own > 1),
        of_mixed=places[:, n_own > 1],
    )
