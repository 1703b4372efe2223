"""Covariances by their spectrum: estimated from few rows, and rows multiplied by a power of them.

What few rows say of a covariance is exact along the directions that they fill and nothing beside them, so that is how
it is kept: at most as many directions as rows, and one variance for all others. A D x D matrix is made only where there
are more rows than features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

_RANK = 1e-12
"""Variances below this share of the largest are rounding."""


@dataclass(frozen=True)
class Spectrum:
    """A symmetric (D, D) matrix: V diag(variances - floor) V' + floor I."""

    directions: NDArray[np.float64]
    """(D, r), orthonormal."""
    variances: NDArray[np.float64]
    """(r,), falling."""
    floor: float
    """Variance of everything beside these directions."""

    def plus(self, ridge: float) -> Spectrum:
        """Return the matrix with this added to its diagonal."""
        return Spectrum(self.directions, self.variances + ridge, self.floor + ridge)

    def applied(self, rows: NDArray[np.float64], power: float) -> NDArray[np.float64]:
        """Return rows (N, D) times the matrix to a power; its variances are positive where that is negative."""
        factors = self.variances**power
        along = rows @ self.directions
        if len(self.variances) == len(self.directions):
            return np.asarray((along * factors) @ self.directions.T)
        beside = self.floor**power
        return np.asarray(rows * beside + (along * (factors - beside)) @ self.directions.T)


@dataclass(frozen=True)
class Shrunk:
    """A covariance drawn towards a multiple of the identity."""

    spectrum: Spectrum
    weight: float
    """Of the identity, between 0 and 1; the rest is the covariance of the rows."""


def sample_covariance(centred: NDArray[np.float64], *, freedom: int) -> Spectrum:
    """Return the sum of outer products over the degrees of freedom, 0 beside what the rows fill.

    Args:
        centred: (N, D), about whatever centre.
        freedom: What the sum is divided by, at least 1.
    """
    n, d = centred.shape
    squares, vectors = eigh(centred @ centred.T if n < d else centred.T @ centred)
    squares, vectors = squares[::-1], vectors[:, ::-1]
    kept = squares > _RANK * max(float(squares[0]), 0.0)
    squares, vectors = squares[kept], vectors[:, kept]
    directions = centred.T @ (vectors / np.sqrt(squares)) if n < d else vectors
    return Spectrum(directions, squares / freedom, 0.0)


def ledoit_wolf(centred: NDArray[np.float64], *, freedom: int) -> Shrunk:
    """Return the covariance shrunk by the weight of Ledoit and Wolf (2004, J. Multivariate Analysis 88:365).

    The weight is the ratio of how uncertain the covariance is to how far it lies from a multiple of the identity: near
    1 for few rows of many features, near 0 for many rows. It is computed with N below the sum, as in the paper.

    Args:
        centred: (N, D), about their means; several groups may each be centred on their own.
        freedom: What the sum of outer products is divided by.
    """
    n, d = centred.shape
    sample = sample_covariance(centred, freedom=n)
    mean = float(sample.variances.sum()) / d
    squared_norm = float((sample.variances**2).sum())
    from_identity = squared_norm / d - mean**2
    fourth = float((np.einsum("nd,nd->n", centred, centred) ** 2).sum())
    uncertainty = (fourth / n - squared_norm) / (n * d)
    weight = float(np.clip(uncertainty / from_identity, 0.0, 1.0)) if from_identity > 0 else 1.0
    floor = weight * mean
    ratio = n / freedom
    spectrum = Spectrum(sample.directions, ((1 - weight) * sample.variances + floor) * ratio, floor * ratio)
    return Shrunk(spectrum, weight)
