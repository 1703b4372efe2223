"""Whether profiles of one label resemble one another more than as many profiles dealt at random.

If a label has nothing to do with profiles, any other rows could bear it as well. Each deal of as many rows is scored as
the label's own rows are: by the mean cosine similarity within the deal, less that to all rows outside of it. Sums of
unit vectors give both, so that no pair is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

from hcs.statistics.similarity import TIE_TOLERANCE

N_DRAWS = 9_999
_AT_ONCE = 256
"""Deals of one block."""


@dataclass(frozen=True)
class LabelTests:
    """One test a label, L of them."""

    p_values: NDArray[np.float64]
    """(L,), NaN for a label of fewer than two units or of all."""
    smallest_possible: NDArray[np.float64]
    """(L,), what the best conceivable label of this size gets."""


def label_permutation_tests(
    units: NDArray[np.float64], members: Sequence[NDArray[np.intp]], *, seed: int, n_draws: int = N_DRAWS
) -> LabelTests:
    """Return how surprising the likeness of each label's units is.

    p = (1 + deals that score at least as high) / (1 + deals). One deal serves labels of all sizes, by its first units;
    draws follow from the seed and the number of units.

    Args:
        units: (U, D), what is dealt: profiles of length 1, or means of those of one perturbation. Their order decides
            which deals are drawn, and so should follow from what they contain.
        members: The units of each label.
        seed: Of the run.
        n_draws: Deals.
    """
    sizes = np.array([len(rows) for rows in members], dtype=np.intp)
    is_tested = (sizes >= 2) & (sizes < len(units))
    p_values, smallest = np.full((2, len(members)), np.nan)
    if not is_tested.any():
        return LabelTests(p_values, smallest)
    scorer = _Scorer(units)
    observed = {label: scorer.of(members[label]) - TIE_TOLERANCE for label in np.flatnonzero(is_tested).tolist()}
    at_least = dict.fromkeys(observed, 0)
    rng = np.random.default_rng(np.random.SeedSequence([seed, len(units)]))
    numbers = np.arange(len(units), dtype=np.int32)
    for first in range(0, n_draws, _AT_ONCE):
        n = min(_AT_ONCE, n_draws - first)
        deals = rng.permuted(np.tile(numbers, (n, 1)), axis=1)[:, : sizes[is_tested].max()]
        scores = scorer.of_all_sizes(deals)
        for label, score in observed.items():
            at_least[label] += int((scores[sizes[label] - 1] >= score).sum())
    for label, count in at_least.items():
        smallest[label] = max(1 / (1 + n_draws), 1 / comb(len(units), int(sizes[label])))
        # By chance no deal may be that of the label itself; the exact p-value could still not be smaller.
        p_values[label] = max((1 + count) / (1 + n_draws), smallest[label])
    return LabelTests(p_values, smallest)


class _Scorer:
    """Mean similarity within a set of units, less the mean similarity to all others."""

    def __init__(self, units: NDArray[np.float64]) -> None:
        self._units = units
        self._squares = np.einsum("ud,ud->u", units, units)
        self._of_all = units @ units.sum(axis=0)

    def of(self, rows: NDArray[np.intp]) -> float:
        """Return the score of one set."""
        total = self._units[rows].sum(axis=0)
        return float(self._score(float(total @ total), self._squares[rows].sum(), self._of_all[rows].sum(), len(rows)))

    def of_all_sizes(self, deals: NDArray[np.int32]) -> list[NDArray[np.float64]]:
        """Return the scores of the first 1, 2, ... units of every deal (B, M): M arrays (B,)."""
        total = np.zeros((len(deals), self._units.shape[1]))
        square, squares, of_all = np.zeros((3, len(deals)))
        scores = []
        for place, units in enumerate(deals.T):
            vectors = self._units[units]
            square += 2 * np.einsum("bd,bd->b", total, vectors) + self._squares[units]
            squares += self._squares[units]
            of_all += self._of_all[units]
            total += vectors
            scores.append(np.asarray(self._score(square, squares, of_all, place + 1)))
        return scores

    def _score(
        self,
        square: NDArray[np.float64] | float,
        squares: NDArray[np.float64] | float,
        of_all: NDArray[np.float64] | float,
        size: int,
    ) -> NDArray[np.float64] | float:
        others = len(self._units) - size
        within = (square - squares) / max(size * (size - 1), 1)
        return within - (of_all - square) / max(size * others, 1)
