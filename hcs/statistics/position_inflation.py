"""How much too surprising p-values are where wells of one position are alike, and what is left of them without that.

Control wells that share a position hold the same thing as all other controls. Tested as treatments are, sets of them
should be uniform; where they are not, a treatment that shares a position gets as much for nothing. In normal scores,
z = -Phi^-1(p), the sets have the mean 0 and the standard deviation 1 where positions do nothing. What they have instead
is taken out of every z: z' = (z - m) / s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import norm

from hcs.errors import InputRejectedError

PSEUDO_SETS = 8
"""Sets of mean 0 and deviation 1 that stand beside the observed ones: few sets move m and s little."""
LEVEL = 0.05
"""The p-value of which a share of the sets as large is expected to be."""


@dataclass(frozen=True)
class Inflation:
    """What control sets of one position score beyond chance, as mean and deviation of their normal scores."""

    mean: float = 0.0
    """m >= 0: sets that agree less than chance do not make anything more surprising."""
    deviation: float = 1.0
    """s >= 1."""
    n_sets: int = 0
    n_below: int = 0
    """Sets with p < .05."""

    @property
    def rate(self) -> float:
        """Share of the sets with p < .05, of which .05 is expected; NaN without sets."""
        return self.n_below / self.n_sets if self.n_sets else float("nan")

    def corrected(self, p_values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return p-values without what positions give for nothing.

        NaN stays NaN, 1 stays 1, and the order stays as it is. Without inflation every p-value is returned as it came;
        one up to .5 never becomes smaller.
        """
        if self.mean == 0 and self.deviation == 1:
            return np.array(p_values, dtype=np.float64)
        scores = -ndtri(np.asarray(p_values, dtype=np.float64))
        return np.asarray(norm.sf((scores - self.mean) / self.deviation))


def estimate_inflation(p_values: NDArray[np.float64], *, steps: NDArray[np.float64]) -> Inflation:
    """Return the inflation that the p-values of control sets show.

    With K sets and 8 pseudo-sets of mean 0 and deviation 1, m is the mean over all of them, at least 0, and s^2 their
    mean squared distance from it, at least 1. No test decides whether to correct: below its threshold it would let
    through what it is there to stop.

    Args:
        p_values: (K,), above 0 and at most 1.
        steps: (K,), the distance to the next smaller value that each could have had. A set is scored in the middle of
            its step, so that a p-value of 1 has a finite score, and few designs do not look like deflation.

    Raises:
        InputRejectedError: If a p-value is not in (0, 1], or a step not in (0, p].
    """
    p, step = np.asarray(p_values, dtype=np.float64), np.asarray(steps, dtype=np.float64)
    fits = (p > 0) & (p <= 1) & (step > 0) & (step <= p * (1 + 1e-9))
    if p.shape != step.shape or not fits.all():
        raise InputRejectedError(
            f"p-values of control sets in (0, 1] are expected, each with a step in (0, p], but {p[~fits][:5].tolist()} "
            f"with steps {step[~fits][:5].tolist()} came"
            if p.shape == step.shape
            else f"one step a p-value is expected, but {p.shape} p-values and {step.shape} steps came"
        )
    scores = (-ndtri(p - step / 2)).tolist()
    n = len(scores) + PSEUDO_SETS
    mean = max(0.0, math.fsum(scores) / n)  # fsum: the same bits whatever the order of the sets
    squares = math.fsum((score - mean) ** 2 for score in scores) + PSEUDO_SETS * (1 + mean**2)
    return Inflation(mean, max(1.0, math.sqrt(squares / n)), n_sets=len(scores), n_below=int((p < LEVEL).sum()))
