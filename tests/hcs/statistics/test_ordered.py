from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import median_abs_deviation

from hcs.statistics.ordered import median_deviation, sort_columns


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 30), gaps=st.booleans())
@settings(deadline=None, max_examples=40)
def test_medians_quantiles_and_deviations_are_those_of_numpy_and_scipy(seed, n, gaps):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, 5)) * 10
    if gaps:
        values[1:][rng.random((n - 1, 5)) < 0.3] = np.nan

    columns = sort_columns(values)

    np.testing.assert_array_equal(columns.median, np.nanmedian(values, axis=0))
    for share in (0.0, 0.25, 0.4, 1.0):
        np.testing.assert_allclose(columns.quantile(share), np.nanquantile(values, share, axis=0), rtol=1e-12)
    expected = median_abs_deviation(values, nan_policy="omit")
    np.testing.assert_allclose(median_deviation(columns, columns.median), expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_column_without_a_value_has_none(dtype):
    columns = sort_columns(np.array([[np.nan, 1.0], [np.nan, 2.0]], dtype=dtype))

    np.testing.assert_array_equal(columns.median, [np.nan, 1.5])
    np.testing.assert_array_equal(columns.quantile(0.75), [np.nan, 1.75])
    assert columns.n_measured.tolist() == [0, 2]
