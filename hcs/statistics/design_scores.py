"""What a design scores: by how much the dealt wells resemble one another more than the rest of their plates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.pool import CentredPool
from hcs.statistics.similarity import TIE_TOLERANCE


class DesignScores:
    """Scores any number of designs of one pool from two tables that are made once.

    The negatives of a dealt well are the wells of its plate that were not dealt, so their mean similarity to it is the
    plate's sum less that of the dealt ones, over their number: a term of each well, less one of each dealt pair.
    """

    def __init__(self, pool: CentredPool) -> None:
        is_same_plate = pool.plates[:, None] == pool.plates[None, :]
        n_negatives = (np.array(pool.layout.n_wells) - np.array(pool.layout.n_drawn))[pool.plates]
        on_plate = pool.similarities * is_same_plate / n_negatives[:, None]
        self._of_pairs = pool.similarities / (sum(pool.layout.n_drawn) - 1) + on_plate
        self._of_wells = on_plate.sum(axis=1)

    def contrasts(self, designs: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return mean positive minus mean negative similarity, averaged over dealt wells: (B,) for designs (B, R)."""
        pairs = self._of_pairs[designs[:, :, None], designs[:, None, :]].sum(axis=(1, 2))
        return np.asarray((pairs - self._of_wells[designs].sum(axis=1)) / designs.shape[1])

    def at_least(self, designs: NDArray[np.int32], contrast: float) -> NDArray[np.bool_]:
        """Return which designs score at least this high, (B,); what is tied but for rounding does."""
        return np.asarray(self.contrasts(designs) >= contrast - TIE_TOLERANCE)
