"""Laws, a naive oracle and edges of the joint design permutation."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from hcs.statistics.control_pool import ControlPool, control_pool
from hcs.statistics.design_scores import Blocks, score_tables, scores
from hcs.statistics.designs import Layout, all_designs
from hcs.statistics.permutation import design_tests_as_given, permutation_test, smallest_possible_p
from hcs.statistics.pool import centred_pools

Pool = tuple[np.ndarray, np.ndarray, np.ndarray]

LAYOUTS = [([4], [8]), ([1, 1, 1], [4, 5, 4]), ([2, 1], [5, 6]), ([1, 1, 1, 1, 1], [8] * 5), ([2, 3, 2], [6, 6, 7])]


def make_pool(
    n_replicates: list[int], n_controls: list[int], *, seed: int, effect: float = 0.4, n_features: int = 6
) -> Pool:
    rng = np.random.default_rng(seed)
    shift = effect * rng.standard_normal(n_features)
    plates = np.repeat(np.arange(len(n_controls)), np.add(n_replicates, n_controls))
    is_replicate = np.concatenate([np.arange(r + c) < r for r, c in zip(n_replicates, n_controls, strict=True)])
    return rng.standard_normal((len(plates), n_features)) + is_replicate[:, None] * shift, plates, is_replicate


def naive_vectors(profiles: np.ndarray, plates: np.ndarray) -> np.ndarray:
    """Centre wells as the definition says, in coordinates, and return their directions."""
    vectors = []
    for plate in np.unique(plates):
        pool = profiles[plates == plate]
        middle = pool.mean(axis=0)
        for _ in range(8):
            lengths = [np.sqrt(((well - middle) ** 2).sum()) for well in pool]
            usual = statistics.median(lengths)
            pulls = [
                (well - middle) * usual / max(length, usual / 10) for well, length in zip(pool, lengths, strict=True)
            ]
            middle = middle + np.mean(pulls, axis=0)
        vectors += [(well - middle) / np.sqrt(((well - middle) ** 2).sum()) for well in pool]
    return np.array(vectors)


def naive_score(vectors: np.ndarray, plates: np.ndarray, drawn: Sequence[int]) -> float:
    """Score one design as the definition says, without any table."""
    contrasts = []
    for query in drawn:
        positives = [vectors[query] @ vectors[other] for other in drawn if other != query]
        rest = [other for other in np.flatnonzero(plates == plates[query]) if other not in drawn]
        contrasts.append(np.mean(positives) - np.mean([vectors[query] @ vectors[other] for other in rest]))
    return float(np.mean(contrasts))


def shared_pool(pool: Pool) -> tuple[ControlPool, np.ndarray]:
    """Return the controls of a pool, and the replicates in the order in which they are wanted, (1, R, D)."""
    profiles, plates, is_replicate = pool
    counts = {int(plate): int(is_replicate[plates == plate].sum()) for plate in np.unique(plates)}
    controls = control_pool(profiles[~is_replicate], plates[~is_replicate], counts)
    return controls, np.concatenate([profiles[is_replicate & (plates == plate)] for plate in controls.plates])[None]


def own_table(pool: Pool) -> tuple[np.ndarray, Blocks]:
    controls, replicates = shared_pool(pool)
    blocks = Blocks(controls.layout)
    return score_tables(centred_pools(controls, replicates), blocks)[0], blocks


def naive_scaled(profiles: np.ndarray, plates: np.ndarray, is_replicate: np.ndarray) -> np.ndarray:
    """Divide features by how far the nearest wells of a plate lie from its median, if a plate has few controls."""
    if all(16 * is_replicate[plates == p].sum() <= (~is_replicate[plates == p]).sum() for p in np.unique(plates)):
        return profiles
    scaled = np.empty_like(profiles)
    for plate, feature in product(np.unique(plates), range(profiles.shape[1])):
        wells = profiles[plates == plate, feature].tolist()
        distances = sorted(abs(well - statistics.median(wells)) for well in wells)
        n_controls = int((~is_replicate[plates == plate]).sum())
        nearest = distances[: max(n_controls, (len(wells) + 1) // 2)]
        spread = max(statistics.fmean(nearest), statistics.fmean(distances) * 2 / 3)
        scaled[plates == plate, feature] = [(well - statistics.median(wells)) / spread for well in wells]
    return scaled


def naive_p(profiles: np.ndarray, plates: np.ndarray, is_replicate: np.ndarray) -> float:
    vectors = naive_vectors(naive_scaled(profiles, plates, is_replicate), plates)
    deals = [
        list(combinations(np.flatnonzero(plates == p).tolist(), int(is_replicate[plates == p].sum())))
        for p in np.unique(plates)
    ]
    observed = naive_score(vectors, plates, np.flatnonzero(is_replicate).tolist())
    scores = [naive_score(vectors, plates, sum(deal, ())) for deal in product(*deals)]
    return float(np.mean([score >= observed - 1e-12 for score in scores]))


@pytest.mark.parametrize(
    ("n_replicates", "n_controls"), [([3], [5]), ([1, 1], [3, 4]), ([2, 1], [3, 2]), ([1, 1, 1], [2, 3, 2])]
)
@pytest.mark.parametrize("effect", [0.0, 1.0, 4.0])
def test_a_small_layout_gets_the_p_of_a_naive_enumeration(
    n_replicates: list[int], n_controls: list[int], effect: float
) -> None:
    for seed in range(3):
        pool = make_pool(n_replicates, n_controls, seed=seed, effect=effect)

        assert permutation_test(*pool, seed=0).p_value == pytest.approx(naive_p(*pool), abs=1e-12)


@pytest.mark.parametrize(("n_replicates", "n_controls"), LAYOUTS)
def test_a_design_scores_as_the_definition_says(n_replicates: list[int], n_controls: list[int]) -> None:
    pool = make_pool(n_replicates, n_controls, seed=5)
    profiles, plates, is_replicate = pool
    vectors = naive_vectors(profiles, plates)
    table, blocks = own_table(pool)

    (found,) = scores(table, blocks.places(blocks.observed))

    assert found == pytest.approx(naive_score(vectors, plates, np.flatnonzero(is_replicate).tolist()), abs=1e-9)


def test_one_odd_replicate_does_not_speak_for_the_others_nor_against_them() -> None:
    layout = ([1] * 6, [16] * 6)
    for seed in range(1, 6):
        inactive, plates, is_replicate = make_pool(*layout, seed=seed, effect=0)
        active = make_pool(*layout, seed=seed, effect=3)[0]
        odd = np.flatnonzero(is_replicate)[0]
        inactive[odd], active[odd] = 1000.0, -1000.0

        assert permutation_test(inactive, plates, is_replicate, seed=0).p_value > 0.01
        assert permutation_test(active, plates, is_replicate, seed=0).p_value < 0.01


@settings(deadline=None, max_examples=25)
@given(layout=st.sampled_from(LAYOUTS), seed=st.integers(0, 10_000), effect=st.sampled_from([0.0, 0.6, 3.0]))
def test_order_of_wells_names_of_plates_factor_and_shifts_of_plates_change_no_bit(
    layout: tuple[list[int], list[int]], seed: int, effect: float
) -> None:
    profiles, plates, is_replicate = make_pool(*layout, seed=seed, effect=effect)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(plates))
    names = rng.permutation(100)[: plates.max() + 1]
    shifts = rng.standard_normal((plates.max() + 1, profiles.shape[1])) * 5

    expected = permutation_test(profiles, plates, is_replicate, seed=1, max_draws=19_999)

    assert permutation_test(profiles[order], plates[order], is_replicate[order], seed=1, max_draws=19_999) == expected
    assert permutation_test(profiles, names[plates], is_replicate, seed=1, max_draws=19_999) == expected
    assert permutation_test(profiles * 0.37, plates, is_replicate, seed=1, max_draws=19_999) == expected
    assert permutation_test(profiles + shifts[plates], plates, is_replicate, seed=1, max_draws=19_999) == expected


@settings(deadline=None, max_examples=25)
@given(layout=st.sampled_from(LAYOUTS), seed=st.integers(0, 10_000), effect=st.sampled_from([0.0, 0.6, 3.0]))
def test_a_rotation_changes_no_bit_where_profiles_are_tested_as_given(
    layout: tuple[list[int], list[int]], seed: int, effect: float
) -> None:
    profiles, plates, is_replicate = make_pool(*layout, seed=seed, effect=effect)
    rotated = profiles @ ortho_group.rvs(profiles.shape[1], random_state=seed)

    found, expected = (
        design_tests_as_given(
            wells[~is_replicate], plates[~is_replicate], wells[is_replicate][None], plates[is_replicate],
            seed=1, max_draws=19_999,
        )
        for wells in (rotated, profiles)
    )  # fmt: skip

    assert found == expected


@pytest.mark.parametrize(("n_replicates", "n_controls"), [([4], [8]), ([1, 1, 1], [4, 5, 4]), ([2, 2], [4, 3])])
def test_over_all_designs_of_one_pool_every_p_comes_once(n_replicates: list[int], n_controls: list[int]) -> None:
    profiles, plates, _ = make_pool(n_replicates, n_controls, seed=2)
    layout = Layout(tuple(np.add(n_replicates, n_controls).tolist()), tuple(n_replicates))
    ranks = []
    for design in all_designs(layout):
        dealt = np.zeros(len(plates), dtype=bool)
        dealt[design] = True
        ranks.append(permutation_test(profiles, plates, dealt, seed=0).p_value * layout.n_designs)

    # An exact test: whatever the data are, no more than a share a of the designs has p <= a.
    np.testing.assert_allclose(np.sort(ranks), np.arange(1, layout.n_designs + 1))


def test_drawn_p_agrees_with_the_enumeration_that_it_replaces() -> None:
    for seed, effect in [(0, 0.0), (1, 0.0), (2, 0.25), (3, 0.35)]:
        pool = make_pool([6], [13], seed=seed, effect=effect)
        table, blocks = own_table((naive_scaled(*pool), *pool[1:]))
        observed = scores(table, blocks.places(blocks.observed))[0]
        exact = (scores(table, blocks.places(all_designs(blocks.layout))) >= observed - 1e-9).mean()

        result = permutation_test(*pool, seed=0)

        assert not result.is_exact
        assert abs(result.p_value - exact) < 4 * np.sqrt(exact * (1 - exact) / result.n_scored) + 2 / result.n_scored


def test_another_seed_gives_other_draws_and_the_same_seed_the_same() -> None:
    pool = make_pool([1] * 5, [8] * 5, seed=4, effect=0.3)

    first, again, other = (permutation_test(*pool, seed=seed) for seed in (0, 0, 1))

    assert first == again
    assert first != other


def test_a_clear_treatment_reaches_the_smallest_p_and_draws_no_more_than_allowed() -> None:
    result = permutation_test(*make_pool([1] * 6, [16] * 6, seed=0, effect=4), seed=0, max_draws=5_000)

    assert result.p_value == result.smallest_possible_p == 1 / 5_001
    assert result.n_scored == 5_001


def test_a_treatment_without_effect_stops_early_but_not_before_999_draws() -> None:
    scored = [permutation_test(*make_pool([1] * 5, [16] * 5, seed=s, effect=0), seed=0).n_scored for s in range(12)]

    assert min(scored) == 1_000
    assert np.median(scored) == 1_000


def test_drawing_cannot_give_a_smaller_p_than_enumerating_would() -> None:
    for seed in range(6):
        result = permutation_test(*make_pool([6], [13], seed=0, effect=6), seed=seed, max_draws=99_999)

        assert not result.is_exact
        assert result.p_value >= result.smallest_possible_p == 1 / 27_132


def test_many_replicates_on_shared_plates_are_scored() -> None:
    result = permutation_test(*make_pool([4] * 6, [16] * 6, seed=0, effect=3), seed=0, max_draws=2_000)

    assert result.p_value == 1 / 2_001


@pytest.mark.parametrize(
    ("n_wells", "n_drawn", "expected"),
    [((12,), (4,), 1 / 495), ((8,), (4,), 1 / 70), ((17, 17), (1, 1), 1 / 289), ((17,) * 6, (1,) * 6, 1e-6)],
)
def test_the_smallest_possible_p_is_that_of_the_layout(
    n_wells: tuple[int, ...], n_drawn: tuple[int, ...], expected: float
) -> None:
    assert smallest_possible_p(Layout(n_wells, n_drawn)) == pytest.approx(expected)


@pytest.mark.parametrize("n_replicates", [1, 2])
def test_wells_that_are_all_alike_are_no_evidence(n_replicates: int) -> None:
    _, plates, is_replicate = make_pool([n_replicates] * 3, [4, 4, 4], seed=0)

    assert permutation_test(np.full((len(plates), 5), 3.7), plates, is_replicate, seed=0).p_value == 1.0


def test_identical_replicates_among_different_controls_are_evidence() -> None:
    profiles, plates, is_replicate = make_pool([1, 1, 1], [6, 6, 6], seed=0, effect=0)
    profiles[is_replicate] = 5.0

    assert permutation_test(profiles, plates, is_replicate, seed=0).p_value < 0.02


@pytest.mark.parametrize(
    ("plates", "is_replicate"),
    [([0, 0, 0], [True, False, False]), ([0, 0, 0, 1], [True, True, False, False]), ([0, 1, 1], [True, True, False])],
)
def test_a_pool_that_cannot_be_tested_is_refused(plates: list[int], is_replicate: list[bool]) -> None:
    with pytest.raises(ValueError, match=r"replicate"):
        permutation_test(np.eye(len(plates)), np.array(plates), np.array(is_replicate), seed=0)
