"""Retrieval by label, where no compound finds itself: does the nearest profile of another compound share a label?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.neighbours import DECIMALS
from hcs.statistics.similarity import unit_rows

_BLOCK = 4_000_000
"""Similarities held at once: 32 MB a matrix."""


@dataclass(frozen=True)
class Retrieval:
    """How often the nearest profile is right, and the neighbours that say so."""

    accuracy: float | None
    """Share of the queries with a right neighbour; None where there are no queries."""
    n_queries: int
    """Rows with a label and at least one candidate."""
    nearest: NDArray[np.intp]
    """(N,), row of the nearest candidate; -1 where the row is no query."""
    is_right: NDArray[np.bool_]
    """(N,), whether the row shares a label with its nearest candidate; False where the row is no query."""


def not_same_compound(profiles: NDArray[np.float64], *, compounds: Sequence[str], labels: Sequence[str]) -> Retrieval:
    """Return how often the nearest profile of another compound, by cosine similarity, shares a label.

    Ljosa et al. 2013, J Biomol Screen 18:1321 (NSC). A row without a label is neither a query nor a candidate. A row
    whose label no candidate has is a query, and wrong. Ties in similarity, rounded to nine decimals, go to the first
    compound by name, and within a compound to the first row.

    Args:
        profiles: (N, D), finite, a row a treatment. A row of zeros has similarity 0 to everything.
        compounds: (N,), which compound a row is of.
        labels: (N,), as "kinesin inhibitor", or several as "a|b", of which one in common is right. Empty for none.
    """
    return _retrieve(profiles, compounds=compounds, labels=labels, batches=None)


def not_same_compound_or_batch(
    profiles: NDArray[np.float64],
    *,
    compounds: Sequence[str],
    labels: Sequence[str],
    batches: Sequence[str],
) -> Retrieval:
    """Return how often the nearest profile of another compound in another batch shares a label.

    Ando et al. 2017, bioRxiv 161422 (NSCB). What holds for `not_same_compound` holds here; ties within a compound go to
    the first batch by name, then to the first row.

    Args:
        profiles: (N, D), finite, a row a treatment in a batch.
        compounds: (N,).
        labels: (N,), empty for none.
        batches: (N,), which batch a row is of.
    """
    return _retrieve(profiles, compounds=compounds, labels=labels, batches=batches)


def _retrieve(
    profiles: NDArray[np.float64], *, compounds: Sequence[str], labels: Sequence[str], batches: Sequence[str] | None
) -> Retrieval:
    nearest = _nearest_candidates(
        profiles,
        compounds=np.asarray(compounds, dtype=np.str_),
        batches=None if batches is None else np.asarray(batches, dtype=np.str_),
        is_labelled=np.array([bool(label_set(label)) for label in labels], dtype=np.bool_),
    )
    is_right = shares_a_label(nearest, labels=labels)
    n_queries = int((nearest >= 0).sum())
    return Retrieval(float(is_right.sum()) / n_queries if n_queries else None, n_queries, nearest, is_right)


def shares_a_label(nearest: NDArray[np.intp], *, labels: Sequence[str]) -> NDArray[np.bool_]:
    """Return whether each row shares a label with its nearest candidate: (N,).

    The neighbours do not depend on which labels the labelled rows have, so a null of shuffled labels asks only this.

    Args:
        nearest: (N,), rows, -1 for none.
        labels: (N,).
    """
    sets = [label_set(label) for label in labels]
    return np.array(
        [row >= 0 and not own.isdisjoint(sets[row]) for own, row in zip(sets, nearest, strict=True)], dtype=np.bool_
    )


def label_set(labels: str) -> frozenset[str]:
    """Return the labels that a row has, of a string as "a|b"; case does not tell labels apart."""
    return frozenset(label.strip().casefold() for label in labels.split("|") if label.strip())


def _nearest_candidates(
    profiles: NDArray[np.float64],
    *,
    compounds: NDArray[np.str_],
    batches: NDArray[np.str_] | None,
    is_labelled: NDArray[np.bool_],
) -> NDArray[np.intp]:
    """Return the row of the nearest candidate of every row, -1 where there is none: (N,)."""
    nearest = np.full(len(profiles), -1, dtype=np.intp)
    # Sorted by name, so that the first of equal maxima is the first by name.
    by_name = np.lexsort((compounds,) if batches is None else (batches, compounds))
    rows = by_name[is_labelled[by_name]]
    if not len(rows):
        return nearest
    units = unit_rows(profiles[rows])[0]
    compound_numbers = np.unique(compounds[rows], return_inverse=True)[1]
    batch_numbers = None if batches is None else np.unique(batches[rows], return_inverse=True)[1]
    step = max(1, _BLOCK // len(rows))
    for first in range(0, len(rows), step):
        block = slice(first, first + step)
        near = np.round(units[block] @ units.T, DECIMALS)
        near[compound_numbers[block, None] == compound_numbers] = -np.inf
        if batch_numbers is not None:
            near[batch_numbers[block, None] == batch_numbers] = -np.inf
        best = near.argmax(axis=1)
        has_candidate = np.isfinite(near[np.arange(len(best)), best])
        nearest[rows[block]] = np.where(has_candidate, rows[best], -1)
    return nearest
