"""One profile from the blocks of several encoders."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError


def combine_blocks(
    blocks: Mapping[str, NDArray[np.float64]], *, is_reference: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the encoders' blocks side by side, each with the same weight.

    A block is divided by the root mean square length of its reference rows, so that each gives the same share of a
    squared distance there, however many features it has.

    Args:
        blocks: Encoder -> (W, k), rows of the same wells.
        is_reference: (W,), the wells whose mean square length becomes 1. A block that is 0 in all of them stays as it
            is.

    Returns:
        (W, sum of k), float64, blocks in the order of their encoders' names. A block's scale is the same bits for any
        order of the wells.

    Raises:
        InputRejectedError: If there is no block, or blocks have different numbers of wells.
    """
    heights = {len(block) for block in blocks.values()}
    if heights != {len(is_reference)}:
        raise InputRejectedError(
            f"blocks of the same {len(is_reference)} wells are expected, but blocks with {sorted(heights)} wells came"
        )
    return np.hstack([blocks[name] / (_typical_length(blocks[name][is_reference]) or 1.0) for name in sorted(blocks)])


def _typical_length(rows: NDArray[np.float64]) -> float:
    """Return the root mean square length of the rows. fsum is exact, hence the same for any order of them."""
    squares = (np.ascontiguousarray(rows) ** 2).sum(axis=1)
    return math.sqrt(math.fsum(squares.tolist()) / max(len(squares), 1))
