"""Cosine similarity and ranks that rounding cannot split."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from hcs.statistics.similarity import descending_ranks, unit_rows


def test_rows_have_length_one_and_keep_their_direction() -> None:
    rows = np.random.default_rng(0).standard_normal((5, 7))

    units, lengths = unit_rows(rows)

    np.testing.assert_allclose(np.linalg.norm(units, axis=1), 1.0)
    np.testing.assert_allclose(units * lengths[:, None], rows)


def test_a_zero_row_stays_zero() -> None:
    units, lengths = unit_rows(np.array([[0.0, 0.0], [3.0, 4.0]]))

    np.testing.assert_allclose(units, [[0.0, 0.0], [0.6, 0.8]])
    np.testing.assert_array_equal(lengths, [0.0, 5.0])


def test_a_row_of_negligible_length_counts_as_zero() -> None:
    units, lengths = unit_rows(np.array([[1e-14, 0.0], [1.0, 0.0]]), negligible=np.array([1e-12, 1e-12]))

    np.testing.assert_array_equal(units, [[0.0, 0.0], [1.0, 0.0]])
    np.testing.assert_array_equal(lengths, [0.0, 1.0])


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), levels=st.integers(1, 8))
def test_ranks_are_those_of_scipy_and_noise_below_the_tolerance_changes_none(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, levels, (3, 9)) / levels

    ranks = descending_ranks(values)

    np.testing.assert_array_equal(ranks, rankdata(-values, method="dense", axis=1) - 1)
    np.testing.assert_array_equal(descending_ranks(values + rng.uniform(-1e-14, 1e-14, values.shape)), ranks)


def test_one_column_has_rank_zero() -> None:
    np.testing.assert_array_equal(descending_ranks(np.array([[2.0], [1.0]])), [[0], [0]])
