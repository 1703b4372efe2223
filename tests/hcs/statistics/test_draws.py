"""What is left out of the draws changes no count."""

from __future__ import annotations

import numpy as np
import pytest

from hcs.statistics.control_pool import control_pool
from hcs.statistics.design_scores import Blocks, score_tables, scores
from hcs.statistics.draw_batches import draw_batch, first_designs
from hcs.statistics.draws import first_draws, further_draws
from hcs.statistics.permutation import permutation_test, permutation_tests
from hcs.statistics.pool import centred_pools

LAYOUTS = [
    ((1, 1, 1, 1), (12, 12, 9, 12)),
    ((2, 1, 2), (10, 8, 10)),
    ((4,), (40,)),
    ((1,) * 5, (30,) * 5),
    ((1,) * 9, (20,) * 9),
]


def make_treatments(n_replicates: tuple[int, ...], n_controls: tuple[int, ...], *, seed: int, n: int = 8):
    rng = np.random.default_rng(seed)
    controls = rng.standard_normal((sum(n_controls), 15))
    pool = control_pool(controls, np.repeat(np.arange(len(n_controls)), n_controls), dict(enumerate(n_replicates)))
    effects = np.linspace(0, 1.2, n)[:, None, None] * rng.standard_normal((n, 1, 15))
    return pool, rng.standard_normal((n, sum(n_replicates), 15)) + effects


def all_scores(blocks: Blocks, table: np.ndarray) -> np.ndarray:
    """Score every drawn design, none left out, in the order in which they are drawn."""
    first = first_designs(blocks, seed=5, max_draws=30_000).wells[1:]
    # Wells of a pool are numbered controls first, those of a layout plate by plate.
    in_layout = np.concatenate(
        [np.setdiff1d(np.arange(sum(blocks.layout.n_wells)), blocks.observed[0]), blocks.observed[0]]
    )
    found = [scores(table, blocks.places(in_layout[first].astype(np.int32)))]
    while sum(map(len, found)) < 30_000:
        batch = draw_batch(blocks, seed=5, number=len(found), max_draws=30_000)
        values = np.empty(batch.n_designs)
        for numbers, places in (
            (batch.controls, blocks.places_on_plates(batch.of_controls)),
            (batch.single, batch.of_single),
            (batch.mixed, batch.of_mixed),
        ):
            values[numbers] = table[places].sum(axis=0)
        found.append(values)
    return np.concatenate(found)


@pytest.mark.parametrize(("n_replicates", "n_controls"), LAYOUTS)
def test_designs_that_are_not_looked_at_do_not_score_as_high(
    n_replicates: tuple[int, ...], n_controls: tuple[int, ...]
) -> None:
    pool, replicates = make_treatments(n_replicates, n_controls, seed=1)
    blocks = Blocks(pool.layout)
    pools = centred_pools(pool, replicates)
    tables = score_tables(pools, blocks)
    observed = [float(scores(table, blocks.places(blocks.observed))[0]) for table in tables]

    def drawn(together: list[int]) -> list[tuple[int, int]]:
        items = first_draws(pools.part(np.array(together)), blocks, seed=5, max_draws=30_000)
        for number, item in zip(together, items, strict=True):
            item.table = tables[number]
        further_draws(items, blocks, seed=5, max_draws=30_000)
        return [(item.n_drawn, item.n_at_least) for item in items]

    together = drawn(list(range(len(tables))))

    assert together == [drawn([number])[0] for number in range(len(tables))]
    for number, (n, n_at_least) in enumerate(together):
        assert n_at_least == (all_scores(blocks, tables[number])[:n] >= observed[number] - 1e-9).sum()
    assert {n for n, _ in together} >= {30_000}
    assert min(n for n, _ in together) < 30_000


def test_a_treatment_has_the_p_value_that_it_has_alone() -> None:
    pool, replicates = make_treatments((1, 1, 1, 1), (12, 12, 9, 12), seed=2)
    tests = permutation_tests(pool, replicates, seed=0, max_draws=20_000)
    profiles = np.concatenate([pool.centred + np.repeat(pool.origins, pool.n_controls, axis=0), replicates[3]])
    plates = np.concatenate([np.repeat(np.arange(4), pool.n_controls), np.arange(4)])

    is_replicate = np.arange(len(plates)) >= len(pool.centred)
    alone = permutation_test(profiles, plates, is_replicate, seed=0, max_draws=20_000, is_rescaled=False)

    assert alone == tests[3]
    assert permutation_tests(pool, replicates[::-1], seed=0, max_draws=20_000)[::-1] == tests


def test_no_more_is_drawn_than_the_limit_even_below_the_floor() -> None:
    pool, replicates = make_treatments((1, 1, 1, 1), (12, 12, 9, 12), seed=3)

    tests = permutation_tests(pool, replicates, seed=0, max_draws=199)

    assert {test.n_scored for test in tests} == {200}
