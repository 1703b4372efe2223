"""Average precision of a query's positives ranked among its negatives, as in copairs.

Kalinin et al. 2025, Nat Commun 16:5181: the positives and negatives of a query are ranked by descending similarity and
the precision at the rank of each positive is averaged. Ties favour the positives. Only ranks enter, so pairs are never
materialised.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.similarity import descending_ranks


def average_precisions(
    similarities: NDArray[np.float64], is_positive: NDArray[np.bool_], is_negative: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the average precision of every query.

    Args:
        similarities: (Q, N), of each query to each candidate.
        is_positive: (Q, N), which candidates should rank high. A candidate that is neither is ignored.
        is_negative: (Q, N), disjoint from the positives.

    Returns:
        (Q,) float64 in (0, 1]; NaN for a query without positives or without negatives, which has no rank to speak of
        (a perfect score would be an accident of the layout).
    """
    ranks = descending_ranks(similarities)
    # By rank, positives before negatives where it ties; candidates that are neither go last, out of the way.
    order = np.lexsort((is_negative, ranks, ~(is_positive | is_negative)), axis=1)
    positives = np.take_along_axis(is_positive, order, axis=1)
    n_positives = np.cumsum(positives, axis=1)
    n_negatives = np.cumsum(np.take_along_axis(is_negative, order, axis=1), axis=1)
    precision = n_positives / np.maximum(n_positives + n_negatives, 1)
    total = np.where(positives, precision, 0.0).sum(axis=1)
    is_defined = is_positive.any(axis=1) & is_negative.any(axis=1)
    precisions = np.full(len(total), np.nan)
    np.divide(total, is_positive.sum(axis=1), out=precisions, where=is_defined)
    return precisions


def average_precision(positives: NDArray[np.float64], negatives: NDArray[np.float64]) -> float:
    """Return the average precision of one query, NaN without positives or negatives.

    Args:
        positives: (M,), similarities of the query to its positives.
        negatives: (L,), similarities to its negatives.
    """
    similarities = np.concatenate([positives, negatives])[None, :]
    is_positive = np.arange(similarities.size)[None, :] < len(positives)
    return float(average_precisions(similarities, is_positive, ~is_positive)[0])
