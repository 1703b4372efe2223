"""p-values of labels against rankings drawn at random, as copairs has them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.configuration_null import NULL_SIZE, null_average_precisions


class RankNull:
    """p-values of means of average precisions as copairs has them, each configuration drawn once.

    p is (1 + draws that exceed the mean) over (1 + draws). A draw is the mean of one draw a row, which is the same draw
    for rows with equal numbers; that makes the p-value of several rows larger than it need be, and that of a perfect
    score 1 / (1 + draws) in every layout (`hcs.statistics.label_permutation` has neither).
    """

    def __init__(self, *, seed: int, size: int = NULL_SIZE) -> None:
        """Take the seed of the run, and how many draws each configuration gets."""
        self._seed, self._size = seed, size

    def p_value(self, mean_precision: float, n_positives: NDArray[np.intp], n_candidates: NDArray[np.intp]) -> float:
        """Return the p-value of a mean over rows with these numbers of positives and candidates, (R,) each."""
        pairs, counts = np.unique(np.stack([n_positives, n_candidates], axis=1), axis=0, return_counts=True)
        null = np.zeros(self._size)
        for (positives, candidates), count in zip(pairs.tolist(), counts.tolist(), strict=True):
            drawn = null_average_precisions(positives, candidates, size=self._size, seed=self._seed)
            null += drawn.astype(np.float64) * (count / len(n_positives))
        return (1 + int((null > mean_precision).sum())) / (1 + self._size)
