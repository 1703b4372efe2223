"""Random designs, drawn for a treatment until its p-value is known well enough.

Sequential Monte-Carlo (Besag and Clifford 1991, Biometrika 78:301): at least 999 draws, then until 20 of them score at
least as high as the treatment. The rule looks at one treatment alone. One that also stopped where p is known to be on
one side of a threshold of the whole family would make p depend on which other treatments there are.

The first draws are scored for all treatments together. A strong treatment needs all draws there may be, and nearly none
of them comes near its score: `hcs.statistics.near_designs` finds the few that might.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.design_scores import Blocks
from hcs.statistics.draw_batches import draw_batch, first_designs
from hcs.statistics.near_designs import Likeness
from hcs.statistics.pool import Pools
from hcs.statistics.similarity import TIE_TOLERANCE

ENOUGH_EXCEEDANCES = 20
"""p is then known to a quarter of itself."""
MAX_DRAWS = 999_999
_BATCHES_APART = 6
"""So many batches are looked at one by one, since they decide most treatments."""
_BATCHES_TOGETHER = 8


@dataclass
class Undecided:
    """A treatment whose p-value is not known yet."""

    threshold: float
    """What counts as its score or more."""
    n_at_least: int
    n_drawn: int
    table: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """(L,), of `design_scores.score_tables`, while it is wanted."""

    @property
    def is_decided(self) -> bool:
        """Whether enough draws scored as high."""
        return self.n_at_least >= ENOUGH_EXCEEDANCES

    def count(self, n_designs: int, at_least: NDArray[np.intp]) -> None:
        """Count further draws, up to the one that decides.

        Args:
            n_designs: Number of draws.
            at_least: Which of them scored as high, in rising order.
        """
        missing = ENOUGH_EXCEEDANCES - self.n_at_least
        stop = n_designs
        if len(at_least) >= missing:
            # Stopping inside the batch keeps the rule that of the paper: at the draw that brings the last exceedance.
            stop = int(at_least[missing - 1]) + 1
        self.n_drawn += stop
        self.n_at_least += int(np.searchsorted(at_least, stop))


def first_draws(pools: Pools, blocks: Blocks, *, seed: int, max_draws: int) -> list[Undecided]:
    """Return the treatments with the draws that every one gets counted, and without tables."""
    scores = first_designs(blocks, seed=seed, max_draws=max_draws).scores(pools)
    thresholds = scores[0] - TIE_TOLERANCE
    n_at_least = np.count_nonzero(scores[1:] >= thresholds, axis=0)
    return [
        Undecided(*item, n_drawn=len(scores) - 1) for item in zip(thresholds.tolist(), n_at_least.tolist(), strict=True)
    ]


def further_draws(waiting: list[Undecided], blocks: Blocks, *, seed: int, max_draws: int) -> None:
    """Draw for treatments that have seen the first draws, until each is decided or `max_draws` is reached."""
    left = [item for item in waiting if not item.is_decided and item.n_drawn < max_draws]
    if not left:
        return
    likeness = Likeness([item.table for item in left], blocks)
    found = likeness.reaches([item.table for item in left], [item.threshold for item in left])
    reaches = {id(item): reach for item, reach in zip(left, found, strict=True)}
    for numbers in _numbers_together():
        batches = []
        n_drawn = left[0].n_drawn
        for number in numbers:
            if n_drawn < max_draws:
                batches.append(draw_batch(blocks, seed=seed, number=number, max_draws=max_draws))
                n_drawn += batches[-1].n_designs
        candidates = likeness.candidates(batches, [reaches[id(item)] for item in left])
        for item in left:
            at_least = candidates.at_least(item.table, item.threshold, reaches[id(item)])
            item.count(candidates.n_designs, at_least)
        left = [item for item in left if not item.is_decided and item.n_drawn < max_draws]
        if not left:
            return


def _numbers_together() -> Iterator[range]:
    """Yield the numbers of batches that are looked at together: at first one, later four times as many each time."""
    start, size = 1, 1
    while True:
        yield range(start, start + size)
        start += size
        size = min(4 * size, _BATCHES_TOGETHER) if start > _BATCHES_APART else 1
