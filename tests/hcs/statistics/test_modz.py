from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr

from hcs.statistics.modz import centred_ranks, modz, replicate_weights


def replicates(seed: int, *, m: int = 4, d: int = 101) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.round(rng.normal(size=d) + rng.normal(size=(1, m, d)) * rng.uniform(0.5, 4, size=(1, m, 1)), 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=20)
def test_ranks_are_scipys_with_ties_by_their_mean(dtype, seed):
    stack = replicates(seed).astype(dtype)
    stack[0, :2, :4] = -0.0, 0.0, -np.finfo(dtype).tiny, np.finfo(dtype).max

    np.testing.assert_array_equal(centred_ranks(stack), rankdata(stack, axis=2) - 51.0)


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=20)
def test_weights_follow_from_spearman_correlations_as_the_rule_says(seed):
    stack = replicates(seed)
    similarity = np.maximum(spearmanr(stack[0].T).statistic, 0.0)
    raw = np.maximum((similarity.sum(axis=1) - 1.0) / 3.0, 0.01)

    np.testing.assert_allclose(replicate_weights(stack)[0], raw / raw.sum(), atol=0.500001e-4)


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=20)
def test_the_order_of_replicates_changes_nothing_but_rounding(seed):
    stack = replicates(seed)

    np.testing.assert_allclose(modz(stack), modz(stack[:, ::-1]), rtol=1e-12, atol=1e-12)


def test_one_replicate_is_itself_and_two_weigh_the_same():
    stack = replicates(0, m=2)

    np.testing.assert_array_equal(modz(stack[:, :1]), stack[:, 0])
    np.testing.assert_allclose(modz(stack), stack.mean(axis=1), rtol=1e-12, atol=1e-15)


def test_a_replicate_that_agrees_with_none_weighs_next_to_nothing():
    stack = replicates(1, m=3)
    stack[0, 1:] = stack[0, 0], -stack[0, 0]

    np.testing.assert_array_equal(replicate_weights(stack)[0], np.round([0.5 / 1.01, 0.5 / 1.01, 0.01 / 1.01], 4))


@pytest.mark.parametrize(("constant", "expected"), [([2], [0.5, 0.5, 0.0]), ([0, 1, 2], [0.3333] * 3)])
def test_a_constant_replicate_weighs_nothing_unless_all_are(constant, expected):
    stack = replicates(2, m=3)
    stack[0, constant] = 1.0

    np.testing.assert_array_equal(replicate_weights(stack)[0], expected)
