from __future__ import annotations

import numpy as np
import pytest

from hcs.statistics.finite import not_finite


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_features_with_a_value_that_is_not_finite_are_found_in_any_row(dtype):
    values = np.random.default_rng(0).normal(size=(1300, 6)).astype(dtype)
    values[[0, 511, 512, 1299], [0, 1, 3, 5]] = np.nan, np.inf, -np.inf, np.nan

    assert not_finite(values).tolist() == [0, 1, 3, 5]


def test_infinities_of_both_signs_and_sums_that_overflow_are_told_apart():
    values = np.zeros((4, 3), dtype=np.float32)
    values[:2, 0] = np.inf, -np.inf
    values[:2, 1] = np.finfo(np.float32).max

    assert not_finite(values).tolist() == [0]
