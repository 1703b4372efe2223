from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs.errors import InputRejectedError
from hcs.statistics.separation import d_prime, held_out_scores, separations

SEEDS = st.integers(0, 2**32 - 1)


def drawn(
    rng: np.random.Generator, *, distance: float, n: int = 20, n_features: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """Return profiles of two groups of `n` wells that lie `distance` standard deviations apart, and which is which."""
    is_positive = np.arange(2 * n) % 2 == 0
    profiles = rng.standard_normal((2 * n, n_features))
    profiles[is_positive, 0] += distance
    return profiles, is_positive


def d_of(profiles: np.ndarray, is_positive: np.ndarray) -> float:
    return float(d_prime(held_out_scores(profiles, is_positive=is_positive), is_positive=is_positive))


def in_sample(profiles: np.ndarray, is_positive: np.ndarray) -> float:
    """The d' of scores on the direction that the same wells gave."""
    direction = profiles[is_positive].mean(axis=0) - profiles[~is_positive].mean(axis=0)
    return float(d_prime(profiles @ direction, is_positive=is_positive))


@pytest.mark.parametrize("distance", [1.0, 2.0, 4.0])
def test_gaussians_of_a_known_distance_have_it(distance: float) -> None:
    profiles, is_positive = drawn(np.random.default_rng(0), distance=distance, n=2000)

    assert d_of(profiles, is_positive) == pytest.approx(distance, abs=0.12)


@pytest.mark.parametrize("n_negative", [12, 30])
@pytest.mark.parametrize("n_features", [30, 300, 2000])
def test_noise_is_not_separated_however_many_features_there_are(n_features: int, n_negative: int) -> None:
    rng = np.random.default_rng(1)
    is_positive = np.arange(12 + n_negative) < 12
    noise = [rng.standard_normal((12 + n_negative, n_features)) for _ in range(60)]

    held_out, seen = (np.array([d(profiles, is_positive) for profiles in noise]) for d in (d_of, in_sample))

    assert abs(held_out.mean()) < 4 * held_out.std(ddof=1) / np.sqrt(len(noise))
    if n_features == 2000:
        assert seen.min() > 10, "the direction that the wells themselves give separates any noise"


@settings(deadline=None, max_examples=30)
@given(seed=SEEDS, scale=st.floats(1e-3, 1e3), shift=st.floats(-100, 100))
def test_turning_scaling_and_shifting_the_space_changes_nothing(seed: int, scale: float, shift: float) -> None:
    rng = np.random.default_rng(seed)
    profiles, is_positive = drawn(rng, distance=1.5, n=8)
    rotation, _ = np.linalg.qr(rng.standard_normal((5, 5)))

    moved = scale * profiles @ rotation + scale * shift

    assert d_of(moved, is_positive) == pytest.approx(d_of(profiles, is_positive), rel=1e-5, abs=1e-6)


@settings(deadline=None, max_examples=30)
@given(seed=SEEDS)
def test_scores_are_those_of_a_loop_that_leaves_out_a_well_and_each_one_of_the_other_group(seed: int) -> None:
    profiles, is_positive = drawn(np.random.default_rng(seed), distance=1, n=4)

    scores = held_out_scores(profiles, is_positive=is_positive)

    for row, score in enumerate(scores):
        partners = np.flatnonzero(is_positive != is_positive[row])
        along = []
        for partner in partners:
            others = ~np.isin(np.arange(len(profiles)), [row, partner])
            positive = profiles[others & is_positive].mean(axis=0)
            negative = profiles[others & ~is_positive].mean(axis=0)
            along.append((profiles[row] - negative) @ (positive - negative) / np.sum((positive - negative) ** 2))
        assert score == pytest.approx(np.mean(along))


@settings(deadline=None, max_examples=30)
@given(seed=SEEDS)
def test_which_group_is_called_positive_and_the_order_of_wells_do_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    profiles, is_positive = drawn(rng, distance=1, n=6)
    order = rng.permutation(len(profiles))
    found = d_of(profiles, is_positive)

    assert d_of(profiles, ~is_positive) == pytest.approx(found, rel=1e-9, abs=1e-9)
    assert d_of(profiles[order], is_positive[order]) == pytest.approx(found, rel=1e-9, abs=1e-9)


def test_scores_say_where_a_well_lies_between_the_groups() -> None:
    profiles = np.array([[0.0, 1.0], [0.0, -1.0], [0.0, 0.0], [4.0, 1.0], [4.0, -1.0], [4.0, 0.0]])
    is_positive = np.array([False] * 3 + [True] * 3)

    scores = held_out_scores(profiles, is_positive=is_positive)

    assert scores[2] == 0
    assert scores[5] == 1
    assert np.abs(scores - is_positive).max() < 0.3


def test_d_prime_is_the_difference_over_the_common_spread_for_any_stack_of_scores() -> None:
    scores = np.array([[1.0, 3.0, 0.0, -2.0], [5.0, 9.0, 1.0, 1.0]])
    is_positive = np.array([True, True, False, False])

    assert d_prime(scores, is_positive=is_positive) == pytest.approx([3 / np.sqrt(2), 6 / np.sqrt((8 + 0) / 2)])


def test_groups_without_spread_are_infinitely_far_apart_or_the_same() -> None:
    is_positive = np.array([True, True, True, False, False, False])

    assert d_prime(is_positive.astype(float), is_positive=is_positive) == np.inf
    assert d_prime(np.ones(6), is_positive=is_positive) == 0
    assert (held_out_scores(np.ones((6, 3)), is_positive=is_positive) == 0).all()
    single, pairs = separations(
        {"a": is_positive[:, None] * np.ones((6, 3)), "b": np.ones((6, 3))}, is_positive=is_positive
    )
    assert (single["a"].value, single["a"].low, single["a"].high) == (np.inf, np.inf, np.inf)
    assert (single["b"].value, single["b"].low, single["b"].high) == (0, 0, 0)
    assert pairs["a", "b"].value == np.inf


def test_the_interval_covers_the_distance_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    n, distance, covered = 150, 2.0, 0

    for trial in range(n):
        profiles, is_positive = drawn(rng, distance=distance, n=30, n_features=1)
        single, _ = separations({"a": profiles}, is_positive=is_positive, seed=trial)
        covered += single["a"].low < distance < single["a"].high

    # percentiles over resampled wells are a little narrow with few wells
    assert 0.88 < covered / n <= 1


def test_differences_are_of_the_same_resampled_wells() -> None:
    rng = np.random.default_rng(3)
    profiles, is_positive = drawn(rng, distance=2, n=30, n_features=3)
    nearly = profiles + 0.01 * rng.standard_normal(profiles.shape)
    apart, _ = drawn(rng, distance=2, n=30, n_features=3)

    single, pairs = separations({"a": profiles, "b": nearly, "c": apart, "d": profiles}, is_positive=is_positive)

    def width(found: object) -> float:
        return found.high - found.low

    assert width(pairs["a", "b"]) < 0.2 * width(single["a"]), "what both have in common cancels"
    assert width(pairs["a", "c"]) > width(single["a"])
    assert (pairs["a", "d"].value, pairs["a", "d"].low, pairs["a", "d"].high) == (0, 0, 0)
    there, back = pairs["a", "c"], pairs["c", "a"]
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))
    assert there.value == pytest.approx(single["a"].value - single["c"].value)
    assert set(pairs) == {(of, to) for of in "abcd" for to in "abcd" if of != to}


def test_a_seed_decides_the_intervals_and_another_profile_beside_it_does_not() -> None:
    profiles, is_positive = drawn(np.random.default_rng(4), distance=1)

    alone = separations({"a": profiles}, is_positive=is_positive)[0]["a"]

    assert separations({"z": -profiles, "a": profiles}, is_positive=is_positive)[0]["a"] == alone
    assert separations({"a": profiles}, is_positive=is_positive, seed=1)[0]["a"] != alone


@pytest.mark.parametrize(("n_positive", "n_negative"), [(0, 9), (2, 9), (9, 2), (9, 0)])
def test_too_few_wells_are_refused_with_their_number(n_positive: int, n_negative: int) -> None:
    is_positive = np.array([True] * n_positive + [False] * n_negative)

    with pytest.raises(InputRejectedError, match=rf"at least 3 positive and 3 .* but {n_positive} and {n_negative}"):
        held_out_scores(np.ones((len(is_positive), 2)), is_positive=is_positive)


def test_three_wells_of_each_are_enough() -> None:
    profiles, is_positive = drawn(np.random.default_rng(5), distance=3, n=3)

    found = separations({"a": profiles}, is_positive=is_positive)[0]["a"]

    assert np.isfinite([found.value, found.low, found.high]).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_profiles_that_are_not_finite_are_refused(value: float) -> None:
    profiles, is_positive = drawn(np.random.default_rng(6), distance=1)
    profiles[3, 1] = value

    with pytest.raises(InputRejectedError, match="with finite profiles"):
        held_out_scores(profiles, is_positive=is_positive)
