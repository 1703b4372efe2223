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
    is_answerable: NDArray[np.bool_]
    """(N,), whether any candidate shares a label with the row, so that it could have been right."""


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
    between_batches: str | None = None,
) -> Retrieval:
    """Return how often the nearest profile of another compound in another batch shares a label.

    Ando et al. 2017, bioRxiv 161422 (NSCB). What holds for `not_same_compound` holds here; ties within a compound go to
    the first batch by name, then to the first row.

    Args:
        profiles: (N, D), finite, a row a treatment in a batch.
        compounds: (N,).
        labels: (N,), empty for none.
        batches: (N,), which batch a row is of.
        between_batches: What stands between the batches of a row that is of several, as "week1,week2"; rows that share
            one are then of the same batch. None: batches are the same where their texts are, which is how NSCB is
            usually computed, so that a compound in every batch is never left out for anyone.
    """
    if between_batches is None:
        sets = [frozenset([batch]) for batch in batches]
    else:
        sets = [
            frozenset(part.strip() for part in batch.split(between_batches) if part.strip()) or frozenset([batch])
            for batch in batches
        ]
    return _retrieve(profiles, compounds=compounds, labels=labels, batches=sets)


def _retrieve(
    profiles: NDArray[np.float64],
    *,
    compounds: Sequence[str],
    labels: Sequence[str],
    batches: Sequence[frozenset[str]] | None,
) -> Retrieval:
    candidates = _Candidates(
        compounds=np.asarray(compounds, dtype=np.str_),
        labels=[label_set(label) for label in labels],
        batches=batches,
    )
    nearest, is_answerable = candidates.nearest(profiles)
    is_right = shares_a_label(nearest, labels=labels)
    n_queries = int((nearest >= 0).sum())
    accuracy = float(is_right.sum()) / n_queries if n_queries else None
    return Retrieval(accuracy, n_queries, nearest, is_right, is_answerable)


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


def _shared(names: Sequence[frozenset[str]]) -> NDArray[np.float32]:
    """Return which of all names each row has, (N, names), so that a product says how many two rows share."""
    numbers = {name: place for place, name in enumerate(sorted(frozenset().union(*names)))}
    has = np.zeros((len(names), len(numbers)), dtype=np.float32)
    for row, own in enumerate(names):
        has[row, [numbers[name] for name in own]] = 1
    return has


@dataclass(frozen=True)
class _Candidates:
    """Who may be whose neighbour."""

    compounds: NDArray[np.str_]
    labels: Sequence[frozenset[str]]
    batches: Sequence[frozenset[str]] | None

    def nearest(self, profiles: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return the row of every row's nearest candidate, -1 for none, and whether any candidate shares a label."""
        nearest, is_answerable = np.full(len(profiles), -1, dtype=np.intp), np.zeros(len(profiles), dtype=np.bool_)
        # Sorted by name, so that the first of equal maxima is the first by name.
        names = (self.compounds,) if self.batches is None else (self._batch_names(), self.compounds)
        by_name = np.lexsort(names)
        rows = by_name[np.array([bool(label) for label in self.labels], dtype=np.bool_)[by_name]]
        if not len(rows):
            return nearest, is_answerable
        units = unit_rows(profiles[rows])[0]
        compounds = np.unique(self.compounds[rows], return_inverse=True)[1]
        labels = _shared([self.labels[row] for row in rows])
        batches = None if self.batches is None else _shared([self.batches[row] for row in rows])
        step = max(1, _BLOCK // len(rows))
        for first in range(0, len(rows), step):
            block = slice(first, first + step)
            near = np.round(units[block] @ units.T, DECIMALS)
            near[compounds[block, None] == compounds] = -np.inf
            if batches is not None:
                near[batches[block] @ batches.T > 0] = -np.inf
            best = near.argmax(axis=1)
            has_candidate = np.isfinite(near[np.arange(len(best)), best])
            nearest[rows[block]] = np.where(has_candidate, rows[best], -1)
            is_answerable[rows[block]] = (np.isfinite(near) & (labels[block] @ labels.T > 0)).any(axis=1)
        return nearest, is_answerable

    def _batch_names(self) -> NDArray[np.str_]:
        return np.array(["\0".join(sorted(batch)) for batch in self.batches or ()], dtype=np.str_)
