"""Laws, oracles and edges of the median polish."""

from __future__ import annotations

import math
from statistics import median

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hcs.errors import InputRejectedError
from hcs.statistics.polish import PolishedTable
from hcs.statistics.polish import median_polish as polish_to_tolerance


def median_polish(table: np.ndarray) -> PolishedTable:
    """To the last digit: the laws hold there."""
    return polish_to_tolerance(table, tolerance=1e-12)


sides = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=7)
tables = hnp.arrays(np.float64, sides, elements=st.integers(-1000, 1000).map(float))
with_holes = hnp.arrays(
    np.float64, sides, elements=st.one_of(st.integers(-1000, 1000).map(float), st.just(float("nan")))
)


def effects(n: int) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.float64, n, elements=st.integers(-1000, 1000).map(float))


@settings(deadline=None, max_examples=40)
@given(table=with_holes)
def test_the_parts_add_up_to_the_table_and_holes_stay_holes(table: np.ndarray) -> None:
    polished = median_polish(table)

    together = polished.overall + polished.rows[:, None] + polished.columns + polished.residuals
    np.testing.assert_allclose(together, table, atol=1e-9)


@settings(deadline=None, max_examples=60)
@given(table=with_holes)
def test_no_row_or_column_of_what_is_left_has_another_median_than_0(table: np.ndarray) -> None:
    polished = median_polish(table)

    assert polished.is_settled
    for lines in (polished.residuals, polished.residuals.T):
        for line in lines:
            known = [value for value in line if not math.isnan(value)]
            assert not known or median(known) == pytest.approx(0, abs=1e-6)


@settings(deadline=None, max_examples=40)
@given(table=with_holes)
def test_what_is_polished_stays_as_it_is(table: np.ndarray) -> None:
    once = median_polish(table)
    twice = median_polish(once.residuals)

    np.testing.assert_allclose(twice.residuals, once.residuals, atol=1e-6)
    assert twice.overall == pytest.approx(0, abs=1e-6)


@settings(deadline=None, max_examples=40)
@given(data=st.data(), shape=sides, overall=st.integers(-1000, 1000))
def test_effects_of_rows_and_columns_vanish(data: st.DataObject, shape: tuple[int, int], overall: int) -> None:
    rows, columns = data.draw(effects(shape[0])), data.draw(effects(shape[1]))

    polished = median_polish(overall + rows[:, None] + columns)

    np.testing.assert_allclose(polished.residuals, 0, atol=1e-9)
    np.testing.assert_allclose(polished.rows, rows - np.median(rows), atol=1e-9)
    np.testing.assert_allclose(polished.columns, columns - np.median(columns), atol=1e-9)


@settings(deadline=None, max_examples=40)
@given(data=st.data(), table=with_holes, constant=st.integers(-1000, 1000), factor=st.sampled_from([0.25, 0.5, 2.0]))
def test_constants_change_no_residual_and_factors_only_their_scale(
    data: st.DataObject, table: np.ndarray, constant: int, factor: float
) -> None:
    rows = data.draw(effects(len(table)))
    plain, moved = median_polish(table), median_polish(table * factor + rows[:, None] + constant)

    np.testing.assert_allclose(moved.residuals, plain.residuals * factor, atol=1e-6)
    if not np.isnan(table).all():
        alone = median_polish(table + constant)
        assert alone.overall == pytest.approx(plain.overall + constant, abs=1e-6)


@settings(deadline=None, max_examples=20)
@given(table=with_holes)
def test_a_ten_line_loop_gives_the_same(table: np.ndarray) -> None:
    left = [[None if math.isnan(value) else value for value in line] for line in table.tolist()]
    before = None
    for _ in range(20_000):  # where few values are known it settles slowly
        if left == before:
            break
        before = left
        for _rows_then_columns in range(2):
            for number, line in enumerate(left):
                known = [value for value in line if value is not None]
                middle = median(known) if known else 0
                left[number] = [None if value is None else value - middle for value in line]
            left = [list(line) for line in zip(*left, strict=True)]

    expected = np.array([[math.nan if value is None else value for value in line] for line in left])
    np.testing.assert_allclose(median_polish(table).residuals, expected, atol=1e-6)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_tolerance_moves_no_residual_far(seed: int) -> None:
    table = np.random.default_rng(seed).normal(1000, 50, (16, 24))

    usual, exact = polish_to_tolerance(table), median_polish(table)

    assert usual.is_settled
    np.testing.assert_allclose(usual.residuals, exact.residuals, atol=0.01)


def test_it_agrees_with_what_r_prints_of_tukeys_table_of_deaths() -> None:
    deaths = np.array([[14, 15, 14], [7, 4, 7], [8, 2, 10], [15, 9, 10], [0, 2, 0]], dtype=float)

    polished = median_polish(deaths)

    assert polished.overall == 8
    np.testing.assert_array_equal(polished.rows, [6, -1, 0, 2, -8])
    np.testing.assert_array_equal(polished.columns, [0, -1, 0])
    assert np.abs(polished.residuals).sum() == 19


def test_a_few_active_wells_keep_their_size_under_effects_of_an_edge() -> None:
    rng = np.random.default_rng(7)
    plate = rng.normal(100, 1, (16, 24))
    plate[0] += 30
    plate[:, -1] -= 20
    active = [(3, 4), (0, 10), (9, 23), (12, 12)]
    for place in active:
        plate[place] += 15

    residuals = median_polish(plate).residuals

    assert all(residuals[place] == pytest.approx(15, abs=4) for place in active)
    rest = np.delete(residuals.ravel(), [row * 24 + column for row, column in active])
    assert np.abs(rest).max() < 5


def test_a_column_that_is_active_as_a_whole_disappears() -> None:
    plate = np.random.default_rng(8).normal(100, 1, (16, 24))
    plate[:, 0] += 50

    polished = median_polish(plate)

    assert polished.columns[0] == pytest.approx(50, abs=2)
    assert np.abs(polished.residuals[:, 0]).max() < 5


def test_a_table_without_any_value_has_no_effects() -> None:
    polished = median_polish(np.full((2, 3), np.nan))

    assert np.isnan(polished.residuals).all()
    assert (polished.overall, polished.is_settled) == (0, True)
    assert not polished.rows.any()
    assert not polished.columns.any()


@pytest.mark.parametrize("table", [np.zeros((0, 3)), np.zeros((3, 0)), np.zeros(4), np.array([[1.0, np.inf]])])
def test_what_is_no_finite_table_is_refused(table: np.ndarray) -> None:
    with pytest.raises(InputRejectedError, match="table of finite values"):
        median_polish(table)
