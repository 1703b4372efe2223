"""Principal components of a matrix that is seen a block of rows at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from hcs.errors import InputRejectedError


class RunningMoments:
    """Means and products of D features over rows that come in blocks."""

    def __init__(self, n_features: int) -> None:
        """Start with no row."""
        self.n_rows = 0
        self.sums = np.zeros(n_features)
        self.products = np.zeros((n_features, n_features))

    def add(self, block: NDArray[np.float32]) -> None:
        """Count further rows in, (n, D), finite; of normalized profiles float32 products are enough within a block."""
        self.n_rows += len(block)
        self.sums += block.sum(axis=0, dtype=np.float64)
        self.products += block.T @ block


@dataclass(frozen=True)
class Components:
    """K directions among D features."""

    centre: NDArray[np.float32]
    """(D,)."""
    directions: NDArray[np.float32]
    """(D, K), the largest entry of each, in size, positive; 0 for features that were not used."""
    explained: float
    """Share of the variance of the features that were used."""

    def scores(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return where rows lie along the directions, (n, K)."""
        return np.asarray((block - self.centre) @ self.directions, dtype=np.float32)


def principal_components(moments: RunningMoments, *, n_components: int, is_used: NDArray[np.bool_]) -> Components:
    """Return the directions along which the rows vary most, in falling order.

    Args:
        moments: Of at least two rows.
        n_components: K.
        is_used: (D,), features that take part.

    Raises:
        InputRejectedError: If there are fewer features or rows than components.
    """
    n_used = int(is_used.sum())
    if n_components > min(n_used, moments.n_rows - 1):
        raise InputRejectedError(
            f"{n_components} components are asked for, but there are {moments.n_rows} rows and {n_used} features that "
            "vary on every plate; ask for fewer"
        )
    mean = moments.sums / moments.n_rows
    covariance = (moments.products / moments.n_rows - np.outer(mean, mean))[np.ix_(is_used, is_used)]
    _, found = eigh(covariance, subset_by_index=(n_used - n_components, n_used - 1))
    found = found[:, ::-1]
    largest = found[np.abs(found).argmax(axis=0), np.arange(n_components)]
    directions = np.zeros((len(is_used), n_components), dtype=np.float32)
    directions[is_used] = found * np.where(largest < 0, -1.0, 1.0)
    along = np.einsum("dk,de,ek->", found, covariance, found, optimize=True)
    return Components(mean.astype(np.float32), directions, float(along / np.trace(covariance)))
