"""The null of random ranks."""

from __future__ import annotations

import numpy as np

from hcs.statistics.rank_null import RankNull


def test_what_else_is_asked_changes_nothing() -> None:
    alone, after = RankNull(seed=1), RankNull(seed=1)
    after.p_value(0.4, np.array([2, 5]), np.array([10, 30]))

    counts = (np.array([3, 3]), np.array([20, 20]))
    assert alone.p_value(0.3, *counts) == after.p_value(0.3, *counts)
    assert alone.p_value(0.3, *counts) != RankNull(seed=2).p_value(0.3, *counts)


def test_a_perfect_score_gets_the_floor_and_nothing_gets_zero() -> None:
    assert RankNull(seed=0, size=99).p_value(1.0, np.array([1]), np.array([3])) == 1 / 100
