"""Agreement of partitions, beside scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, silhouette_score

from hcs.statistics.agreement import adjusted_rand_index, cosine_silhouette, normalized_mutual_information

MEASURES = [adjusted_rand_index, normalized_mutual_information]


def with_singletons(clusters: np.ndarray) -> np.ndarray:
    """Give every noise point a number of its own."""
    return np.array([1000 + row if number == -1 else number for row, number in enumerate(clusters)])


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 30), n_clusters=st.integers(1, 6), n_classes=st.integers(1, 6))
def test_they_agree_with_scikit_learn_where_noise_is_singletons(
    seed: int, n: int, n_clusters: int, n_classes: int
) -> None:
    rng = np.random.default_rng(seed)
    clusters, classes = rng.integers(-1, n_clusters, n), rng.integers(0, n_classes, n)

    singled = with_singletons(clusters)

    assert adjusted_rand_index(clusters, classes) == pytest.approx(adjusted_rand_score(classes, singled))
    expected = normalized_mutual_info_score(classes, singled)
    assert normalized_mutual_information(clusters, classes) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(3, 30), n_classes=st.integers(2, 6))
def test_the_silhouette_agrees_with_scikit_learn(seed: int, n: int, n_classes: int) -> None:
    rng = np.random.default_rng(seed)
    profiles, classes = rng.standard_normal((n, 4)), rng.integers(0, n_classes, n)
    profiles[0] = 0
    assume(2 <= len(np.unique(classes)) < n)

    expected = silhouette_score(profiles, classes, metric="cosine")

    assert cosine_silhouette(profiles, classes) == pytest.approx(expected)


@pytest.mark.parametrize("measure", MEASURES)
@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_names_and_order_decide_nothing(measure, seed: int) -> None:
    rng = np.random.default_rng(seed)
    clusters, classes = rng.integers(-1, 4, 20), rng.integers(0, 4, 20)
    order, renamed = rng.permutation(20), np.array([7, 3, 9, 5, -1])

    assert measure(renamed[clusters][order], classes[order] + 100) == pytest.approx(measure(clusters, classes))


@pytest.mark.parametrize("measure", MEASURES)
def test_equal_partitions_agree_wholly(measure) -> None:
    assert measure(np.array([2, 2, 0, 1, 0]), np.array([5, 5, 1, 7, 1])) == pytest.approx(1)


@pytest.mark.parametrize("measure", MEASURES)
def test_dropping_points_as_noise_costs_agreement(measure) -> None:
    """Three points in two right clusters and the rest noise: perfect if the noise were left out."""
    classes = np.repeat([0, 1], 10)
    clusters = np.full(20, -1)
    clusters[[0, 1, 10]] = [0, 0, 1]

    assert measure(clusters[clusters >= 0], classes[clusters >= 0]) == pytest.approx(1)
    assert measure(clusters, classes) < 0.5


def test_by_chance_the_rand_index_is_zero_and_the_information_is_not() -> None:
    rng = np.random.default_rng(0)
    pairs = [(rng.integers(0, 8, 40), rng.integers(0, 8, 40)) for _ in range(200)]

    assert np.mean([adjusted_rand_index(*pair) for pair in pairs]) == pytest.approx(0, abs=0.01)
    assert np.mean([normalized_mutual_information(*pair) for pair in pairs]) > 0.3


@pytest.mark.parametrize("measure", MEASURES)
def test_nothing_agrees_with_nothing(measure) -> None:
    empty = np.zeros(0, dtype=int)

    assert math.isnan(measure(empty, empty))


def test_one_point_has_no_pair() -> None:
    assert math.isnan(adjusted_rand_index(np.array([0]), np.array([0])))


def test_one_class_has_no_silhouette() -> None:
    assert math.isnan(cosine_silhouette(np.eye(3), np.zeros(3, dtype=int)))


def test_points_that_are_alone_have_a_silhouette_of_zero() -> None:
    assert cosine_silhouette(np.eye(3), np.arange(3)) == 0


def test_classes_in_opposite_directions_are_wholly_apart() -> None:
    profiles = np.array([[1.0, 0.0], [2.0, 0.0], [-1.0, 0.0], [-3.0, 0.0]])

    assert cosine_silhouette(profiles, np.array([0, 0, 1, 1])) == pytest.approx(1)
    assert cosine_silhouette(profiles, np.array([0, 1, 0, 1])) < 0
