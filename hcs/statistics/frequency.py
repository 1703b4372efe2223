"""How often the commonest values of a feature come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.threads import on_threads

_FEATURES_AT_ONCE = 32

_BUCKETS = 1 << 16


@dataclass(frozen=True)
class ValueFrequencies:
    """Of D features, missing values not counted."""

    ratio: NDArray[np.float64]
    """(D,), how often the second commonest value comes, to the commonest; 0 where there are fewer than two values."""
    n_distinct: NDArray[np.intp]
    """(D,)."""


def value_frequencies(
    values: NDArray[np.floating], features: NDArray[np.intp], *, n_threads: int | None = None
) -> ValueFrequencies:
    """Return how values of these columns repeat.

    Args:
        values: (N, D').
        features: (D,).
        n_threads: None is one for every core.
    """

    def count(start: int) -> list[tuple[float, int]]:
        columns = np.ascontiguousarray(values[:, features[start : start + _FEATURES_AT_ONCE]].T)
        columns.sort(axis=1)
        return [_of_column(column) for column in columns]

    counted = on_threads(count, range(0, len(features), _FEATURES_AT_ONCE), n_threads=n_threads)
    flat = [of_feature for block in counted for of_feature in block]
    return ValueFrequencies(np.array([ratio for ratio, _ in flat]), np.array([n for _, n in flat], dtype=np.intp))


def _of_column(ordered: NDArray[np.floating]) -> tuple[float, int]:
    """Return the ratio and the number of distinct values of a sorted column, NaN last."""
    if np.isnan(ordered[-1:]).any():
        ordered = ordered[: int(np.searchsorted(ordered, np.nan))]
    repeats = np.flatnonzero(ordered[1:] == ordered[:-1])
    n_distinct = len(ordered) - len(repeats)
    if n_distinct < 2:
        return 0.0, n_distinct
    if not len(repeats):
        return 1.0, n_distinct
    # Repeats that follow one another belong to one value; a value without any comes once.
    ends = np.flatnonzero(np.diff(repeats, append=-1) != 1)
    times = np.diff(ends, prepend=-1) + 1
    first = int(times.max())
    times[times.argmax()] = 1
    return int(times.max()) / first, n_distinct


def surely_varied(
    values: NDArray[np.floating],
    features: NDArray[np.intp],
    *,
    ratio: float,
    distinct: float,
    n_threads: int | None = None,
) -> NDArray[np.bool_]:
    """Return which of these columns surely repeat no value so often that it matters, (D,), far sooner than by counting.

    Values are put into buckets by the last bits of their float32 form. Equal values share a bucket, so that no value
    comes more often than the fullest bucket holds, and there are at least as many values as there are buckets in use.

    Args:
        values: (N, D').
        features: (D,).
        ratio: The second commonest value must come at least this many times as often as the commonest.
        distinct: The share of distinct values among the rows must be at least this.
        n_threads: None is one for every core.

    Returns:
        False says nothing: `value_frequencies` tells.
    """

    def look(start: int) -> list[bool]:
        with np.errstate(over="ignore"):
            columns = values[:, features[start : start + _FEATURES_AT_ONCE]].T.astype("<f4", order="C")
        buckets = columns.view("<u2").reshape(*columns.shape, 2)[..., 0]
        return [
            _is_surely_varied(of_feature, ratio=ratio, distinct=distinct) and not np.isnan(column).any()
            for column, of_feature in zip(columns, buckets, strict=True)
        ]

    looked = on_threads(look, range(0, len(features), _FEATURES_AT_ONCE), n_threads=n_threads)
    return np.array([is_varied for block in looked for is_varied in block], dtype=np.bool_)


def _is_surely_varied(buckets: NDArray[np.uint16], *, ratio: float, distinct: float) -> bool:
    held = np.bincount(buckets, minlength=_BUCKETS)
    in_use = int(np.count_nonzero(held))
    return in_use >= 2 and 1.0 / int(held.max()) >= ratio and in_use / len(buckets) >= distinct
