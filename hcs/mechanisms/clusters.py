"""Clusters of treatments that look alike: UMAP brings profiles into few dimensions, HDBSCAN finds what is dense there.

McInnes et al. 2018, arXiv 1802.03426 (UMAP); Campello et al. 2013, PAKDD 160 (HDBSCAN).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hcs.errors import InputRejectedError, UsageError
from hcs.mechanisms.consensus import Consensus
from hcs.statistics.agreement import NOISE
from hcs.statistics.neighbours import DECIMALS
from hcs.statistics.similarity import unit_rows

PICTURE_MIN_DISTANCE = 0.1
"""So that points of one cluster do not lie on one another in a picture."""


@dataclass(frozen=True)
class Clusters:
    """Which treatments belong together."""

    members: pl.DataFrame
    """`treatment, perturbation, cluster, probability, umap_x, umap_y`, sorted by treatment. `cluster` counts from 1, by
    size, then by the first name; null is noise. `probability` is how firmly a treatment belongs to its cluster, 0 for
    noise. `umap_x, umap_y` are a second embedding, for a picture. All null where nothing was clustered."""
    reason: str | None = None
    """Why nothing was clustered."""

    @property
    def n_clusters(self) -> int:
        """How many there are."""
        return self.members["cluster"].n_unique() - int(self.members["cluster"].has_nulls())

    @property
    def numbers(self) -> NDArray[np.int64]:
        """(T,), the cluster of every treatment, -1 for noise."""
        return self.members["cluster"].fill_null(NOISE).to_numpy().astype(np.int64)


def cluster_treatments(
    consensus: Consensus,
    *,
    seed: int,
    n_dimensions: int = 10,
    n_neighbours: int = 15,
    min_cluster_size: int = 3,
) -> Clusters:
    """Return the clusters of treatments, the same for a seed whatever the order of the rows.

    Distances are cosine. Clusters are looked for in `n_dimensions`; the picture has two, and nothing rests on it.
    HDBSCAN never makes one cluster of everything, so that fewer than two times `min_cluster_size` treatments, or
    treatments that all have the same profile, are not clustered, with a reason.

    A cluster alone is no evidence. UMAP makes clumps of anything: of 60 directions drawn at random, nine tenths come to
    lie in clusters. What a cluster stands for is said by its enrichment, and by figures beside those of chance.

    Args:
        consensus: Profiles of the treatments to be clustered, a row each.
        seed: Of the embedding.
        n_dimensions: Of the space in which density is told; fewer where there are hardly more treatments.
        n_neighbours: Size of the neighbourhoods that UMAP preserves; fewer where there are not so many treatments.
        min_cluster_size: Treatments that make a cluster.

    Raises:
        InputRejectedError: If a profile is not finite.
        UsageError: If the sizes make no sense.
    """
    if min(n_dimensions, n_neighbours - 1, min_cluster_size - 1) < 1:
        raise UsageError(
            "clusters need at least 1 dimension, 2 neighbours and a smallest size of 2, but "
            f"{n_dimensions}, {n_neighbours} and {min_cluster_size} came; raise the one that is below."
        )
    by_name = consensus.treatments.select("treatment", "perturbation").with_row_index("row").sort("treatment")
    treatments, profiles = by_name.drop("row"), consensus.profiles[by_name["row"].to_numpy()]
    _check(treatments, profiles)
    units, _ = unit_rows(profiles)
    if reason := _why_not(units, min_cluster_size=min_cluster_size):
        nothing = [pl.lit(None, pl.Int64).alias("cluster")]
        nothing += [pl.lit(None, pl.Float64).alias(name) for name in ("probability", "umap_x", "umap_y")]
        return Clusters(treatments.with_columns(nothing), reason)
    few = min(n_dimensions, len(units) - 2)
    dense = embed_by_umap(units, n_dimensions=few, n_neighbours=n_neighbours, min_distance=0.0, seed=seed)
    picture = embed_by_umap(
        units, n_dimensions=2, n_neighbours=n_neighbours, min_distance=PICTURE_MIN_DISTANCE, seed=seed
    )
    labels, probabilities = _dense_groups(dense, min_cluster_size=min_cluster_size)
    members = treatments.with_columns(
        pl.Series("cluster", _by_size(labels)).replace(NOISE, None),
        pl.Series("probability", probabilities),
        pl.Series("umap_x", picture[:, 0]),
        pl.Series("umap_y", picture[:, 1]),
    )
    return Clusters(members)


def _check(treatments: pl.DataFrame, profiles: NDArray[np.float64]) -> None:
    is_finite = np.isfinite(profiles).all(axis=1)
    if not is_finite.all():
        raise InputRejectedError(
            f"every value of a profile must be finite, but that of {treatments['treatment'][int(is_finite.argmin())]} "
            f"has a NaN or infinity ({int((~is_finite).sum())} treatments like it); leave out the features or wells "
            "without a measurement"
        )


def _why_not(units: NDArray[np.float64], *, min_cluster_size: int) -> str | None:
    """Return why these cannot be divided into clusters, if they cannot."""
    if len(units) < 2 * min_cluster_size:
        return f"{len(units)} treatments are too few: two clusters take at least {2 * min_cluster_size}"
    if (np.round(units, DECIMALS) == np.round(units[0], DECIMALS)).all():
        return f"all {len(units)} treatments have the same profile"
    return None


def embed_by_umap(
    units: NDArray[np.float64], *, n_dimensions: int, n_neighbours: int, min_distance: float, seed: int
) -> NDArray[np.float64]:
    """Return the UMAP embedding of the rows: (T, n_dimensions)."""
    with warnings.catch_warnings():
        # It misses a package that only its neural variant uses.
        warnings.filterwarnings("ignore", message="Tensorflow not installed", category=ImportWarning)
        import umap  # noqa: PLC0415  # takes seconds, and compiles

        # Where the spectrum of the graph has no gap, it starts from seeded random places.
        warnings.filterwarnings("ignore", message="Spectral initialisation failed", category=UserWarning)
        embedding = umap.UMAP(
            n_components=n_dimensions,
            n_neighbors=min(n_neighbours, len(units) - 1),
            metric="cosine",
            min_dist=min_distance,
            random_state=seed,
            n_jobs=1,  # a seed and threads exclude each other
            disconnection_distance=np.inf,  # opposite profiles are far apart, and no mistake
        ).fit_transform(units)
    return np.asarray(embedding, dtype=np.float64)


def _dense_groups(
    points: NDArray[np.float64], *, min_cluster_size: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the group of every point, -1 for noise, and how firmly it belongs to it."""
    from sklearn.cluster import HDBSCAN  # noqa: PLC0415  # a second that most commands save

    found = HDBSCAN(min_cluster_size=min_cluster_size, copy=True).fit(points)
    return np.asarray(found.labels_, dtype=np.int64), np.asarray(found.probabilities_, dtype=np.float64)


def _by_size(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the labels as 1, 2, ... from the largest cluster on, ties by first row; noise stays."""
    names, firsts, sizes = np.unique(labels[labels != NOISE], return_index=True, return_counts=True)
    numbers = np.full(labels.max(initial=NOISE) + 2, NOISE, dtype=np.int64)  # the last one is that of noise
    numbers[names[np.lexsort((firsts, -sizes))]] = np.arange(1, len(names) + 1)
    return numbers[labels]
