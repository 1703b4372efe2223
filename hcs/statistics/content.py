"""Numbers that stand for what rows contain, to put rows into an order that does not depend on how they came."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ROWS_AT_ONCE = 1024


def content_keys(values: NDArray[np.floating]) -> NDArray[np.uint64]:
    """Return 64 bits of every row's content, (N,), in whole-number arithmetic, which has no rounding.

    Equal rows have equal keys; two others share one by a chance in billions, and then keep the order they came in.

    Args:
        values: (N, D), finite; a value in float32 and the same in float64 are equal.
    """
    weights = np.random.default_rng(0).integers(0, 1 << 63, values.shape[1], dtype=np.uint64) * np.uint64(2)
    weights += np.uint64(1)
    keys = np.empty(len(values), dtype=np.uint64)
    for start in range(0, len(values), _ROWS_AT_ONCE):
        # Adding 0.0 turns -0.0 into 0.0, which compares equal to it.
        bits = (values[start : start + _ROWS_AT_ONCE].astype(np.float64, order="C") + 0.0).view(np.uint64)
        # Low bits of a double are mostly zero, and a product hands bits upwards only.
        bits = (bits ^ (bits >> np.uint64(32))) * weights
        keys[start : start + _ROWS_AT_ONCE] = (bits ^ (bits >> np.uint64(29))).sum(axis=1, dtype=np.uint64)
    return keys
