"""Whether a treatment's replicates resemble one another more than wells dealt at random do.

The joint design permutation: within every plate, the treatment's wells and the negative controls are exchangeable
under the null hypothesis, so every way to deal the replicates over the pool is as likely as the one that was made. Each
deal is scored as the treatment is: by how much more similar a replicate is to the others, on average, than to the wells
of its plate that were not dealt. Similarity is the cosine of wells centred on the pool of their plate
(`hcs.statistics.pool`). Keeping the replicates together in one deal keeps their dependence; averaging nulls of single
queries does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.design_scores import DesignScores
from hcs.statistics.designs import Layout, all_designs, draw_designs
from hcs.statistics.pool import centred_pool

MAX_EXACT_DESIGNS = 20_000
"""Up to this many designs all of them are scored, and the p-value is exact."""
MIN_DRAWS = 999
"""A smaller floor would let early stopping pile p-values up near 1."""
ENOUGH_EXCEEDANCES = 20
"""Sequential Monte-Carlo stops here (Besag and Clifford 1991, Biometrika 78:301): p is known to a quarter of itself."""
MAX_DRAWS = 99_999
_PAIRS_A_BLOCK = 500_000
"""Pairs of replicates scored at once: about 20 MB of intermediates, whatever the number of draws."""

Scorer = Callable[[NDArray[np.int32]], NDArray[np.bool_]]
"""Says of each design whether it scores at least as high as the observed one."""


@dataclass(frozen=True)
class DesignTest:
    """The outcome of one joint design permutation."""

    p_value: float
    """Share of designs that score at least as high as the observed one, which counts itself."""
    smallest_possible_p: float
    """What the best conceivable treatment would get in this layout."""
    n_scored: int
    """Designs scored, the observed one included."""
    is_exact: bool
    """Whether every design was scored."""


def permutation_test(
    profiles: NDArray[np.float64],
    plates: NDArray[np.integer],
    is_replicate: NDArray[np.bool_],
    *,
    seed: int,
    max_draws: int = MAX_DRAWS,
) -> DesignTest:
    """Return how surprising the agreement of the replicates is under the joint design permutation.

    Layouts with at most 20,000 designs are enumerated; p is then the exact share. Others are drawn: at least 999 times,
    until 20 draws score at least as high as the treatment or `max_draws` is reached, and p = (1 + k) / (1 + n). Draws
    follow from the seed and the number of replicates and controls of each plate alone, applied to wells in the order of
    what they contain: neither names nor the order of rows or calls can change a p-value.

    Args:
        profiles: (P, D), finite; the treatment's replicates and the negative controls of their plates.
        plates: (P,), any integers, one a plate. Every plate holds at least one replicate and one control.
        is_replicate: (P,), at least two.
        seed: Of the run.
        max_draws: Upper limit of random draws.

    Raises:
        ValueError: If a plate lacks a replicate or a control, or there are fewer than two replicates.
    """
    _check_pool(plates, is_replicate)
    pool = centred_pool(profiles, plates, is_replicate)
    observed = np.flatnonzero(pool.is_replicate).astype(np.int32)[None, :]
    scores = DesignScores(pool)
    scorer = partial(scores.at_least, contrast=float(scores.contrasts(observed)[0]))
    if pool.layout.n_designs <= MAX_EXACT_DESIGNS:
        return _exact(pool.layout, scorer)
    return _sampled(pool.layout, scorer, seed=seed, max_draws=max_draws)


def smallest_possible_p(layout: Layout, *, max_draws: int = MAX_DRAWS) -> float:
    """Return the smallest p-value that the layout and the number of draws allow."""
    if layout.n_designs <= MAX_EXACT_DESIGNS:
        return 1 / layout.n_designs
    return max(1 / layout.n_designs, 1 / (max_draws + 1))


def _check_pool(plates: NDArray[np.integer], is_replicate: NDArray[np.bool_]) -> None:
    if is_replicate.sum() < 2:
        raise ValueError(f"agreement needs at least two replicates, but {is_replicate.sum()} came")
    with_replicates, with_controls = set(plates[is_replicate].tolist()), set(plates[~is_replicate].tolist())
    if with_replicates != with_controls:
        raise ValueError("every plate of the pool needs a replicate and a negative control; one of them lacks either")


def _exact(layout: Layout, scorer: Scorer) -> DesignTest:
    designs = all_designs(layout)
    n_blocks = -(-len(designs) // _block_size(layout))
    n_at_least = sum(int(scorer(block).sum()) for block in np.array_split(designs, n_blocks))
    return DesignTest(n_at_least / len(designs), 1 / len(designs), n_scored=len(designs), is_exact=True)


def _sampled(layout: Layout, scorer: Scorer, *, seed: int, max_draws: int) -> DesignTest:
    n_drawn = n_at_least = 0
    floor = min(MIN_DRAWS, max_draws)
    for designs in _blocks_of_draws(layout, seed=seed, max_draws=max_draws):
        running = n_at_least + np.cumsum(scorer(designs))
        draws = n_drawn + np.arange(1, len(designs) + 1)
        n_drawn, n_at_least = int(draws[-1]), int(running[-1])
        may_stop = (running >= ENOUGH_EXCEEDANCES) & (draws >= floor)
        if may_stop.any():
            # Stopping inside the block keeps the rule that of the paper: at the draw that brings the last exceedance.
            stop = int(may_stop.argmax())
            n_drawn, n_at_least = int(draws[stop]), int(running[stop])
            break
    smallest = smallest_possible_p(layout, max_draws=max_draws)
    return DesignTest(
        # By chance no draw may be the observed design itself; the exact p-value could still not be smaller than this.
        p_value=max((1 + n_at_least) / (1 + n_drawn), smallest),
        smallest_possible_p=smallest,
        n_scored=1 + n_drawn,
        is_exact=False,
    )


def _blocks_of_draws(layout: Layout, *, seed: int, max_draws: int) -> Iterator[NDArray[np.int32]]:
    """Yield `max_draws` designs: few at first, because most treatments need no more, then blocks of limited memory."""
    per_plate = sorted(zip(layout.n_drawn, layout.n_wells, strict=True))
    rng = np.random.default_rng(np.random.SeedSequence([seed, *(count for plate in per_plate for count in plate)]))
    largest, size, n_left = _block_size(layout), MIN_DRAWS, max_draws
    while n_left > 0:
        size = min(size, largest, n_left)
        yield draw_designs(layout, size, rng)
        n_left -= size
        size *= 2


def _block_size(layout: Layout) -> int:
    return max(1, _PAIRS_A_BLOCK // sum(layout.n_drawn) ** 2)
