"""How well clusters agree with classes, and how well classes are apart.

Points that a clustering left out as noise count as clusters of one each: left out of the comparison too, a clustering
that names three points and drops the rest would look perfect.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.similarity import unit_rows

NOISE = -1
"""The number of points that are in no cluster."""


def adjusted_rand_index(clusters: NDArray[np.integer], classes: NDArray[np.integer]) -> float:
    """Return the share of pairs that both partitions judge alike, corrected for chance: 1 if equal, 0 by chance.

    Hubert and Arabie 1985, J Classif 2:193. NaN for fewer than two points; 1 where both partitions are a single block,
    or both are all singletons.

    Args:
        clusters: (N,), -1 for noise: every such point is a cluster of its own.
        classes: (N,), any numbers.
    """
    counts = _contingency(clusters, classes)
    both, rows, columns = (_pairs(sizes) for sizes in (counts, counts.sum(axis=1), counts.sum(axis=0)))
    of_all = _pairs(counts.sum()[None])
    if of_all == 0:
        return math.nan
    expected, largest = rows * columns / of_all, (rows + columns) / 2
    return 1.0 if largest == expected else (both - expected) / (largest - expected)


def normalized_mutual_information(clusters: NDArray[np.integer], classes: NDArray[np.integer]) -> float:
    """Return the mutual information of two partitions over the mean of their entropies: 1 if equal, at least 0.

    It is not corrected for chance and grows with the number of clusters, hence with the noise. Compare it with what
    shuffled classes give. NaN without points; 1 where both partitions are a single block.

    Args:
        clusters: (N,), -1 for noise: every such point is a cluster of its own.
        classes: (N,), any numbers.
    """
    counts = _contingency(clusters, classes)
    if not counts.size:
        return math.nan
    entropies = [_entropy(sizes) for sizes in (counts.sum(axis=1), counts.sum(axis=0), counts.ravel())]
    mean = (entropies[0] + entropies[1]) / 2
    return 1.0 if mean == 0 else max(0.0, entropies[0] + entropies[1] - entropies[2]) / mean


def cosine_silhouette(profiles: NDArray[np.float64], classes: NDArray[np.integer]) -> float:
    """Return the mean silhouette of classes in cosine distance, from -1 to 1: above 0, they are apart.

    Rousseeuw 1987, J Comput Appl Math 20:53. A point that is alone in its class counts with 0. The mean distance to a
    class follows from the sum of its unit vectors, so that no pair is looked at. NaN for fewer than two classes.

    Args:
        profiles: (N, D), finite. A row of zeros is at distance 1 from everything.
        classes: (N,), any numbers.
    """
    _, member_of, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        return math.nan
    units, lengths = unit_rows(profiles)
    sums = np.zeros((len(sizes), profiles.shape[1]))
    np.add.at(sums, member_of, units)
    distances = sizes - units @ sums.T
    rows, own = np.arange(len(units)), sizes[member_of]
    # The distance of a row to itself, 0 or for a row of zeros 1, is in the sum and has to leave it.
    inside = (distances[rows, member_of] - np.where(lengths > 0, 0.0, 1.0)) / np.maximum(own - 1, 1)
    means = distances / sizes
    means[rows, member_of] = np.inf
    outside = means.min(axis=1)
    larger = np.maximum(inside, outside)
    is_told = (own > 1) & (larger > 0)
    return float(np.divide(outside - inside, larger, out=np.zeros_like(larger), where=is_told).mean())


def _contingency(clusters: NDArray[np.integer], classes: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return how many points each cluster, a noise point being one, shares with each class: (clusters, classes)."""
    numbers = np.array(clusters, dtype=np.int64)
    is_noise = numbers == NOISE
    numbers[is_noise] = numbers.max(initial=0) + 1 + np.arange(is_noise.sum())
    _, rows = np.unique(numbers, return_inverse=True)
    names, columns = np.unique(classes, return_inverse=True)
    n_rows = rows.max(initial=-1) + 1
    flat = np.bincount(rows * len(names) + columns, minlength=n_rows * len(names))
    return np.asarray(flat.reshape(n_rows, len(names)), dtype=np.int64)


def _pairs(sizes: NDArray[np.int64]) -> float:
    return float((sizes * (sizes - 1) / 2).sum())


def _entropy(sizes: NDArray[np.int64]) -> float:
    """Return the entropy of a partition in nats."""
    shares = sizes[sizes > 0] / sizes.sum()
    return float(-(shares * np.log(shares)).sum())
