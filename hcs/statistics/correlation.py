"""Pearson correlation of every two features, fast in float32, where a decision is close in float64."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.scales import centre_and_scale

ERROR = 1e-5
"""Correlations of float32 are off by less: products of at most 1,024 rows at a time are added up in float64."""

_ROWS_AT_ONCE = 1024
_ROUNDING = 1e-12
"""Deviations below this share of the largest value come from adding floats."""
_FAR = 100.0
"""A feature whose mean is more standard deviations than this from 0 keeps too few digits in float32."""
_SQUARES_OF_FLOAT32 = (1e-24, 1e24)
"""Mean squares outside could leave the range of float32 in a sum of products."""


class Correlations:
    """Correlations of D features over N rows.

    Missing values, infinite ones too, are left out pair by pair. The correlation of a constant feature with any other
    is 0.
    """

    def __init__(self, values: NDArray[np.floating], *, features: NDArray[np.intp] | None = None) -> None:
        """Compute them to `ERROR`.

        Args:
            values: (N, D').
            features: (D,), the columns to look at; default all.
        """
        self._values = values
        self._features = np.arange(values.shape[1]) if features is None else features
        self._takes_all = np.array_equal(self._features, np.arange(values.shape[1]))
        with np.errstate(invalid="ignore", over="ignore"):
            total = values.sum(axis=0, dtype=np.float64)[self._features]
        self.is_exact = not bool(np.isfinite(total).all())
        """Whether `matrix` is float64 already: where values are missing, the fast way is closed."""
        if self.is_exact:
            self.matrix = _pairwise_complete(values[:, self._features])
            return
        self._mean = total / len(values)
        self.matrix, doubtful = self._from_float32()
        if len(doubtful):
            self.matrix[doubtful] = self.exact_rows(doubtful)
            self.matrix[:, doubtful] = self.matrix[doubtful].T

    def exact_rows(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the correlations of these of the D features with all of them, (R, D), from float64 throughout."""
        if self.is_exact:
            return self.matrix[rows]
        n_features = len(self._features)
        products, squares, largest = np.zeros((len(rows), n_features)), np.zeros(n_features), np.zeros(n_features)
        for chunk in self._centred(np.float64):
            products += chunk[:, rows].T @ chunk
            squares += np.einsum("nd,nd->d", chunk, chunk)
            largest = np.maximum(largest, np.maximum(chunk.max(axis=0), -chunk.min(axis=0)))
        one_over = _one_over(squares, n_rows=len(self._values), largest=largest + np.abs(self._mean))
        return products * one_over[rows][:, None] * one_over

    def _from_float32(self) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """Return all correlations from products of float32, and the features for which these are not enough.

        A product of two features is as exact as either of them, whatever their units, so nothing is standardized first.
        """
        n_features = len(self._features)
        products, squares = np.zeros((n_features, n_features)), np.zeros(n_features)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            for chunk in self._centred(np.float32):
                products += chunk.T @ chunk
                # An error here would be one of all correlations of a feature, which add up in their sum.
                squares += np.einsum("nd,nd->d", chunk, chunk, dtype=np.float64)
        squares /= len(self._values)
        smallest, largest = _SQUARES_OF_FLOAT32
        is_safe = (squares > smallest) & (squares < largest)
        squares = np.where(is_safe, squares, 1.0)
        is_safe &= np.abs(self._mean) < _FAR * np.sqrt(squares)
        one_over = 1.0 / np.sqrt(squares * len(self._values))
        with np.errstate(over="ignore", invalid="ignore"):
            products *= one_over[:, None]
            products *= one_over
        np.fill_diagonal(products, 1.0)
        return products, np.flatnonzero(~is_safe)

    def _centred(self, dtype: type[np.floating]) -> Iterator[NDArray[np.floating]]:
        mean = self._mean.astype(dtype)
        for start in range(0, len(self._values), _ROWS_AT_ONCE):
            chunk = self._values[start : start + _ROWS_AT_ONCE]
            chosen = chunk if self._takes_all else chunk[:, self._features]
            yield np.subtract(chosen, mean, dtype=dtype, casting="same_kind")


def _one_over(squares: NDArray[np.float64], *, n_rows: int, largest: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return one over the lengths of centred features, 0 for what does not vary beyond rounding."""
    length = np.sqrt(squares)
    varies = length > _ROUNDING * np.sqrt(n_rows) * largest
    return np.where(varies, 1.0 / np.where(varies, length, 1.0), 0.0)


def _pairwise_complete(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the correlation of every two features over the rows where both are finite, (D, D); 0 where there is none.

    The sums over such rows are matrix products with the mask of what is there, in units of each column's own spread and
    about its own mean, where they lose nothing.
    """
    d = values.shape[1]
    mean, spread = _of_finite(values)
    n, total, squares, products = (np.zeros((d, d)) for _ in range(4))
    for start in range(0, len(values), _ROWS_AT_ONCE):
        chunk = values[start : start + _ROWS_AT_ONCE]
        mask = np.isfinite(chunk)
        centred = np.where(mask, (chunk - mean) / spread, 0.0)
        is_there = mask.astype(np.float64)
        n += is_there.T @ is_there
        total += centred.T @ is_there
        squares += (centred**2).T @ is_there
        products += centred.T @ centred
    n = np.maximum(n, 1.0)
    deviation = squares - total**2 / n
    varies = np.minimum(deviation, deviation.T) > _ROUNDING * n
    length = np.sqrt(np.where(varies, deviation * deviation.T, 1.0))
    return np.where(varies, np.clip((products - total * total.T / n) / length, -1.0, 1.0), 0.0)


def _of_finite(values: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean and the standard deviation of every feature's finite values; 0 and 1 where there is none."""
    gaps = np.where(np.isfinite(values), values, np.nan)
    mean, spread = centre_and_scale(gaps, scaling="standardize")
    return np.nan_to_num(mean), np.where(spread > 0, spread, 1.0)


def redundant_features(correlations: Correlations, *, threshold: float) -> NDArray[np.intp]:
    """Return for every feature the one that makes it redundant, (D,), or -1.

    Of every two features that correlate above the threshold, the one with the larger sum of absolute correlations with
    all features is redundant, whatever becomes of the other: pycytominer's rule, which is not greedy. The sign counts,
    so opposites are both kept. Where the sums are equal, the later feature is redundant.
    """
    close = np.tril(correlations.matrix > threshold - ERROR, k=-1)
    later, earlier = np.nonzero(close)
    sums, is_above = _decisions(correlations, later, earlier, threshold=threshold)
    later, earlier = later[is_above], earlier[is_above]
    # Duplicates have the same sum but for the last bits.
    drops_later = sums[later] >= sums[earlier] * (1.0 - _ROUNDING)
    partner = np.full(len(correlations.matrix), -1, dtype=np.intp)
    # Written backwards, so that the first partner of several stays.
    partner[later[drops_later][::-1]] = earlier[drops_later][::-1]
    partner[earlier[~drops_later][::-1]] = later[~drops_later][::-1]
    return partner


def _decisions(
    correlations: Correlations,
    later: NDArray[np.intp],
    earlier: NDArray[np.intp],
    *,
    threshold: float,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return every feature's sum of absolute correlations, and which pairs are above the threshold.

    Exact for every pair that float32 cannot decide: too close to the threshold, or with sums too close to each other.
    The errors of a feature's correlations are those of as many sums of products, so they grow in its sum as the root of
    their number.
    """
    sums = np.abs(correlations.matrix).sum(axis=0)
    r = correlations.matrix[later, earlier]
    if correlations.is_exact or not len(later):
        return sums, r > threshold
    is_close = (np.abs(r - threshold) < ERROR) | (np.abs(sums[later] - sums[earlier]) < ERROR * np.sqrt(len(sums)))
    doubtful = np.unique(np.concatenate([later[is_close], earlier[is_close]]))
    exact = correlations.exact_rows(doubtful)
    sums[doubtful] = np.abs(exact).sum(axis=1)
    place = np.searchsorted(doubtful, later[is_close])
    r = r.copy()
    r[is_close] = exact[place, earlier[is_close]]
    return sums, r > threshold
