"""Normal scores by G. Blom 1958, Statistical Estimates and Transformed Beta-Variables."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

_OFFSET = 3.0 / 8.0


def blom_scores(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the normal score of every value's rank in its column, ties at their mean rank, in the values' dtype.

    Args:
        values: (N, D), finite, N at least 1.
    """
    scores = np.empty_like(values)
    for feature in range(values.shape[1]):
        ranks = rankdata(values[:, feature])
        scores[:, feature] = ndtri((ranks - _OFFSET) / (len(values) + 1.0 - 2.0 * _OFFSET))
    return scores
