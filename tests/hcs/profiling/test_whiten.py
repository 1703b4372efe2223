from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA

from hcs.errors import InputRejectedError
from hcs.profiling.whiten import fit_whitening, n_components_for, whiten


def correlated(seed: int, n_wells: int, n_features: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_wells, n_features)) @ rng.normal(size=(n_features, n_features)) + rng.normal(
        size=n_features
    )


def everyone(z: np.ndarray) -> np.ndarray:
    return np.ones(len(z), dtype=bool)


SHAPES = [(200, 12), (40, 300), (90, 90)]


@pytest.mark.parametrize(("n_wells", "n_features"), SHAPES)
@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=10)
def test_the_order_of_the_wells_does_not_change_a_bit(n_wells, n_features, seed):
    rng = np.random.default_rng(seed)
    z = correlated(seed, n_wells, n_features)
    z[1] = z[0]
    is_fitted = rng.random(n_wells) < 0.9
    order = rng.permutation(n_wells)

    whitened, _ = whiten(z, is_fitted=is_fitted)
    other, _ = whiten(z[order], is_fitted=is_fitted[order])

    assert whitened[order].tobytes() == other.tobytes()


@pytest.mark.parametrize(("n_wells", "n_features"), SHAPES)
def test_components_are_uncorrelated_and_their_variance_is_what_the_ridge_leaves(n_wells, n_features):
    z = correlated(0, n_wells, n_features)

    whitened, fit = whiten(z, is_fitted=everyone(z))

    k = min(n_wells // 4, n_features)
    assert whitened.shape == (n_wells, k)
    expected = np.diag(fit.variances / (fit.variances + fit.ridge))
    np.testing.assert_allclose(np.cov(whitened.T), expected, atol=1e-9)
    assert fit.ridge == pytest.approx(fit.variances.mean())


@pytest.mark.parametrize(("n_wells", "n_features"), SHAPES)
def test_the_kept_directions_are_those_of_scikit_learn(n_wells, n_features):
    z = correlated(1, n_wells, n_features)

    fit = fit_whitening(z)

    oracle = PCA(n_components=len(fit.variances), svd_solver="full").fit(z)
    np.testing.assert_allclose(fit.variances, oracle.explained_variance_, rtol=1e-8)
    assert np.rad2deg(subspace_angles(fit.projection, oracle.components_.T).max()) < 1e-4
    signs = np.sign(fit.projection[np.abs(fit.projection).argmax(axis=0), np.arange(len(fit.variances))])
    assert (signs == 1).all()


def test_the_origin_stays_where_it_was():
    z = correlated(0, 100, 8)
    z[7] = 0

    whitened, _ = whiten(z, is_fitted=everyone(z))

    np.testing.assert_array_equal(whitened[7], 0)


def test_wells_outside_the_fit_are_projected_and_nothing_more():
    z = correlated(0, 100, 8)
    is_fitted = np.arange(100) < 80
    odd = z.copy()
    odd[80:] *= 50

    whitened, fit = whiten(z, is_fitted=is_fitted)
    other, _ = whiten(odd, is_fitted=is_fitted)

    assert fit.n_wells == 80
    np.testing.assert_allclose(other, np.where(is_fitted[:, None], whitened, 50 * whitened), rtol=1e-9, atol=1e-12)


def test_directions_without_variance_are_left_out():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 12))

    whitened, _ = whiten(z, is_fitted=everyone(z))

    assert whitened.shape[1] == 3


@pytest.mark.parametrize(
    ("n_wells", "n_features", "expected"), [(576, 2880, 128), (192, 2880, 48), (576, 20, 20), (2, 5, 1)]
)
def test_there_is_one_component_for_every_four_wells_and_at_most_128(n_wells, n_features, expected):
    assert n_components_for(n_wells, n_features) == expected


def test_wells_that_are_all_the_same_are_refused():
    z = np.ones((20, 4))

    with pytest.raises(InputRejectedError, match="20 wells without any difference"):
        whiten(z, is_fitted=everyone(z))
