"""Where soft clustering begins: centres of a seeded k-means on a sample of unit vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.similarity import unit_rows

ROWS_PER_CLUSTER = 50
"""Of the sample; soft clustering then sees all rows."""
_STARTS = 3
_STEPS = 15


def starting_centres(units: NDArray[np.floating], *, n_clusters: int, rng: np.random.Generator) -> NDArray[np.floating]:
    """Return the centres of the best of three k-means on every m-th row, unit vectors, (K, D).

    Starts are drawn by k-means++ (Arthur and Vassilvitskii 2007), distances are those of unit vectors, 2 - 2 cosine.

    Args:
        units: (N, D), unit vectors; every m-th of them is like any other. N at least K.
        n_clusters: K.
        rng: Of the draws.
    """
    sample = units[:: max(1, len(units) // (ROWS_PER_CLUSTER * n_clusters))]
    found = [_k_means(sample, _spread_rows(sample, n_clusters, rng)) for _ in range(_STARTS)]
    return max(found, key=lambda centres: float((sample @ centres.T).max(axis=1).sum(dtype=np.float64)))


def _spread_rows(sample: NDArray[np.floating], n_clusters: int, rng: np.random.Generator) -> NDArray[np.floating]:
    """Return rows of the sample, each drawn in proportion to its squared distance from those before it, (K, D)."""
    chosen = [int(rng.integers(len(sample)))]
    distance = _squared_distance(sample, chosen[0])
    for _ in range(n_clusters - 1):
        ends = np.cumsum(distance)
        # Where all distances are 0 rows are copies of the centres, and any will do.
        row = int(np.searchsorted(ends, rng.random() * ends[-1], side="right"))
        chosen.append(min(row, len(sample) - 1))
        distance = np.minimum(distance, _squared_distance(sample, chosen[-1]))
    return sample[chosen]


def _squared_distance(sample: NDArray[np.floating], row: int) -> NDArray[np.float64]:
    distance: NDArray[np.float64] = np.maximum(2.0 - 2.0 * (sample @ sample[row]).astype(np.float64), 0.0)
    return distance


def _k_means(sample: NDArray[np.floating], centres: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return centres after Lloyd's steps; one that no row is nearest to stays where it was."""
    nearest = np.full(len(sample), -1)
    for _ in range(_STEPS):
        before, nearest = nearest, (sample @ centres.T).argmax(axis=1)
        if (nearest == before).all():
            break
        members = np.zeros((len(centres), len(sample)), dtype=sample.dtype)
        members[nearest, np.arange(len(sample))] = 1
        moved, lengths = unit_rows(members @ sample)
        centres = np.where(lengths[:, None] > 0, moved, centres).astype(sample.dtype)
    return centres
