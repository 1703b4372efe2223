from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.statistics.content import content_keys, copied_rows


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_has_one_key_wherever_it_stands(dtype):
    rows = np.random.default_rng(0).normal(size=(5000, 7)).astype(dtype)
    order = np.random.default_rng(1).permutation(5000)

    keys = content_keys(rows)

    np.testing.assert_array_equal(content_keys(rows[order]), keys[order])
    np.testing.assert_array_equal(content_keys(np.asfortranarray(rows)), keys)
    assert len(np.unique(keys)) == 5000


def test_rounding_and_a_common_factor_leave_the_order():
    rows = np.random.default_rng(0).normal(size=(500, 30))
    order = np.argsort(content_keys(rows))

    np.testing.assert_array_equal(np.argsort(content_keys(8.0 * rows)), order)
    np.testing.assert_array_equal(np.argsort(content_keys(rows * (1 + 1e-15))), order)


def test_zero_has_no_sign():
    assert content_keys(np.array([[0.0, 1.5]])) == content_keys(np.array([[-0.0, 1.5]]))


@settings(max_examples=60, deadline=None)
@given(
    numbers=st.lists(st.integers(0, 3), min_size=1, max_size=30), n_features=st.integers(1, 6), seed=st.integers(0, 99)
)
def test_a_copy_is_a_row_that_came_before(numbers: list[int], n_features: int, seed: int) -> None:
    of_number = np.random.default_rng(seed).integers(0, 2, size=(4, n_features)).astype(float)
    rows = of_number[numbers]
    rows[::2] = np.where(rows[::2] == 0, -0.0, rows[::2])

    found = copied_rows(rows)

    expected = [row for row in range(len(rows)) if any((rows[row] == rows[other]).all() for other in range(row))]
    assert found.tolist() == expected
