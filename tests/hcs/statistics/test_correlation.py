from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.statistics.correlation import ERROR, Correlations, redundant_features


def features(seed: int, *, n: int = 300, d: int = 30) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(n, 6)) @ rng.normal(size=(6, d)) + rng.normal(size=(n, d))
    return mixed * 10 ** rng.uniform(-4, 4, d) + 10 ** rng.uniform(-2, 2, d)


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=20)
def test_correlations_are_numpys_to_the_error_and_where_asked_to_the_last_digits(seed):
    values = features(seed).astype(np.float32)
    expected = np.corrcoef(values.T.astype(np.float64))

    correlations = Correlations(values)

    assert not correlations.is_exact
    assert np.abs(correlations.matrix - expected).max() < ERROR / 5
    np.testing.assert_allclose(correlations.exact_rows(np.array([3, 7])), expected[[3, 7]], atol=1e-12)


def test_float32_of_many_rows_stays_within_the_error():
    values = features(0, n=100_000, d=20).astype(np.float32)
    values[:, 1] = values[:, 0] * (1 + 0.01 * np.random.default_rng(1).normal(size=100_000))

    found = np.abs(Correlations(values).matrix - np.corrcoef(values.T.astype(np.float64))).max()

    assert found < ERROR / 5


def test_errors_of_float32_do_not_add_up_in_the_sums_that_decide_which_of_two_features_goes():
    rng = np.random.default_rng(3)
    values = (rng.normal(size=(2500, 1)) + 0.1 * rng.normal(size=(2500, 400)) + 5.0).astype(np.float32)

    sums = np.abs(Correlations(values).matrix).sum(axis=0)

    expected = np.abs(np.corrcoef(values.T.astype(np.float64))).sum(axis=0)
    assert np.abs(sums - expected).max() < ERROR * np.sqrt(400) / 10


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=20)
def test_with_gaps_correlations_are_pandas_over_the_rows_where_both_are_there(seed):
    values, rng = features(seed, d=8), np.random.default_rng(seed)
    values[rng.random(values.shape) < 0.3] = np.nan
    values[5, 2] = np.inf

    found = Correlations(values)

    assert found.is_exact
    np.testing.assert_allclose(found.matrix, pd.DataFrame(values).corr().to_numpy(), atol=1e-9)


@pytest.mark.parametrize("gap", [0.0, np.nan])
def test_a_constant_feature_correlates_with_nothing(gap):
    values = features(1, d=4)
    values[:, 2] = 123.456
    values[0, 0] += gap

    found = Correlations(values).matrix

    assert (found[2] == 0).all()
    assert (found[:, 2] == 0).all()


def plain_rule(r: np.ndarray, threshold: float) -> set[int]:
    """The rule in ten lines."""
    sums = np.abs(r).sum(axis=0)
    gone = set()
    for later in range(len(r)):
        for earlier in range(later):
            if r[later, earlier] > threshold:
                gone.add(later if sums[later] > sums[earlier] else earlier)
    return gone


@given(seed=st.integers(0, 2**32 - 1), threshold=st.floats(0.1, 0.95), gaps=st.booleans())
@settings(deadline=None, max_examples=30)
def test_the_redundant_features_are_those_of_the_plain_rule(seed, threshold, gaps):
    values = features(seed)
    values[0, 0] += np.nan if gaps else 0.0

    partner = redundant_features(Correlations(values.astype(np.float32)), threshold=threshold)

    r = pd.DataFrame(values.astype(np.float32).astype(np.float64)).corr().to_numpy()
    assert set(np.flatnonzero(partner >= 0)) == plain_rule(r, threshold)
    assert all(r[feature, other] > threshold for feature, other in enumerate(partner) if other >= 0)


def test_a_pair_that_float32_cannot_tell_from_the_threshold_is_decided_in_float64():
    values = features(2)
    r = np.corrcoef(values.T)
    pair = np.unravel_index(np.argmax(np.tril(r, -1)), r.shape)

    for threshold, is_gone in ((r[pair] - 1e-12, True), (r[pair] + 1e-12, False)):
        partner = redundant_features(Correlations(values), threshold=threshold)
        assert (partner >= 0).any() == is_gone
