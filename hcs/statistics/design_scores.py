"""What a design scores: how much the wells that are dealt to the treatment agree with each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.pool import CentredPool
from hcs.statistics.similarity import TIE_TOLERANCE


def agreements(pool: CentredPool, designs: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the mean similarity of two dealt wells of every design, (B,) for designs (B, R)."""
    n_pairs = designs.shape[1] * (designs.shape[1] - 1)
    sums = pool.similarities[designs[:, :, None], designs[:, None, :]].sum(axis=(1, 2))
    return np.asarray(sums / n_pairs)


def at_least(pool: CentredPool, designs: NDArray[np.int32], *, agreement: float) -> NDArray[np.bool_]:
    """Return which designs agree at least this much, (B,); rounding decides no tie against the treatment's favour."""
    is_at_least: NDArray[np.bool_] = agreements(pool, designs) >= agreement - TIE_TOLERANCE
    return is_at_least
