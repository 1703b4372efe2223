"""Exact nearest neighbours, group by group."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics.pairwise import cosine_similarity

from hcs.statistics import neighbours
from hcs.statistics.neighbours import nearest_neighbours


def naive(profiles: np.ndarray, groups: np.ndarray, top: int) -> list[list[tuple[int, float]]]:
    """Sort all pairs by similarity, then by group and row, and keep the first of every other group."""
    similarities = np.round(cosine_similarity(profiles), 9)
    found = []
    for query in range(len(profiles)):
        others = [row for row in range(len(profiles)) if groups[row] != groups[query]]
        others.sort(key=lambda row: (-similarities[query, row], groups[row], row))
        firsts = {}
        for row in others:
            firsts.setdefault(groups[row], (row, similarities[query, row]))
        found.append(list(firsts.values())[:top])
    return found


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), top=st.integers(1, 8), levels=st.sampled_from([1, 2, 50]))
def test_it_agrees_with_sorting_all_pairs(seed: int, top: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    profiles = rng.integers(-levels, levels + 1, (14, 3)).astype(float)
    groups = rng.integers(0, 6, 14)

    found = nearest_neighbours(profiles, profiles, query_groups=groups, reference_groups=groups, top=top)

    for rows, similarities, expected in zip(found.rows, found.similarities, naive(profiles, groups, top), strict=True):
        assert rows[rows >= 0].tolist() == [row for row, _ in expected]
        np.testing.assert_allclose(similarities[: len(expected)], [similarity for _, similarity in expected])
        assert np.isnan(similarities[len(expected) :]).all()


def test_queries_need_not_be_references() -> None:
    found = nearest_neighbours(
        np.array([[1.0, 0.1]]),
        np.array([[0.0, 1.0], [2.0, 0.0], [1.0, 1.0]]),
        query_groups=np.array([7]),
        reference_groups=np.array([3, 2, 2]),
        top=5,
    )

    np.testing.assert_array_equal(found.rows, [[1, 0, -1, -1, -1]])


def test_a_block_at_a_time_gives_the_same_rows() -> None:
    rng = np.random.default_rng(0)
    profiles, groups = rng.standard_normal((500, 8)), np.arange(500) // 2
    many = np.vstack([profiles] * 20)
    n_blocks = len(many) * len(profiles) / neighbours._BLOCK

    found = nearest_neighbours(many, profiles, query_groups=np.tile(groups, 20), reference_groups=groups, top=3)
    once = nearest_neighbours(profiles, profiles, query_groups=groups, reference_groups=groups, top=3)

    assert n_blocks > 1
    np.testing.assert_array_equal(found.rows, np.vstack([once.rows] * 20))
    np.testing.assert_array_equal(found.similarities, np.vstack([once.similarities] * 20))


def test_a_profile_of_zeros_is_similar_to_nothing() -> None:
    profiles = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])

    found = nearest_neighbours(profiles, profiles, query_groups=np.arange(3), reference_groups=np.arange(3), top=2)

    np.testing.assert_array_equal(found.similarities[0], [0.0, 0.0])
    np.testing.assert_array_equal(found.rows[0], [1, 2])


def test_without_references_there_are_no_neighbours() -> None:
    found = nearest_neighbours(
        np.eye(2), np.zeros((0, 2)), query_groups=np.arange(2), reference_groups=np.zeros(0, dtype=int), top=2
    )

    np.testing.assert_array_equal(found.rows, -np.ones((2, 2)))
