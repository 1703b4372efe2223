"""Average precision of every well of every treatment among negative controls, to the last decision as in copairs.

copairs rounds similarities to float32 and compares one minus them, so that wells whose similarities differ in the
eighth digit are tied or stand this or that way round by how a sum was rounded. Here similarities are matrix products;
where two of them are too close for their rounding, they are computed again, the way copairs does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.average_precision import precisions_of_counts
from hcs.statistics.threads import on_threads
from hcs.statistics.true_counts import true_counts

_CLOSE = np.float32(4e-6)
"""Similarities of float32 vectors are off by less than a tenth of this."""
_VALUES_AT_ONCE = 1_500_000
"""Values of a matrix that is copied or made at once: 6 MB in float32."""


@dataclass(frozen=True)
class Queries:
    """One row a well of a treatment."""

    rows: NDArray[np.intp]
    """(Q,), of the profiles."""
    precisions: NDArray[np.float64]
    """(Q,), NaN for a query without positives or without negatives."""
    configurations: NDArray[np.int64]
    """(Q, 2), number of positives, and of positives and negatives."""


def query_precisions(
    profiles: NDArray[np.floating],
    treatments: NDArray[np.integer],
    is_control: NDArray[np.bool_],
    plates: NDArray[np.integer] | None,
) -> Queries:
    """Return the average precision of every well that belongs to a treatment.

    Its positives are the other wells of the treatment on whatever plate, its negatives the controls.

    Args:
        profiles: (N, D), finite; float32 or float64, which decides how similarities are rounded.
        treatments: (N,), -1 for a well of none.
        is_control: (N,).
        plates: (N,), and only controls of its own plate are negatives of a well; None for the controls of all plates.
    """
    rows = np.flatnonzero(treatments >= 0)
    rows = rows[np.argsort(treatments[rows], kind="stable")]
    inverse = _inverse_lengths(profiles)
    where = np.zeros(len(profiles), dtype=np.intp) if plates is None else plates
    n_controls = np.bincount(where[is_control], minlength=where.max(initial=0) + 1)[where[rows]]
    sizes = _sizes(treatments[rows])
    precisions = np.full(len(rows), np.nan)
    blocks = []
    for size in np.unique(sizes[sizes > 1]):
        queries = np.flatnonzero(sizes == size)
        positives = _positives(profiles, rows[queries].reshape(-1, size), inverse)
        blocks += _blocks(profiles, queries, rows[queries], positives, where=where, is_control=is_control)
    for block, found in zip(
        blocks, on_threads(lambda one: one.precisions(inverse), blocks, n_threads=None), strict=True
    ):
        precisions[block.queries] = found
    return Queries(rows, precisions, np.stack([sizes - 1, sizes - 1 + n_controls], axis=1))


def _sizes(treatments: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return how many wells the treatment of each query has, (Q,)."""
    _, number, counts = np.unique(treatments, return_inverse=True, return_counts=True)
    return np.asarray(counts[number], dtype=np.int64)


def means_of_treatments(
    precisions: NDArray[np.float64], treatments: NDArray[np.integer], n_treatments: int
) -> NDArray[np.float64]:
    """Return the mean precision of each treatment's queries, (T,), those that are NaN left out; NaN where all are.

    Args:
        precisions: (Q,).
        treatments: (Q,), 0 to T - 1.
        n_treatments: T.
    """
    scored = np.flatnonzero(~np.isnan(precisions))
    # By value, so that the last bits of a mean do not depend on the order of the rows.
    order = scored[np.lexsort((precisions[scored], treatments[scored]))]
    total = np.bincount(treatments[order], weights=precisions[order], minlength=n_treatments)
    counts = np.bincount(treatments[order], minlength=n_treatments)
    means: NDArray[np.float64] = np.divide(total, counts, out=np.full(n_treatments, np.nan), where=counts > 0)
    return means


def _inverse_lengths(profiles: NDArray[np.floating]) -> NDArray[np.floating]:
    lengths = np.sqrt(np.einsum("nd,nd->n", profiles, profiles))
    inverse: NDArray[np.floating] = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return inverse


@dataclass(frozen=True)
class _Positives:
    """The positives of queries that have as many."""

    rows: NDArray[np.intp]
    """(Q, M), of the profiles."""
    distances: NDArray[np.float32]
    """(Q, M), one minus their similarity."""


def _positives(profiles: NDArray[np.floating], members: NDArray[np.intp], inverse: NDArray[np.floating]) -> _Positives:
    """Return the positives of every well of these treatments, (T, R) rows, treatment by treatment."""
    n_treatments, size = members.shape
    distances = np.empty((n_treatments, size, size), dtype=np.float32)
    step = max(1, _VALUES_AT_ONCE // (size * profiles.shape[1]))

    def fill(start: int) -> None:
        some = members[start : start + step]
        values = profiles[some]
        products = values @ values.transpose(0, 2, 1)
        distances[start : start + step] = _distances(products, inverse[some], inverse[some])

    on_threads(fill, range(0, n_treatments, step), n_threads=None)
    is_other = ~np.eye(size, dtype=np.bool_)
    rows = np.broadcast_to(members[:, None, :], distances.shape)
    return _Positives(rows[:, is_other].reshape(-1, size - 1), distances[:, is_other].reshape(-1, size - 1))


def _blocks(
    profiles: NDArray[np.floating],
    queries: NDArray[np.intp],
    rows: NDArray[np.intp],
    positives: _Positives,
    *,
    where: NDArray[np.integer],
    is_control: NDArray[np.bool_],
) -> list[_Block]:
    """Return queries in blocks that have the same negatives, those without any left out."""
    blocks = []
    for plate in np.unique(where[rows]):
        controls = np.flatnonzero(is_control & (where == plate))
        on_plate = np.flatnonzero(where[rows] == plate)
        step = max(1, _VALUES_AT_ONCE // max(len(controls), profiles.shape[1]))
        for start in range(0, len(on_plate) if len(controls) else 0, step):
            some = on_plate[start : start + step]
            chosen = _Positives(positives.rows[some], positives.distances[some])
            blocks.append(_Block(profiles, queries[some], rows[some], controls, chosen))
    return blocks


def _distances(
    products: NDArray[np.floating], left: NDArray[np.floating], right: NDArray[np.floating]
) -> NDArray[np.float32]:
    products *= left[..., :, None]
    products *= right[..., None, :]
    return np.float32(1) - products.astype(np.float32, copy=False)


@dataclass(frozen=True)
class _Block:
    """Some queries that have the same negatives."""

    profiles: NDArray[np.floating]
    queries: NDArray[np.intp]
    """(q,), their numbers."""
    rows: NDArray[np.intp]
    """(q,), of the profiles."""
    controls: NDArray[np.intp]
    positives: _Positives

    def precisions(self, inverse: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the average precision of every query, (q,), given the inverse lengths of all profiles."""
        products = self.profiles[self.rows] @ self.profiles[self.controls].T
        return precisions_of_counts(self._above(_distances(products, inverse[self.rows], inverse[self.controls])))

    def _above(self, distances: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return how many negatives stand above each positive, (q, M), given the distances from them, (q, C)."""
        limits = self.positives.distances
        above = np.empty(limits.shape, dtype=np.int64)
        step = max(1, _VALUES_AT_ONCE // distances.shape[1])
        for column in range(limits.shape[1]):
            limit = limits[:, column, None]
            above[:, column] = true_counts(distances < limit - _CLOSE)
            unsure = np.flatnonzero(true_counts(distances <= limit + _CLOSE) > above[:, column])
            for start in range(0, len(unsure), step):
                some = unsure[start : start + step]
                above[some, column] = self._decided(some, column, distances[some])
        return above

    def _decided(self, places: NDArray[np.intp], column: int, distances: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return how many negatives stand above one positive of some queries, those beside it as copairs has them."""
        limits = self.positives.distances[places, column, None]
        is_close = np.abs(distances - limits) <= _CLOSE + _CLOSE / 4
        surely = true_counts((distances < limits) & ~is_close)
        query, control = np.nonzero(is_close)
        limit = self._distances_as_copairs(self.rows[places], self.positives.rows[places, column])
        close = self._distances_as_copairs(self.rows[places[query]], self.controls[control])
        return surely + np.bincount(query[close < limit[query]], minlength=len(places))

    def _distances_as_copairs(self, left: NDArray[np.intp], right: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return one minus the similarity of each two rows of the profiles by the arithmetic of copairs."""
        distances = np.empty(len(left), dtype=np.float32)
        step = max(1, _VALUES_AT_ONCE // self.profiles.shape[1])
        for start in range(0, len(left), step):
            some = slice(start, start + step)
            distances[some] = np.float32(1) - _as_copairs(self.profiles[left[some]], self.profiles[right[some]])
        return distances


def _as_copairs(left: NDArray[np.floating], right: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the cosine of each two rows, rounded as copairs does; 0 with a row of zeros, where copairs has NaN."""
    lengths = [np.linalg.norm(rows, axis=1)[:, np.newaxis] for rows in (left, right)]
    first, second = (
        rows / np.where(length > 0, length, 1) for rows, length in zip((left, right), lengths, strict=True)
    )
    return np.asarray(np.sum(first * second, axis=1), dtype=np.float32)
