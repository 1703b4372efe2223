"""Average precision of a query's positives ranked among its negatives, as in copairs.

Kalinin et al. 2025, Nat Commun 16:5181: the positives and negatives of a query are ranked by descending similarity and
the precision at the rank of each positive is averaged. Ties favour the positives. All that this needs of a positive is
how many negatives stand above it, so that nothing is ranked.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.similarity import TIE_TOLERANCE
from hcs.statistics.true_counts import true_counts

_COMPARED_AT_ONCE = 1_000_000
"""Pairs of a positive and a negative."""


def negatives_above(
    positives: NDArray[np.floating], negatives: NDArray[np.floating], *, tolerance: float = TIE_TOLERANCE
) -> NDArray[np.int64]:
    """Return how many negatives of a query are more similar to it than each of its positives: (Q, M).

    Args:
        positives: (Q, M), similarities of each query to its positives.
        negatives: (Q, N), similarities to its negatives.
        tolerance: A negative that is more similar by no more than this is tied, which favours the positive.
    """
    n_queries, n_positives = positives.shape
    above = np.empty(positives.shape, dtype=np.int64)
    step = max(1, _COMPARED_AT_ONCE // max(1, negatives.shape[1]))
    limits = positives + np.asarray(tolerance, dtype=positives.dtype)
    for column in range(n_positives):
        for start in range(0, n_queries, step):
            some = slice(start, start + step)
            above[some, column] = true_counts(negatives[some] > limits[some, column, None])
    return above


def precisions_of_counts(above: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the average precision of every query, (Q,), from the negatives above each of its positives, (Q, M)."""
    places = np.arange(1, above.shape[1] + 1)
    precisions: NDArray[np.float64] = (places / (places + np.sort(above, axis=1))).mean(axis=1)
    return precisions
