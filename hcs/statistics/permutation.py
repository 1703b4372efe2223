"""Whether a treatment's replicates resemble one another more than wells dealt at random do.

The joint design permutation: within every plate, the treatment's wells and the negative controls are exchangeable
under the null hypothesis, so every way to deal the replicates over the pool is as likely as the one that was made. Each
deal is scored as the treatment is: by how much more similar a replicate is to the others, on average, than to the wells
of its plate that were not dealt. Similarity is the cosine of wells centred on the pool of their plate
(`hcs.statistics.pool`). Keeping the replicates together in one deal keeps their dependence; averaging nulls of single
queries does not.

Treatments on the same plates share the products of the controls and the draws; the score of each is its own, so that no
p-value depends on which treatments are tested together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.control_pool import ControlPool, pool_for, with_profiles
from hcs.statistics.design_scores import Blocks, score_tables, scores
from hcs.statistics.designs import Layout, all_designs, layout_of
from hcs.statistics.draws import MAX_DRAWS, Undecided, first_draws, further_draws
from hcs.statistics.many_replicates import (
    count_exactly,
    draw_many,
    is_tested_alone,
    most_draws,
)
from hcs.statistics.plate_directions import PlateDirections, plate_directions
from hcs.statistics.pool import Pools, centred_pools
from hcs.statistics.pool_scale import needs_one_scale, on_one_scale, on_own_scale
from hcs.statistics.similarity import TIE_TOLERANCE

MAX_EXACT_DESIGNS = 20_000
"""Up to this many designs all of them are scored, and the p-value is exact."""
_TABLES_AT_ONCE = 500_000
"""Entries of the tables that are made together: 4 MB, which a core has near."""
_PRODUCTS_AT_ONCE = 1_000_000
"""Products of replicates with their pools that are made together: 8 MB."""
_WAITING_TABLES = 8_000_000
"""Entries of the tables that wait for further draws: 64 MB."""
_NO_TABLE = np.empty(0)
_PAIRS_AT_ONCE = 1_000_000
"""Pairs of dealt wells that are looked up together."""


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
    is_rescaled: bool | None = None,
) -> DesignTest:
    """Return how surprising the agreement of one treatment's replicates is, as `design_tests` does of many.

    Args:
        profiles: (P, D), finite; the treatment's replicates and the negative controls of their plates.
        plates: (P,), any integers, one a plate. Every plate holds at least one replicate and one control.
        is_replicate: (P,), at least two.
        seed: Of the run.
        max_draws: Upper limit of random draws.
        is_rescaled: As for `design_tests`.

    Raises:
        ValueError: If a plate lacks a replicate or a control, or there are fewer than two replicates.
    """
    _check_pool(plates, is_replicate)
    return design_tests(
        profiles[~is_replicate],
        plates[~is_replicate],
        profiles[is_replicate][None],
        plates[is_replicate],
        seed=seed,
        max_draws=max_draws,
        is_rescaled=is_rescaled,
    )[0]


def design_tests(
    controls: NDArray[np.floating],
    control_plates: NDArray[np.integer],
    replicates: NDArray[np.floating],
    replicate_plates: NDArray[np.integer],
    *,
    seed: int,
    max_draws: int = MAX_DRAWS,
    is_rescaled: bool | None = None,
) -> list[DesignTest]:
    """Return how surprising the agreement of each treatment's replicates is, in any layout.

    Where a plate has fewer than 16 controls for each of its replicates, every feature is divided by its spread among
    controls and replicates of its plate first (`hcs.statistics.pool_scale`); else profiles are tested as they come.

    Args:
        controls: (C, D), finite.
        control_plates: (C,), any integers, one a plate; each is one of the replicates'.
        replicates: (T, R, D), R at least two.
        replicate_plates: (R,), each of them one of the controls'.
        seed: Of the run.
        max_draws: Upper limit of random draws.
        is_rescaled: Whether features are divided by their spread in the pool; None where the layout decides.
    """
    layout = layout_of(control_plates, replicate_plates)
    if not (needs_one_scale(layout) if is_rescaled is None else is_rescaled):
        return design_tests_as_given(
            controls, control_plates, replicates, replicate_plates, seed=seed, max_draws=max_draws
        )
    if is_tested_alone(layout, n_features=controls.shape[1]):
        return [
            design_tests_as_given(
                beside, control_plates, scaled[None], replicate_plates, seed=seed, max_draws=max_draws
            )[0]
            for own in replicates
            for beside, scaled in [on_one_scale(controls, control_plates, own, replicate_plates)]
        ]
    pool, order = pool_for(on_own_scale(controls, control_plates), control_plates, replicate_plates)
    pools = _scaled_pools(pool, controls, control_plates, replicates[:, order], replicate_plates[order])
    return _tests(pools, pool.layout, seed=seed, max_draws=max_draws)


def design_tests_as_given(
    controls: NDArray[np.floating],
    control_plates: NDArray[np.integer],
    replicates: NDArray[np.floating],
    replicate_plates: NDArray[np.integer],
    *,
    seed: int,
    max_draws: int = MAX_DRAWS,
) -> list[DesignTest]:
    """Return what `permutation_tests` does; of many replicates as `hcs.statistics.many_replicates` has it.

    With more than 25 replicates fewer random draws may be made than `max_draws`: as many as a quarter of a minute
    allows, at least 9,999. `smallest_possible_p` says so.

    Args:
        controls: (C, D), finite.
        control_plates: (C,), any integers, one a plate; each is one of the replicates'.
        replicates: (T, R, D), R at least two.
        replicate_plates: (R,), each of them one of the controls'.
        seed: Of the run.
        max_draws: Upper limit of random draws.
    """
    layout = layout_of(control_plates, replicate_plates)
    if is_tested_alone(layout, n_features=controls.shape[1]):
        plates = plate_directions(controls, control_plates, replicate_plates)
        return _tested_alone(plates, replicates, seed=seed, max_draws=max_draws)
    pool, order = pool_for(controls, control_plates, replicate_plates)
    return permutation_tests(pool, replicates[:, order], seed=seed, max_draws=max_draws)


def _tested_alone(
    plates: PlateDirections, replicates: NDArray[np.floating], *, seed: int, max_draws: int
) -> list[DesignTest]:
    layout = plates.layout
    if layout.n_designs <= MAX_EXACT_DESIGNS:
        designs = all_designs(layout)
        n = len(designs)
        return [DesignTest(count_exactly(plates, own, designs) / n, 1 / n, n, is_exact=True) for own in replicates]
    most = most_draws(layout, n_features=replicates.shape[2], max_draws=max_draws)
    return [_test(draw_many(plates, own, seed=seed, max_draws=most), layout, max_draws=most) for own in replicates]


def permutation_tests(
    controls: ControlPool, replicates: NDArray[np.floating], *, seed: int, max_draws: int = MAX_DRAWS
) -> list[DesignTest]:
    """Return how surprising the agreement of each treatment's replicates is under the joint design permutation.

    Layouts with at most 20,000 designs are enumerated; p is then the exact share. Others are drawn: at least 999 times,
    until 20 draws score at least as high as the treatment or `max_draws` is reached, and p = (1 + k) / (1 + n). Draws
    follow from the seed and the number of replicates and controls of each plate alone, applied to wells in the order of
    their geometry: neither names nor the order of rows or calls, nor other treatments, can change a p-value. Controls
    that mirror one another, as two on a plate do, are dealt as they came.

    Args:
        controls: Of the plates that all of these treatments lie on.
        replicates: (T, R, D), R at least two; the wells of each treatment, plate by plate in the order of
            `controls.plates`.
        seed: Of the run.
        max_draws: Upper limit of random draws.
    """
    return _tests(_pools(controls, replicates), controls.layout, seed=seed, max_draws=max_draws)


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


def _pools(controls: ControlPool, replicates: NDArray[np.floating]) -> Iterator[Pools]:
    """Yield the pools of a few treatments at a time."""
    n_own = replicates.shape[1]
    together = max(1, _PRODUCTS_AT_ONCE // (n_own * (len(controls.centred) + n_own)))
    for start in range(0, len(replicates), together):
        yield centred_pools(controls, replicates[start : start + together])


def _scaled_pools(
    pool: ControlPool,
    controls: NDArray[np.floating],
    control_plates: NDArray[np.integer],
    replicates: NDArray[np.floating],
    replicate_plates: NDArray[np.integer],
) -> Iterator[Pools]:
    """Yield the pool of each treatment on its own scale, controls in one order for all, so that draws are shared."""
    beside, plates = controls[pool.rows], control_plates[pool.rows]
    for own in replicates:
        scaled_controls, scaled = on_one_scale(beside, plates, own, replicate_plates)
        yield centred_pools(with_profiles(pool, scaled_controls), scaled[None])


def _tests(pools: Iterable[Pools], layout: Layout, *, seed: int, max_draws: int) -> list[DesignTest]:
    blocks = Blocks(layout)
    if layout.n_designs <= MAX_EXACT_DESIGNS:
        return [test for some in pools for tables in _tables(some, blocks) for test in _enumerated(tables, blocks)]
    return _drawn(pools, blocks, seed=seed, max_draws=max_draws)


def _tables(pools: Pools, blocks: Blocks) -> Iterator[NDArray[np.float64]]:
    """Yield the tables of a few treatments at a time, (t, L)."""
    size = max(1, _TABLES_AT_ONCE // sum(blocks.sizes))
    for first in range(0, len(pools.own), size):
        yield score_tables(pools.part(slice(first, first + size)), blocks)


def _enumerated(tables: NDArray[np.float64], blocks: Blocks) -> list[DesignTest]:
    thresholds = _observed(tables, blocks) - TIE_TOLERANCE
    designs = all_designs(blocks.layout)
    n_at_least = np.zeros(len(tables), dtype=np.int64)
    step = max(1, _PAIRS_AT_ONCE // blocks.n_pairs)
    for start in range(0, len(designs), step):
        places = blocks.places(designs[start : start + step])
        n_at_least += [int((scores(table, places) >= low).sum()) for table, low in zip(tables, thresholds, strict=True)]
    n = len(designs)
    return [DesignTest(count / n, 1 / n, n_scored=n, is_exact=True) for count in n_at_least.tolist()]


def _observed(tables: NDArray[np.float64], blocks: Blocks) -> NDArray[np.float64]:
    places = blocks.places(blocks.observed)
    return np.array([scores(table, places)[0] for table in tables])


def _drawn(all_pools: Iterable[Pools], blocks: Blocks, *, seed: int, max_draws: int) -> list[DesignTest]:
    """Draw few designs for all treatments first, and more for those that few cannot tell.

    Only these get tables; where they are many, they go on in several rounds.
    """
    drawn: list[Undecided] = []
    waiting: list[Undecided] = []
    for pools in all_pools:
        items = first_draws(pools, blocks, seed=seed, max_draws=max_draws)
        left = np.flatnonzero([not item.is_decided and item.n_drawn < max_draws for item in items])
        tables = (table for some in _tables(pools.part(left), blocks) for table in some)
        for number, table in zip(left.tolist(), tables, strict=True):
            # A copy, since a view would keep the tables of all.
            items[number].table = table.copy()
        drawn += items
        waiting += [items[number] for number in left]
        if sum(len(item.table) for item in waiting) > _WAITING_TABLES:
            _go_on(waiting, blocks, seed=seed, max_draws=max_draws)
    _go_on(waiting, blocks, seed=seed, max_draws=max_draws)
    return [_test(item, blocks.layout, max_draws=max_draws) for item in drawn]


def _test(found: Undecided, layout: Layout, *, max_draws: int) -> DesignTest:
    smallest = smallest_possible_p(layout, max_draws=max_draws)
    # By chance no draw may be the observed design itself; the exact p-value could still not be smaller than this.
    p_value = max((1 + found.n_at_least) / (1 + found.n_drawn), smallest)
    return DesignTest(p_value, smallest, 1 + found.n_drawn, is_exact=False)


def _go_on(waiting: list[Undecided], blocks: Blocks, *, seed: int, max_draws: int) -> None:
    further_draws(waiting, blocks, seed=seed, max_draws=max_draws)
    for item in waiting:
        item.table = _NO_TABLE
    waiting.clear()
