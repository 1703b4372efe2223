"""How well the replicates of a label find one another in other batches, and in other positions.

Every well asks all others. Its positives are wells of its label in another batch, where positions are known in another
position too; its negatives are all wells of other labels, those of its own batch among them: where batches differ,
these come first, and precision falls. Wells of its label in its own batch or position are neither. Precision is that
of Kalinin et al. 2025, Nat Commun 16:5181 (ties favour positives). Rows are taken in blocks; pairs are never held.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.neighbours import DECIMALS
from hcs.statistics.similarity import unit_rows
from hcs.statistics.true_counts import true_counts

_BLOCK = 200_000
"""Similarities held at once: 1.6 MB a matrix, which stays in the cache of a core while it is gone through."""
_FEW = 24
"""Up to so many positives, comparing each with all negatives takes less time than sorting these."""


@dataclass(frozen=True)
class Replicability:
    """What each of W wells found."""

    precision: NDArray[np.float64]
    """(W,), average precision; NaN for a well without positives or without negatives."""
    expected: NDArray[np.float64]
    """(W,), what a random order gives on average; NaN in the same places."""


def replicability(
    profiles: NDArray[np.floating],
    *,
    labels: NDArray[np.integer],
    batches: NDArray[np.integer],
    positions: NDArray[np.integer] | None = None,
) -> Replicability:
    """Return how well each well finds the wells of its label in other batches.

    Args:
        profiles: (W, D), finite. A row of zeros has similarity 0 to everything.
        labels: (W,), any numbers.
        batches: (W,), any numbers.
        positions: (W,), the same number for the same position on a plate; None where it shall not matter.
    """
    n_wells = len(profiles)
    precision, expected = np.full(n_wells, np.nan), np.full(n_wells, np.nan)
    if not n_wells:
        return Replicability(precision, expected)
    units, _ = unit_rows(np.asarray(profiles, dtype=np.float64))
    step = max(1, _BLOCK // n_wells)
    for first in range(0, n_wells, step):
        block = slice(first, first + step)
        is_same = labels[block, None] == labels
        is_positive = is_same & (batches[block, None] != batches)
        if positions is not None:
            is_positive &= positions[block, None] != positions
        near = np.round(units[block] @ units.T, DECIMALS)
        precision[block], expected[block] = _precisions(near, is_same, is_positive)
    return Replicability(precision, expected)


def _precisions(
    near: NDArray[np.float64], is_same: NDArray[np.bool_], is_positive: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the average precision of a block of queries and what chance gives, (B,) each."""
    n_negatives = is_same.shape[1] - true_counts(is_same)
    n_positives = true_counts(is_positive)
    precision, expected = np.full(len(near), np.nan), np.full(len(near), np.nan)
    asked = (n_positives > 0) & (n_negatives > 0)
    few = np.flatnonzero(asked & (n_positives <= _FEW))
    many = np.flatnonzero(asked & (n_positives > _FEW))
    for rows, precisions in ((few, _precisions_counted), (many, _precisions_sorted)):
        if len(rows):
            part = slice(None) if len(rows) == len(near) else rows
            negatives = np.where(is_same[part], -np.inf, near[part])
            precision[part] = precisions(negatives, *_ranked(near[part], is_positive[part]))
    sizes, which = np.unique(np.stack([n_positives, n_positives + n_negatives]), axis=1, return_inverse=True)
    by_size = np.array([expected_precision(n, of) if 0 < n < of else np.nan for n, of in sizes.T.tolist()])
    expected[asked] = by_size[which.ravel()][asked]
    return precision, expected


def _ranked(near: NDArray[np.float64], is_positive: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return the similarities of each query's positives from high to low, (B, K), NaN beyond their number, (B,)."""
    counts = true_counts(is_positive)
    rows, columns = np.nonzero(is_positive)
    values = near[rows, columns]
    places = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    ranked = np.full((len(near), int(counts.max())), np.nan)
    ranked[rows, places] = values[np.lexsort((-values, rows))]
    return ranked, counts


def _precisions_counted(
    negatives: NDArray[np.float64], found: NDArray[np.float64], counts: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return average precisions by comparing each positive with all negatives, (B,): quick where these are few."""
    total = np.zeros(len(found))
    for place in range(found.shape[1]):
        above = true_counts(negatives > found[:, place, None])
        total += np.where(place < counts, (place + 1) / (place + 1 + above), 0.0)
    return np.asarray(total / counts)


def _precisions_sorted(
    negatives: NDArray[np.float64], found: NDArray[np.float64], counts: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return average precisions by sorting all negatives of a query, (B,): whatever the number of positives."""
    negatives.sort(axis=1)
    precision = np.empty(len(found))
    for row, (others, n) in enumerate(zip(negatives, counts, strict=True)):
        above = len(others) - np.searchsorted(others, found[row, :n], side="right")
        rank = np.arange(1, n + 1)
        precision[row] = (rank / (rank + above)).mean()
    return precision


def expected_precision(n_positives: int, n_candidates: int) -> float:
    """Return the mean of average precision over all orders of the candidates (Bestgen 2015, Inform Retrieval 18:530).

    Args:
        n_positives: At least 1.
        n_candidates: Positives and negatives together.
    """
    if n_candidates == n_positives:
        return 1.0
    harmonic = float(np.log(n_candidates) + np.euler_gamma + 1 / (2 * n_candidates) - 1 / (12 * n_candidates**2))
    share = (n_positives - 1) / (n_candidates - 1)
    return (share * (n_candidates - harmonic) + harmonic) / n_candidates


def means_by_label(values: NDArray[np.float64], labels: NDArray[np.integer], *, n_labels: int) -> NDArray[np.float64]:
    """Return the mean over each label's wells without its NaN, (L,); NaN for a label that has none.

    Args:
        values: (W,).
        labels: (W,), 0 to L - 1; a well with another number counts nowhere.
        n_labels: L.
    """
    is_told = np.isfinite(values) & (labels >= 0) & (labels < n_labels)
    counts = np.bincount(labels[is_told], minlength=n_labels)
    sums = np.bincount(labels[is_told], weights=values[is_told], minlength=n_labels)
    means: NDArray[np.float64] = np.divide(sums, counts, out=np.full(n_labels, np.nan), where=counts > 0)
    return means


def replicate_distance(
    profiles: NDArray[np.floating], *, labels: NDArray[np.integer], batches: NDArray[np.integer]
) -> float:
    """Return Cohen's d of a label's wells in different batches against wells of other labels in the same batch.

    The mean cosine similarity of pairs with the same label in different batches, less that of pairs with different
    labels in the same batch, over the root of the mean of their variances (Cohen 1988; Arevalo et al. 2024, Nat Commun
    15:6516 for the comparison). At 0 or below, what batch a well is of says more than what was done to it. NaN where
    either kind of pair is missing.

    Args:
        profiles: (W, D), finite.
        labels: (W,).
        batches: (W,).
    """
    units, _ = unit_rows(np.asarray(profiles, dtype=np.float64))
    sums = np.zeros((2, 3))  # of either kind of pair: how many, their sum, the sum of their squares
    step = max(1, _BLOCK // max(len(units), 1))
    for first in range(0, len(units), step):
        block = slice(first, first + step)
        near = units[block] @ units.T
        is_same = labels[block, None] == labels
        is_near = batches[block, None] == batches
        for kind, chosen in enumerate((is_same & ~is_near, ~is_same & is_near)):
            found = near[chosen]
            sums[kind] += (len(found), found.sum(), (found**2).sum())
    if (sums[:, 0] < 2).any():
        return float("nan")
    means = sums[:, 1] / sums[:, 0]
    spread = float(np.sqrt(np.maximum(sums[:, 2] / sums[:, 0] - means**2, 0.0).mean()))
    return float(means[0] - means[1]) / spread if spread > 0 else float("nan")
