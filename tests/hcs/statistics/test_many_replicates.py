"""Treatments that are tested one at a time: against the naive score, the tables of pairs, and laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from hcs.statistics import direction_scores
from hcs.statistics import many_replicates as alone
from hcs.statistics.control_pool import pool_for
from hcs.statistics.designs import Layout, all_designs, draw_designs
from hcs.statistics.direction_scores import DirectionScores
from hcs.statistics.many_replicates import count_exactly, most_draws
from hcs.statistics.permutation import design_tests, design_tests_as_given, permutation_test, permutation_tests
from hcs.statistics.plate_directions import plate_directions
from tests.hcs.statistics.test_permutation import make_pool, naive_p, naive_score, naive_vectors

MANY = ([6] * 5, [8] * 5)
LAYOUTS = [([4] * 5, [8] * 5), ([6, 2, 1], [13, 40, 7]), ([1] * 12, [6] * 12), ([3, 3], [3, 70])]


def taken_apart(pool: tuple[np.ndarray, np.ndarray, np.ndarray]) -> tuple[np.ndarray, ...]:
    """Return controls, their plates, replicates (1, R, D) and theirs."""
    profiles, plates, is_replicate = pool
    return profiles[~is_replicate], plates[~is_replicate], profiles[is_replicate][None], plates[is_replicate]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("n_features", [1, 2, 6])
def test_designs_score_as_the_definition_says(layout: tuple[list[int], list[int]], n_features: int) -> None:
    profiles, plates, is_replicate = pool = make_pool(*layout, seed=3, effect=0.5, n_features=n_features)
    controls, control_plates, replicates, replicate_plates = taken_apart(pool)
    many = plate_directions(controls, control_plates, replicate_plates)
    directions = many.directions(replicates[0])
    designs = draw_designs(many.layout, 12, np.random.default_rng(0))
    number = np.repeat(np.arange(len(many.plates)), many.layout.n_wells)

    found = DirectionScores(many.layout, directions).scores(designs)

    vectors = np.vstack(directions)
    np.testing.assert_allclose(found, [naive_score(vectors, number, list(one)) for one in designs], atol=1e-12)
    expected = naive_vectors(profiles, plates) if n_features > 1 else np.sign(naive_vectors(profiles, plates))
    observed = DirectionScores(many.layout, directions).scores(alone._observed(many.layout))[0]
    assert observed == pytest.approx(naive_score(expected, plates, np.flatnonzero(is_replicate).tolist()), abs=1e-9)


@pytest.mark.parametrize(("n_replicates", "n_controls"), [([4], [8]), ([1, 1, 1], [4, 5, 4]), ([2, 1], [5, 6])])
@pytest.mark.parametrize("effect", [0.0, 0.7, 3.0])
def test_all_designs_of_a_small_layout_count_as_they_do_by_tables(
    n_replicates: list[int], n_controls: list[int], effect: float
) -> None:
    for seed in range(4):
        controls, plates, replicates, own = taken_apart(make_pool(n_replicates, n_controls, seed=seed, effect=effect))
        many = plate_directions(controls, plates, own)
        designs = all_designs(many.layout)
        pool, order = pool_for(controls, plates, own)

        count = count_exactly(many, replicates[0], designs)

        assert count / len(designs) == permutation_tests(pool, replicates[:, order], seed=0)[0].p_value


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000), effect=st.sampled_from([0.0, 0.2, 2.0]), n_features=st.sampled_from([1, 2, 6]))
def test_order_of_wells_names_of_plates_factor_and_shifts_of_plates_change_no_bit(
    seed: int, effect: float, n_features: int
) -> None:
    profiles, plates, is_replicate = make_pool(*MANY, seed=seed, effect=effect, n_features=n_features)
    rng = np.random.default_rng(seed)
    order, names = rng.permutation(len(plates)), rng.permutation(100)[: plates.max() + 1]
    shifts = rng.standard_normal((plates.max() + 1, n_features)) * 5

    expected = permutation_test(profiles, plates, is_replicate, seed=1, max_draws=3_999)

    assert expected.n_scored >= 1_000
    assert permutation_test(profiles[order], plates[order], is_replicate[order], seed=1, max_draws=3_999) == expected
    assert permutation_test(profiles, names[plates], is_replicate, seed=1, max_draws=3_999) == expected
    assert permutation_test(profiles * 0.37, plates, is_replicate, seed=1, max_draws=3_999) == expected
    assert permutation_test(profiles + shifts[plates], plates, is_replicate, seed=1, max_draws=3_999) == expected


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000), effect=st.sampled_from([0.0, 0.2, 2.0]), n_features=st.sampled_from([1, 2, 6]))
def test_a_rotation_changes_no_bit_where_profiles_are_tested_as_given(
    seed: int, effect: float, n_features: int
) -> None:
    profiles, plates, is_replicate = make_pool(*MANY, seed=seed, effect=effect, n_features=n_features)
    rotation = ortho_group.rvs(n_features, random_state=seed) if n_features > 1 else np.array([[-1.0]])

    found, expected = (
        design_tests_as_given(*taken_apart((wells, plates, is_replicate)), seed=1, max_draws=3_999)
        for wells in (profiles @ rotation, profiles)
    )

    assert found == expected


def test_p_values_of_inactive_ones_with_many_replicates_are_uniform() -> None:
    p_values = []
    for seed in range(60):
        controls, plates, _, own = taken_apart(make_pool(*MANY, seed=seed, effect=0.0))
        treated = np.random.default_rng(seed + 10_000).standard_normal((5, len(own), 6))
        p_values += [test.p_value for test in design_tests(controls, plates, treated, own, seed=0, max_draws=999)]

    assert np.mean(np.array(p_values) <= 0.05) == pytest.approx(0.05, abs=3.5 * np.sqrt(0.05 * 0.95 / 300))
    assert np.mean(p_values) == pytest.approx(0.5, abs=3.5 / np.sqrt(12 * 300))


def test_a_strong_treatment_gets_the_smallest_p_and_no_other_has_a_say() -> None:
    controls, plates, strong, own = taken_apart(make_pool(*MANY, seed=0, effect=4.0))
    weak = np.random.default_rng(5).standard_normal(strong.shape)

    together = design_tests(controls, plates, np.concatenate([weak, strong]), own, seed=0, max_draws=20_000)

    assert together[1] == design_tests(controls, plates, strong, own, seed=0, max_draws=20_000)[0]
    assert together[1].p_value == together[1].smallest_possible_p == 1 / 20_001
    assert together[0].p_value > 0.01
    assert together[0].n_scored < 20_000


def test_where_draws_are_dear_fewer_are_made_and_the_smallest_p_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout((68,) * 100, (4,) * 100)

    assert most_draws(Layout((9,) * 5, (1,) * 5), n_features=100, max_draws=999_999) == 999_999
    assert most_draws(layout, n_features=128, max_draws=999_999) == 195_312
    assert most_draws(layout, n_features=10**6, max_draws=999_999) == 9_999
    assert most_draws(layout, n_features=128, max_draws=399) == 399
    monkeypatch.setattr(alone, "_MOST_VALUES", 30 * 6 * 12_345)
    found = permutation_test(*make_pool(*MANY, seed=0, effect=2.0), seed=0)
    assert (found.n_scored, found.smallest_possible_p) == (12_346, 1 / 12_346)


@pytest.mark.parametrize(("n_replicates", "n_controls"), [([3], [5]), ([1, 1], [3, 4]), ([1, 1, 1], [2, 3, 2])])
def test_one_feature_is_told_by_signs_whatever_else_is_tested(n_replicates: list[int], n_controls: list[int]) -> None:
    for seed in range(6):
        pool = make_pool(n_replicates, n_controls, seed=seed, effect=1.0, n_features=1)
        controls, plates, replicates, own = taken_apart(pool)
        others = np.random.default_rng(seed).standard_normal((7, *replicates.shape[1:]))

        found = design_tests(controls, plates, np.concatenate([others, replicates]), own, seed=0)

        assert found[7] == permutation_test(*pool, seed=0)
        assert found[7].p_value == pytest.approx(naive_p(*pool), abs=1e-12)


def test_wells_in_the_middle_of_their_plate_have_no_direction() -> None:
    plates = np.repeat(np.arange(5), 14)
    is_replicate = np.tile(np.arange(14) < 6, 5)

    assert permutation_test(np.full((70, 4), 2.5), plates, is_replicate, seed=0, max_draws=999).p_value == 1.0


@settings(deadline=None, max_examples=40)
@given(
    layout=st.sampled_from([*LAYOUTS, MANY]),
    n_features=st.sampled_from([1, 2, 5, 300]),
    effect=st.sampled_from([0.0, 0.5, 3.0]),
    seed=st.integers(0, 10_000),
)
def test_no_design_scores_more_than_its_bound(
    layout: tuple[list[int], list[int]], n_features: int, effect: float, seed: int
) -> None:
    controls, plates, replicates, own = taken_apart(make_pool(*layout, seed=seed, effect=effect, n_features=n_features))
    many = plate_directions(controls, plates, own)
    scorer = DirectionScores(many.layout, many.directions(replicates[0]))
    designs = np.vstack([alone._observed(many.layout), draw_designs(many.layout, 50, np.random.default_rng(seed))])
    spectrum, scores = scorer._spectrum, scorer.scores(designs)
    assert spectrum is not None

    for wanted in (0.0, 5.0, 100.0, 1e9):
        bounds = spectrum.bounds(wanted)
        if bounds is not None:
            assert (bounds.of_designs(designs) >= scores - 1e-9).all()
    threshold = float(scores[0])
    likely = scorer.most_likely(designs, threshold - 1e-9)
    assert set(np.flatnonzero(scores >= threshold - 1e-9)) <= set(likely.tolist())


def test_what_is_not_scored_for_its_bound_changes_no_p(monkeypatch: pytest.MonkeyPatch) -> None:
    pools = [make_pool(*MANY, seed=seed, effect=effect) for seed in range(3) for effect in (0.1, 0.3, 2.0)]

    bounded = [permutation_test(*pool, seed=0, max_draws=9_999) for pool in pools]

    monkeypatch.setattr(direction_scores, "_LARGEST_GRAM", 0)
    assert [permutation_test(*pool, seed=0, max_draws=9_999) for pool in pools] == bounded
    assert len({test.n_scored for test in bounded}) > 2


def test_of_a_strong_treatment_nearly_no_design_is_scored() -> None:
    controls, plates, replicates, own = taken_apart(make_pool(*MANY, seed=0, effect=2.0, n_features=60))
    many = plate_directions(controls, plates, own)
    scorer = DirectionScores(many.layout, many.directions(replicates[0]))
    observed = float(scorer.scores(alone._observed(many.layout))[0])

    assert len(scorer.most_likely(draw_designs(many.layout, 5_000, np.random.default_rng(0)), observed)) == 0
