"""One half of every plate's negative controls to fit on, the other to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray


def half_of_controls(
    values: NDArray[np.floating],
    *,
    wells: Sequence[str],
    plates: NDArray[np.integer],
    is_negcon: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Return which negative controls a correction may be fitted on: half of each plate's, rounded down.

    Wells are chosen by a hash of their name and values, and never of a plate's name: renamed plates, another order of
    the rows and further plates change nothing.

    Args:
        values: (W, D); 0.1 in float32 and in float64 are different values.
        wells: (W,), names as A01.
        plates: (W,), any integers.
        is_negcon: (W,).

    Returns:
        (W,).
    """
    is_fitted = np.zeros(len(values), dtype=np.bool_)
    for plate in np.unique(plates[is_negcon]):
        controls = np.flatnonzero(is_negcon & (plates == plate))
        digests = [_digest(wells[int(row)], values[row]) for row in controls]
        order = sorted(range(len(controls)), key=digests.__getitem__)
        is_fitted[controls[order[: len(controls) // 2]]] = True
    return is_fitted


def _digest(well: str, row: NDArray[np.floating]) -> bytes:
    # Adding 0.0 turns -0.0 into 0.0: the two compare equal but have other bytes.
    content = np.ascontiguousarray(row, dtype=np.float64) + 0.0
    return blake2b(well.encode() + b"\0" + content.tobytes(), digest_size=16).digest()
