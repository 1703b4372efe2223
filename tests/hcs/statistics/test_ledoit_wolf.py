"""Shrunk covariances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import ledoit_wolf as of_scikit_learn

from hcs.errors import InputRejectedError
from hcs.statistics.ledoit_wolf import ledoit_wolf


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(3, 40), d=st.integers(2, 30))
def test_it_is_that_of_scikit_learn(seed: int, n: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n, d)) @ rng.standard_normal((d, d))

    found = ledoit_wolf(rows)
    matrix, shrinkage = of_scikit_learn(rows, assume_centered=True)

    np.testing.assert_allclose(found.matrix, matrix, rtol=1e-9, atol=1e-9 * np.abs(matrix).max())
    assert found.shrinkage == pytest.approx(shrinkage, abs=1e-9)
    root = found.inverse_root()
    np.testing.assert_allclose(root @ found.matrix @ root, np.eye(d), atol=1e-6)


@pytest.mark.parametrize("rows", [np.zeros((5, 3)), np.ones((1, 3))])
def test_wells_that_tell_nothing_are_refused(rows: np.ndarray) -> None:
    with pytest.raises(InputRejectedError, match="2 or more control wells that differ"):
        ledoit_wolf(rows)


@pytest.mark.parametrize("rows", [np.array([[1.0, 2.0], [-1.0, -2.0]]), np.array([[1.0, 2.0], [-1.0, -2.0]] * 3)])
def test_rows_along_one_line_give_no_distance_off_it(rows: np.ndarray) -> None:
    with pytest.raises(InputRejectedError, match="too few or too alike"):
        ledoit_wolf(rows).inverse_root()
