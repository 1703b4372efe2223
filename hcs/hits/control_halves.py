"""Half of each plate's controls to fit on, and the other half to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray


def fitted_controls(
    profiles: NDArray[np.float64],
    plates: NDArray[np.integer],
    wells: Sequence[str],
    is_control: NDArray[np.bool_],
    *,
    most: int | None = None,
) -> NDArray[np.bool_]:
    """Return which controls are for fitting, (N,): on every plate one half, of an odd number the smaller half.

    The halves follow from a hash of a well's name and values. Plates have no say in it by their names, nor has the
    order of rows, so that renaming or adding plates moves no well to the other half.

    Args:
        profiles: (N, D).
        plates: (N,).
        wells: (N,), names of wells on their plate.
        is_control: (N,).
        most: On a plate; None where half of them are never too many.
    """
    fitted = np.zeros(len(plates), dtype=np.bool_)
    values = np.asarray(profiles, dtype=np.float64) + 0.0
    for plate in np.unique(plates[is_control]):
        rows = np.flatnonzero(is_control & (plates == plate)).tolist()
        digests = {row: blake2b(f"{wells[row]}\0".encode() + values[row].tobytes()).digest() for row in rows}
        fitted[sorted(rows, key=digests.__getitem__)[: min(len(rows) // 2, most or len(rows))]] = True
    return fitted
