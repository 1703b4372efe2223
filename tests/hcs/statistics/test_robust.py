"""Laws, oracle and edges of the robust location and scale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from hcs.errors import InputRejectedError
from hcs.statistics.robust import median_and_mad

matrices = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9),
    elements=st.floats(-1e6, 1e6, allow_nan=False),
)


@settings(deadline=None, max_examples=60)
@given(values=matrices, seed=st.integers(0, 2**32 - 1))
def test_the_order_of_the_rows_changes_no_bit(values: np.ndarray, seed: int) -> None:
    shuffled = values[np.random.default_rng(seed).permutation(len(values))]

    for before, after in zip(median_and_mad(values), median_and_mad(shuffled), strict=True):
        assert before.tobytes() == after.tobytes()


@settings(deadline=None, max_examples=60)
@given(values=matrices, shift=st.integers(-1000, 1000), factor=st.sampled_from([0.25, 0.5, 2.0, 8.0]))
def test_median_follows_shift_and_factor_and_scale_follows_the_factor(
    values: np.ndarray, shift: int, factor: float
) -> None:
    median, scale = median_and_mad(values)
    moved_median, moved_scale = median_and_mad(values * factor + shift)

    np.testing.assert_allclose(moved_median, median * factor + shift, atol=1e-8)
    np.testing.assert_allclose(moved_scale, scale * factor, atol=1e-8)


def test_it_agrees_with_scipy() -> None:
    values = np.random.default_rng(0).standard_normal((37, 11))

    median, scale = median_and_mad(values)

    np.testing.assert_array_equal(median, np.median(values, axis=0))
    np.testing.assert_allclose(scale, 1.4826 * stats.median_abs_deviation(values, axis=0), rtol=1e-14)


def test_it_estimates_the_standard_deviation_of_a_normal_sample() -> None:
    values = np.random.default_rng(1).normal(5.0, 3.0, (20_001, 1))

    median, scale = median_and_mad(values)

    assert median[0] == pytest.approx(5.0, abs=0.1)
    assert scale[0] == pytest.approx(3.0, rel=0.03)


def test_zeros_of_either_sign_give_one_answer() -> None:
    first, _ = median_and_mad(np.array([[0.0], [-0.0], [-0.0]]))
    second, _ = median_and_mad(np.array([[-0.0], [-0.0], [0.0]]))

    assert first.tobytes() == second.tobytes()


def test_one_row_is_its_own_median_with_scale_zero() -> None:
    median, scale = median_and_mad(np.array([[3.0, -1.0]]))

    np.testing.assert_array_equal(median, [3.0, -1.0])
    np.testing.assert_array_equal(scale, [0.0, 0.0])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused_with_its_place(bad: float) -> None:
    values = np.zeros((3, 2))
    values[2, 1] = bad

    with pytest.raises(InputRejectedError, match="row 2, feature 1"):
        median_and_mad(values)


@pytest.mark.parametrize("shape", [(0, 3), (4,)])
def test_a_matrix_without_rows_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputRejectedError, match="at least one row"):
        median_and_mad(np.zeros(shape))
