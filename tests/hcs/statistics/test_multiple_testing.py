"""Laws, oracle and edges of the false discovery rate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from hcs.statistics.multiple_testing import benjamini_hochberg

p_values = st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=40).map(np.array)


@settings(deadline=None, max_examples=80)
@given(p=p_values, seed=st.integers(0, 2**32 - 1))
def test_q_follows_its_test_through_any_order(p: np.ndarray, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(p))

    np.testing.assert_array_equal(benjamini_hochberg(p[order]), benjamini_hochberg(p)[order])


@settings(deadline=None, max_examples=80)
@given(p=p_values)
def test_it_agrees_with_scipy_and_never_falls_below_p(p: np.ndarray) -> None:
    q = benjamini_hochberg(p)

    np.testing.assert_allclose(q, false_discovery_control(p, method="bh"), rtol=1e-12)
    assert (q >= p - 1e-15).all()
    assert (q <= 1).all()


def test_a_test_that_was_not_made_has_no_q_and_does_not_count() -> None:
    q = benjamini_hochberg(np.array([0.01, np.nan, 0.04, np.nan]))

    np.testing.assert_array_equal(q, [0.02, np.nan, 0.04, np.nan])


@pytest.mark.parametrize("p", [np.array([]), np.array([np.nan, np.nan])])
def test_a_family_without_tests_is_allowed(p: np.ndarray) -> None:
    np.testing.assert_array_equal(benjamini_hochberg(p), p)


@pytest.mark.parametrize("bad", [-0.1, 1.1])
def test_what_is_no_p_value_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        benjamini_hochberg(np.array([0.5, bad]))
