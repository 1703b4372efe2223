"""Scores without tables are those of the tables."""

from __future__ import annotations

import numpy as np
import pytest

from hcs.statistics.control_pool import control_pool
from hcs.statistics.design_scores import Blocks, score_tables, scores
from hcs.statistics.designs import draw_designs
from hcs.statistics.pool import centred_pools
from hcs.statistics.shared_designs import shared_designs


@pytest.mark.parametrize(
    ("n_replicates", "n_controls"), [((1, 1, 1), (4, 6, 5)), ((2, 1, 2), (4, 1, 3)), ((5,), (3,)), ((1, 3), (2, 9))]
)
def test_designs_score_as_in_the_tables_of_the_treatments(
    n_replicates: tuple[int, ...], n_controls: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(1)
    controls = rng.standard_normal((sum(n_controls), 6))
    pool = control_pool(controls, np.repeat(np.arange(len(n_controls)), n_controls), dict(enumerate(n_replicates)))
    replicates = rng.standard_normal((40, sum(n_replicates), 6)) + rng.standard_normal((40, 1, 6))
    replicates[0, 1] = replicates[0, 0]
    pools = centred_pools(pool, replicates)
    blocks = Blocks(pool.layout)
    designs = np.vstack([blocks.observed, draw_designs(pool.layout, 300, rng)])

    found = shared_designs(pool.layout, designs).scores(pools)

    expected = [scores(table, blocks.places(designs)) for table in score_tables(pools, blocks)]
    np.testing.assert_allclose(found.T, expected, rtol=0, atol=1e-13)
