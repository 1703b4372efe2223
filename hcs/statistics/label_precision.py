"""Average precision of rows among rows of other labels, for many labels and without a list of pairs.

As copairs 0.5.5 has it (Kalinin et al. 2025, Nat Commun 16:5181): the positives of a row for one of its labels are the
other rows with this label, its negatives the rows that share no label with it. A row with several labels has one
average precision for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dsyrk

from hcs.statistics.similarity import unit_rows

_BLOCK = 4_000_000
"""Similarities held at once: 32 MB a matrix."""
_MOST_AT_ONCE = 8_192
"""Rows of which all similarities are held: half a gigabyte for a moment."""


@dataclass(frozen=True)
class LabelPrecisions:
    """One entry for every row and label that it has, by label and then by row; E of them."""

    labels: NDArray[np.intp]
    """(E,), numbers of labels."""
    rows: NDArray[np.intp]
    """(E,)."""
    precisions: NDArray[np.float64]
    """(E,), in (0, 1]; NaN without positives or without negatives."""
    n_positives: NDArray[np.intp]
    """(E,)."""
    n_candidates: NDArray[np.intp]
    """(E,), positives and negatives."""


def label_precisions(
    profiles: NDArray[np.floating],
    members: Sequence[NDArray[np.intp]],
    *,
    perturbations: NDArray[np.integer] | None = None,
) -> LabelPrecisions:
    """Return the average precision of every row for each of its labels.

    Rows are ranked by cosine similarity. Similarities that are equal in single precision are tied, and ties favour the
    positives: with copairs' rule its numbers come out to the last digit that it has.

    Args:
        profiles: (N, D), finite. A row of zeros has similarity 0 to everything.
        members: The rows of each label, at least one label a row in all. Rows without a label are not to be given.
        perturbations: (N,), numbers. Rows of one perturbation are not one another's positives; None: all may be.
    """
    units, _ = unit_rows(profiles.astype(np.float64))
    labels = np.repeat(np.arange(len(members)), [len(rows) for rows in members])
    rows = np.concatenate([*members, np.empty(0, dtype=np.intp)]).astype(np.intp)
    by_row = np.argsort(rows, kind="stable")
    starts = np.searchsorted(rows[by_row], np.arange(len(units) + 1))
    entries = _Entries(members, labels, perturbations, np.full(len(rows), np.nan), *np.zeros((2, len(rows)), np.intp))
    for row, keys in enumerate(_rows_of_keys(units)):
        entries.fill(row, keys, by_row[starts[row] : starts[row + 1]])
    return LabelPrecisions(labels, rows, entries.precisions, entries.n_positives, entries.n_candidates)


def _rows_of_keys(units: NDArray[np.float64]) -> Iterator[NDArray[np.float32]]:
    """Yield for each row what its candidates are sorted by, (N,), the more similar the smaller."""
    if len(units) <= _MOST_AT_ONCE:
        # Half of the products are enough where all of them can be held.
        upper = dsyrk(1.0, units.T, trans=1).astype(np.float32)
        upper += np.triu(upper, 1).T
        yield from np.subtract(1, upper, out=upper)
        return
    step = max(1, _BLOCK // len(units))
    for first in range(0, len(units), step):
        yield from 1 - (units[first : first + step] @ units.T).astype(np.float32)


@dataclass(frozen=True)
class _Entries:
    """What is filled in, row by row."""

    members: Sequence[NDArray[np.intp]]
    labels: NDArray[np.intp]
    perturbations: NDArray[np.integer] | None
    precisions: NDArray[np.float64]
    n_positives: NDArray[np.intp]
    n_candidates: NDArray[np.intp]

    def fill(self, row: int, keys: NDArray[np.float32], entries: NDArray[np.intp]) -> None:
        """Rank the candidates of one row; `keys` (N,) rise where similarity falls."""
        own = [self.members[label] for label in self.labels[entries]]
        if not own:
            return
        related = own[0] if len(own) == 1 else np.unique(np.concatenate(own))
        all_keys, related_keys = np.sort(keys), np.sort(keys[related])
        n_negatives = len(keys) - len(related)
        for entry, rows in zip(entries, own, strict=True):
            positives = self._positives(row, rows)
            wanted = np.sort(keys[positives])
            # Rows before a positive that are related to the query, itself among them, are no negatives.
            ahead = np.searchsorted(all_keys, wanted) - np.searchsorted(related_keys, wanted)
            place = np.arange(1, len(wanted) + 1)
            self.n_positives[entry], self.n_candidates[entry] = len(wanted), len(wanted) + n_negatives
            if len(wanted) and n_negatives:
                self.precisions[entry] = float((place / (place + ahead)).mean())

    def _positives(self, row: int, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        other = rows != row if self.perturbations is None else self.perturbations[rows] != self.perturbations[row]
        return np.asarray(rows[other], dtype=np.intp)


def expected_precision(n_positives: NDArray[np.intp], n_candidates: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the mean of average precision over all orders of the candidates, as Kalinin et al. derive it.

    Args:
        n_positives: (E,), at least 1.
        n_candidates: (E,), at least 2.
    """
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, n_candidates.max(initial=0) + 1))])[n_candidates]
    beyond = (n_positives - 1) / (n_candidates - 1) * (n_candidates - harmonic)
    return np.asarray((beyond + harmonic) / n_candidates, dtype=np.float64)
