"""The null of random ranks."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

from hcs.statistics.rank_null import RankNull, random_average_precisions


def test_draws_have_the_distribution_of_all_ways_to_place_the_positives() -> None:
    every = [
        sum(Fraction(j, place) for j, place in enumerate(places, 1)) / 2 for places in combinations(range(1, 7), 2)
    ]
    draws = random_average_precisions(n_positives=2, n_candidates=6, seed=3, size=30_000)

    for value in set(every):
        share = np.isclose(draws, float(value), rtol=1e-6).mean()
        assert share == pytest.approx(every.count(value) / len(every), abs=0.01)


def test_what_else_is_asked_changes_nothing() -> None:
    alone, after = RankNull(seed=1), RankNull(seed=1)
    after.p_value(0.4, np.array([2, 5]), np.array([10, 30]))

    counts = (np.array([3, 3]), np.array([20, 20]))
    assert alone.p_value(0.3, *counts) == after.p_value(0.3, *counts)
    assert alone.p_value(0.3, *counts) != RankNull(seed=2).p_value(0.3, *counts)


def test_a_perfect_score_gets_the_floor_and_nothing_gets_zero() -> None:
    assert RankNull(seed=0, size=99).p_value(1.0, np.array([1]), np.array([3])) == 1 / 100
