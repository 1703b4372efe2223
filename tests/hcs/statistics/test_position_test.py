"""The permutation test of positions: its level, its power, and what it does not depend on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hcs.statistics.position_test import position_p_value

ROWS, COLUMNS = (part.ravel() for part in np.indices((4, 6)))
PLATES = np.repeat(np.arange(3), 24)
LINES = [np.tile(ROWS, 3), np.tile(COLUMNS, 3)]


def p_of(values: np.ndarray, seed: int = 0, n_draws: int = 199, factors=LINES) -> float:
    return position_p_value(values, factors, PLATES, rng=np.random.default_rng(seed), n_draws=n_draws)


def test_without_an_effect_p_is_uniform() -> None:
    made = [p_of(np.random.default_rng(seed).standard_t(3, size=(72, 5)), seed, 99) for seed in range(300)]

    assert stats.binomtest(sum(p <= 0.05 for p in made), 300, 0.05).pvalue > 0.01
    assert stats.kstest(made, "uniform").pvalue > 0.01


def test_an_effect_of_rows_is_found_whatever_the_plates_add() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(72, 40)) + 100.0 * PLATES[:, None] + 0.6 * (LINES[0][:, None] == 0)

    assert p_of(values) == 1 / 200


def test_for_one_feature_and_factor_it_agrees_with_the_analysis_of_variance() -> None:
    values = np.random.default_rng(4).normal(size=(24, 1)) + 0.35 * ROWS[:, None]
    groups = [values[row == ROWS, 0] for row in range(4)]

    made = position_p_value(values, [ROWS], np.zeros(24, dtype=int), rng=np.random.default_rng(0), n_draws=1999)

    assert made == pytest.approx(stats.f_oneway(*groups).pvalue, abs=0.02)


def test_what_does_not_vary_has_no_effect() -> None:
    assert p_of(np.full((72, 3), 7.3)) == 1.0


def test_it_does_not_depend_on_units_and_names_of_plates() -> None:
    values = np.random.default_rng(2).normal(size=(72, 50))
    names = np.array([9, 2, 5])[PLATES]

    other = position_p_value(
        values * np.linspace(1, 50, 50) - 3.0, LINES, names, rng=np.random.default_rng(0), n_draws=199
    )

    assert other == p_of(values)
