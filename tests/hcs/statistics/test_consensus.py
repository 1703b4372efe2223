from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.errors import InputRejectedError
from hcs.statistics.consensus import consensus, consensus_of_groups


@pytest.mark.parametrize("operation", ["median", "mean"])
@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=25)
def test_the_order_of_the_wells_does_not_change_a_bit(operation, seed):
    rng = np.random.default_rng(seed)
    profiles, groups = rng.normal(size=(20, 3)), rng.choice(["a", "b", "c"], 20)
    order = rng.permutation(20)

    names, values = consensus(profiles, groups, operation=operation)
    other_names, other = consensus(profiles[order], groups[order], operation=operation)

    assert names == other_names
    assert values.tobytes() == other.tobytes()


@pytest.mark.parametrize(("operation", "oracle"), [("median", np.median), ("mean", np.mean)])
def test_a_group_is_the_median_or_mean_of_its_wells(operation, oracle):
    profiles = np.random.default_rng(0).normal(size=(7, 4))
    groups = ["b", "a", "b", "a", "a", "b", "a"]

    names, values = consensus(profiles, groups, operation=operation)

    assert names == ["a", "b"]
    np.testing.assert_allclose(values[0], oracle(profiles[[1, 3, 4, 6]], axis=0), rtol=1e-12)
    np.testing.assert_allclose(values[1], oracle(profiles[[0, 2, 5]], axis=0), rtol=1e-12)


def test_groups_that_do_not_fit_the_profiles_are_refused():
    with pytest.raises(InputRejectedError, match="one group a profile"):
        consensus(np.zeros((3, 2)), ["a"], operation="mean")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_modz_refuses_a_gap_and_median_leaves_it_out(bad):
    profiles = np.arange(12.0).reshape(4, 3)
    profiles[1, 2] = bad
    order, starts = np.arange(4), np.array([0, 2, 4])

    with pytest.raises(InputRejectedError, match="feature 2 is not"):
        consensus_of_groups(profiles, order, starts, operation="modz")
    if np.isnan(bad):
        for operation in ("median", "mean"):
            made = consensus_of_groups(profiles, order, starts, operation=operation)
            assert made.tolist() == [[1.5, 2.5, 2.0], [7.5, 8.5, 9.5]]
