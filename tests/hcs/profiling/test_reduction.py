"""Components of a matrix in blocks, against scikit-learn's of the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from hcs.errors import InputRejectedError
from hcs.profiling.reduction import RunningMoments, principal_components


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), n_blocks=st.integers(1, 6))
def test_components_are_those_of_the_whole_matrix_however_it_is_cut(seed: int, n_blocks: int) -> None:
    rng = np.random.default_rng(seed)
    values = (rng.normal(size=(80, 3)) * [5, 3, 2]) @ rng.normal(size=(3, 12)) + 0.1 * rng.normal(size=(80, 12))
    values = values.astype(np.float32)
    moments = RunningMoments(12)
    for block in np.array_split(values, n_blocks):
        moments.add(block)

    made = principal_components(moments, n_components=3, is_used=np.ones(12, dtype=bool))

    theirs = PCA(3, svd_solver="full").fit(values)
    signs = np.sign((made.directions * theirs.components_.T).sum(axis=0))
    np.testing.assert_allclose(made.scores(values), theirs.transform(values) * signs, atol=0.02)
    assert made.explained == pytest.approx(theirs.explained_variance_ratio_.sum(), abs=1e-3)


def test_features_that_are_not_used_have_no_part_and_too_many_components_are_refused() -> None:
    moments = RunningMoments(4)
    moments.add(np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32))
    is_used = np.array([True, False, True, True])

    assert not principal_components(moments, n_components=2, is_used=is_used).directions[1].any()
    with pytest.raises(InputRejectedError, match="3 features that vary"):
        principal_components(moments, n_components=4, is_used=is_used)
