from __future__ import annotations

import numpy as np
import pytest

from hcs.statistics.content import content_keys


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
