"""The joint design permutation of one treatment at a time: where it has many replicates, as positive controls have.

Tables of pairs (`hcs.statistics.design_scores`) grow with the square of the wells: 400 replicates are 80,000 pairs a
design, and 6,400 controls 300 MB of products. Here a design is scored by sums of directions
(`hcs.statistics.direction_scores`), and the rule by which draws end is that of all treatments. Of a strong treatment
nearly no design is scored: what it scores at most is known from few numbers of its wells.

Profiles of one feature come here too, whose directions are 1 and -1: most of their designs are tied, and rounding of
products would tell them apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import comb

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.designs import Layout, draw_designs
from hcs.statistics.direction_scores import DirectionScores
from hcs.statistics.draws import Undecided
from hcs.statistics.plate_directions import PlateDirections
from hcs.statistics.similarity import TIE_TOLERANCE

_MOST_PAIRS = 300
"""Of dealt wells in a design, up to which tables are faster."""
_MOST_VALUES = 1e10
"""Values that are added up for one treatment, at most: a quarter of a minute. `smallest_possible_p` tells of it."""
_LEAST_DRAWS = 9_999
_FIRST_DRAWS = 999
_WELLS_AT_ONCE = 1_000_000
"""Dealt wells of the designs that are drawn together: 4 MB."""


def is_tested_alone(layout: Layout, *, n_features: int) -> bool:
    """Return whether treatments are tested one at a time."""
    return n_features == 1 or comb(sum(layout.n_drawn), 2) > _MOST_PAIRS


def most_draws(layout: Layout, *, n_features: int, max_draws: int) -> int:
    """Return how many draws a treatment gets at most."""
    return min(max_draws, max(_LEAST_DRAWS, int(_MOST_VALUES / (sum(layout.n_drawn) * n_features))))


def count_exactly(pool: PlateDirections, replicates: NDArray[np.floating], designs: NDArray[np.integer]) -> int:
    """Return how many of these designs (B, R) score as high as a treatment (R, D)."""
    scorer = DirectionScores(pool.layout, pool.directions(replicates))
    threshold = float(scorer.scores(_observed(pool.layout))[0]) - TIE_TOLERANCE
    return int(np.count_nonzero(scorer.scores(designs) >= threshold))


def draw_many(pool: PlateDirections, replicates: NDArray[np.floating], *, seed: int, max_draws: int) -> Undecided:
    """Return what random designs say of a treatment: as many as decide, or `max_draws` of them.

    Args:
        pool: The plates.
        replicates: (R, D).
        seed: Of the run. Draws follow from it and the number of replicates and controls of each plate alone.
        max_draws: Of `most_draws`.
    """
    layout = pool.layout
    scorer = DirectionScores(layout, pool.directions(replicates))
    threshold = float(scorer.scores(_observed(layout))[0]) - TIE_TOLERANCE
    found = Undecided(threshold, n_at_least=0, n_drawn=0)
    for number, size in enumerate(_batch_sizes(layout, max_draws)):
        if found.is_decided:
            break
        wells = _draw(layout, seed=seed, number=number, size=size)
        if not number:  # every one gets the first draws counted
            found = Undecided(threshold, int(np.count_nonzero(scorer.scores(wells) >= threshold)), n_drawn=size)
            continue
        likely = scorer.most_likely(wells, threshold)
        found.count(size, likely[scorer.scores(wells[likely]) >= threshold])
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
