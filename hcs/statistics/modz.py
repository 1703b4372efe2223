"""The moderated consensus (MODZ) of replicates: those that agree with the others weigh more.

Subramanian et al. (2017, Cell 171:1437), with the conventions of pycytominer: Spearman correlation of every pair of
replicates, negative ones as 0, the mean over the others, at least 0.01, and weights of sum 1 rounded to 4 decimals.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SMALLEST_WEIGHT = 0.01
WEIGHT_DECIMALS = 4

_PLACE_BITS = 29
"""Bits of a float64 that a float32 leaves 0."""


def modz(stack: NDArray[np.floating], _: NDArray[np.intp] | None = None) -> NDArray[np.floating]:
    """Return the weighted sum of every group's replicates, (G, D), float64; a single replicate is itself.

    Args:
        stack: (G, m, D), finite.
    """
    if stack.shape[1] == 1:
        return stack[:, 0].astype(np.float64)
    summed: NDArray[np.float64] = np.matmul(replicate_weights(stack)[:, None], stack)[:, 0]
    return summed


def replicate_weights(stack: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the rounded weight of every replicate, (G, m), m at least 2; they add up to 1 but for the rounding.

    A replicate whose features all have one value correlates with nothing and weighs nothing; if that leaves no pair to
    compare, all weigh the same.
    """
    ranks = centred_ranks(stack)
    products = ranks @ ranks.swapaxes(1, 2)
    lengths = np.sqrt(np.einsum("gmm->gm", products))
    with np.errstate(invalid="ignore", divide="ignore"):
        similarity = np.maximum(products / (lengths[:, :, None] * lengths[:, None, :]), 0.0)
    is_counted = ~(np.isnan(similarity) | np.eye(stack.shape[1], dtype=np.bool_))
    n_others = is_counted.sum(axis=2)
    agreement = np.where(is_counted, similarity, 0.0).sum(axis=2) / np.maximum(n_others, 1)
    raw = np.where(n_others, np.maximum(agreement, SMALLEST_WEIGHT), 0.0)
    raw[~raw.any(axis=1)] = 1.0
    share = raw / raw.sum(axis=1, keepdims=True)
    # Correlations of ranks are fractions of whole numbers, so a weight can lie halfway between two of 4 decimals; its
    # last bits, which depend on the order of the rows, must not decide then.
    weights: NDArray[np.float64] = np.round(np.round(share, WEIGHT_DECIMALS + 8), WEIGHT_DECIMALS)
    return weights


def centred_ranks(stack: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the ranks of every row's values, ties by their mean, less the mean rank: (..., D), float64.

    Args:
        stack: (..., D), finite.
    """
    rows = stack.reshape(-1, stack.shape[-1])
    is_short = rows.dtype == np.float32 and rows.size <= 1 << _PLACE_BITS
    places, is_tied = _places_of_float32(rows) if is_short else _places(rows)
    ranks = np.empty(rows.size)
    ranks[places.reshape(-1)] = _centred_places(is_tied)
    return ranks.reshape(stack.shape)


def _places(rows: NDArray[np.floating]) -> tuple[NDArray[np.integer], NDArray[np.bool_]]:
    """Return where in the flat matrix every row's values stand in rising order, and which equal the one before.

    Args:
        rows: (N, D).

    Returns:
        (N, D) places, and (N, D), False in the first column.
    """
    order = np.argsort(rows, axis=1)
    ordered = np.take_along_axis(rows, order, axis=1)
    is_tied = np.zeros(rows.shape, dtype=np.bool_)
    np.equal(ordered[:, 1:], ordered[:, :-1], out=is_tied[:, 1:])
    return order + rows.shape[1] * np.arange(len(rows))[:, None], is_tied


def _places_of_float32(rows: NDArray[np.float32]) -> tuple[NDArray[np.integer], NDArray[np.bool_]]:
    """Return the same of float32: sorting float64 with the place in the bits to spare takes less than sorting places.

    A place makes a value a little larger, or smaller below 0, but never as much as another value of float32.
    """
    keys = (rows + np.float32(0.0)).astype(np.float64)  # + 0.0: -0.0 and 0.0 are one value, but not the same bits
    bits = keys.view(np.uint64)
    bits |= np.arange(rows.size, dtype=np.uint64).reshape(rows.shape)
    keys.sort(axis=1)
    is_tied = np.zeros(rows.shape, dtype=np.bool_)
    np.less(bits[:, 1:] ^ bits[:, :-1], np.uint64(1 << _PLACE_BITS), out=is_tied[:, 1:])
    bits &= np.uint64((1 << _PLACE_BITS) - 1)
    return bits.view(np.int64), is_tied


def _centred_places(is_tied: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean place of each value among its equals in its row less the middle of the row, (N D,).

    Args:
        is_tied: (N, D), of rows in rising order, whether a value equals the one before.
    """
    n_rows, n_features = is_tied.shape
    middle = (n_features - 1) / 2.0
    places = np.tile(np.arange(n_features) - middle, n_rows)
    later = np.flatnonzero(is_tied)
    if not len(later):
        return places
    # Those that follow one another belong to one value, whose first place is the one before.
    begins = np.flatnonzero(np.diff(later, prepend=-1) != 1)
    times = np.diff(begins, append=len(later))
    first = later[begins] - 1
    mean = first % n_features + times / 2.0 - middle
    places[first] = mean
    places[later] = np.repeat(mean, times)
    return places
