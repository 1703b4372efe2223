from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import fractional_matrix_power
from sklearn.covariance import ledoit_wolf as reference

from hcs.statistics.covariance import ledoit_wolf, sample_covariance


def centred_rows(seed: int, n: int, d: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, d)) @ rng.normal(size=(d, d))
    return rows - rows.mean(axis=0)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(3, 40), d=st.integers(2, 25))
@settings(deadline=None, max_examples=40)
def test_the_shrunk_covariance_is_that_of_scikit_learn(seed, n, d):
    rows = centred_rows(seed, n, d)

    made = ledoit_wolf(rows, freedom=n)

    expected, weight = reference(rows, assume_centered=True)
    assert made.weight == pytest.approx(weight, abs=1e-9)
    np.testing.assert_allclose(made.spectrum.applied(np.eye(d), 1.0), expected, atol=1e-9 * expected.max())


@pytest.mark.parametrize(("n", "d"), [(50, 8), (6, 20)])
@pytest.mark.parametrize("power", [-0.5, 0.5, -1.0])
def test_rows_are_multiplied_by_a_power_of_the_matrix(n, d, power):
    rows = centred_rows(1, n, d)
    matrix = np.cov(rows.T) + 0.5 * np.eye(d)

    made = sample_covariance(rows, freedom=n - 1).plus(0.5).applied(rows, power)

    np.testing.assert_allclose(made, rows @ fractional_matrix_power(matrix, power), atol=1e-8)


def test_rows_that_are_all_the_same_are_all_identity():
    made = ledoit_wolf(np.zeros((4, 3)), freedom=3)

    assert made.weight == 1.0
    assert made.spectrum.floor == 0.0
