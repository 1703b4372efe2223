from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import rankdata

from hcs.statistics.inverse_normal import inverse_normal


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 50), decimals=st.sampled_from([1, 8]))
@settings(deadline=None, max_examples=30)
def test_a_value_inside_gets_the_score_of_its_mean_rank_and_the_ends_the_end_of_the_scale(seed, n, decimals):
    values = np.round(np.random.default_rng(seed).normal(size=(n, 3)), decimals)

    scores = inverse_normal(values)

    inside = (values > values.min(axis=0)) & (values < values.max(axis=0))
    expected = ndtri((rankdata(values, axis=0) - 1) / (n - 1))
    np.testing.assert_allclose(scores[inside], expected[inside], rtol=1e-12, atol=1e-15)
    varies = np.ptp(values, axis=0) > 0
    np.testing.assert_allclose(scores.min(axis=0), -5.1993, atol=1e-3)
    np.testing.assert_allclose(scores.max(axis=0)[varies], 5.1993, atol=1e-3)


def test_rows_that_were_not_fitted_lie_between_those_that_were():
    values = np.array([[0.0], [1.0], [2.0], [0.5], [-9.0], [9.0], [np.nan]])
    is_fitted = np.array([True, True, True, False, False, False, False])

    scores = inverse_normal(values, is_fitted=is_fitted)[:, 0]

    assert scores[1] == 0.0
    assert scores[3] == pytest.approx(ndtri(0.25))
    assert scores[4] == scores[0] == pytest.approx(-5.1993, abs=1e-3)
    assert scores[5] == scores[2] == pytest.approx(5.1993, abs=1e-3)
    assert np.isnan(scores[6])


def test_more_rows_than_landmarks_are_ranked_between_them():
    values = np.random.default_rng(0).normal(size=(5000, 2))

    scores = inverse_normal(values)

    expected = ndtri((rankdata(values, axis=0) - 1) / 4999)
    middle = np.abs(expected) < 2
    np.testing.assert_allclose(scores[middle], expected[middle], atol=2e-2)
