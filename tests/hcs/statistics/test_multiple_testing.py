"""Laws, oracle and edges of the false discovery rate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from hcs.statistics.multiple_testing import benjamini_hochberg, combined_p_values, family_q_values

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


levels = st.sampled_from([0.0100173, 0.0500173, 0.2000173])
"""None that a round p lies at, where the last bit would decide."""


@settings(deadline=None, max_examples=80)
@given(p=p_values)
def test_families_of_one_are_no_families(p: np.ndarray) -> None:
    np.testing.assert_allclose(family_q_values(p, np.arange(len(p))), benjamini_hochberg(p), rtol=1e-9)


@settings(deadline=None, max_examples=80)
@given(p=p_values, n_families=st.integers(1, 9), level=levels, seed=st.integers(0, 99))
def test_a_family_is_found_first_and_its_members_at_its_level(
    p: np.ndarray, n_families: int, level: float, seed: int
) -> None:
    families = np.random.default_rng(seed).integers(0, n_families, len(p))
    names = np.unique(families)
    smallest = np.array([1 - (1 - p[families == name].min()) ** (families == name).sum() for name in names])
    is_found = false_discovery_control(smallest) <= level
    bound = level * is_found.sum() / len(names)
    expected = np.zeros(len(p), dtype=bool)
    for name in names[is_found]:
        rows = np.flatnonzero(families == name)[np.argsort(p[families == name])]
        for n_left, row in zip(range(len(rows), 0, -1), rows, strict=True):
            if 1 - (1 - p[row]) ** n_left > bound:
                break
            expected[row] = True

    np.testing.assert_array_equal(family_q_values(p, families) <= level, expected)


def test_a_dose_that_was_not_tested_does_not_count() -> None:
    p, families = np.array([0.01, np.nan, 0.3, np.nan]), np.array([0, 0, 1, 2])

    found = family_q_values(p, families)

    np.testing.assert_allclose(found[[0, 2]], benjamini_hochberg(np.array([0.01, 0.3])))
    assert np.isnan(found[[1, 3]]).all()
    np.testing.assert_allclose(combined_p_values(p, families)[:2], [0.01, 0.3])


def test_doses_without_an_effect_do_not_make_compounds_found() -> None:
    rng = np.random.default_rng(0)
    families = np.repeat(np.arange(100), 8)
    n_found = [(family_q_values(rng.uniform(size=800), families) <= 0.05).any() for _ in range(200)]

    # The smallest p of eight doses, taken as it is, would find something in nearly half of these screens.
    assert np.mean(n_found) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)
