"""A covariance that can be inverted although there are fewer wells than features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcs.errors import InputRejectedError


@dataclass(frozen=True)
class ShrunkCovariance:
    """The covariance of centred rows, moved towards the same variance in every direction."""

    matrix: NDArray[np.float64]
    """(D, D), positive definite."""
    shrinkage: float
    """How far, from 0 (not at all) to 1 (all the way)."""

    def inverse_root(self) -> NDArray[np.float64]:
        """Return the symmetric matrix that gives deviations a covariance of 1, (D, D).

        Raises:
            InputRejectedError: If rows were so few or so alike that nothing was known of some direction.
        """
        variances, directions = np.linalg.eigh(self.matrix)
        if variances[0] <= variances[-1] * len(variances) * np.finfo(np.float64).eps:
            raise InputRejectedError(
                "a covariance that can be inverted is expected, but the control wells that it is of are too few or too "
                "alike to tell how features vary; take more controls"
            )
        root: NDArray[np.float64] = (directions / np.sqrt(variances)) @ directions.T
        return root


def ledoit_wolf(deviations: NDArray[np.float64]) -> ShrunkCovariance:
    """Return the covariance of rows that are centred already, shrunk by as much as their scatter asks for.

    Ledoit and Wolf 2004, J Multivar Anal 88:365: the mixture with the mean variance on the diagonal that has the least
    expected squared error, its weight estimated from the rows.

    Args:
        deviations: (N, D), finite.

    Raises:
        InputRejectedError: If there are fewer than 2 rows, or they do not differ at all.
    """
    n, d = deviations.shape
    sample = deviations.T @ deviations / max(n, 1)
    mean_variance = float(np.trace(sample)) / max(d, 1)
    if n < 2 or not mean_variance > 0:
        raise InputRejectedError(
            f"a covariance needs 2 or more control wells that differ, but {n} with a mean variance of "
            f"{mean_variance:g} came; take more controls, or features that vary"
        )
    squared = float(np.square(sample).sum())
    dispersion = squared / d - mean_variance**2
    fourth = float(np.square(np.einsum("nd,nd->n", deviations, deviations)).sum()) / n
    error = min((fourth - squared) / (n * d), dispersion)
    shrinkage = error / dispersion if dispersion > 0 else 1.0
    matrix = (1 - shrinkage) * sample
    matrix[np.diag_indices(d)] += shrinkage * mean_variance
    return ShrunkCovariance(matrix, shrinkage)
