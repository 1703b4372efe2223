"""One scale for replicates and the controls beside them: laws, and the rate that scaling on the controls breaks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.statistics.designs import Layout
from hcs.statistics.permutation import design_tests, design_tests_as_given, permutation_test
from hcs.statistics.pool_scale import needs_one_scale, on_one_scale
from hcs.statistics.robust import median_and_mad
from tests.hcs.statistics.test_permutation import make_pool

CROWDED = [([1] * 6, [4] * 6), ([2, 2], [8, 8]), ([4], [13]), ([3, 1, 2], [5, 40, 6]), ([6] * 5, [8] * 5)]


@pytest.mark.parametrize(
    ("n_replicates", "n_controls", "expected"),
    [
        ((1, 1, 1), (16, 40, 16), False),
        ((1, 1, 1), (16, 40, 15), True),
        ((2,), (32,), False),
        ((2,), (31,), True),
        ((1, 2), (3, 31), True),
        ((1, 4), (16, 64), False),
        ((4, 4), (64, 63), True),
    ],
    ids=str,
)
def test_pools_with_few_controls_for_each_replicate_need_one_scale(
    n_replicates: tuple[int, ...], n_controls: tuple[int, ...], expected: bool
) -> None:
    layout = Layout(tuple(np.add(n_replicates, n_controls).tolist()), n_replicates)

    assert needs_one_scale(layout) == expected


@settings(deadline=None, max_examples=25)
@given(layout=st.sampled_from(CROWDED), seed=st.integers(0, 10_000), effect=st.sampled_from([0.0, 0.6, 3.0]))
def test_what_a_plates_features_were_multiplied_by_changes_no_bit(
    layout: tuple[list[int], list[int]], seed: int, effect: float
) -> None:
    profiles, plates, is_replicate = make_pool(*layout, seed=seed, effect=effect)
    rng = np.random.default_rng(seed)
    factors = np.exp(rng.standard_normal((plates.max() + 1, profiles.shape[1])) * 2)
    shifts = rng.standard_normal(factors.shape) * 5

    expected = permutation_test(profiles, plates, is_replicate, seed=1, max_draws=3_999)

    moved = (profiles + shifts[plates]) * factors[plates]
    assert permutation_test(moved, plates, is_replicate, seed=1, max_draws=3_999) == expected


@pytest.mark.parametrize("shift", [0.0, 5.0, 1e6])
def test_every_feature_has_median_0_and_a_spread_of_1_to_a_half_more_on_every_plate(shift: float) -> None:
    profiles, plates, is_replicate = make_pool([3, 1, 2], [5, 40, 6], seed=1)
    profiles[is_replicate] += shift
    scaled = np.empty_like(profiles)

    scaled[~is_replicate], scaled[is_replicate] = on_one_scale(
        profiles[~is_replicate], plates[~is_replicate], profiles[is_replicate], plates[is_replicate]
    )

    for plate in range(3):
        distances = np.abs(scaled[plates == plate]).mean(axis=0)
        np.testing.assert_allclose(np.median(scaled[plates == plate], axis=0), 0, atol=1e-12)
        assert 1 - 1e-9 <= distances.min() <= distances.max() <= 1.5 + 1e-9


def test_a_treatment_that_shifts_two_of_many_features_far_is_found_beside_few_controls() -> None:
    profiles, plates, is_replicate = make_pool([4], [16], seed=2, effect=0.0, n_features=300)
    profiles[is_replicate, :2] += 12

    assert permutation_test(profiles, plates, is_replicate, seed=0).p_value < 0.01


@pytest.mark.parametrize("factor", [1e-300, 1e-30, 1e30, 1e300])
def test_a_factor_as_small_or_large_as_floats_allow_changes_no_bit(factor: float) -> None:
    profiles, plates, is_replicate = make_pool([2, 2], [8, 8], seed=3, effect=0.5)

    found, expected = (permutation_test(x, plates, is_replicate, seed=0) for x in (profiles * factor, profiles))

    assert found == expected


@pytest.mark.parametrize("value", [0.1, 0.0, -7e30])
def test_a_feature_that_does_not_vary_on_a_plate_has_no_say_there(value: float) -> None:
    profiles, plates, is_replicate = make_pool([2, 2], [8, 8], seed=3, effect=1.0)
    constant = np.where(plates == 0, value, np.random.default_rng(0).standard_normal(len(plates)))
    expected = np.where(plates == 0, 0.0, constant)

    found, as_zero = (
        permutation_test(np.column_stack([profiles, feature]), plates, is_replicate, seed=0, max_draws=999)
        for feature in (constant, expected)
    )

    assert found == as_zero


def test_treatments_are_scaled_each_by_itself() -> None:
    profiles, plates, is_replicate = make_pool([2, 2], [8, 8], seed=5, effect=0.5)
    others = np.random.default_rng(1).standard_normal((3, is_replicate.sum(), profiles.shape[1])) * 40
    together = np.concatenate([others, profiles[is_replicate][None]])

    found = design_tests(profiles[~is_replicate], plates[~is_replicate], together, plates[is_replicate], seed=0)

    assert found[3] == permutation_test(profiles, plates, is_replicate, seed=0)


def test_treatments_that_do_nothing_keep_their_rate_though_profiles_were_scaled_on_the_controls() -> None:
    """Tested as they were scaled they do not, so that this test can fail."""
    rng = np.random.default_rng(11)
    plates, own = np.repeat(np.arange(5), 8), np.repeat(np.arange(5), 4)
    kept, broken = [], []
    for _ in range(60):
        controls, treated = rng.standard_normal((40, 30)), rng.standard_normal((5, 20, 30))
        for plate in range(5):
            median, scale = median_and_mad(controls[plates == plate])
            controls[plates == plate] = (controls[plates == plate] - median) / scale
            treated[:, own == plate] = (treated[:, own == plate] - median) / scale
        wells = (controls, plates, treated, own)
        kept += [test.p_value for test in design_tests(*wells, seed=0, max_draws=999)]
        broken += [test.p_value for test in design_tests_as_given(*wells, seed=0, max_draws=999)]

    # The five treatments of a set share controls, so that 300 of them tell as much as fewer do.
    assert np.mean(np.array(kept) <= 0.05) <= 0.05 + 3.5 * np.sqrt(0.05 * 0.95 / 150)
    assert np.mean(np.array(broken) <= 0.05) > 0.15
