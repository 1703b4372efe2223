"""Cosine similarity, and ranks that rounding cannot split."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TIE_TOLERANCE = 1e-9
"""Similarities closer than this are equal: far above rounding (1e-15), far below any difference between wells."""


def unit_rows(
    profiles: NDArray[np.float64], *, negligible: float | NDArray[np.float64] = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return every row at length 1, and the lengths.

    Args:
        profiles: (N, D), finite.
        negligible: Length up to which a row counts as zero, one number or one a row. A zero row has no direction: it
            stays zero, so its cosine similarity to everything is 0.

    Returns:
        (N, D) float64, and the lengths (N,) float64 with 0 for a zero row.
    """
    lengths = _lengths(profiles)
    lengths = np.where(lengths <= negligible, 0.0, lengths)
    return profiles * _inverse(lengths)[:, None], lengths


def cosines(queries: NDArray[np.float64], profiles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cosine similarity of every query to every profile, (Q, N); 0 to a row of zeros.

    Args:
        queries: (Q, D), finite.
        profiles: (N, D), finite, of which no copy is made.
    """
    products = queries @ profiles.T
    products *= _inverse(_lengths(queries))[:, None]
    products *= _inverse(_lengths(profiles))
    return np.clip(products, -1.0, 1.0, out=products)


def _lengths(profiles: NDArray[np.float64]) -> NDArray[np.float64]:
    # einsum adds each row by itself, so a row's length does not depend on its neighbours.
    lengths: NDArray[np.float64] = np.sqrt(np.einsum("nd,nd->n", profiles, profiles))
    return lengths


def _inverse(lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)


def descending_ranks(values: NDArray[np.float64], *, tolerance: float = TIE_TOLERANCE) -> NDArray[np.int32]:
    """Return the dense rank of every value in its row, 0 for the largest.

    Values that a chain of gaps of at most `tolerance` connects share a rank, so the last bits of a similarity, which
    depend on the order of summation, decide nothing.

    Args:
        values: (Q, N), without NaN.
        tolerance: In the units of `values`.

    Returns:
        (Q, N) int32.
    """
    order = np.argsort(-values, axis=1, kind="stable")
    in_order = np.take_along_axis(values, order, axis=1)
    starts_a_rank = in_order[:, :-1] - in_order[:, 1:] > tolerance
    ranks = np.zeros(values.shape, dtype=np.int32)
    np.cumsum(starts_a_rank, axis=1, out=ranks[:, 1:])
    result = np.empty_like(ranks)
    np.put_along_axis(result, order, ranks, axis=1)
    return result
