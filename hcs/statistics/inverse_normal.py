"""Normal scores: every feature's values by their rank, spread as a normal distribution spreads them.

The convention is pycytominer's `inverse_normal`, which is scikit-learn's quantile transformer: up to 1,000 landmarks of
the fitted values, linear between them, the mean of reading ties from below and from above, and scores beyond +-5.2 cut.
Two things that scikit-learn does are left out, since they make the result depend on a feature's unit and offset: it
moves values that lie within 1e-7 of the smallest or largest to the end of the scale, and a landmark that rounding puts
just beside tied values moves those by up to one rank. Here the rank of ties is the mean one, exactly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from hcs.statistics.ordered import sort_columns

MOST_LANDMARKS = 1000
_SMALLEST_SHARE = 1e-7
_LOWEST = float(ndtri(_SMALLEST_SHARE - np.spacing(1)))
_HIGHEST = float(ndtri(1 - (_SMALLEST_SHARE - np.spacing(1))))


def inverse_normal(values: NDArray[np.floating], *, is_fitted: NDArray[np.bool_] | None = None) -> NDArray[np.floating]:
    """Return the normal score of every value, in the dtype of the values; NaN stays NaN.

    Args:
        values: (N, D).
        is_fitted: (N,), rows whose values are ranked, at least one; the others are read off between them. Default all.

    Returns:
        (N, D). A feature that is constant in the fitted rows gets the ends of the scale and no middle.
    """
    everywhere = is_fitted is None or bool(is_fitted.all())
    columns = np.ascontiguousarray(values.T)
    if everywhere and len(values) <= MOST_LANDMARKS and not np.isnan(columns).any():
        return np.ascontiguousarray(_scores_of_ranks(columns).T)
    fitted = values if is_fitted is None else values[is_fitted]
    landmarks = _landmarks(fitted)
    scores = np.empty_like(columns)
    for feature, column in enumerate(columns):
        scores[feature] = _scores_between(column, landmarks[feature])
    return np.ascontiguousarray(scores.T)


def _scores_of_ranks(columns: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the scores of values that all are landmarks: twice the mean rank of ties is a whole number."""
    n = columns.shape[1]
    order = np.argsort(columns, axis=1)
    ordered = np.take_along_axis(columns, order, axis=1)
    is_new = ordered[:, 1:] != ordered[:, :-1]
    of_twice_rank = _score(np.arange(2 * n - 1) / max(2 * (n - 1), 1)).astype(columns.dtype)
    scores = np.empty_like(columns)
    if is_new.all():
        np.put_along_axis(scores, order, of_twice_rank[None, ::2], axis=1)
        return scores
    rank = np.arange(n, dtype=np.int32)
    first = np.zeros(columns.shape, dtype=np.int32)
    first[:, 1:] = np.where(is_new, rank[1:], 0)
    np.maximum.accumulate(first, axis=1, out=first)
    last = np.full(columns.shape, n - 1, dtype=np.int32)
    last[:, :-1] = np.where(is_new, rank[:-1], n - 1)
    last = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
    twice = np.where(first == 0, 0, np.where(last == n - 1, 2 * (n - 1), first + last))
    np.put_along_axis(scores, order, of_twice_rank[twice], axis=1)
    return scores


def _landmarks(fitted: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the values at equal steps of rank, (D, L), rising."""
    columns = sort_columns(fitted)
    is_whole = (columns.n_measured == len(fitted)) & (len(fitted) <= MOST_LANDMARKS)
    if is_whole.all():
        return columns.values.astype(np.float64)
    shares = np.linspace(0.0, 1.0, min(MOST_LANDMARKS, len(fitted)))
    landmarks = np.stack([columns.quantile(share) for share in shares], axis=1)
    landmarks = np.maximum.accumulate(landmarks, axis=1)
    # At whole ranks the landmarks are the values, from which interpolation is off by rounding.
    if is_whole.any():
        landmarks[is_whole] = columns.values[is_whole]
    return landmarks


def _scores_between(column: NDArray[np.floating], landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
    values = column.astype(np.float64)
    shares = np.linspace(0.0, 1.0, len(landmarks))
    from_below = np.interp(values, landmarks, shares)
    from_above = np.interp(-values, -landmarks[::-1], -shares[::-1])
    share = (from_below - from_above) / 2.0
    share[values >= landmarks[-1]] = 1.0
    share[values <= landmarks[0]] = 0.0
    share[np.isnan(values)] = np.nan
    return _score(share)


def _score(share: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip(ndtri(share), _LOWEST, _HIGHEST)
