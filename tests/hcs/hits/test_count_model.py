"""The curve that says what a number of cells does to a profile."""

from __future__ import annotations

import numpy as np
import pytest

from hcs.hits.count_model import BANDWIDTH, curve_variance, expected_profiles


def curve(positions: np.ndarray) -> np.ndarray:
    return np.column_stack([4 * (1 - positions), np.sin(3 * positions), np.zeros_like(positions)])


def wells(n: int, *, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    positions = rng.uniform(0.3, 1.2, n)
    return positions, curve(positions) + noise * rng.standard_normal((n, 3))


def test_a_straight_line_is_followed_exactly_even_beyond_the_last_well() -> None:
    positions = np.linspace(0.5, 1.0, 60)
    profiles = np.column_stack([3 * positions - 1, -positions])

    found = expected_profiles(positions, profiles, at=np.array([0.42, 0.7, 1.03]))

    np.testing.assert_allclose(found, [[0.26, -0.42], [1.1, -0.7], [2.09, -1.03]], atol=0.01)


def test_a_smooth_curve_is_found_among_noisy_wells() -> None:
    positions, profiles = wells(600, noise=0.3)
    at = np.linspace(0.35, 1.15, 9)

    # A neighbourhood rounds off what bends inside it.
    np.testing.assert_allclose(expected_profiles(positions, profiles, at=at), curve(at), atol=0.2)


def test_one_point_agrees_with_a_naive_weighted_line() -> None:
    # Residuals of the same length everywhere: the robust weights are then all alike.
    positions = np.repeat(np.linspace(0.4, 0.9, 11), 4)
    signs = np.tile([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], (11, 1))
    profiles = np.column_stack([2 * positions, positions]) + signs
    weights = (1 - np.clip(np.abs(positions - 0.65) / BANDWIDTH, 0, 1) ** 3) ** 3
    basis = np.sqrt(weights)[:, None] * np.column_stack([np.ones_like(positions), positions - 0.65])
    expected = np.linalg.lstsq(basis, np.sqrt(weights)[:, None] * profiles, rcond=None)[0][0]

    np.testing.assert_allclose(expected_profiles(positions, profiles, at=np.array([0.65]))[0], expected, atol=1e-3)


def test_a_minority_of_wells_with_a_phenotype_of_their_own_hardly_moves_the_curve() -> None:
    rng = np.random.default_rng(1)
    positions = rng.uniform(0.3, 1.2, 400)
    profiles = rng.standard_normal((400, 50))
    profiles[::5] += 4 * rng.standard_normal(50)

    found = expected_profiles(positions, profiles, at=np.array([0.7]))

    assert np.linalg.norm(found) < 0.6 * np.linalg.norm(profiles.mean(axis=0))


def test_wells_that_all_have_one_count_and_one_profile_are_their_own_expectation() -> None:
    found = expected_profiles(np.ones(30), np.full((30, 2), 2.0), at=np.array([1.0]))

    np.testing.assert_allclose(found, [[2.0, 2.0]])


def test_a_count_far_from_all_others_costs_no_more_than_any() -> None:
    positions, profiles = wells(100, noise=0.1)

    found = expected_profiles(positions, profiles, at=np.array([0.5, 1e5]))

    np.testing.assert_allclose(found[0], curve(np.array([0.5]))[0], atol=0.2)
    assert np.isfinite(found).all()


def test_many_wells_narrow_the_neighbourhood_and_few_widen_it() -> None:
    many = np.linspace(0.5, 1.5, 20_001)
    bent = np.abs(many - 1.0)[:, None]
    few = np.array([0.0, 0.05, 1.0, 1.05])

    # Over a bandwidth of .25 the kink at 1 would be rounded off by more than this.
    assert expected_profiles(many, bent, at=np.array([1.0]))[0, 0] < 0.04
    np.testing.assert_allclose(expected_profiles(few, few[:, None], at=np.array([0.5])), [[0.5]], atol=0.01)


def test_the_jackknife_variance_is_that_of_repeated_screens() -> None:
    perturbations = np.repeat(np.arange(40), 6)
    curves, estimates = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        positions = rng.uniform(0.4, 1.1, 240)
        of_their_own = rng.standard_normal((40, 5))[perturbations]
        profiles = of_their_own + rng.standard_normal((240, 5))
        curves.append(expected_profiles(positions, profiles, at=np.array([0.75]))[0])
        estimates.append(curve_variance(positions, profiles, perturbations, at=0.75))

    assert np.median(estimates) == pytest.approx(np.var(curves, axis=0, ddof=1).sum(), rel=0.5)


def test_the_variance_of_a_curve_through_one_perturbation_is_unknown() -> None:
    positions, profiles = wells(30, noise=0.1)

    assert curve_variance(positions, profiles, np.zeros(30, dtype=np.intp), at=0.7) == np.inf
