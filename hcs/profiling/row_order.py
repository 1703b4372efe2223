"""An order of wells that follows from their content, so that sums do not depend on names or on how rows arrived.

Adding floats in another order changes the last bits, and an eigenvector amplifies them. Every reduction over wells runs
in this order instead of the order of names or of the table.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray


def order_by_content(values: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows in an order of their content, and where each row's content first stands in it.

    Rows of the same content are interchangeable. `values[order]` is the same matrix for any order of the rows, and
    `computed[position]` brings a result that was computed for each row of `values[order]` back to the rows of
    `values`, equal rows getting the same bits.

    Args:
        values: (W, D), finite.

    Returns:
        `order`, (W,), and `position`, (W,).
    """
    digests = [_digest(row) for row in np.ascontiguousarray(values, dtype=np.float64)]
    order = sorted(range(len(digests)), key=digests.__getitem__)
    first: dict[bytes, int] = {}
    for place, row in enumerate(order):
        first.setdefault(digests[row], place)
    return np.array(order, dtype=np.intp), np.array([first[digest] for digest in digests], dtype=np.intp)


def _digest(row: NDArray[np.float64]) -> bytes:
    # Adding 0.0 turns -0.0 into 0.0: the two compare equal but have other bytes.
    return blake2b((row + 0.0).tobytes(), digest_size=16).digest()
