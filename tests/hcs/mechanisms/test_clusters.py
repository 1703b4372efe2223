"""Clusters of treatments, and what is enriched in them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from hcs.errors import InputRejectedError, UsageError
from hcs.mechanisms.clusters import Clusters, cluster_treatments
from hcs.mechanisms.consensus import Consensus
from hcs.mechanisms.enrichment import enriched_mechanisms
from hcs.statistics.agreement import adjusted_rand_index

N_GROUPS, SIZES = 5, (14, 11, 9, 8, 8)
TRUTH = np.repeat(np.arange(N_GROUPS), SIZES)


def named(profiles: np.ndarray) -> Consensus:
    names = [f"c{row:03d}" for row in range(len(profiles))]
    return Consensus(pl.DataFrame({"treatment": names, "perturbation": names}, schema=dict.fromkeys(
        ("treatment", "perturbation"), pl.String)), profiles)  # fmt: skip


def grouped(*, noise: float = 0.3, seed: int = 0) -> Consensus:
    """Five mechanisms that push in different directions, each compound with a strength of its own."""
    rng = np.random.default_rng(seed)
    strength = rng.uniform(2, 6, len(TRUTH))[:, None]
    return named(strength * np.eye(20)[TRUTH] + noise * rng.standard_normal((len(TRUTH), 20)))


@pytest.fixture(scope="module")
def found() -> Clusters:
    """The clusters of five mechanisms."""
    return cluster_treatments(grouped(), seed=0)


def test_mechanisms_that_are_well_apart_are_found(found: Clusters) -> None:
    assert found.n_clusters == N_GROUPS
    assert adjusted_rand_index(found.numbers, TRUTH) > 0.95
    assert found.reason is None


def test_clusters_count_from_one_by_size_and_noise_belongs_to_none(found: Clusters) -> None:
    sizes = found.members.drop_nulls("cluster").group_by("cluster").len().sort("cluster")

    assert sizes["cluster"].to_list() == list(range(1, N_GROUPS + 1))
    assert sizes["len"].is_sorted(descending=True)
    assert found.members["probability"].is_between(0, 1).all()
    firsts = found.members.drop_nulls("cluster").group_by("cluster").agg(pl.col("treatment").min(), size=pl.len())
    assert firsts.sort(pl.col("size").cast(pl.Int64).neg(), "treatment")["cluster"].is_sorted()


def test_a_picture_puts_members_of_a_cluster_side_by_side(found: Clusters) -> None:
    places = found.members.select("umap_x", "umap_y").to_numpy()
    pairs = list(combinations(range(len(TRUTH)), 2))
    apart = np.array([np.linalg.norm(places[left] - places[right]) for left, right in pairs])
    is_same = np.array([TRUTH[left] == TRUTH[right] for left, right in pairs])

    assert np.median(apart[is_same]) < np.median(apart[~is_same]) / 2


def test_the_order_of_the_rows_changes_nothing(found: Clusters) -> None:
    consensus, order = grouped(), np.random.default_rng(1).permutation(len(TRUTH))

    moved = cluster_treatments(Consensus(consensus.treatments[order], consensus.profiles[order]), seed=0)

    assert_frame_equal(moved.members, found.members, check_exact=True)


def test_a_common_factor_changes_no_cluster(found: Clusters) -> None:
    consensus = grouped()

    scaled = cluster_treatments(Consensus(consensus.treatments, consensus.profiles * 1024), seed=0)

    assert_frame_equal(scaled.members, found.members, check_exact=True)


def test_another_seed_is_another_embedding_of_the_same_clusters(found: Clusters) -> None:
    other = cluster_treatments(grouped(), seed=1)

    assert not other.members["umap_x"].equals(found.members["umap_x"])
    assert adjusted_rand_index(other.numbers, TRUTH) > 0.95


def test_random_directions_fall_into_small_clusters_that_stand_for_nothing() -> None:
    """UMAP makes clumps of noise, so that clusters alone are no evidence; the enrichment is."""
    rng = np.random.default_rng(0)

    for seed in range(3):
        consensus = named(rng.standard_normal((60, 20)))
        clusters = cluster_treatments(consensus, seed=seed)
        mechanisms = {name: f"m{rng.integers(8)}" for name in consensus.treatments["perturbation"]}
        sizes = clusters.members.drop_nulls("cluster")["cluster"].value_counts()["count"]

        assert sizes.max() < 40
        assert clusters.members["cluster"].has_nulls()
        assert enriched_mechanisms(clusters.members, mechanisms=mechanisms)["q_value"].min() > 0.05


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_too_few_treatments_are_not_clustered_with_a_reason(n: int) -> None:
    found = cluster_treatments(named(np.eye(8)[:n]), seed=0)

    assert found.n_clusters == 0
    assert found.reason == f"{n} treatments are too few: two clusters take at least 6"
    assert found.members.height == n
    assert found.members["umap_x"].null_count() == n


def test_fewer_treatments_than_neighbours_and_dimensions_are_clustered() -> None:
    rng = np.random.default_rng(0)
    profiles = 5 * np.repeat(np.eye(8)[:2], 3, axis=0) + 0.1 * rng.standard_normal((6, 8))

    found = cluster_treatments(named(profiles), seed=0)

    assert found.reason is None
    assert np.isfinite(found.members.select("umap_x", "umap_y").to_numpy()).all()


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_equal_profiles_are_not_clustered(value: float) -> None:
    lengths = np.arange(1, 21)[:, None]

    found = cluster_treatments(named(np.full((20, 4), value) * lengths), seed=0)

    assert found.reason == "all 20 treatments have the same profile"


def test_opposite_profiles_are_two_clusters() -> None:
    signs = np.repeat([1.0, -1.0], 12)[:, None]
    profiles = signs * np.eye(6)[0] + 0.01 * np.random.default_rng(0).standard_normal((24, 6))
    profiles[[0, 12]] = [np.eye(6)[0], -np.eye(6)[0]]

    found = cluster_treatments(named(profiles), seed=0)

    assert adjusted_rand_index(found.numbers, np.repeat([0, 1], 12)) == pytest.approx(1)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_profile_that_is_not_finite_is_refused(bad: float) -> None:
    profiles = np.eye(12)
    profiles[7, 0] = bad

    with pytest.raises(InputRejectedError, match="that of c007 has a NaN or infinity"):
        cluster_treatments(named(profiles), seed=0)


@pytest.mark.parametrize("sizes", [{"n_dimensions": 0}, {"n_neighbours": 1}, {"min_cluster_size": 1}])
def test_sizes_that_make_no_sense_are_refused(sizes: Mapping[str, int]) -> None:
    with pytest.raises(UsageError, match="clusters need at least"):
        cluster_treatments(named(np.eye(12)), seed=0, **sizes)
