"""Exact nearest neighbours by cosine similarity, with ties that always fall the same way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.similarity import unit_rows

DECIMALS = 9
"""Similarities are rounded to these, so that the last bits of a matrix product decide no tie and reach no table."""
_BLOCK = 4_000_000
"""Similarities held at once: 32 MB a matrix."""


@dataclass(frozen=True)
class Neighbours:
    """The nearest references of every query, nearest first."""

    rows: NDArray[np.intp]
    """(Q, K), rows of the references; -1 where there are no more."""
    similarities: NDArray[np.float64]
    """(Q, K), cosine, rounded to nine decimals; NaN where there are no more."""


def nearest_neighbours(
    queries: NDArray[np.float64],
    references: NDArray[np.float64],
    *,
    query_groups: NDArray[np.integer],
    reference_groups: NDArray[np.integer],
    top: int,
) -> Neighbours:
    """Return the nearest groups of references of every query, each by its nearest member.

    A query's own group is left out, and another group comes once: the doses of a compound are one neighbour, the most
    similar of them. Ties go to the smaller group number, within a group to the first row. A profile of zeros has
    similarity 0 to everything.

    Args:
        queries: (Q, D), finite.
        references: (R, D), finite.
        query_groups: (Q,).
        reference_groups: (R,).
        top: How many neighbours; fewer come where there are fewer groups.
    """
    rows = np.full((len(queries), top), -1, dtype=np.intp)
    similarities = np.full((len(queries), top), np.nan)
    if not len(references):
        return Neighbours(rows, similarities)
    by_group = np.argsort(reference_groups, kind="stable")
    groups, starts = np.unique(reference_groups[by_group], return_index=True)
    units, _ = unit_rows(queries)
    reference_units = unit_rows(references)[0][by_group]
    step = max(1, _BLOCK // len(references))
    for first in range(0, len(queries), step):
        block = slice(first, first + step)
        near = np.round(units[block] @ reference_units.T, DECIMALS) + 0.0
        best = np.maximum.reduceat(near, starts, axis=1)
        best[query_groups[block][:, None] == groups[None, :]] = -np.inf
        chosen = np.argsort(-best, axis=1, kind="stable")[:, :top]
        similarity = np.take_along_axis(best, chosen, axis=1)
        row = np.take_along_axis(_first_of_group(near, best, starts), chosen, axis=1)
        is_there = np.isfinite(similarity)
        rows[block, : chosen.shape[1]] = np.where(is_there, by_group[np.where(is_there, row, 0)], -1)
        similarities[block, : chosen.shape[1]] = np.where(is_there, similarity, np.nan)
    return Neighbours(rows, similarities)


def _first_of_group(near: NDArray[np.float64], best: NDArray[np.float64], starts: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the first position in each group that has the group's best similarity: (B, G)."""
    sizes = np.diff(np.append(starts, near.shape[1]))
    positions = np.where(near == np.repeat(best, sizes, axis=1), np.arange(near.shape[1]), near.shape[1])
    return np.asarray(np.minimum.reduceat(positions, starts, axis=1), dtype=np.intp)
