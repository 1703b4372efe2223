"""One row for every group of rows, computed for many groups of one size at once.

Groups of m rows are gathered as a stack (G, m, D), a slice of them at a time, so that a loop runs over sizes and slices
and not over groups. For up to a dozen rows, sorting is a fixed list of comparisons of whole slices.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.threads import on_threads

_VALUES_AT_ONCE = 1 << 17
"""Of one slice: small enough to stay in a core's cache with what is computed of it."""

_MOST_COMPARED = 12
"""Rows of a group; more are sorted column by column."""

Reduction = Callable[[NDArray[np.floating], NDArray[np.intp]], NDArray[np.floating]]
"""From a stack (G, m, D) and the rows that it was gathered from (G, m) to one row a group (G, D)."""


def reduce_groups(
    profiles: NDArray[np.floating],
    order: NDArray[np.intp],
    starts: NDArray[np.intp],
    *,
    reduction: Reduction,
    dtype: np.dtype[np.floating] | type[np.floating] | None = None,
    n_threads: int | None = None,
) -> NDArray[np.floating]:
    """Return one row a group.

    Args:
        profiles: (W, D).
        order: (N,), rows, one group after the other.
        starts: (G + 1,), where in `order` each group begins, and the end; no group is empty.
        reduction: What is made of a stack; its result for a group depends on that group alone.
        dtype: Of the result; default that of the profiles.
        n_threads: None is one for every core. The result is the same bits for any number.

    Returns:
        (G, D), in the order of the groups.
    """
    reduced = np.empty((len(starts) - 1, profiles.shape[1]), dtype=dtype or profiles.dtype)
    sizes = np.diff(starts)

    def reduce(groups: NDArray[np.intp]) -> None:
        rows = order[starts[groups][:, None] + np.arange(sizes[groups[0]])]
        reduced[groups] = reduction(profiles[rows], rows)

    on_threads(reduce, _slices(sizes, profiles.shape[1]), n_threads=n_threads)
    return reduced


def _slices(sizes: NDArray[np.intp], n_features: int) -> list[NDArray[np.intp]]:
    """Return groups that have one size, a few at a time."""
    slices: list[NDArray[np.intp]] = []
    for size in np.unique(sizes):
        groups = np.flatnonzero(sizes == size)
        at_once = max(1, _VALUES_AT_ONCE // max(int(size) * n_features, 1))
        bounds = [*range(0, len(groups), at_once), len(groups)]
        slices += [groups[low:high] for low, high in pairwise(bounds)]
    return slices


def sorted_rows(stack: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return every group's values of a feature in rising order, NaN last: (G, m, D)."""
    if stack.shape[1] > _MOST_COMPARED or np.isnan(stack).any():
        return np.sort(stack, axis=1)
    rows = [stack[:, place].copy() for place in range(stack.shape[1])]
    spare = np.empty_like(rows[0])
    for last in range(len(rows) - 1, 0, -1):
        for place in range(last):
            low = np.minimum(rows[place], rows[place + 1], out=spare)
            np.maximum(rows[place], rows[place + 1], out=rows[place + 1])
            rows[place], spare = low, rows[place]
    return np.stack(rows, axis=1)


def median(stack: NDArray[np.floating], _: NDArray[np.intp] | None = None) -> NDArray[np.floating]:
    """Return the median of every group, (G, D), missing values left out; NaN where all are missing."""
    ordered = sorted_rows(stack)
    m = ordered.shape[1]
    if np.isnan(ordered[:, -1]).any():
        n = (~np.isnan(ordered)).sum(axis=1, keepdims=True)
        low, high = (
            np.take_along_axis(ordered, np.clip(place, 0, m - 1), axis=1)[:, 0].astype(np.float64)
            for place in ((n - 1) // 2, n // 2)
        )
    elif m % 2:
        return ordered[:, m // 2]
    else:
        low, high = (ordered[:, place].astype(np.float64) for place in (m // 2 - 1, m // 2))
    middle: NDArray[np.float64] = (low + high) / 2.0
    return middle


def mean(stack: NDArray[np.floating], _: NDArray[np.intp] | None = None) -> NDArray[np.floating]:
    """Return the mean of every group, (G, D), float64, missing values left out; NaN where all are missing."""
    total = stack.sum(axis=1, dtype=np.float64)
    n: NDArray[np.intp] | int = stack.shape[1]
    if np.isnan(total).any():
        n, total = (~np.isnan(stack)).sum(axis=1), np.nansum(stack, axis=1, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        middle: NDArray[np.float64] = total / n
    return middle


def weighted_mean_within(
    stack: NDArray[np.floating], weights: NDArray[np.float64], *, cut: float
) -> NDArray[np.floating]:
    """Return the weighted mean of what is left when a share of a group's weight is cut off at either end, (G, D).

    A value on the border counts with the part of its weight that lies inside. `cut` 0 is the weighted mean; with equal
    weights and a whole number of rows to cut it is the trimmed mean.

    Args:
        stack: (G, m, D). Missing values are left out, with their weights.
        weights: (G, m), not negative.
        cut: At either end, below 0.5.
    """
    order, ends = _cumulative(stack, weights)
    ordered = np.take_along_axis(stack, order, axis=1).astype(np.float64)
    total = ends[:, -1:]
    inside = np.clip(ends, cut * total, (1 - cut) * total)
    share = np.diff(inside, axis=1, prepend=cut * total)
    ordered[np.isnan(ordered)] = 0.0
    with np.errstate(invalid="ignore", divide="ignore"):
        middle: NDArray[np.float64] = (share * ordered).sum(axis=1) / share.sum(axis=1)
    return middle


def weighted_median(stack: NDArray[np.floating], weights: NDArray[np.float64]) -> NDArray[np.floating]:
    """Return the value with half of the group's weight on either side, (G, D); between two, their mean.

    Args:
        stack: (G, m, D). Missing values are left out, with their weights; a weight of 0 counts for nothing.
        weights: (G, m), not negative.
    """
    order, ends = _cumulative(stack, weights)
    ordered = np.take_along_axis(stack, order, axis=1).astype(np.float64)
    half = ends[:, -1:] / 2.0
    rounding = 1e-12 * half
    low, high = (
        np.take_along_axis(ordered, np.argmax(reached, axis=1)[:, None], axis=1)[:, 0]
        for reached in (ends >= half - rounding, ends > half + rounding)
    )
    return np.where(half[:, 0] > 0, (low + high) / 2.0, np.nan)


def _cumulative(
    stack: NDArray[np.floating], weights: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the places of each feature's values in rising order, and the weight up to and with each, (G, m, D)."""
    order = np.argsort(stack, axis=1, kind="stable")
    counted = np.where(np.isnan(stack), 0.0, weights[:, :, None])
    return order, np.cumsum(np.take_along_axis(counted, order, axis=1), axis=1)
