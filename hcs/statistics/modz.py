"""The moderated consensus (MODZ) of replicates: those that agree with the others weigh more.

Subramanian et al. (2017, Cell 171:1437), with the conventions of pycytominer: Spearman correlation of every pair of
replicates, negative ones as 0, the mean over the others, at least 0.01, and weights of sum 1 rounded to 4 decimals.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SMALLEST_WEIGHT = 0.01
WEIGHT_DECIMALS = 4


def modz(stack: NDArray[np.floating], _: NDArray[np.intp] | None = None) -> NDArray[np.floating]:
    """Return the weighted sum of every group's replicates, (G, D), float64; a single replicate is itself.

    Args:
        stack: (G, m, D), finite.
    """
    if stack.shape[1] == 1:
        return stack[:, 0].astype(np.float64)
    summed: NDArray[np.float64] = np.einsum("gm,gmd->gd", replicate_weights(stack), stack)
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
    places, is_tied = _places_of_float32(rows) if rows.dtype == np.float32 else _places(rows)
    ranks = np.empty(rows.size)
    ranks[places] = _mean_places(is_tied) - (rows.shape[1] - 1) / 2.0
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
    return order + rows.shape[1] * np.arange(len(rows))[:, None], _equals_the_one_before(ordered)


def _places_of_float32(rows: NDArray[np.floating]) -> tuple[NDArray[np.integer], NDArray[np.bool_]]:
    """Return the same of float32: sorting whole numbers made of value and place takes less than sorting places."""
    keys = np.empty(rows.shape, dtype="<i8")
    halves = keys.view("<i4").reshape(*rows.shape, 2)
    halves[..., 0] = np.arange(rows.size).reshape(rows.shape)
    bits = (rows + np.float32(0.0)).view(np.int32)  # + 0.0: -0.0 and 0.0 are one value, but not the same bits
    # The bits of negative floats fall with their value; these rise.
    np.bitwise_xor(bits, (bits >> 31) & np.int32(0x7FFFFFFF), out=halves[..., 1])
    keys.sort(axis=1)
    return halves[..., 0], _equals_the_one_before(halves[..., 1])


def _equals_the_one_before(ordered: NDArray[np.generic]) -> NDArray[np.bool_]:
    equal = np.zeros(ordered.shape, dtype=np.bool_)
    np.equal(ordered[:, 1:], ordered[:, :-1], out=equal[:, 1:])
    return equal


def _mean_places(is_tied: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean place of each value among its equals in its row, of rows in rising order; (N, D), or (D,) of all.

    Args:
        is_tied: (N, D), whether a value equals the one before in its row.
    """
    n_features = is_tied.shape[1]
    if not is_tied.any():
        return np.arange(n_features, dtype=np.float64)
    first = np.flatnonzero(~is_tied)
    length = np.diff(first, append=is_tied.size)
    return np.repeat(first % n_features + (length - 1) / 2.0, length).reshape(is_tied.shape)
