"""Counts of set flags a row: numpy's own count as the oracle, for every length of a row around a word."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hcs.statistics.true_counts import true_counts


@given(n_rows=st.integers(0, 5), n_columns=st.integers(0, 200), share=st.sampled_from([0.0, 0.3, 1.0]))
def test_counts_are_those_of_numpy(n_rows: int, n_columns: int, share: float) -> None:
    flags = np.random.default_rng(n_rows * 1000 + n_columns).random((n_rows, n_columns)) < share

    counts = true_counts(flags)

    np.testing.assert_array_equal(counts, np.count_nonzero(flags, axis=1))
    assert counts.dtype == np.int64


def test_columns_of_a_larger_matrix_are_counted_where_they_lie() -> None:
    flags = np.random.default_rng(1).random((300, 70)) < 0.5

    np.testing.assert_array_equal(true_counts(flags[::3, 5:66]), np.count_nonzero(flags[::3, 5:66], axis=1))
    np.testing.assert_array_equal(true_counts(flags.T), np.count_nonzero(flags, axis=0))
