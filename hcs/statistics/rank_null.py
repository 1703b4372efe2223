"""The null distribution of average precision when ranks are drawn at random, as copairs has it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.designs import Layout, draw_designs

NULL_SIZE = 10_000


def random_average_precisions(
    *, n_positives: int, n_candidates: int, seed: int, size: int = NULL_SIZE
) -> NDArray[np.float32]:
    """Return average precisions of positives that stand at random among their candidates, (size,) float32.

    The draws follow from the seed and the two numbers alone, so that what is asked beside them changes nothing. They
    have single precision, as those of copairs: a score that equals one of them is then judged alike.

    Args:
        n_positives: At least 1.
        n_candidates: Positives and negatives.
        seed: Of the run.
        size: Draws.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, n_positives, n_candidates]))
    places = np.sort(draw_designs(Layout((n_candidates,), (n_positives,)), size, rng), axis=1) + 1
    precision = np.arange(1, n_positives + 1, dtype=np.float32) / places.astype(np.float32)
    return np.asarray(precision.sum(axis=1) / np.float32(n_positives), dtype=np.float32)


class RankNull:
    """p-values of means of average precisions as copairs has them, each configuration drawn once.

    p is (1 + draws that exceed the mean) over (1 + draws). A draw is the mean of one draw a row, which is the same draw
    for rows with equal numbers; that makes the p-value of several rows larger than it need be, and that of a perfect
    score 1 / (1 + draws) in every layout (`hcs.statistics.label_permutation` has neither).
    """

    def __init__(self, *, seed: int, size: int = NULL_SIZE) -> None:
        """Take the seed of the run, and how many draws each configuration gets."""
        self._seed, self._size = seed, size
        self._drawn: dict[tuple[int, int], NDArray[np.float32]] = {}

    def p_value(self, mean_precision: float, n_positives: NDArray[np.intp], n_candidates: NDArray[np.intp]) -> float:
        """Return the p-value of a mean over rows with these numbers of positives and candidates, (R,) each."""
        pairs, counts = np.unique(np.stack([n_positives, n_candidates], axis=1), axis=0, return_counts=True)
        null = np.zeros(self._size)
        for (positives, candidates), count in zip(pairs.tolist(), counts.tolist(), strict=True):
            null += self._draws(positives, candidates).astype(np.float64) * (count / len(n_positives))
        return (1 + int((null > mean_precision).sum())) / (1 + self._size)

    def _draws(self, n_positives: int, n_candidates: int) -> NDArray[np.float32]:
        key = (n_positives, n_candidates)
        if key not in self._drawn:
            self._drawn[key] = random_average_precisions(
                n_positives=n_positives, n_candidates=n_candidates, seed=self._seed, size=self._size
            )
        return self._drawn[key]
