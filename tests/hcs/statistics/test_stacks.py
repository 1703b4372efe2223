from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import trim_mean

from hcs.statistics import stacks


@given(seed=st.integers(0, 2**32 - 1), m=st.integers(1, 20))
@settings(deadline=None, max_examples=40)
def test_medians_and_means_are_numpys_with_gaps_left_out(seed, m):
    rng = np.random.default_rng(seed)
    stack = np.round(rng.normal(size=(4, m, 6)), 1)
    stack[rng.random(stack.shape) < rng.choice([0.0, 0.2])] = np.nan
    stack[:, 0, :] = np.where(np.isnan(stack).all(axis=1), 1.0, stack[:, 0, :])

    np.testing.assert_allclose(stacks.median(stack), np.nanmedian(stack, axis=1), rtol=1e-15)
    np.testing.assert_allclose(stacks.mean(stack), np.nanmean(stack, axis=1), rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(stacks.sorted_rows(stack), np.sort(stack, axis=1))


def test_what_is_missing_in_all_rows_is_missing():
    stack = np.array([[[np.nan, 1.0], [np.nan, 3.0]]])

    for made in (
        stacks.median(stack),
        stacks.mean(stack),
        stacks.weighted_median(stack, np.ones((1, 2))),
        stacks.weighted_mean_within(stack, np.ones((1, 2)), cut=0.1),
    ):
        np.testing.assert_array_equal(made, [[np.nan, 2.0]])


@given(seed=st.integers(0, 2**32 - 1), m=st.integers(1, 12))
@settings(deadline=None, max_examples=40)
def test_a_weight_is_that_many_copies_of_the_row(seed, m):
    rng = np.random.default_rng(seed)
    stack, weights = rng.normal(size=(1, m, 3)), rng.integers(0, 4, size=(1, m))
    weights[0, 0] += 1
    copies = np.repeat(stack, weights[0], axis=1)

    np.testing.assert_allclose(stacks.weighted_median(stack, weights * 0.1), np.median(copies, axis=1), rtol=1e-12)
    np.testing.assert_allclose(
        stacks.weighted_mean_within(stack, weights * 0.1, cut=0.0), copies.mean(axis=1), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize(("m", "cut"), [(10, 0.1), (20, 0.1), (20, 0.25), (5, 0.0)])
def test_a_trimmed_mean_of_whole_rows_is_scipys(m, cut):
    stack = np.random.default_rng(0).normal(size=(3, m, 4))

    np.testing.assert_allclose(
        stacks.weighted_mean_within(stack, np.ones((3, m)), cut=cut), trim_mean(stack, cut, axis=1), rtol=1e-12
    )


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=15)
def test_every_group_gets_the_row_that_a_plain_loop_makes(seed):
    rng = np.random.default_rng(seed)
    profiles, member = rng.normal(size=(300, 700)), np.sort(rng.integers(0, 40, 300))
    rows = rng.permutation(300)
    starts = np.append(np.flatnonzero(np.diff(member, prepend=-1)), 300)

    made = [stacks.reduce_groups(profiles, rows, starts, reduction=stacks.median, n_threads=n) for n in (1, 3)]

    expected = [np.median(profiles[rows[low:high]], axis=0) for low, high in pairwise(starts)]
    np.testing.assert_array_equal(made[0], expected)
    assert made[0].tobytes() == made[1].tobytes()
